"""Which Chinese pages are behind the English ones: ``python tests/translations.py [--mark]``.

A page of docs/zh, and README.zh-CN.md, ends with the SHA-256 of the English page that it translates. ``--mark`` writes
it again, for whoever has brought the translation up to date.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

__all__ = ["CHECKOUT", "CHINESE", "DOCS", "behind", "mark", "revision", "translations"]

CHECKOUT = Path(__file__).parent.parent
DOCS = CHECKOUT / "docs"
CHINESE = DOCS / "zh"
_REVISION = re.compile(r"\n<!-- translates ([A-Za-z/-]+\.md), SHA-256 ([0-9a-f]{64}) -->\n\Z")


def translations() -> dict[Path, Path]:
    """Chinese page -> the English one."""
    pages = {page: DOCS / page.relative_to(CHINESE) for page in sorted(CHINESE.rglob("*.md"))}
    return {CHECKOUT / "README.zh-CN.md": CHECKOUT / "README.md", **pages}


def revision(page: Path) -> tuple[str, str] | None:
    """The English page that a Chinese one translates, and that page's digest then; None if it does not say."""
    found = _REVISION.search(page.read_text("utf-8"))
    return (found[1], found[2]) if found else None


def behind() -> list[str]:
    """The Chinese pages whose English one has changed since."""
    return [
        page.relative_to(CHECKOUT).as_posix()
        for page, english in translations().items()
        if revision(page) != _now(english)
    ]


def mark() -> None:
    for page, english in translations().items():
        name, digest = _now(english)
        text = _REVISION.sub("\n", page.read_text("utf-8")).rstrip("\n")
        page.write_text(f"{text}\n\n<!-- translates {name}, SHA-256 {digest} -->\n", "utf-8")


def _now(english: Path) -> tuple[str, str]:
    """Pages of the documentation are called as the site calls them, below docs."""
    root = DOCS if english.is_relative_to(DOCS) else CHECKOUT
    return english.relative_to(root).as_posix(), hashlib.sha256(english.read_bytes()).hexdigest()


if __name__ == "__main__":
    if sys.argv[1:] == ["--mark"]:
        mark()
    for name in behind():
        print(f"{name} is behind the English page that it translates")  # noqa: T201
