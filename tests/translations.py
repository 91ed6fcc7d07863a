"""Which Chinese pages are behind the English ones: ``python tests/translations.py [--mark]``.

A page of docs/zh ends with the SHA-256 of the English page that it translates. ``--mark`` writes it again, for whoever
has brought the translation up to date.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

__all__ = ["CHINESE", "DOCS", "behind", "mark", "revision"]

DOCS = Path(__file__).parent.parent / "docs"
CHINESE = DOCS / "zh"
_REVISION = re.compile(r"\n<!-- translates ([a-z/-]+\.md), SHA-256 ([0-9a-f]{64}) -->\n\Z")


def revision(page: Path) -> tuple[str, str] | None:
    """The English page that a Chinese one translates, and that page's digest then; None if it does not say."""
    found = _REVISION.search(page.read_text("utf-8"))
    return (found[1], found[2]) if found else None


def behind() -> list[str]:
    """The Chinese pages whose English one has changed since, below docs/zh."""
    return [
        page.relative_to(CHINESE).as_posix() for page in sorted(CHINESE.rglob("*.md")) if revision(page) != _now(page)
    ]


def mark() -> None:
    for page in CHINESE.rglob("*.md"):
        name, digest = _now(page)
        text = _REVISION.sub("\n", page.read_text("utf-8")).rstrip("\n")
        page.write_text(f"{text}\n\n<!-- translates {name}, SHA-256 {digest} -->\n", "utf-8")


def _now(page: Path) -> tuple[str, str]:
    name = page.relative_to(CHINESE).as_posix()
    return name, hashlib.sha256((DOCS / name).read_bytes()).hexdigest()


if __name__ == "__main__":
    if sys.argv[1:] == ["--mark"]:
        mark()
    for name in behind():
        print(f"docs/zh/{name} is behind docs/{name}")  # noqa: T201
