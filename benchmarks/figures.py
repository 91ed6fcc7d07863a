"""What ``make bench`` measured -> the tables of the READMEs and of the page on performance.

``docs/explanation/performance.json`` is the bench's own document without its single runs. ``python -m
benchmarks.figures FILE`` (``make figures``) keeps another one, and writes the pages again from it. The tables
lie between two comments that name them.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks.installing import GZIP_ALONE
from benchmarks.report import table
from benchmarks.subjects import FIRST_BUILD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["CHECKOUT", "KEPT", "PAGES", "Page", "kept", "main", "without_runs"]

CHECKOUT = Path(__file__).parent.parent
KEPT = CHECKOUT / "docs/explanation/performance.json"
_BUILD, _AGAIN, _INSTALL = "Build, 1x: ", "Build again, 1x, ", "Install, 1x"
"""What the titles of the results begin with."""

_Document: TypeAlias = "Mapping[str, Any]"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure: of which result, by the beginning of its title, and of which subject."""

    title: str
    subject: str
    kind: str = "wall"

    def text(self, document: _Document) -> str:
        """The figure as people read it. Raises KeyError if it was not measured."""
        found = _subject(document, self.title, self.subject)[self.kind]
        match self.kind:
            case "wall":
                return f"{found:.1f}"
            case "peak":
                return f"{found / 1e6:.0f}"
            case _:
                return f"{found / 1e6:.1f}"


def _subject(document: _Document, title: str, name: str) -> Mapping[str, Any]:
    for result in document["results"]:
        if result["title"].startswith(title):
            for subject in result["subjects"]:
                if subject["name"] == name:
                    return dict(subject)
    raise KeyError(f"{title}…: {name}")


@dataclass(frozen=True, kw_only=True)
class Table:
    """``rows``: what a row is called, and its figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    unit: str = ""

    def text(self, document: _Document) -> str:
        rows = ((label, *(cell.text(document) + self.unit for cell in cells)) for label, cells in self.rows)
        return "\n".join(table(self.head, rows))


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page with tables, each between ``<!-- figures: NAME -->`` and ``<!-- figures end -->``."""

    path: str
    tables: Mapping[str, Table]

    def written(self, text: str, document: _Document) -> str:
        """The page's ``text`` with the figures of ``document``. Raises ValueError if it has no place for a table."""
        for name, one in self.tables.items():
            before, begin, rest = text.partition(f"<!-- figures: {name} -->\n")
            _, end, after = rest.partition("<!-- figures end -->")
            if not end:
                raise ValueError(f"{self.path} has no table {name}")
            text = f"{before}{begin}{one.text(document)}\n{end}{after}"
        return text


def _both(build: str, install: str) -> tuple[Cell, ...]:
    return Cell(title=_BUILD, subject=build), Cell(title=_INSTALL, subject=install)


def _overview(head: tuple[str, ...], labels: Sequence[str]) -> Table:
    """Whole commands, for a README."""
    cells = (
        _both("conda-bundler build, zstd", "install.sh, zstd"),
        _both("conda-bundler build, gzip", "install.sh, gzip"),
        _both("rattler + conda-pack", "conda-pack: tar -x, conda-unpack"),
    )
    return Table(head=head, rows=tuple(zip(labels, cells, strict=True)), unit=" s")


def _builds(*rows: tuple[str, str, str]) -> Table:
    cells = (
        (label, tuple(Cell(title=title, subject=subject, kind=kind) for kind in ("wall", "peak", "size")))
        for label, title, subject in rows
    )
    return Table(head=("build", "seconds", "peak MB", "size MB"), rows=tuple(cells))


def _installs(*rows: tuple[str, str]) -> Table:
    cells = ((label, (Cell(title=_INSTALL, subject=subject),)) for label, subject in rows)
    return Table(head=("install", "seconds"), rows=tuple(cells))


PAGES = (
    Page(
        path="README.md",
        tables={
            "overview": _overview(
                ("", "build", "install"),
                ("conda-bundler, zstd", "conda-bundler, gzip", "py-rattler and conda-pack (gzip)"),
            )
        },
    ),
    Page(
        path="README.zh-CN.md",
        tables={
            "overview": _overview(
                ("", "构建", "安装"),
                ("conda-bundler，zstd", "conda-bundler，gzip", "py-rattler 加 conda-pack（gzip）"),  # noqa: RUF001
            )
        },
    ),
    Page(
        path="docs/explanation/performance.md",
        tables={
            "builds": _builds(
                ("gzip, for the first time: link, hash every file, pack", _BUILD, FIRST_BUILD),
                ("the same with nothing kept of the payload: link, check every file, pack", _BUILD, "ours, gzip"),
                ("the same with it, one small package changed since", _AGAIN, "ours, gzip, one package changed"),
                ("zstd", _BUILD, "ours, zstd"),
                ("`conda-bundler build`, zstd: the whole command, with bytecode", _BUILD, "conda-bundler build, zstd"),
                ("py-rattler and conda-pack (gzip)", _BUILD, "rattler + conda-pack"),
                ("py-rattler and conda-pack `-j 2`", _BUILD, "rattler + conda-pack -j 2"),
                (
                    "py-rattler and `tar \\| zstd -T0`: no hash, not relocatable, not reproducible",
                    _BUILD,
                    "rattler + tar | zstd -T0",
                ),
            ),
            "installs": _installs(
                ("`install.sh`, gzip, on a machine with zstd: verify, unpack, check, list, sync", "install.sh, gzip"),
                ("the same on a machine that has gzip alone", GZIP_ALONE),
                ("`tar -xzf` of the same payload, without verification and sync", "tar -x, gzip"),
                ("`install.sh`, zstd", "install.sh, zstd"),
                ("`tar --zstd -xf` of the same payload", "tar -x, zstd"),
                ("py-rattler from local `.conda` files", "rattler install from .conda files"),
                ("`install.sh --prefix` at another root, gzip", "install.sh, gzip, another root"),
                ("conda-pack: `tar -xzf` and conda-unpack", "conda-pack: tar -x, conda-unpack"),
            ),
        },
    ),
)


def without_runs(document: _Document) -> dict[str, Any]:
    """The bench's document with medians alone."""
    return {**document, "results": [{**result, "subjects": list(_medians(result))} for result in document["results"]]}


def _medians(result: _Document) -> Iterator[dict[str, Any]]:
    for subject in result["subjects"]:
        yield {name: value for name, value in subject.items() if name != "samples"}


def kept() -> dict[str, Any]:
    """The document that the pages show."""
    return dict(json.loads(KEPT.read_text("utf-8")))


def main(arguments: Sequence[str]) -> None:
    """Keep the document named by the one of ``arguments``, if there is one, and write the pages again."""
    for name in arguments:
        document = without_runs(json.loads(Path(name).read_text("utf-8")))
        KEPT.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    _write(PAGES, kept())


def _write(pages: Iterable[Page], document: _Document) -> None:
    for page in pages:
        path = CHECKOUT / page.path
        path.write_text(page.written(path.read_text("utf-8"), document), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
