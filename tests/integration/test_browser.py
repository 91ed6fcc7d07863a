"""The documentation in headless Chromium: nothing in the console, no request to another host, a search that finds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from browserkit import CHROMIUM, DESKTOP, SCREENS, Screen, Visit, launched, too_wide
from examplekit import CHECKOUT

from bundler.commandline.website import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

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
    with launched() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    screen: Screen = getattr(request, "param", (DESKTOP, "light"))
    with browser.new_context(viewport=screen[0], color_scheme=screen[1]) as context:
        yield Visit(context.new_page(), address)


@pytest.mark.parametrize("visit", SCREENS, indirect=True, ids=str)
def test_pages_show_without_trouble_and_fit_the_screen(visit: Visit, address: str) -> None:
    for name in PAGES:
        visit.page.goto(address + name)
        assert visit.page.locator("h1").is_visible(), name
        assert not too_wide(visit.page), name
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
