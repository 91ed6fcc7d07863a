"""``[files]``: the project's own files, which are installed below ``app/``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Tag

from bundler.config.fields import Inside, Line, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AppFile", "FilesTable", "Links"]

Links = Literal["keep", "follow"]


def _pattern(value: str) -> str:
    pattern = value.removeprefix("./").rstrip("/")
    if pattern in ("", ".") or pattern.startswith(("/", "!")):
        raise ValueError(
            "must be a pattern of paths relative to the source, such as 'tests/*'; it must not be absolute or start "
            "with '!'"
        )
    return pattern


class FileTable(Model):
    """An entry of ``[files]`` with more than a source."""

    source: Inside
    """The file or directory, relative to bundle.toml."""
    links: Links = "keep"
    """``keep``: symbolic links are kept, and links that would be broken on the server are errors. ``follow``: links are
    replaced with their targets."""
    exclude: tuple[Annotated[Line, AfterValidator(_pattern)], ...] = ()
    """Patterns (fnmatch) of paths below the source to exclude; a directory is excluded with its contents."""


def _form(value: Any) -> str:
    return "[table]" if isinstance(value, dict | FileTable) else "[path]"


def _each_once(value: Any) -> Any:
    """Refuse duplicate paths such as ``a`` and ``./a``, which are different keys in TOML."""
    if isinstance(value, dict):
        seen: dict[str, str] = {}
        for key in value:
            path = Path(str(key)).as_posix()
            if path in seen:
                raise ValueError(f"{seen[path]!r} and {key!r} are the same path; remove one of them")
            seen[path] = key
    return value


FilesEntry = Annotated[
    Annotated[Inside, Tag("[path]")] | Annotated[FileTable, Tag("[table]")],
    Discriminator(_form),
]
FilesTable = Annotated[dict[Inside, FilesEntry], BeforeValidator(_each_once)]


@dataclass(frozen=True, kw_only=True)
class AppFile:
    """One entry of ``[files]``: a file or directory to be copied to ``app/<target>``.

    ``written`` is the source as bundle.toml names it.
    """

    target: str
    source: Path
    written: str = ""
    links: Links = "keep"
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, target: str, entry: str | FileTable, directory: Path) -> AppFile:
        """The parsed entry; its source is relative to ``directory``, which contains bundle.toml."""
        table = FileTable(source=entry) if isinstance(entry, str) else entry
        return cls(
            target=target,
            source=directory / table.source,
            written=table.source,
            links=table.links,
            exclude=table.exclude,
        )

    def line(self, *, links: Links | None = None, exclude: Sequence[str] = ()) -> str:
        """The line of bundle.toml for this entry, with ``links`` and additional patterns in ``exclude``."""
        keys = [("source", _toml(self.written or self.source.name))]
        if (links or self.links) != "keep":
            keys.append(("links", _toml(links or self.links)))
        if patterns := dict.fromkeys((*self.exclude, *exclude)):
            keys.append(("exclude", f"[{', '.join(map(_toml, patterns))}]"))
        return f"{_toml(self.target)} = {{ {', '.join(f'{key} = {value}' for key, value in keys)} }}"


def _toml(value: str) -> str:
    """A basic string of TOML, with unprintable characters escaped."""
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
