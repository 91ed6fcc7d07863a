"""The documentation in headless Chromium: nothing in the console, no request to another host, a search that finds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import pytest
from examplekit import CHECKOUT
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from bundler.commandline.website import served

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

PHONE = ViewportSize(width=390, height=844)
DESKTOP = ViewportSize(width=1280, height=800)
Screen = tuple[ViewportSize, Literal["light", "dark"]]
PAGES = ("index.html", "tutorial.html", "reference/bundle-toml.html", "zh/index.html", "zh/how-to/air-gap.html")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    room = tmp_path_factory.mktemp("site")
    shutil.copy(CHECKOUT / "zensical.toml", room)
    shutil.copytree(CHECKOUT / "docs", room / "docs")
    subprocess.run([sys.executable, CHECKOUT / "ci" / "documentation.py", room], check=True, capture_output=True)
    with served(room / "build" / "site") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root has no sandbox there, and what it shows is ours.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page, with what went wrong on it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.troubles = page, list[str]()
        page.on("console", lambda said: self.troubles.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("requestfailed", lambda request: self.fail(request.url, request.failure or ""))
        page.on("request", lambda request: self.ask(request.url, address))

    def fail(self, url: str, why: str) -> None:
        if why != "net::ERR_ABORTED":  # the next page was asked for meanwhile
            self.troubles.append(f"{why}: {url}")

    def ask(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.troubles.append(f"foreign: {url}")


@pytest.fixture
def visit(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    screen: Screen = getattr(request, "param", (DESKTOP, "light"))
    with browser.new_context(viewport=screen[0], color_scheme=screen[1]) as context:
        yield Visit(context.new_page(), address)


@pytest.mark.parametrize(
    "visit", [(DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark")], indirect=True, ids=str
)
def test_pages_show_without_trouble_and_fit_the_screen(visit: Visit, address: str) -> None:
    for name in PAGES:
        visit.page.goto(address + name)
        assert visit.page.locator("h1").is_visible(), name
        widths = visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert widths[0] <= widths[1], name
    assert visit.troubles == []


@pytest.mark.parametrize(
    ("name", "language", "words"),
    [("index.html", "en", "Search"), ("zh/index.html", "zh", "查找")],
    ids=["English", "Chinese"],
)
def test_a_page_says_its_language_and_speaks_it(
    visit: Visit, address: str, name: str, language: str, words: str
) -> None:
    visit.page.goto(address + name)
    assert visit.page.evaluate("document.documentElement.lang") == language
    assert visit.page.locator(".md-search__button").inner_text().strip() == words
    visit.page.locator("article a[href$='how-to/elixir.html']").first.click()
    visit.page.wait_for_url("**/how-to/elixir.html")
    assert visit.page.evaluate("document.documentElement.lang") == language
    assert visit.troubles == []


@pytest.mark.parametrize(
    ("words", "found"),
    [("rollback", "how-to/upgrade.html"), ("回滚", "zh/how-to/upgrade.html")],
    ids=["English", "Chinese"],
)
def test_the_search_finds(visit: Visit, address: str, words: str, found: str) -> None:
    visit.page.goto(address)
    visit.page.locator(".md-search__button").click()
    visit.page.wait_for_function("!document.activeElement.matches('.md-search__button')")  # it is in the field
    visit.page.keyboard.type(words)
    visit.page.locator(f"a[href*='/{found}?h=']").first.click()
    visit.page.wait_for_url(f"**/{found}?*")
    assert visit.troubles == []
