"""An entry of somebody's lockfile -> a :class:`LockedPackage` that everything after it may rely on.

A lockfile is input like any other: it comes with a pull request. Its names become paths in the cache and in the bundle,
so whatever does not look like a package's name, version, file or digest is refused here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from bundler.errors import LockError, without_credentials
from bundler.fetch.channels import has_secret
from bundler.printable import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bundler.locked import LockedPackage

__all__ = ["BadEntry", "checked", "is_category", "refuse", "url_problem"]

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]*")
_URL = re.compile(r"(https?|file)://[!#-;=?-\[\]_a-z{}~]+")
"""Printable, without blanks, quotes, angle brackets, backslashes and the like."""
_SERVER = re.compile(r"([^@]*@)?([A-Za-z0-9._${}-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_FRAGMENT = re.compile(r"((sha256|md5)[=:])?[0-9a-f]*")
_PLATFORM = re.compile(r"[a-z0-9]+-[a-z0-9_]+|noarch")
_CATEGORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+-]*")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MD5 = re.compile(r"[0-9a-f]{32}")
_LONGEST = 200
"""Characters of a file's name. The kernel has 255, and what lies beside a package in the cache is called by it."""
_MOST = 12
_ENDINGS = {"conda": (".conda", ".tar.bz2"), "pip": (".whl",)}


class BadEntry(Exception):  # noqa: N818 -- never shown: all of a file's become one LockError
    """What is wrong with one entry."""


def is_category(text: str) -> bool:
    """Whether ``text`` looks like one of conda-lock's categories."""
    return _CATEGORY.fullmatch(text) is not None


def url_problem(url: str, manager: str) -> str | None:
    """Why no package of ``manager`` can be had from ``url``; None if one can."""
    return next(_url_problems(url, manager), None)


def _url_problems(url: str, manager: str) -> Iterator[str]:
    """The first of them, for what follows relies on it."""
    shown = without_credentials(url)
    if not _URL.fullmatch(url):
        scheme = urlsplit(url).scheme if url.isprintable() and "[" not in url else ""
        if scheme not in ("", "http", "https", "file"):
            yield f"{shown} is not an http, https or file URL"
        yield f"{shown!r} is not the URL of a file"
    if "?" in url:
        yield f"{shown} has a query string, which may contain secrets; use a server that does not need one"
    if has_secret(url):
        yield (
            f"the URL {shown} contains a password or token; use an environment variable "
            "(${TOKEN}), or remove it: credentials are also read from netrc and rattler's stores"
        )
    if not _is_splittable(url):
        yield f"{shown!r} is not the URL of a file"
    parts = [unquote(part) for part in urlsplit(url).path.split("/")]
    if any(part in (".", "..") or "/" in part or "\\" in part for part in parts):
        yield f"{shown} points outside its directory"
    if len(parts[-1]) > _LONGEST:
        yield f"{parts[-1][:60]}… is too long for the name of a file"
    if not _FILE.fullmatch(parts[-1]) or not parts[-1].endswith(_ENDINGS[manager]):
        yield f"{shown!r} is not a file {' or '.join(_ENDINGS[manager])}"
    if manager == "conda" and not (parts[2:] and _FILE.fullmatch(parts[-2])):
        yield f"{shown} is not in a platform directory of a channel"


def _is_splittable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    served = _SERVER.fullmatch(parts.netloc) is not None if parts.scheme != "file" else not parts.netloc
    return served and _FRAGMENT.fullmatch(parts.fragment) is not None


def checked(package: LockedPackage, *, unhashed: str = "", as_locked: bool = False) -> LockedPackage:
    """``package`` as it is. Raises :class:`BadEntry` for what is wrong; ``unhashed`` is said if it has no SHA-256.

    ``as_locked``: what conda-lock writes of a package that a build will refuse, without SHA-256 or as source, may be
    read, as something else may take its place.
    """
    if too_long := [text[:60] for text in (package.name, package.version) if len(text) > _LONGEST]:
        raise BadEntry(f"{too_long[0]}… is too long for a name or a version")
    if not _NAME.fullmatch(package.name):
        raise BadEntry(f"{package.name!r} is not a package name")
    if not _VERSION.fullmatch(package.version):
        raise BadEntry(f"{package.name}: {package.version!r} is not a version")
    if not _PLATFORM.fullmatch(package.platform):
        raise BadEntry(f"{package.name}: {package.platform!r} is not a platform")
    if as_locked and package.manager == "pip" and not package.filename.endswith(".whl"):
        _check_source(package)
    else:
        _check_file(package)
    if package.sha256 is None and not as_locked:
        raise BadEntry(f"{package.name}: {unhashed or 'it has no sha256'}")
    if package.sha256 is not None and not _SHA256.fullmatch(package.sha256):
        raise BadEntry(f"{package.name}: {package.sha256!r} is not a sha256")
    if package.md5 is not None and not _MD5.fullmatch(package.md5):
        raise BadEntry(f"{package.name}: {package.md5!r} is not an md5")
    if bad := [spec for spec in package.depends if not spec.isprintable()]:
        raise BadEntry(f"{package.name}: {bad[0]!r} is not a dependency")
    return package


def _check_file(package: LockedPackage) -> None:
    if problem := url_problem(package.url, package.manager):
        raise BadEntry(f"{package.name}: {problem}")
    if package.manager == "conda" and package.subdir not in ("noarch", package.platform):
        raise BadEntry(f"{package.name}: {without_credentials(package.url)} is not for {package.platform}")
    if not (_is_called if package.manager == "conda" else _is_wheel_of)(package):
        raise BadEntry(f"{package.name}: {package.filename} is not a file of {package.name} {package.version}")


def _check_source(package: LockedPackage) -> None:
    """What is never downloaded; but it is shown, and what stands in its place depends on its name."""
    if not package.url.isprintable() or has_secret(package.url.removeprefix("git+")):
        raise BadEntry(f"{package.name}: {without_credentials(package.url)!r} is not a URL that a lockfile may contain")


def _is_called(package: LockedPackage) -> bool:
    """Whether the file is named as conda names packages, name, version and build, and as the entry says."""
    parts = unquote(package.dist).rsplit("-", 2)
    return len(parts) == 3 and parts[:2] == [package.name, package.version] and bool(parts[2])


def _is_wheel_of(package: LockedPackage) -> bool:
    from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
    from packaging.version import InvalidVersion, Version

    try:
        name, version, _, _ = parse_wheel_filename(package.filename)
        return name == canonicalize_name(package.name) and version == Version(package.version)
    except (InvalidWheelFilename, InvalidVersion):
        return False


def refuse(problems: Iterable[str], *, where: str, remedy: str) -> None:
    """Raise :class:`LockError` with all ``problems``, or the first of very many, if there are any."""
    told = list(dict.fromkeys(problems))
    if not told:
        return
    if len(told) == 1:
        raise LockError(told[0], where=where, remedy=remedy)
    lines = [*told[:_MOST], *([f"and {len(told) - _MOST} more"] if len(told) > _MOST else [])]
    listed = "".join(f"\n    {one}" for one in lines)
    raise LockError(f"{counted(len(told), 'package')} cannot be used:{listed}", where=where, remedy=remedy)
