"""Parse ``pip:`` lists: requirements, options, and the requirements files that they refer to.

This supports pip's syntax as far as it selects wheels and their sources. Only wheels can be installed without running
package code, so everything else is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bundler.errors import without_credentials
from bundler.fetch.secrets import has_secret, is_http_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["BUILD_IT", "PipList", "Requirement", "is_readable", "is_without_secret", "read_pip_list"]

BUILD_IT = "build a wheel of it and add that to bundle.toml ([bundle] inject)"
_OPTION = re.compile(r"(--[a-z][a-z-]*|-[a-zA-Z])[ =]*(.*)", re.DOTALL)
_LONG = {"-r": "--requirement", "-c": "--constraint", "-i": "--index-url", "-f": "--find-links", "-e": "--editable"}
_FLAGS = ("--no-index", "--pre", "--prefer-binary")
_VALUES = ("--requirement", "--constraint", "--index-url", "--extra-index-url", "--find-links")
_HASH = re.compile(r"\s--hash[= ]sha256:([0-9a-f]{64})(?=\s|$)")
_PATH = re.compile(r"[./~]|file:")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One requirement of a ``pip:`` list.

    ``text`` is the requirement for uv, ``name`` is normalized, ``url`` is that of a wheel given by URL, ``hashes`` are
    the SHA-256 digests that the user allows.
    """

    text: str
    name: str
    category: str
    url: str | None = None
    hashes: tuple[str, ...] = ()


@dataclass(kw_only=True)
class PipList:
    """The content of the ``pip:`` lists of an environment.

    ``index_url`` replaces the public index, ``extra_indexes`` are searched before it; ``find_links`` are URLs.
    ``unseen`` is what conda-lock cannot read, and so does not include in its hash: those entries, and the lines of the
    files that they refer to. ``mistakes`` are sentences, without their subject, about entries that cannot be locked.
    """

    requirements: list[Requirement] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    index_url: str | None = None
    extra_indexes: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    no_index: bool = False
    pre: bool = False
    unseen: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    @property
    def indexes(self) -> tuple[str, ...]:
        """The indexes in its options, in the order in which they are searched."""
        return (*self.extra_indexes, *([self.index_url] if self.index_url else []))


@dataclass(frozen=True, kw_only=True)
class _Place:
    """The context of a line: its file's directory and name in messages, its category, and the including files."""

    directory: Path
    called: str
    category: str
    constraint: bool = False
    above: tuple[Path, ...] = ()


def read_pip_list(entries: Iterable[str], path: Path, category: str, into: PipList | None = None) -> PipList:
    """Read the entries of the ``pip:`` lists of the environment.yml at ``path``; add to ``into`` if it is given."""
    found = PipList() if into is None else into
    place = _Place(directory=path.absolute().parent, called="`pip:`", category=category)
    for text in entries:
        if not is_readable(text):
            found.unseen.append(text.strip())
        _read_line(text.strip(), place, found)
    return found


def is_readable(text: str) -> bool:
    """Whether conda-lock can read an entry of a ``pip:`` list."""
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Parsed

    bare, hashes = _HASH.subn("", text.strip())
    if hashes > 1 or (hashes and ";" in text):
        return False
    try:
        Parsed(bare)
    except InvalidRequirement:
        return False
    return True


def is_without_secret(url: str) -> bool:
    """Whether the credential in ``url``, if there is one, is a variable."""
    return not has_secret(url)


def _read_line(text: str, place: _Place, found: PipList) -> None:
    reason = _read_option(text, place, found) if text.startswith("-") else _read_requirement(text, place, found)
    if reason:
        found.mistakes.append(f"`{without_credentials(text)}` of {place.called} {reason}")


def _read_option(text: str, place: _Place, found: PipList) -> str:
    """Apply an option; return what is wrong with it, empty if nothing is."""
    parsed = _OPTION.fullmatch(text)
    name = _LONG.get(parsed[1], parsed[1]) if parsed else ""
    value = parsed[2].strip().strip("\"'") if parsed else ""
    if name == "--editable":
        return f"is an editable project, which cannot be bundled: {BUILD_IT}"
    if name not in (*_FLAGS, *_VALUES):
        return f"is an unsupported option; supported: {', '.join((*_VALUES, *_FLAGS))}"
    if (name in _VALUES) != bool(value):
        return "lacks a value" if name in _VALUES else "takes no value"
    if name in ("--requirement", "--constraint"):
        return _read_file(value, place, found, constraint=name == "--constraint")
    if name == "--no-index":
        found.no_index = True
    elif name == "--pre":
        found.pre = True
    elif name in _VALUES:
        return _read_index(name, value, place, found)
    return ""


def _read_index(name: str, value: str, place: _Place, found: PipList) -> str:
    if not is_http_url(value):
        if name != "--find-links":
            return "is not an http:// or https:// URL"
        if not value.isprintable():
            return "is neither a directory nor a URL"
        path = place.directory / value.removeprefix("file://")
        if not path.is_dir():
            return "is neither a directory nor a URL"
        value = path.resolve().as_uri()
    elif not is_without_secret(value):
        return "has a password, token or query in its URL: put an environment variable before the host, ${TOKEN}@"
    if name == "--index-url":
        found.index_url = value
    else:
        (found.find_links if name == "--find-links" else found.extra_indexes).append(value)
    return ""


def _read_file(value: str, place: _Place, found: PipList, *, constraint: bool) -> str:
    if re.match(r"https?://", value):
        return "is a remote file: keep a copy of it next to environment.yml, and use that"
    if not value.isprintable():
        return "names no file"
    path = (place.directory / value.removeprefix("file://")).resolve()
    if path in place.above:
        return "is a file that includes itself"
    try:
        lines = tuple(_lines(path.read_text(encoding="utf-8-sig")))
    except OSError as failed:
        return f"cannot be read: {failed.strerror}"
    except UnicodeError:
        return "is not UTF-8 text"
    below = _Place(
        directory=path.parent,
        called=value,
        category=place.category,
        constraint=place.constraint or constraint,
        above=(*place.above, path),
    )
    found.unseen += lines
    for line in lines:
        _read_line(line, below, found)
    return ""


def _lines(text: str) -> Iterator[str]:
    """The lines of a requirements file without comments, with continuation lines joined."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        if bare := re.sub(r"(^|\s)#.*$", "", line).strip():
            yield " ".join(bare.split())


def _read_requirement(text: str, place: _Place, found: PipList) -> str:
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as Parsed

    if _PATH.match(text) or (text.partition(";")[0].strip().endswith(".whl") and "://" not in text):
        return f"is a local file: {BUILD_IT}"
    hashes = tuple(_HASH.findall(text))
    bare = _HASH.sub("", text).strip()
    if reason := _not_pips(bare):
        return reason
    try:
        url = bare if re.match(r"(\w+\+)?(https?|ssh|git)://", bare) else Parsed(bare).url
    except InvalidRequirement as invalid:
        return f"is not a requirement: {str(invalid).splitlines()[0]}"
    if url and (reason := _url_reason(url)):
        return reason
    if place.constraint:
        found.constraints.append(bare)
        return ""
    return _add(bare, url, hashes, place, found)


def _not_pips(text: str) -> str:
    """Common mistakes in a requirement that pip does not accept."""
    if option := re.search(r"\s(--[a-z-]+|-[a-zA-Z])(?=[\s=]|$)", text):
        if _LONG.get(option[1], option[1]) in (*_VALUES, *_FLAGS):
            return f"has {option[1]} after a requirement; write that as a separate entry"
        return "has an unsupported option; only --hash=sha256:… is supported"
    if re.fullmatch(r"[\w.-]+(\[[^\]]*\])?\s*=\s*[^=\s].*", text):
        return "is not a requirement: a single `=` is conda syntax; write `==`"
    return ""


def _add(bare: str, url: str | None, hashes: tuple[str, ...], place: _Place, found: PipList) -> str:
    from packaging.requirements import Requirement as Parsed
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

    try:
        name = parse_wheel_filename(unquote(urlsplit(url).path.rpartition("/")[2]))[0] if url else Parsed(bare).name
    except InvalidWheelFilename as invalid:
        return f"is not a wheel: {invalid}"
    found.requirements.append(
        Requirement(text=bare, name=canonicalize_name(name), category=place.category, url=url, hashes=hashes)
    )
    return ""


def _url_reason(text: str) -> str:
    text = text.partition(" ;")[0]
    if _PATH.match(text):
        return f"is a local file: {BUILD_IT}"
    url = urlsplit(text if is_http_url(text) else "")
    if url.scheme != "https" or not url.path.endswith(".whl"):
        return f"is not the URL of a wheel (https://….whl): {BUILD_IT}"
    if url.username is not None or url.query:
        return (
            "has credentials or a query in its URL, which would be stored in the lockfile: use an index "
            "(`pip-repositories:`)"
        )
    if not re.search(r"\bsha256=[0-9a-f]{64}\b", url.fragment):
        return "has no hash: add #sha256=… to the URL"
    return ""
