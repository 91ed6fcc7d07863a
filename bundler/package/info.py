"""A package's ``info/``: foreign files in, checked values out.

This is the one place where what a package says of itself becomes something that others act upon; they check nothing
of it again. What does not fit is refused here, whatever the linker would make of it: it reads the same files, and
:mod:`bundler.package.copy` sees to it that they are the same bytes. So nothing is let pass that two readers of JSON
could read in two ways.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

from bundler.package.entrypoint import is_command_name, is_object_reference
from bundler.package.paths import BadPath, checked_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "DECIDING",
    "INDEX",
    "OLD",
    "PATHS",
    "BadInfo",
    "Entry",
    "Index",
    "declared_size",
    "read_entries",
    "read_index",
]

INDEX, PATHS, LINK = "info/index.json", "info/paths.json", "info/link.json"
_FILES, _HAS_PREFIX = "info/files", "info/has_prefix"
OLD = (_FILES, _HAS_PREFIX, "info/no_link", "info/no_softlink")
"""What packages of before 2016 have instead of paths.json; the linker reads them only where that is missing."""
DECIDING = (INDEX, PATHS, LINK)
"""What decides how a package is linked."""

Kind = Literal["hardlink", "softlink", "directory", "either"]
_KINDS = frozenset(get_args(Kind)) - {"either"}
_OLD_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
"""What conda-build had before it wrote into each package what it has: conda's ``PREFIX_PLACEHOLDER``."""
_NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]*")
_VERSION = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.!+~*]*")
_BUILD = re.compile(r"[0-9A-Za-z_.!+~*]*")
_LARGEST = 1 << 60
"""Bytes that no disk has."""
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_OLD_LINE = re.compile(r"""("[^"]*"|'[^']*'|\S+)\s+(text|binary)\s+("[^"]*"|'[^']*'|.+)""")


class BadInfo(ValueError):  # noqa: N818 -- never shown: who reads a package says which one it is
    """A package's ``info/`` has something that cannot be acted upon; says what, and in which file."""


class Entry(NamedTuple):
    """A file, link or directory of a package, by its path in the package. A large environment has 60,000 of them.

    ``sha256`` is of a file as it lies in the package; empty: it is not declared. A ``placeholder`` in it is replaced
    by the prefix, in the way that ``mode`` says. Old packages do not say whether something is a file or a link
    (``either``): what lies there says it.
    """

    path: str
    kind: Kind = "hardlink"
    sha256: str = ""
    placeholder: str | None = None
    mode: Literal["text", "binary"] | None = None


@dataclass(frozen=True, kw_only=True)
class Index:
    """``info/index.json``. ``document`` is all of it; ``site_packages`` is what a Python says (CEP 17), if it does.

    ``noarch_python``: the environment's Python decides where its files go. ``entry_points`` are the commands that the
    linker makes scripts for, each with its ``module:function``.
    """

    name: str
    version: str
    build: str
    noarch_python: bool
    site_packages: str
    entry_points: tuple[tuple[str, str], ...]
    document: Mapping[str, Any]

    @property
    def dist(self) -> str:
        """What the package's copy in the cache is called, and its record in the prefix."""
        return f"{self.name}-{self.version}-{self.build}"


def read_index(info: Mapping[str, bytes]) -> Index:
    """What a package is, and the scripts that it wants. Raises :class:`BadInfo`."""
    document = _document(info, INDEX)
    name, version, build = (_text(document, key) for key in ("name", "version", "build"))
    for key, text, grammar in (("name", name, _NAME), ("version", version, _VERSION), ("build", build, _BUILD)):
        if not grammar.fullmatch(text):
            raise BadInfo(f"{INDEX}: {key} is {text!r}, which is not allowed in a file name")
    noarch = document.get("noarch")
    if noarch not in (None, False, True, "python", "generic"):
        raise BadInfo(f"{INDEX}: noarch is {noarch!r}, neither python nor generic")
    return Index(
        name=name,
        version=version,
        build=build,
        noarch_python=noarch == "python",
        site_packages=_site_packages(document),
        entry_points=_entry_points(info) if noarch == "python" else (),
        document=document,
    )


def read_entries(info: Mapping[str, bytes]) -> tuple[Entry, ...]:
    """What the package has, each path once. Raises :class:`BadInfo`."""
    file = PATHS if PATHS in info else _FILES
    found: dict[str, Entry] = {}
    for entry in _entries(_document(info, PATHS)) if PATHS in info else _old_entries(info):
        if found.setdefault(entry.path, entry) != entry:
            raise BadInfo(f"{file} names {entry.path!r} twice, as different files")
    parents: set[str] = set()
    for path in found:
        parent = path
        while (parent := parent.rpartition("/")[0]) and parent not in parents:
            parents.add(parent)
            other = found.get(parent)
            if other is not None and other.kind != "directory":
                raise BadInfo(f"{file} names {path!r} below {parent!r}, which is not a directory")
    return tuple(found.values())


def declared_size(info: Mapping[str, bytes]) -> int | None:
    """How many bytes the package's files have, as it says; None if it does not say it of each. Raises :class:`BadInfo`.

    ``info/`` itself is not among them.
    """
    if PATHS not in info:
        return None
    listed = _document(info, PATHS).get("paths")
    sizes = [
        one.get("size_in_bytes")
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and one.get("path_type", "hardlink") == "hardlink"
    ]
    known = [min(size, _LARGEST) for size in sizes if isinstance(size, int) and size >= 0]
    return sum(known) if len(known) == len(sizes) else None


def _document(info: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        found = json.loads(info[name].decode(), object_pairs_hook=_once)
    except KeyError as error:
        raise BadInfo(f"{name} is missing") from error
    except (ValueError, RecursionError) as error:
        raise BadInfo(f"{name} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise BadInfo(f"{name} is not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that is there twice one reader takes the first, another the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _text(document: Mapping[str, Any], key: str) -> str:
    found = document.get(key)
    if not isinstance(found, str):
        raise BadInfo(f"{INDEX}: {key} is {'not a string' if key in document else 'missing'}")
    return found


def _site_packages(document: Mapping[str, Any]) -> str:
    found = document.get("python_site_packages_path")
    if found is None or found == "":
        return ""
    try:
        path = checked_path(found.removesuffix("/") if isinstance(found, str) else found)
    except BadPath as error:
        raise BadInfo(f"{INDEX}: python_site_packages_path is {found!r}, which {error}") from error
    if path.count("/") < 2 or not path.endswith("/site-packages"):
        raise BadInfo(f"{INDEX}: python_site_packages_path is {found!r}, not lib/pythonX.Y/site-packages")
    return path


def _entry_points(info: Mapping[str, bytes]) -> tuple[tuple[str, str], ...]:
    noarch = _document(info, LINK).get("noarch") if LINK in info else None
    if not isinstance(noarch, dict | None):
        raise BadInfo(f"{LINK}: noarch is not a JSON object")
    listed = (noarch or {}).get("entry_points") or ()
    if not isinstance(listed, list | tuple):
        raise BadInfo(f"{LINK}: entry_points is not a list")
    return tuple(_entry_point(text) for text in listed)


def _entry_point(text: object) -> tuple[str, str]:
    command, _, place = text.partition("=") if isinstance(text, str) and text.isprintable() else ("", "", "")
    command = command.strip()
    if not is_command_name(command) or not is_object_reference(place):
        raise BadInfo(f"{LINK}: the entry point {text!r} is not `command = module:function`")
    return command, "".join(place.split())


def _entries(document: Mapping[str, Any]) -> Iterator[Entry]:
    listed = document.get("paths")
    if not isinstance(listed, list):
        raise BadInfo(f"{PATHS}: paths is not a list")
    version = document.get("paths_version", 1)
    if version != 1:
        raise BadInfo(f"{PATHS}: paths_version is {version!r}; only 1 is known")
    for one in listed:
        if not isinstance(one, dict):
            raise BadInfo(f"{PATHS}: {one!r} is not a JSON object")
        yield _entry(one)


def _entry(one: Mapping[str, Any]) -> Entry:
    said = one.get("_path")
    kind = one.get("path_type", "hardlink")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadInfo(f"{PATHS}: the path_type of {said!r} is {kind!r}, not hardlink, softlink or directory")
    if kind == "directory" and isinstance(said, str):
        said = said.removesuffix("/")
    path = _checked(said, PATHS)
    sha256, placeholder, mode = one.get("sha256") or "", one.get("prefix_placeholder"), one.get("file_mode")
    if sha256 and (not isinstance(sha256, str) or not _SHA256.fullmatch(sha256)):
        raise BadInfo(f"{PATHS}: the sha256 of {path!r} is {sha256!r}, not 64 hex digits")
    if placeholder is None:
        mode = None
    elif kind != "hardlink":
        raise BadInfo(f"{PATHS}: {path!r} is a {kind}, which cannot have a prefix placeholder")
    elif mode not in ("text", "binary") or not _is_placeholder(placeholder):
        raise BadInfo(f"{PATHS}: the prefix placeholder of {path!r} is {placeholder!r} (file_mode {mode!r})")
    return Entry(path, cast("Kind", kind), sha256.lower(), placeholder, mode)


def _is_placeholder(text: object) -> bool:
    return isinstance(text, str) and len(text) > 1 and not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)


def _checked(path: object, file: str) -> str:
    try:
        return checked_path(path)
    except BadPath as error:
        raise BadInfo(f"{file} names {path!r}, which {error}") from error


def _old_entries(info: Mapping[str, bytes]) -> Iterator[Entry]:
    prefixes = dict(_old_prefixes(info))
    for path in _lines(info, _FILES):
        yield prefixes.get(path) or Entry(_checked(path, _FILES), "either")
    for name in OLD[2:]:
        for path in _lines(info, name):
            _checked(path, name)


def _old_prefixes(info: Mapping[str, bytes]) -> Iterator[tuple[str, Entry]]:
    """``info/has_prefix``: ``placeholder mode path`` a line, each in quotes or not; or a path alone."""
    for line in _lines(info, _HAS_PREFIX):
        found = _OLD_LINE.fullmatch(line)
        words = [word.strip("\"'") for word in found.groups()] if found else [_OLD_PLACEHOLDER, "text", line]
        placeholder, mode, path = words
        if not _is_placeholder(placeholder):
            raise BadInfo(f"{_HAS_PREFIX}: the prefix placeholder of {path!r} is {placeholder!r}")
        checked = _checked(path, _HAS_PREFIX)
        yield checked, Entry(checked, "hardlink", "", placeholder, cast("Literal['text', 'binary']", mode))


def _lines(info: Mapping[str, bytes], name: str) -> Iterator[str]:
    try:
        text = info.get(name, b"").decode()
    except UnicodeDecodeError as error:
        raise BadInfo(f"{name} is not UTF-8") from error
    return (stripped for line in text.split("\n") if (stripped := line.strip()))
