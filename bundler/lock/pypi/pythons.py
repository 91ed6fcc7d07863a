"""Respect a wheel's Requires-Python completely.

uv uses only its lower bound; pip and our build also respect an upper bound, and would refuse what uv has chosen. It is
in the metadata file next to the wheel (PEP 658), which is small, and is read once and cached. If an index has no such
files, the wheel's own METADATA is read, provided that the server supports range requests; otherwise nothing is known
before the build. A wheel given by URL in `pip:` is downloaded for it, which also verifies its digest.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.specifiers import SpecifierSet

from bundler.atomic import write_file
from bundler.errors import LockError, PrefixError
from bundler.fetch.archives import fetch_archives
from bundler.lock.pypi.uv import Solution, UvFailed, WheelQuestion, find_wheels
from bundler.locked import Lock, LockedPackage
from bundler.progress import QuietProgress, Transfer
from bundler.resources import cache_dir
from bundler.wheels.read import metadata_of, read_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bundler.fetch.channels import Access
    from bundler.fetch.download import Downloader
    from bundler.lock.unify import LockedWheel

__all__ = ["Asker", "find_fitting"]

_AT_A_TIME = 8
_UNKNOWN = None


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Reads metadata files, using ``directory``; ``check`` is called from time to time and raises on a timeout."""

    access: Access
    directory: Path
    where: str
    check: Callable[[int], None]

    def asked_for(self, wheels: Iterable[LockedWheel]) -> dict[str, str | None]:
        """The Requires-Python of each wheel, by its project's name; None if it is unknown."""
        kept = cache_dir("requires-python") / "known.json"
        known = _read(kept)
        keys = {_key(wheel): wheel for wheel in wheels}
        if new := [wheel for key, wheel in keys.items() if key not in known]:
            with ThreadPoolExecutor(_AT_A_TIME) as pool:
                found = dict(zip(map(_key, new), pool.map(self._reader(), new), strict=True))
            _write(kept, _read(kept) | {key: said for key, said in found.items() if not self.access.offline})
            known |= found
        return {wheel.name: known[key] for key, wheel in keys.items()}

    def _reader(self) -> Callable[[LockedWheel], str | None]:
        if self.access.offline:
            return _of_local
        from bundler.fetch.download import Downloader

        retries = min(1, self.access.retries)
        downloader = Downloader(retries=retries, read_timeout=self.access.read_timeout, connections=_AT_A_TIME)
        return lambda wheel: self._of(wheel, downloader)

    def _of(self, wheel: LockedWheel, downloader: Downloader) -> str | None:
        from bundler.fetch.download import DownloadFailed

        if wheel.direct:
            return str(read_wheel(self._fetched(wheel)).requires_python)
        if wheel.url.startswith("file:"):
            return _of_local(wheel)
        addresses = [self.access.filled(url, where=self.where, quoted=True) for url in self.access.addresses(wheel.url)]
        file = self.directory / f"{wheel.name}.metadata"
        file.unlink(missing_ok=True)
        try:
            downloader.download([_beside(url) for url in addresses], file, self.check)
            return _requires(file.read_bytes())
        except DownloadFailed as failed:
            return self._inside(addresses, downloader) if failed.status else _UNKNOWN

    def _inside(self, addresses: Sequence[str], downloader: Downloader) -> str | None:
        """The Requires-Python in a wheel's METADATA, without downloading much more than that."""
        from bundler.fetch.download import DownloadFailed
        from bundler.fetch.pieces import open_pieces

        try:
            with open_pieces(addresses, downloader, self.check) as file:
                metadata = metadata_of(file)
        except (DownloadFailed, PrefixError):
            return _UNKNOWN
        return _requires(metadata)

    def _fetched(self, wheel: LockedWheel) -> Path:
        """Download a wheel given by URL, verified, to the store that builds use."""
        package = LockedPackage(
            name=wheel.name,
            version=wheel.version,
            manager="pip",
            platform="",
            url=wheel.url,
            sha256=wheel.sha256,
            md5=None,
            depends=(),
        )
        lock = Lock(path=Path(self.where), platform="", packages=(package,))
        try:
            return fetch_archives(lock, _Checking(self.check), self.access)[0].path
        except PrefixError as failed:
            wrong = failed.message.startswith("sha256 is ")
            raise LockError(
                f"{package.filename} does not match the file that `pip:` names: "
                + failed.message.replace("the lockfile says", "its URL says")
                if wrong
                else f"{package.filename}, which `pip:` names by its URL: {failed.message}",
                where=self.where,
                remedy="Find out which of the two is right; the checksum is at the end of the URL, #sha256=…."
                if wrong
                else failed.remedy,
            ) from failed


class _Checking(QuietProgress):
    """Aborts a download on a timeout."""

    def __init__(self, check: Callable[[int], None]) -> None:
        self._check = check

    @contextmanager
    def transfer(self, text: str, total: int) -> Iterator[Transfer]:
        yield Transfer(total, lambda _: self._check(0))


def find_fitting(question: WheelQuestion, directory: Path, asker: Asker) -> Solution:
    """Solve with uv, excluding versions that do not support the Python of ``question``, as pip does.

    Raises what :func:`bundler.lock.pypi.uv.find_wheels` raises, and :class:`LockError` if nothing is left.
    """
    passed_over: dict[str, str] = {}
    while True:
        try:
            found = find_wheels(question, directory)
        except UvFailed as failed:
            if passed_over and "requires Python" not in failed.text:
                raise _nothing_left(passed_over, question, asker.where) from failed
            raise
        wheels = [wheel for wheel in found.wheels if wheel.url.endswith(".whl") and wheel.name not in question.injected]
        asked = asker.asked_for(wheels)
        new = {wheel.name: wheel for wheel in wheels if not _takes(asked[wheel.name], question)}
        if not new:
            return found
        passed_over |= {f"{name} {wheel.version}": asked[name] or "" for name, wheel in new.items()}
        if any(wheel.direct for wheel in new.values()):
            raise _nothing_left(passed_over, question, asker.where)
        barred = (f"{name}!={wheel.version}" for name, wheel in new.items())
        question = replace(question, barred=(*question.barred, *barred))


def _nothing_left(passed_over: Mapping[str, str], question: WheelQuestion, where: str) -> LockError:
    listed = "".join(f"\n    {version} requires Python {asked}" for version, asked in passed_over.items())
    return LockError(
        f"the environment has {question.python}, and these packages do not support it:{listed}",
        where=where,
        remedy="Request another Python in environment.yml, or relax a version constraint in `pip:`.",
    )


def _takes(asked: str | None, question: WheelQuestion) -> bool:
    """Whether the Python is supported; an unreadable Requires-Python is reported by the build."""
    with suppress(ValueError):  # a number with too many digits is no InvalidSpecifier
        return not asked or SpecifierSet(asked).contains(question.python.version, prereleases=True)
    return True


def _key(wheel: LockedWheel) -> str:
    return f"{wheel.url}#{wheel.sha256 or ''}"


def _of_local(wheel: LockedWheel) -> str | None:
    if not wheel.url.startswith("file:"):
        return _UNKNOWN
    try:
        return str(read_wheel(Path(unquote(urlsplit(wheel.url).path))).requires_python)
    except PrefixError:
        return _UNKNOWN


def _beside(url: str) -> str:
    """The URL of the metadata file."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path}.metadata", fragment="").geturl()


def _requires(metadata: bytes) -> str:
    message = HeaderParser().parsestr(re.split(r"\r?\n\r?\n", metadata.decode("utf-8", "replace"), maxsplit=1)[0])
    return message["Requires-Python"] or ""


def _read(path: Path) -> dict[str, str | None]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, known: Mapping[str, str | None]) -> None:
    """Write the cache; failures are ignored, since they only cost time later."""
    with suppress(OSError):
        write_file(path, json.dumps(known).encode())
