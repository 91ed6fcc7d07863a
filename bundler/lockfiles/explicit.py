"""``@EXPLICIT`` files: a URL a line, for one platform. conda, mamba, conda-lock and pixi write them.

After ``#`` stands the archive's digest: an MD5, or a SHA-256 with or without ``sha256:`` before it. conda-lock adds
wheels as comments, ``# pip NAME @ URL --hash=sha256:DIGEST``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name

from bundler.errors import LockError, without_credentials
from bundler.locked import LockedPackage, dist_of
from bundler.lockfiles.checked import BadEntry, checked, refuse
from bundler.wheels.python import parse_filename

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["explicit_platform", "read_explicit"]

_HEADER = re.compile(r"#\s*platform:\s*(\S+)\s*")
_PIP = re.compile(r"#\s*pip\s+(\S+?)\s*(?:@|===?)\s*(\S+)(?:\s+--hash=(\S+))?\s*")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})|(?:md5:)?([0-9a-f]{32})")
_REMEDY = "Write it with `conda list --explicit --sha256`, or use the conda-lock.yml itself if conda-lock wrote it."


def explicit_platform(path: Path) -> str:
    """The platform that it is for, by its header or its URLs. Raises :class:`LockError` if nothing says it."""
    lines = _lines(path)
    for line in lines:
        if found := _HEADER.fullmatch(line):
            return found[1]
    places = [url.split("#")[0].split("/") for url in _urls(lines)]
    subdirs = {parts[-2] for parts in places if len(parts) > 2} - {"noarch"}
    if len(subdirs) == 1:
        return subdirs.pop()
    told = f"packages of {', '.join(sorted(subdirs))}" if subdirs else "only noarch packages"
    raise LockError(
        f"it does not name its platform, and contains {told}",
        where=str(path),
        remedy="Write the platform in its first lines: # platform: linux-64",
    )


def read_explicit(path: Path, platform: str) -> tuple[LockedPackage, ...]:
    """Its packages. Raises :class:`LockError` for all that cannot be taken."""
    packages: dict[tuple[str, str], LockedPackage] = {}
    problems = []
    for line in _lines(path):
        try:
            package = _package(line, platform)
        except BadEntry as bad:
            problems.append(str(bad))
            continue
        if package is None:
            continue
        if packages.setdefault((package.name, package.manager), package).url != package.url:
            problems.append(f"{package.name}: is listed twice, as {packages[package.name, package.manager].filename}")
    refuse(problems, where=str(path), remedy=_REMEDY)
    return tuple(packages[key] for key in sorted(packages))


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LockError(f"not a text file: {error}", where=str(path), remedy=_REMEDY) from error
    # splitlines() would also end a line where no other reader does
    return [line.strip(" \t\r") for line in text.split("\n")]


def _urls(lines: list[str]) -> list[str]:
    return [line for line in lines if line and not line.startswith(("#", "@"))]


def _package(line: str, platform: str) -> LockedPackage | None:
    """None for a line that is no package's."""
    if found := _PIP.fullmatch(line):
        return _wheel(found[1], found[2], found[3] or "", platform)
    if not _urls([line]):
        return None
    url, _, fragment = line.partition("#")
    filename = url.rsplit("/", 1)[-1]
    name, *rest = dist_of(unquote(filename)).rsplit("-", 2)
    if len(rest) != 2:
        raise BadEntry(f"{without_credentials(url)!r} is not the URL of a conda package")
    sha256, md5 = _digests(fragment)
    package = LockedPackage(
        name=name, version=rest[0], manager="conda", platform=platform, url=url, sha256=sha256, md5=md5, depends=()
    )
    return checked(package, unhashed="it has only an MD5, which can be forged" if md5 else "")


def _wheel(name: str, url: str, fragment: str, platform: str) -> LockedPackage:
    filename = unquote(urlsplit(url).path.rsplit("/", 1)[-1])
    try:
        _, version, _, _ = parse_filename(filename)
    except InvalidWheelFilename as error:
        raise BadEntry(f"{name}: {without_credentials(url)!r} is not the URL of a wheel") from error
    sha256, md5 = _digests(fragment)
    package = LockedPackage(
        name=str(canonicalize_name(name)),
        version=str(version),
        manager="pip",
        platform=platform,
        url=url.partition("#")[0],
        sha256=sha256,
        md5=md5,
        depends=(),
    )
    return checked(package)


def _digests(fragment: str) -> tuple[str | None, str | None]:
    """SHA-256 and MD5."""
    if not fragment:
        return None, None
    found = _DIGEST.fullmatch(fragment)
    if found is None:
        raise BadEntry(f"{fragment!r} is neither a sha256 nor an md5")
    return found[1], found[2]
