"""`diff --markdown`: what an update carries, as a comment on a pull request: GitHub's Markdown, not too long for one.

What bundles say stands as code: it mentions nobody there, links nowhere and is no markup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.printable import counted, printable
from bundler.reader.telling import difference, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bundler.audit.report import Finding
    from bundler.reader.diff import Change
    from bundler.report.changes import Changes, Holes, PackageChange, Task, UnitChange

__all__ = ["LONGEST", "code", "diff_markdown", "html_code"]

LONGEST = 60_000
"""Bytes; GitHub takes 65536 characters."""
_MOST = 60
"""Rows of a table, and entries of a list."""
_VALUE = 160
"""Characters of a value that are shown."""
_SIGNS = {
    "added": "\N{HEAVY PLUS SIGN}",
    "removed": "\N{HEAVY MINUS SIGN}",
    "changed": "\N{CLOCKWISE RIGHTWARDS AND LEFTWARDS OPEN CIRCLE ARROWS}",
}


def diff_markdown(found: Changes) -> str:
    """The sections that have something to say, as many as a comment has space for."""
    told = found.difference
    head = f"## {code(told.old)} → {code(told.new)}\n"
    if not told.different:
        return f"{head}\nNo difference.\n"
    sections: list[Callable[[Changes], Iterator[str]]] = [
        _sizes, _tasks, _vulnerabilities, _packages, _units, _values, _options, _files, _texts,
    ]  # fmt: skip
    text, left_out = head, 0
    for section in sections:
        more = "".join(f"{line}\n" for line in section(found))
        if len((text + more).encode()) > LONGEST:
            left_out += 1
        else:
            text += more
    if left_out:
        text += f"\n{counted(left_out, 'section')} would not fit here: see `conda-bundler diff`.\n"
    return text


def code(text: str) -> str:
    """A value, whatever is in it."""
    text = _short(text)
    return html_code(text) if {"`", "|", "\\"} & set(text) or text != text.strip() or not text else f"`{text}`"


def html_code(text: str) -> str:
    """The same where a backtick is none of Markdown's: each sign as a number."""
    return "<code>" + re.sub(r"[^A-Za-z0-9 ./]", lambda found: f"&#{ord(found[0])};", _short(text)) + "</code>"


def _short(text: str) -> str:
    return printable(text if len(text) <= _VALUE else f"{text[: _VALUE - 1]}…")


def _sizes(found: Changes) -> Iterator[str]:
    yield ""
    for name, old, new in found.difference.sizes:
        yield f"- {name}: {f'{old} → {new}' if name == 'files' else difference(old, new).replace('->', '→')}"


def _tasks(found: Changes) -> Iterator[str]:
    yield from ("", "### For the operator", "")
    yield from _limited([f"- {'**Look at it:** ' if one.act else ''}{_sentence(one)}" for one in found.tasks])


def _sentence(task: Task) -> str:
    return "".join(f"{words}{code(value) if value else ''}" for words, value in task.parts())


def _vulnerabilities(found: Changes) -> Iterator[str]:
    if found.holes is None:
        return
    holes = found.holes
    yield from ("", "### Known vulnerabilities", "")
    yield from _findings(holes)
    yield ""
    uncovered = counted(len(holes.audit.uncovered), "component")
    newest = f", the newest advisory of {code(holes.audit.newest[:10])}" if holes.audit.newest else ""
    yield f"Compared with {code(holes.audit.database)}{newest}; {uncovered} not covered."


def _findings(holes: Holes) -> Iterator[str]:
    groups = (("fixed", "✅", holes.ended), ("**new**", "❗", holes.brought), ("still there", "⚠️", holes.left))
    rows = [f"| {sign} {what} | {_finding(one)} |" for what, sign, ones in groups for one in ones]
    if rows:
        yield from ("| | advisory | severity | of | |", "| --- | --- | --- | --- | --- |", *_limited(rows))
    else:
        yield "None is known of either."


def _finding(one: Finding) -> str:
    return f"{code(one.id)} | {one.severity} | {code(f'{one.component} {one.version}')} | {code(one.summary)}"


def _packages(found: Changes) -> Iterator[str]:
    if not found.packages:
        return
    kinds = [one.change.kind for one in found.packages]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in _SIGNS if kind in kinds)
    yield from ("", f"### Packages: {counts}", "")
    yield from ("| | package | old | new | packed |", "| --- | --- | --- | --- | ---: |")
    yield from _limited([_package(one) for one in found.packages])


def _package(one: PackageChange) -> str:
    change = one.change
    sizes = size(one.new_size) if one.old_size == one.new_size else f"{size(one.old_size)} → {size(one.new_size)}"
    return f"| {_SIGNS[change.kind]} | {code(one.name)} | {_value(change.old)} | {_value(change.new)} | {sizes} |"


def _units(found: Changes) -> Iterator[str]:
    if not found.units:
        return
    yield from ("", "### What services may do", "")
    yield from _limited([line for unit in found.units for line in _unit(unit)])


def _unit(unit: UnitChange) -> Iterator[str]:
    yield f"- {_SIGNS[unit.kind]} {code(unit.name)}: {unit.kind}"
    if unit.kind == "changed":
        yield from (f"  - now: {code(one.text)}{' ⚠️' if one.loosened else ''}" for one in unit.now)
        yield from (f"  - before: {code(one.text)}" for one in unit.before)
    else:
        for one in unit.now:
            if one.loosened:
                yield f"  - ⚠️ {code(one.text)}"


def _values(found: Changes) -> Iterator[str]:
    yield from _changed("Settings", found.difference.config)
    yield from _changed("Secrets", found.difference.secrets)


def _options(found: Changes) -> Iterator[str]:
    yield from _changed("The bundle", found.difference.options)
    yield from _changed("Files that several packages have", found.difference.shared)


def _files(found: Changes) -> Iterator[str]:
    if found.difference.app:
        yield from ("", f"### app/: {counted(len(found.difference.app), 'file')}", "")
        yield from _limited([f"- {_SIGNS[one.kind]} {code(one.name)}" for one in found.difference.app])


def _changed(heading: str, changes: Sequence[Change]) -> Iterator[str]:
    if changes:
        yield from ("", f"### {heading}", "", "| | name | old | new |", "| --- | --- | --- | --- |")
        yield from _limited(
            [f"| {_SIGNS[one.kind]} | {code(one.name)} | {_value(one.old)} | {_value(one.new)} |" for one in changes]
        )


def _texts(found: Changes) -> Iterator[str]:
    """The units themselves, folded."""
    for text in found.difference.texts[:_MOST]:
        lines = [printable(line) for line in text.lines]
        fence = "`" * max(3, 1 + max((len(run) for line in lines for run in re.findall("`+", line)), default=0))
        yield from ("", f"<details><summary>{html_code(text.path)}</summary>", "", f"{fence}diff")
        yield from _limited(lines, several=200)
        yield from (fence, "", "</details>")


def _limited(lines: Sequence[str], several: int = _MOST) -> Iterable[str]:
    more = len(lines) - several
    if more <= 0:
        return lines
    row = lines[0].startswith("|")
    told = f"and {more} more"
    return (*lines[:several], f"| | {told} |" if row else f"- {told}")


def _value(value: str | None) -> str:
    return code(value) if value else ""
