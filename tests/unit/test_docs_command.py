"""`conda-bundler docs`: which copy of the documentation it opens, and when."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import click
import fastjsonschema
import pytest
from click.testing import CliRunner

from bundler import resources
from bundler.cli import cli
from bundler.outputs import output_schema

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a wheel's copy of the package would be, with nothing in it."""
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "bundler")
    return tmp_path / "bundler"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    urls: list[str] = []
    monkeypatch.setattr(click, "launch", urls.append)
    return urls


def site(home: Path) -> Path:
    home.mkdir(parents=True)
    (home / "index.html").touch()
    return home / "index.html"


def test_the_wheels_copy_is_found(installed: Path, opened: list[str]) -> None:
    page = site(installed / "site")
    done = CliRunner().invoke(cli, ["docs"])
    assert (done.exit_code, done.stdout) == (0, f"{page.as_uri()}\n")
    document = json.loads(CliRunner().invoke(cli, ["docs", "--json"]).stdout)
    assert document["url"] == page.as_uri()
    fastjsonschema.compile(output_schema("docs"), use_default=False)(document)
    assert opened == []  # nobody looks: standard output is no terminal


def test_a_checkout_has_its_own(installed: Path) -> None:
    page = site(installed.parent / "build" / "site")
    site(installed / "site")
    (installed.parent / "zensical.toml").touch()
    assert resources.documentation() == page


@pytest.mark.parametrize(("words", "count"), [((), 1), (("--no-open",), 0)])
def test_a_terminal_gets_a_browser(
    installed: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], count: int
) -> None:
    site(installed / "site").write_text("the first page")
    monkeypatch.setattr("bundler.cli._is_terminal", lambda: True)
    answers: list[bytes] = []

    def look() -> None:  # while it is served
        answers.extend(urlopen(url).read() for url in opened)

    monkeypatch.setattr(signal, "pause", look)
    done = CliRunner().invoke(cli, ["docs", *words])
    assert done.exit_code == 0
    assert answers == [b"the first page"] * count
    assert [line.removesuffix(" until Ctrl-C") for line in done.stderr.splitlines()] == opened
    for url in opened:
        with pytest.raises(URLError):
            urlopen(url)


@pytest.mark.parametrize(
    ("checkout", "remedy"), [(True, "make docs"), (False, "Install a released wheel")], ids=["checkout", "installed"]
)
def test_one_that_is_missing_is_a_sentence(installed: Path, checkout: bool, remedy: str) -> None:
    if checkout:
        installed.mkdir()
        (installed.parent / "zensical.toml").touch()
    done = CliRunner().invoke(cli, ["docs"])
    assert done.exit_code == 9
    assert "the documentation is not part of this installation" in done.stderr
    assert remedy in done.stderr
