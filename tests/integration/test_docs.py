"""The documentation: it builds without a warning, asks no other host for anything, and its commands exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import click
import pytest
from docskit import DOCS, Line, pages, shell_lines
from examplekit import CHECKOUT
from installkit import Spec, script
from translations import revision, translations

from bundler.cli import cli
from bundler.installer.render import render_manage

if TYPE_CHECKING:
    from pathlib import Path

LINES = [line for page in pages() for line in shell_lines(page)]


class _Requests(HTMLParser):
    """What a browser asks for by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.language: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "html":
            self.language = values.get("lang")
        self.found.append(values.get("src") or "")
        if tag == "link" and values.get("rel") != "canonical":
            self.found.append(values.get("href") or "")


def test_it_builds_strictly_and_asks_no_other_host(tmp_path: Path) -> None:
    site = _built(tmp_path)
    made = {path.relative_to(site).with_suffix(".md") for path in site.rglob("*.html")}
    assert made >= {page.relative_to(DOCS) for page in pages()}
    for page in site.rglob("*.html"):
        requests = _Requests()
        requests.feed(page.read_text("utf-8"))
        assert [url for url in requests.found if re.match(r"(https?:)?//", url)] == [], page
        here = [url.partition("#")[0] for url in requests.found if url and not url.startswith("data:")]
        assert [url for url in here if not _file(site, page, url).exists()] == [], page
        language = "zh" if page.is_relative_to(site / "zh") else "en"
        assert requests.language == language, page
    assert {path.name for path in tmp_path.iterdir()} == {"docs", "zensical.toml", "build", ".cache"}
    assert {path.name for path in (tmp_path / "build").iterdir()} == {"site"}


def test_a_page_that_links_to_nothing_is_an_error(tmp_path: Path) -> None:
    done = _build(tmp_path, broken="zh/tutorial.md")
    assert done.returncode == 1
    assert "nowhere.md" in re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert not (tmp_path / ".zensical.zh.toml").exists()


def _file(site: Path, page: Path, url: str) -> Path:
    """404.html may be shown at any address, so it counts from the root."""
    return site / url[1:] if url.startswith("/") else page.parent / url


def _built(room: Path) -> Path:
    done = _build(room)
    assert done.returncode == 0, done.stdout + done.stderr
    return room / "build" / "site"


def _build(room: Path, broken: str = "") -> subprocess.CompletedProcess[str]:
    """What `make docs` does, of a copy; with a dead link on the page that is to be broken."""
    shutil.copy(CHECKOUT / "zensical.toml", room)
    shutil.copytree(DOCS, room / "docs")
    if broken:
        with (room / "docs" / broken).open("a") as page:
            page.write("\n[nothing](nowhere.md)\n")
    words: list[str | Path] = [sys.executable, CHECKOUT / "ci" / "documentation.py", room]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_every_page_is_in_the_navigation() -> None:
    navigation = set(re.findall(r'"([a-z/-]+\.md)"', (CHECKOUT / "zensical.toml").read_text("utf-8")))
    assert navigation == {page.relative_to(DOCS).as_posix() for page in pages()}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/index.md"])
def test_links_to_files_of_the_repository_lead_somewhere(name: str) -> None:
    page = CHECKOUT / name
    links = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.read_text("utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_what_a_newcomer_reads_is_there_in_chinese_and_says_of_what() -> None:
    english = {CHECKOUT / "README.md", *DOCS.glob("how-to/*.md"), DOCS / "index.md", DOCS / "tutorial.md"}
    assert set(translations().values()) == english
    for page, original in translations().items():
        root = CHECKOUT if original.name == "README.md" else DOCS
        assert (revision(page) or ("", ""))[0] == original.relative_to(root).as_posix()
        # The commands are the same, so those of a page that is behind are not wrong without anybody's notice.
        assert _blocks(page) == _blocks(original)


def _blocks(page: Path) -> list[str]:
    """What its code blocks hold, comments aside."""
    blocks = re.findall(r"^ *```\w+\n(.*?)^ *```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(r" +# .*", "", block) for block in blocks]


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.page}: {line.command}")
def test_the_commands_and_options_of_its_shell_lines_exist(line: Line) -> None:
    for words in _commands(line.command):
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        program = words[0].rpartition("/")[2]
        if program == "conda-bundler":
            assert options <= _options_of(words[1]), words
        elif "install.sh" in words[:2][-1]:
            assert options <= _declared("install/arguments.sh"), words
        elif program == "manage":
            assert words[1] in _subcommands(), words


def _commands(line: str) -> list[list[str]]:
    """The simple commands of a shell line, without comments and without ``sudo``."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;"):
            found.append([])
        elif word != "sudo":
            found[-1].append(word)
    return [words for words in found if words]


def _options_of(name: str) -> set[str]:
    assert isinstance(cli, click.Group)
    command = cli.get_command(click.Context(cli), name)
    assert command, name
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def _declared(partial: str) -> set[str]:
    text = (CHECKOUT / "templates" / partial).read_text("utf-8")
    return set(re.findall(r"--[a-z-]+", text))


@cache
def _subcommands() -> set[str]:
    """What manage's own help lists."""
    manage = render_manage(script(Spec(), "0" * 64, {}))
    told = subprocess.run(["sh", "-s", "--", "--help"], input=manage, capture_output=True, text=True, check=True)
    return set(re.findall(r"^  ([a-z-]+) ", told.stdout, re.MULTILINE))
