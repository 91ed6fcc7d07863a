"""`inspect --html`, `diff --html` and `--markdown`: pages in Chromium, from a file, and of bundles that mean harm."""

from __future__ import annotations

import hashlib
import json
import shutil
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from browserkit import CHROMIUM, DESKTOP, PHONE, SCREENS, Screen, Visit, launched, too_wide
from smallbundle import CONFIG, TOP, build, command, make_project, reseal
from tinychannel import PLACEHOLDER, File, index, make_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.usefixtures("own_cache"), pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]

HARM = "</script></title><img src=x onerror=alert(1)><script>alert(2)</script>\u202egpj.exe\x1b[31m`|<b>@everyone"
"""What a value may hold that wants to be more than text."""
NEWER = CONFIG.replace('MODE = "fast"', 'MODE = "slow"\nWORKERS = "2"').replace(
    "[services.other]", '[services.more]\nprofile = "generic"'
)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, ``old`` and ``new``; ``bad``, in which every text that can be is harm; and a dump."""
    room = tmp_path_factory.mktemp("report")
    channel = room / "channel"
    script = File(content=f"#!{PLACEHOLDER}/bin/sh\nexec true\n".encode(), mode=0o755, prefix="text")
    for version in ("1.0", "2.0"):
        make_package(
            channel, "tool", version, files={"bin/tool": script}, license="MIT",
            depends=["library", f"words {version}"],
        )  # fmt: skip
        metadata = {f"site-packages/words-{version}.dist-info/METADATA": b"Name: words\n"}
        make_package(channel, "words", version, files=metadata, info={"licenses/LICENSE": b"Do as <you> like.\n"})
    many = {f"lib/part{number}/file": bytes(1000 * number) for number in range(1, 9)}
    make_package(channel, "library", "2.0", files={"lib/big": b"big\n" * 50000, **many}, license="BSD-3-Clause")
    index(channel)
    for name, environment, config in (("old", "tool <2", CONFIG), ("new", "tool >=2", NEWER)):
        project = make_project(room / name / "project", environment=environment, config=config)
        assert build(project, channel, "dir") == room / name / "dist" / TOP
    shutil.copytree(room / "new" / "dist" / TOP, room / "bad" / "dist" / TOP)
    spoil(room / "bad" / "dist" / TOP)
    affected = {"package": {"ecosystem": "PyPI", "name": "words"}}
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}]
    entry = {"id": "CVE-2026-1", "summary": HARM, "affected": [affected | {"ranges": ranges}]}
    (room / "db.json").write_text(json.dumps(entry))
    return room


def spoil(bundle: Path) -> None:
    """What somebody may write who makes a bundle by hand."""

    def harmed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: harmed(one) for key, one in value.items()}
        if isinstance(value, list):
            return [harmed(one) for one in value]
        return value + HARM if isinstance(value, str) and kept not in value else value

    kept = "conda-bundler:"
    sbom = json.loads((bundle / "sbom.cdx.json").read_text())
    for one in sbom["components"]:
        for key in ("licenses", "evidence", "description", "version"):
            if key in one:
                one[key] = harmed(one[key])
    (bundle / "sbom.cdx.json").write_text(json.dumps(sbom))
    manifest = json.loads((bundle / "manifest.json").read_text())
    packages = [one | {"version": one["version"] + HARM, "build": HARM, "url": HARM} for one in manifest["packages"]]
    user = {"path": HARM, "package": HARM, "files": 2}
    library = {"soname": HARM, "need": "required", "because": HARM, "needed_by": [user], "debian": HARM}
    shared = {"path": HARM, "owner": HARM, "others": [HARM], "same": False}
    reseal(
        bundle,
        description=HARM,
        version=f"1.1{HARM}",
        release=f"1.1{HARM}",
        made_by=HARM,
        packages=packages,
        config={"PORT": HARM, HARM: "1"},
        secrets=[{"name": HARM, "bytes": 16, "format": HARM}],
        requires=manifest["requires"] | {"libraries": [library], "glibc": HARM},
        hooks=[{"key": HARM, "unit": HARM, "service": HARM, "command": [HARM], "timeout": 1}],
        notes=[{"kind": HARM, "package": HARM, "path": HARM}],
        shared=[shared],
        link_scripts=[{"package": HARM, "script": HARM, "added": [HARM]}],
        sbom={"path": "sbom.cdx.json", "sha256": hashlib.sha256((bundle / "sbom.cdx.json").read_bytes()).hexdigest()},
    )
    unit = bundle / "units" / "more.service"
    unit.write_text(unit.read_text().replace("User=", f"User={HARM}\nX-Odd="))
    unit.with_name("odd&lt;<i>.service").write_text(f"[Service]\nExecStart=/bin/{HARM}\nProtectSystem={HARM}\n")


@pytest.fixture(scope="module")
def pages(room: Path) -> dict[str, Path]:
    """By what they show."""
    made = {}
    for name, words in {
        "inspect": ("inspect", room / "new" / "dist" / TOP),
        "audited": ("inspect", room / "old" / "dist" / TOP, "--db", room / "db.json"),
        "diff": ("diff", room / "old" / "dist" / TOP, room / "new" / "dist" / TOP, "--db", room / "db.json"),
        "hostile": ("inspect", room / "bad" / "dist" / TOP),
        "hostile diff": ("diff", room / "old" / "dist" / TOP, room / "bad" / "dist" / TOP),
    }.items():
        made[name] = room / f"{name.replace(' ', '-')}.html"
        more = ("--markdown", made[name].with_suffix(".md")) if words[0] == "diff" else ()
        done = command(*words, "--html", made[name], *more)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"wrote {made[name]}\n")
    return made


@pytest.fixture(scope="module")
def browser(pages: dict[str, Path]) -> Iterator[Browser]:
    """Started when the pages are there: while it is, nothing else can run an event loop here."""
    assert pages
    with launched() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Visit]]:
    """Opens a page from its file; the page may ask for itself only."""
    screen: Screen = getattr(request, "param", (DESKTOP, "light"))
    with browser.new_context(viewport=screen[0], color_scheme=screen[1]) as context:

        def opened(page: Path) -> Visit:
            found = Visit(context.new_page(), page.as_uri())
            found.page.on("dialog", lambda dialog: found.troubles.append(f"dialog: {dialog.message}"))
            found.page.goto(page.as_uri())
            return found

        yield opened


@pytest.mark.parametrize("visit", SCREENS, indirect=True, ids=str)
def test_pages_show_without_trouble_and_fit_the_screen(visit: Callable[[Path], Visit], pages: dict[str, Path]) -> None:
    for name, page in pages.items():
        found = visit(page)
        assert found.page.locator("h1").is_visible(), name
        found.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert not too_wide(found.page), name
        assert found.troubles == [], name
        narrow = found.page.viewport_size == PHONE
        shown = [svg.is_visible() for svg in found.page.locator("svg.map").all()]
        assert shown in ([], [not narrow, narrow]), name


@pytest.mark.parametrize("visit", [(DESKTOP, "light"), (DESKTOP, "dark")], indirect=True, ids=["light", "dark"])
def test_words_can_be_read_on_what_is_behind_them(visit: Callable[[Path], Visit], pages: dict[str, Path]) -> None:
    """At least 4.5 : 1, as WCAG's AA asks for, of all text that is shown."""
    found = visit(pages["audited"])
    worst = found.page.evaluate(CONTRAST)
    assert worst[0] >= 4.5, worst


CONTRAST = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.5) return colour;
    }
    return [255, 255, 255];
  };
  let worst = [99, ""];
  const look = (ink, ground, text) => {
    const [low, high] = [light(ink), light(ground)].sort((one, other) => one - other);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < worst[0]) worst = [ratio, text];
  };
  for (const node of document.querySelectorAll("body *:not(svg, svg *, script)")) {
    const text = [...node.childNodes].filter((one) => one.nodeType === 3).map((one) => one.data.trim()).join("");
    if (text && node.checkVisibility()) look(parts(getComputedStyle(node).color), behind(node), text);
  }
  for (const label of document.querySelectorAll("svg text")) {
    const box = label.parentElement.querySelector("rect");
    look(parts(getComputedStyle(label).fill), parts(getComputedStyle(box).fill), label.textContent);
  }
  return worst;
}"""


def test_packages_are_found_and_followed(visit: Callable[[Path], Visit], pages: dict[str, Path]) -> None:
    found = visit(pages["inspect"])
    field = found.page.locator("input[type=search]")
    field.fill("WORDS 2")
    items = found.page.locator("#package-list details:visible")
    assert items.count() == 1
    assert found.page.locator("#package-list-count").inner_text() == "1 of 3"
    items.locator("summary").click()
    assert items.locator("dd").first.inner_text() == "toolwords"  # an arrow between them is drawn
    items.locator("dd a", has_text="tool").first.click()
    tool = found.page.locator("#package-list details", has_text="tool 2.0").first
    assert tool.is_visible()
    assert tool.get_attribute("open") is not None
    field.fill("")
    for opened in (3, 0):
        found.page.locator("button[data-list]").click()
        assert found.page.locator("#package-list details[open]").count() == opened
    assert found.troubles == []


def text_of(visit: Callable[[Path], Visit], page: Path) -> str:
    return visit(page).page.evaluate("document.body.textContent").replace("\n", " ")  # type: ignore[no-any-return]


def test_what_pages_say(visit: Callable[[Path], Visit], pages: dict[str, Path]) -> None:
    text = text_of(visit, pages["inspect"])
    for said in ("small 1.0", "library", "BSD-3-Clause", "Do as <you> like.", "may generate code at run time", "MODE",
                 "API_TOKEN", "Not checked: this page", "may use at most: memory 1G"):  # fmt: skip
        assert said in text, said
    text = text_of(visit, pages["audited"])
    assert "CVE-2026-1" in text
    assert "Not covered: 2 components" in text
    text = text_of(visit, pages["diff"])
    for said in ("New setting WORKERS, default 2", "The default of MODE is slow instead of fast", "1.0 0", "2.0 0",
                 "The service other.service no longer exists", "New service more.service", "fixed"):  # fmt: skip
        assert said in text, said
    assert "CVE-2026-1" in text


class Markup(HTMLParser):
    """The tags and attributes of a page, of which the values are none."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src", "action")}


def test_a_hostile_bundle_adds_no_markup(visit: Callable[[Path], Visit], pages: dict[str, Path]) -> None:
    for friendly, hostile in (("audited", "hostile"), ("diff", "hostile diff")):
        found = []
        for name in (friendly, hostile):
            text = pages[name].read_text()
            markup = Markup()
            markup.feed(text)
            found.append(markup)
            assert text.count("<script") == text.count("</script>") == 1, name
            assert "\u202e" not in text
            assert "\x1b" not in text
        assert not found[1].tags & {"img", "b", "i", "iframe", "link", "object", "form"}
        assert not [name for name in found[1].attributes if name.startswith("on") or name in ("src", "style")]
        assert all(link.startswith("#") for link in found[1].links)
    opened = visit(pages["hostile"])
    assert "<img src=x onerror=alert(1)>" in opened.page.evaluate("document.body.textContent")
    assert "\\u202egpj.exe" in opened.page.evaluate("document.body.textContent")
    assert opened.troubles == []


def test_a_script_that_is_not_ours_would_not_run(
    visit: Callable[[Path], Visit], pages: dict[str, Path], tmp_path: Path
) -> None:
    """Should markup get in one day, the page's policy keeps it from running and from asking for anything."""
    page = tmp_path / "page.html"
    more = "<script>alert(1)</script><img src='http://127.0.0.1:9/x'><p onclick='alert(3)' style='color: red'>x</p>"
    page.write_text(pages["inspect"].read_text().replace("<main>", f"<main>{more}"))
    troubles = visit(page).troubles
    assert [one for one in troubles if one.startswith("dialog")] == []
    assert "csp: http://127.0.0.1:9/x" in troubles, "the browser has asked"
    assert sum("Content Security Policy" in one for one in troubles) >= 3


def test_the_same_bundles_give_the_same_bytes(room: Path, pages: dict[str, Path], tmp_path: Path) -> None:
    """From elsewhere, and by another process with another hash seed: see commandkit."""
    for name in ("old", "new"):
        shutil.copytree(room / name / "dist" / TOP, tmp_path / name / TOP)
    old, new = tmp_path / "old" / TOP, tmp_path / "new" / TOP
    for again in range(2):
        assert command("inspect", new, "--html", tmp_path / "a.html").returncode == 0
        assert (tmp_path / "a.html").read_bytes() == pages["inspect"].read_bytes(), again
        words = ("--db", room / "db.json", "--html", tmp_path / "b.html", "--markdown", tmp_path / "b.md")
        assert command("diff", old, new, *words).returncode == 0
        assert (tmp_path / "b.html").read_bytes() == pages["diff"].read_bytes(), again
        assert (tmp_path / "b.md").read_bytes() == pages["diff"].with_suffix(".md").read_bytes(), again
        assert command("inspect", room / "new" / "dist" / TOP, "-q").returncode == 0  # the other process is next
    assert str(room) not in pages["inspect"].read_text()


def test_a_comment_for_a_pull_request(pages: dict[str, Path]) -> None:
    text = pages["diff"].with_suffix(".md").read_text()
    assert "| `tool` | `1.0 0` | `2.0 0` |" in text
    assert "- New setting `WORKERS`, default `2`: to change it, set it in `/etc/small/small.env`" in text
    assert "fixed | `CVE-2026-1` |" in text
    hostile = pages["hostile diff"].with_suffix(".md").read_text()
    assert len(hostile) < 65_536
    assert "<img" not in hostile.replace("`<", "").replace("/title><img", "")


def test_options_that_say_nothing_are_mistakes(room: Path, tmp_path: Path) -> None:
    bundle = room / "new" / "dist" / TOP
    assert command("inspect", bundle, "--db", room / "db.json").returncode == 2
    assert command("inspect", bundle, "--html", tmp_path / "x", "--ignore", room / "db.json").returncode == 2
    done = command("inspect", bundle, "--html", tmp_path / "no" / "x.html")
    assert done.returncode == 6
    assert "cannot be written" in done.stderr
