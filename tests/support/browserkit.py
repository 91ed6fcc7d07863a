"""Pages in headless Chromium: what went wrong on them, and whether they fit the screen."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Literal

from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CHROMIUM", "DESKTOP", "PHONE", "SCREENS", "Screen", "Visit", "launched", "too_wide"]

CHROMIUM = shutil.which("chromium")
PHONE = ViewportSize(width=390, height=844)
DESKTOP = ViewportSize(width=1280, height=800)
Screen = tuple[ViewportSize, Literal["light", "dark"]]
SCREENS: tuple[Screen, ...] = ((DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light"), (PHONE, "dark"))


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        # Root has no sandbox there, and what it shows is ours.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def too_wide(page: Page) -> bool:
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return bool(widths[0] > widths[1])


class Visit:
    """A page, with what went wrong on it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.troubles = page, list[str]()
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("requestfailed", lambda request: self.fail(request.url, request.failure or ""))
        page.on("request", lambda request: self.ask(request.url, address))

    def hear(self, said: ConsoleMessage) -> None:
        if said.type != "info":  # what Chromium remarks itself
            self.troubles.append(f"{said.type}: {said.text}")

    def fail(self, url: str, why: str) -> None:
        if why != "net::ERR_ABORTED":  # the next page was asked for meanwhile
            self.troubles.append(f"{why}: {url}")

    def ask(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:")):
            self.troubles.append(f"foreign: {url}")
