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
    from collections.abc import Iterable

    from bundler.lock.lockfile import LockedPackage

__all__ = ["BadEntry", "checked", "refuse", "url_problem"]

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]*")
_URL = re.compile(r"(https?|file)://[!#-;=?-\[\]_a-z{}~]+")
"""Printable, without blanks, quotes, angle brackets, backslashes and the like."""
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MD5 = re.compile(r"[0-9a-f]{32}")
_MOST = 12
_ENDINGS = {"conda": (".conda", ".tar.bz2"), "pip": (".whl",)}


class BadEntry(Exception):  # noqa: N818 -- never shown: all of a file's become one LockError
    """What is wrong with one entry."""


def url_problem(url: str, manager: str) -> str | None:
    """Why no package of ``manager`` can be had from ``url``; None if one can."""
    if not _URL.fullmatch(url):
        scheme = urlsplit(url).scheme if url.isprintable() and "[" not in url else ""
        if scheme not in ("", "http", "https", "file"):
            return f"{without_credentials(url)} is neither http, https nor file"
        return f"{without_credentials(url)!r} is not the URL of a file"
    if has_secret(url):
        return (
            f"a password or token stands in the URL on {urlsplit(url).hostname}; write the name of an environment "
            "variable in its place (${TOKEN}), or take it out: credentials are also found in netrc and rattler's stores"
        )
    parts = [unquote(part) for part in urlsplit(url).path.split("/")]
    if any(part in (".", "..") or "/" in part or "\\" in part for part in parts):
        return f"{without_credentials(url)} leads out of its own directory"
    if not _FILE.fullmatch(parts[-1]) or not parts[-1].endswith(_ENDINGS[manager]):
        return f"{without_credentials(url)!r} is not a file {' or '.join(_ENDINGS[manager])}"
    return None


def checked(package: LockedPackage, *, unhashed: str = "") -> LockedPackage:
    """``package`` as it is. Raises :class:`BadEntry` for what is wrong; ``unhashed`` is said if it has no SHA-256."""
    if not _NAME.fullmatch(package.name):
        raise BadEntry(f"{package.name!r} is not the name of a package")
    if not _VERSION.fullmatch(package.version):
        raise BadEntry(f"{package.name}: {package.version!r} is not a version")
    if problem := url_problem(package.url, package.manager):
        raise BadEntry(f"{package.name}: {problem}")
    if package.manager == "conda" and not _is_called(package):
        raise BadEntry(f"{package.name}: {package.filename} is not a file of {package.name} {package.version}")
    if package.sha256 is None:
        raise BadEntry(f"{package.name}: {unhashed or 'it has no sha256'}")
    if not _SHA256.fullmatch(package.sha256):
        raise BadEntry(f"{package.name}: {package.sha256!r} is not a sha256")
    if package.md5 is not None and not _MD5.fullmatch(package.md5):
        raise BadEntry(f"{package.name}: {package.md5!r} is not an md5")
    if bad := [spec for spec in package.depends if not spec.isprintable()]:
        raise BadEntry(f"{package.name}: {bad[0]!r} is not a dependency")
    return package


def _is_called(package: LockedPackage) -> bool:
    """Whether the file is named as conda names packages, name, version and build, and as the entry says."""
    parts = unquote(package.dist).rsplit("-", 2)
    return len(parts) == 3 and parts[:2] == [package.name, package.version] and bool(parts[2])


def refuse(problems: Iterable[str], *, where: str, remedy: str) -> None:
    """Raise :class:`LockError` with all ``problems``, or the first of very many, if there are any."""
    told = list(dict.fromkeys(problems))
    if not told:
        return
    if len(told) == 1:
        raise LockError(told[0], where=where, remedy=remedy)
    lines = [*told[:_MOST], *([f"and {len(told) - _MOST} more"] if len(told) > _MOST else [])]
    listed = "".join(f"\n    {one}" for one in lines)
    raise LockError(f"{counted(len(told), 'package')} cannot be taken:{listed}", where=where, remedy=remedy)
