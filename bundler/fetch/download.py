"""Files from HTTP servers that are slow, overloaded, or go away in the middle.

urllib3 rather than rattler's own downloader, which reads no ``Retry-After``, takes up nothing that was cut off, and
waits for a silent server for ever. All downloads of a build share one pool of connections.
"""

from __future__ import annotations

import errno
import http.client
import os
import re
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    HTTPError,
    IncompleteRead,
    InvalidHeader,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
    TimeoutError,  # noqa: A004 -- urllib3's
)

from bundler import __version__
from bundler.diskspace import kept_free, mib, space_left
from bundler.fetch.channels import public_url, server_of
from bundler.fetch.credentials import Credentials
from bundler.fetch.pace import LEAST, Attempt, watch_over
from bundler.fetch.partfile import ChangedFile, PartFile
from bundler.fetch.trust import certificate_hint, proxy_hint
from bundler.printable import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from urllib3.response import BaseHTTPResponse

    from bundler.fetch.credentials import Request

__all__ = ["DownloadFailed", "Downloaded", "Downloader"]

_T = TypeVar("_T")
_CHUNK = 1 << 18
_NONE: Mapping[str, str] = MappingProxyType({})
_LONGEST_PAUSE = 120  # seconds; a server that wants more is given up
_LOOK_EACH = 16 << 20  # bytes between two looks at the disk
_ENOUGH = 1 << 16  # bytes that an attempt must bring for the count of attempts to begin anew
_OVERLOADED = frozenset({408, 425, 429, 500, 502, 503, 504})
_WORDS = {
    NameResolutionError: "unknown host name",
    ProxyError: "the proxy does not respond",
    SSLError: "its certificate is not trusted",
}
_REDIRECTS = 10


class DownloadFailed(Exception):  # noqa: N818 -- never shown: the caller says which package it was for
    """Why a file cannot be had, in a few words; ``status`` is the last answer of a server, 0 if there was none."""

    def __init__(self, reason: str, *, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class _TryAgain(Exception):  # noqa: N818
    """An attempt that came to nothing and may do better the next time; ``response`` may say when."""

    def __init__(self, reason: str, response: BaseHTTPResponse | None = None) -> None:
        super().__init__(reason)
        self.response = response


class _Stopped(BaseException):
    """Another download has failed: all end."""


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A whole file: where it came from, its digest, and whether it was put together from several answers."""

    url: str
    sha256: str
    pieced: bool


class Downloader:
    """Downloads into part files, which outlive it: what has come is not asked for again. To be used by many threads.

    ``servers`` are those that the user names (:class:`~bundler.fetch.credentials.Credentials`).
    """

    def __init__(self, *, retries: int, read_timeout: float, connections: int, servers: Collection[str] = ()) -> None:
        self._retries = retries
        self._timeout = urllib3.Timeout(connect=read_timeout, read=read_timeout)
        self._connections = connections
        self._credentials = Credentials(servers)
        self._direct = self._pool_manager()
        self._proxies: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._failing: set[str] = set()
        self._attempts: set[Attempt] = set()

    def stop(self) -> None:
        """Let every download end, in its pause or in the middle; what has come stays."""
        self._stopped.set()
        for attempt in tuple(self._attempts):
            attempt.end()

    def download(self, urls: Sequence[str], part: Path, advance: Callable[[int], None]) -> Downloaded:
        """Bring all of the file, which is at each of ``urls``, into ``part``, going on from what is there.

        The first URL that answers is taken; those of servers that have failed before are asked last. ``advance`` is
        told of bytes that come. Raises :class:`DownloadFailed`, and what has come stays; OSError if ``part`` cannot be
        written.
        """
        return self._rounds(
            urls,
            lambda url, paced: self._bring(url, PartFile(part), _each(paced.came, advance)),
            lambda: part.stat().st_size if part.exists() else 0,
        )

    def answering(self, urls: Sequence[str]) -> str:
        """The first of ``urls`` whose server answers. Raises :class:`DownloadFailed` if none does, or all refuse."""
        return self._rounds(urls, lambda url, _: self._look(url))

    def piece(self, urls: Sequence[str], which: str, *, most: int) -> tuple[bytes, int]:
        """Bytes of the file that is at each of ``urls``, those that ``which`` names as a Range header does, and the
        size of all of it. Raises :class:`DownloadFailed`, also for more than ``most`` bytes.
        """
        return self._rounds(urls, lambda url, paced: self._piece(url, which, most, paced.came))

    def _piece(self, url: str, which: str, most: int, came: Callable[[int], None]) -> tuple[bytes, int]:
        response = self._open("GET", self._credentials.request(url), {"Range": f"bytes={which}"})
        try:
            _check_status(response)
            said = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", response.headers.get("Content-Range", ""))
            if response.status != 206 or said is None:
                raise DownloadFailed("the server does not support partial downloads", status=response.status)
            first, last, size = map(int, said.groups())
            if not _is_asked(which, first, last, size):
                raise DownloadFailed("the server sends another part of the file than was requested")
            wanted = last + 1 - first
            if not 0 < wanted <= most:
                raise DownloadFailed("the response is too large")
            data = b"".join(_chunks(response, wanted, came))
        except HTTPError as error:
            raise _TryAgain(self._reason(error, urlsplit(url).scheme)) from error
        finally:
            response.close()  # the rest of the answer would be the next one's beginning
        if len(data) != wanted:
            raise _TryAgain("the download was truncated")
        return data, size

    def _rounds(
        self, urls: Sequence[str], attempt: Callable[[str, Attempt], _T], size: Callable[[], int] = lambda: 0
    ) -> _T:
        """``attempt`` each URL in turn, with a pause after each round; ``size`` is what has come so far."""
        left = sorted(urls, key=lambda url: urlsplit(url).netloc in self._failing)
        failures: dict[str, DownloadFailed | _TryAgain] = {}
        fresh = patience = urllib3.Retry(total=self._retries, backoff_factor=0.5, backoff_max=30, backoff_jitter=0.5)
        farthest = 0
        while True:
            for url in tuple(left):
                try:
                    return self._paced(url, attempt)
                except DownloadFailed as failed:
                    failures[url] = failed
                    left.remove(url)
                except _TryAgain as failed:
                    failures[url] = failed
                    self._failing.add(urlsplit(url).netloc)
                    if size() > farthest + _ENOUGH:
                        farthest, patience = size(), fresh
            patience = self._wait(patience, failures, left)

    def _paced(self, url: str, attempt: Callable[[str, Attempt], _T]) -> _T:
        """``attempt`` the URL, for as long as enough comes."""
        with Attempt(read_timeout=float(self._timeout.read_timeout or 0)) as paced:
            self._attempts.add(paced)
            try:
                found = attempt(url, paced)
            except _TryAgain as failed:
                raise (_TryAgain(_slow(paced)) if paced.is_slow else failed) from failed
            finally:
                self._attempts.discard(paced)
        if paced.is_slow:  # the end of the connection was taken for the end of the file
            raise _TryAgain(_slow(paced))
        return found

    def _wait(
        self, patience: urllib3.Retry, failures: Mapping[str, DownloadFailed | _TryAgain], left: Sequence[str]
    ) -> urllib3.Retry:
        """Pause as long as a server says, else longer each time, while there is hope for one of ``left``."""
        try:
            patience = patience.increment("GET", "", error=HTTPError())
            pauses = [_retry_after(patience, getattr(failures[url], "response", None)) for url in left]
        except MaxRetryError:
            pauses = []
        if not pauses or min(pauses) > _LONGEST_PAUSE:
            raise _summary(failures, rounds=self._retries + 1 if left and not pauses else 1)
        if self._stopped.wait(min(pauses) or patience.get_backoff_time()):
            raise _Stopped
        return patience

    def _look(self, url: str) -> str:
        if urlsplit(url).scheme == "file":
            if not Path(unquote(urlsplit(url).path)).exists():
                raise DownloadFailed(os.strerror(errno.ENOENT), status=404)
            return url
        response = self._open("HEAD", self._credentials.request(url))
        response.drain_conn()
        if response.status not in (405, 501):  # which know no HEAD, but are there
            _check_status(response)
        return url

    def _bring(self, url: str, part: PartFile, advance: Callable[[int], None]) -> Downloaded:
        if self._stopped.is_set():
            raise _Stopped
        if urlsplit(url).scheme == "file":
            return Downloaded(url=url, sha256=_copy(url, part), pieced=False)
        request = self._credentials.request(url)
        response = self._open("GET", request, part.headers(request))
        try:
            if response.status == 416 and part.size:
                part.clear()
                raise ChangedFile
            _check_status(response)
            with part.receive(request, response) as write:
                limit = _Limit(part, response)
                while chunk := response.read1(_CHUNK):
                    write(chunk)
                    limit.passed(len(chunk))
                    advance(len(chunk))
                    if self._stopped.is_set():
                        raise _Stopped
        except HTTPError as error:
            raise _TryAgain(self._reason(error, urlsplit(url).scheme)) from error
        except BaseException as error:
            response.close()  # the rest of the answer would be the next one's beginning
            if isinstance(error, ChangedFile):
                raise _TryAgain("the file on the server changed during the download") from error
            raise
        response.release_conn()
        return Downloaded(url=url, sha256=part.finish(), pieced=part.pieced)

    def _open(self, method: str, request: Request, headers: Mapping[str, str] = _NONE) -> BaseHTTPResponse:
        """The answer to ``request``, or of whom the server redirects to; another server gets no credentials."""
        everything = {"Accept-Encoding": "identity", "User-Agent": f"conda-bundler/{__version__}", **headers}
        if request.authorization:
            everything["Authorization"] = request.authorization
        url = request.url
        for _ in range(_REDIRECTS + 1):
            response = self._ask(method, url, everything)
            location = response.get_redirect_location()
            if not location:
                return response
            response.close()
            before, url = url, _redirected(url, location)
            if server_of(url) != server_of(before):
                everything.pop("Authorization", None)
        raise _TryAgain(f"redirect loop ({_REDIRECTS} redirects)")

    def _ask(self, method: str, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
        try:
            return self._pool(url).urlopen(
                method,
                url,
                headers=headers,
                redirect=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
                retries=False,
            )
        except HTTPError as error:
            reason = self._reason(error, urlsplit(url).scheme)
            if isinstance(_cause(error), SSLError):  # which no second try mends
                raise DownloadFailed(reason) from error
            raise _TryAgain(reason) from error

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        if not proxy or proxy_bypass(parts.netloc):
            return self._direct
        with self._lock:
            if proxy not in self._proxies:
                self._proxies[proxy] = self._through(proxy)
            return self._proxies[proxy]

    def _pool_manager(self) -> urllib3.PoolManager:
        return watch_over(urllib3.PoolManager(maxsize=self._connections, ssl_context=ssl.create_default_context()))

    def _through(self, proxy: str) -> urllib3.PoolManager:
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        parts = urlsplit(proxy)
        if parts.scheme not in ("http", "https"):
            raise DownloadFailed(f"the proxy is a {parts.scheme} one, which is not supported")
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
        headers = urllib3.make_headers(proxy_basic_auth=user) if user else None
        return watch_over(
            urllib3.ProxyManager(
                parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
                proxy_headers=headers,
                maxsize=self._connections,
                ssl_context=ssl.create_default_context(),
            )
        )

    def _reason(self, error: HTTPError, scheme: str) -> str:
        """In a few words, and never in urllib3's own, in which URLs stand."""
        cause = _cause(error)
        if isinstance(cause, IncompleteRead):
            return (
                f"the download was truncated: {counted(cause.partial, 'byte')} received, {cause.expected} more were "
                "promised"
            )
        if isinstance(cause, TimeoutError) and not isinstance(cause, NewConnectionError):
            return f"no data received for {counted(float(self._timeout.read_timeout or 0), 'second')}"
        said = next((words for kind, words in _WORDS.items() if isinstance(cause, kind)), None)
        hint = certificate_hint() if isinstance(cause, SSLError) else ""
        hint = proxy_hint(scheme) if isinstance(cause, ProxyError) else hint
        return f"{said} ({'; '.join(filter(None, (_innermost(cause), hint)))})" if said else _innermost(cause)


class _Limit:
    """What a server sends must not fill the disk: it may send for ever, or say nothing of a size."""

    def __init__(self, part: PartFile, response: BaseHTTPResponse) -> None:
        self._part = part
        self._kept = kept_free(part.directory)
        self._unseen = 0
        length = response.headers.get("Content-Length", "")
        self._look(int(length) if re.fullmatch(r"\d{1,20}", length) else 0)

    def passed(self, size: int) -> None:
        """So much more was written. Raises :class:`DownloadFailed`, with nothing of it left, if that was too much."""
        self._unseen += size
        if self._unseen >= _LOOK_EACH:
            self._unseen = 0
            self._look()

    def _look(self, coming: int = 0) -> None:
        left = space_left(self._part.directory, self._kept)
        if left < coming or left < 0:
            self._part.clear()
            size = f"{mib(coming)}, and there is space for {mib(max(left, 0))}" if coming else "it has no end, perhaps"
            raise DownloadFailed(f"the disk would be full ({size})")


def _is_asked(which: str, first: int, last: int, size: int) -> bool:
    """Whether these bytes are what ``which`` asks for; of others than a file's last ones, a server may send fewer."""
    start, _, end = which.partition("-")
    if not start:
        return (first, last) == (max(size - int(end), 0), size - 1)
    return first == int(start) and last <= int(end)


def _chunks(response: BaseHTTPResponse, wanted: int, came: Callable[[int], None]) -> Iterator[bytes]:
    while wanted and (chunk := response.read1(min(wanted, _CHUNK))):
        came(len(chunk))
        wanted -= len(chunk)
        yield chunk


def _each(*told: Callable[[int], None]) -> Callable[[int], None]:
    def tell(size: int) -> None:
        for one in told:
            one(size)

    return tell


def _slow(attempt: Attempt) -> str:
    return f"the server is too slow: less than {LEAST} bytes a second for {counted(attempt.seconds, 'second')}"


def _redirected(url: str, location: str) -> str:
    """Where ``url`` redirects to. Raises :class:`DownloadFailed` if that is no http or https URL."""
    with suppress(ValueError):  # of whichever part cannot be parsed
        target = urljoin(url, location)
        parts = urlsplit(target)
        if parts.scheme in ("http", "https") and parts.port != 0 and (parts.hostname or "").encode("idna"):
            return target
    raise DownloadFailed("the server redirects to what is not a valid http or https URL")


def _copy(url: str, part: PartFile) -> str:
    try:
        return part.copy(Path(unquote(urlsplit(url).path)))
    except OSError as error:
        raise DownloadFailed(error.strerror or type(error).__name__) from error


def _cause(error: HTTPError) -> BaseException:
    inner = error.args[1] if type(error) is ProtocolError and len(error.args) > 1 else None
    return inner if isinstance(inner, BaseException) else error


def _summary(failures: Mapping[str, DownloadFailed | _TryAgain], *, rounds: int) -> DownloadFailed:
    """One failure for all URLs that were asked."""
    status = next((failed.status for failed in failures.values() if isinstance(failed, DownloadFailed)), 0)
    reasons = [f"{public_url(url)}: {failed}" for url, failed in failures.items()]
    reason = "; ".join(reasons) if len(reasons) > 1 else str(next(iter(failures.values())))
    return DownloadFailed(f"{reason} ({rounds} attempts)" if rounds > 1 else reason, status=status)


def _innermost(error: BaseException) -> str:
    """What the system says: ``Connection refused``, ``Connection reset by peer``."""
    found: BaseException = error
    while True:
        inner = next((arg for arg in found.args if isinstance(arg, BaseException)), None)
        inner = inner or found.__cause__ or found.__context__
        if inner is None:
            break
        found = inner
    if isinstance(found, OSError) and found.strerror:
        return found.strerror
    if isinstance(found, UnicodeError):
        return "not a valid host name"
    if isinstance(found, http.client.IncompleteRead) or "closed" in str(found).lower():
        return "the connection was closed"
    return f"the response is not valid HTTP ({type(found).__name__})"


def _retry_after(patience: urllib3.Retry, response: BaseHTTPResponse | None) -> float:
    """The seconds that the server asks for; 0 if it asks for none, or in words that nobody understands."""
    if response is None:
        return 0
    try:
        return patience.get_retry_after(response) or 0
    except (InvalidHeader, ValueError, OverflowError):
        return 0


def _check_status(response: BaseHTTPResponse) -> None:
    status = response.status
    if status in (200, 206):
        return
    answered = f"the server responded with {status} {response.reason or ''}".strip()
    if status in _OVERLOADED:
        pause = _retry_after(urllib3.Retry(), response)
        later = f" and asks to retry in {counted(round(pause), 'second')}" if pause > _LONGEST_PAUSE else ""
        raise _TryAgain(answered + later, response)
    raise DownloadFailed(answered, status=status)
