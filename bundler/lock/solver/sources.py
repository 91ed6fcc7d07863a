"""Channels: as given, as in the lockfile, and as used by rattler.

rattler writes URLs to its cache, including credentials (its cache of shards does, in 0.28). So it only gets URLs
without them: tokens and passwords are added when a request is sent. Credentials in rattler's own stores are added by
rattler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rattler import Channel, Gateway
from rattler.exceptions import GatewayError
from rattler.networking import AddHeadersMiddleware, AuthenticationMiddleware, Client, MirrorMiddleware, RetryMiddleware
from rattler.networking.middleware import GCSMiddleware, OciMiddleware, S3Middleware
from rattler.repo_data.gateway import SourceConfig

from bundler import __version__
from bundler.errors import without_credentials
from bundler.fetch.channels import VARIABLE, public_url, server_of
from bundler.fetch.credentials import own_request
from bundler.fetch.download import DownloadFailed
from bundler.lock.solver.explain import explain_channel
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rattler import PackageName, RepoDataRecord, Subdir
    from rattler.networking.fetch_repo_data import CacheAction

    from bundler.fetch.channels import Access
    from bundler.fetch.download import Downloader

__all__ = [
    "Asked",
    "Gateways",
    "SilentChannelError",
    "Source",
    "blame",
    "find_source",
    "first_answering",
    "make_gateway",
    "make_gateways",
    "public_text",
    "public_url_of",
]

_TIMEOUT = 600  # seconds per request: enough for the largest repodata on a slow line, but limits a server that hangs


@dataclass(frozen=True, kw_only=True)
class Source:
    """A channel.

    ``given`` is the channel as the user wrote it, ``public`` the prefix of its packages' URLs in the lockfile: both may
    contain ``${NAME}``, which is filled in in ``own``. The first of ``addresses``, which are its mirrors or its own, is
    used; the others are alternatives.
    """

    given: str
    public: str
    own: str
    addresses: tuple[str, ...]

    @property
    def reached(self) -> Channel:
        """The channel for rattler: without any credentials."""
        return Channel(public_url(self.addresses[0]))

    @property
    def base(self) -> str:
        """The prefix of its packages' URLs in rattler's records."""
        return _base(self.addresses[0])

    @property
    def is_local(self) -> bool:
        return self.addresses[0].startswith("file:")

    def at(self, address: str) -> Source:
        """The same source with ``address``, and those after it as alternatives."""
        return replace(self, addresses=self.addresses[self.addresses.index(address) :])

    def elsewhere(self) -> Source | None:
        """The same source at its next address, if there is one."""
        return replace(self, addresses=self.addresses[1:]) if self.addresses[1:] else None


def find_source(given: str, variables: Mapping[str, str], access: Access) -> Source:
    """The channel called ``given``. Raises :class:`rattler.exceptions.InvalidChannelError`."""
    base = Channel(_filled(given, variables)).base_url.rstrip("/")
    public = given.rstrip("/") if "$" in given else base
    return Source(
        given=given,
        public=public,
        own=_filled(public, variables),
        addresses=tuple(_filled(url, variables) for url in access.addresses(public)),
    )


def _filled(url: str, variables: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda name: variables.get(name[1], name[0]), url)


class SilentChannelError(Exception):
    """None of a channel's servers responds."""


def first_answering(source: Source, downloader: Downloader) -> Source:
    """``source`` at the first address that responds. Raises :class:`SilentChannelError`.

    rattler would wait for an unresponsive server as long as for a large file, and would not try another one.
    """
    looked = {f"{address}/noarch/repodata.json": address for address in source.addresses}
    try:
        return source.at(looked[downloader.answering(tuple(looked))])
    except DownloadFailed as failed:
        if failed.status:  # it responds: rattler's error message is better
            return source
        reason = f"channel {source.given} cannot be reached: {failed}"
        raise SilentChannelError(public_text(reason, [source])) from failed


@dataclass(frozen=True, kw_only=True)
class Gateways:
    """rattler's gateways to repodata: one for each source in ``apart``, and one for all others."""

    together: Gateway
    apart: Mapping[Source, Gateway]

    def of(self, source: Source) -> Gateway:
        return self.apart.get(source, self.together)


def make_gateways(sources: Sequence[Source], access: Access, cache_action: CacheAction = "cache-or-fetch") -> Gateways:
    """The gateways for ``sources`` with their credentials.

    rattler asks us for a request's headers only by host and path. If that is ambiguous, because another source is on a
    different port or has no TLS, the source with a password gets a separate gateway.
    """
    apart = [source for source in sources if any(_is_mistakable(source, other) for other in sources)]
    return Gateways(
        together=make_gateway([source for source in sources if source not in apart], access, cache_action),
        apart={source: make_gateway([source], access, cache_action) for source in apart},
    )


def _is_mistakable(source: Source, other: Source) -> bool:
    """Whether the password of ``source`` would be sent to ``other``, which is another server on the same host."""
    asked, others = own_request(source.addresses[0]), public_url(other.addresses[0])
    mine, theirs = urlsplit(f"{public_url(asked.url)}/"), urlsplit(f"{others}/")
    return bool(
        asked.authorization
        and mine.hostname == theirs.hostname
        and server_of(asked.url) != server_of(others)
        and theirs.path.startswith(mine.path)
    )


def make_gateway(sources: Sequence[Source], access: Access, cache_action: CacheAction = "cache-or-fetch") -> Gateway:
    """A gateway to repodata: ``sources`` with their credentials, or only rattler's cache.

    The sources must be distinguishable by host and path (:func:`make_gateways`).
    """
    requests = [own_request(source.addresses[0]) for source in sources]
    tokens = {f"{public_url(r.url)}/": [f"{r.url}/"] for r in requests if public_url(r.url) != r.url}
    passwords = {urlsplit(f"{public_url(r.url)}/"): r.authorization for r in requests if r.authorization}

    def headers(host: str, path: str) -> dict[str, str] | None:
        found = (value for url, value in passwords.items() if url.hostname == host and path.startswith(url.path))
        return {"Authorization": value} if (value := next(found, None)) else None

    client = Client(
        [
            RetryMiddleware(access.retries),
            AddHeadersMiddleware(headers),
            AuthenticationMiddleware(),  # which does not change requests that have a password
            MirrorMiddleware(tokens),
            *(OciMiddleware(), GCSMiddleware(), S3Middleware()),
        ],
        user_agent=f"conda-bundler/{__version__}",
        timeout=_TIMEOUT,
    )
    config = SourceConfig(cache_action="force-cache-only" if access.offline else cache_action)
    return Gateway(cache_dir=cache_dir("repodata"), default_config=config, client=client)


async def blame(
    error: GatewayError, sources: Sequence[Source], platforms: Sequence[Subdir], access: Access
) -> tuple[int | None, str]:
    """The source that failed, by its index, and a sentence: the one that the error names, or else the first one that
    fails on its own.
    """
    text = public_text(str(error), sources)
    for number, source in enumerate(sources):
        if f"{source.base}/" in str(error):
            return number, explain_channel(text, channel=source.given)
    for number, source in enumerate(sources):
        try:
            gateway = make_gateway([source], access)
            await gateway.names(sources=[source.reached], platforms=platforms, channel_relations="disabled")
        except GatewayError as failed:
            return number, explain_channel(public_text(str(failed), sources), channel=source.given)
    return None, explain_channel(text, channel=", ".join(source.given for source in sources))


def public_url_of(url: str, sources: Iterable[Source]) -> str:
    """Convert a package's URL from rattler to that for the lockfile: the channel's own, with its ``${NAME}``."""
    for source in sources:
        for base in map(_base, source.addresses):
            if url.startswith(f"{base}/"):
                return source.public + url.removeprefix(base)
    return url


def _base(address: str) -> str:
    return Channel(public_url(address)).base_url.rstrip("/")


def public_text(text: str, sources: Iterable[Source]) -> str:
    """``text`` with channels as they were given, and mirrors by their URL, without credentials."""
    for source in sources:
        for form in (source.own, own_request(source.own).url, _base(source.own)):
            text = text.replace(form, source.given)
    return without_credentials(text)


class Asked:
    """A channel that is queried through us; it implements rattler's interface for a source of records."""

    def __init__(self, channel: Channel, gateway: Gateway, subdirs: Sequence[Subdir]) -> None:
        self._channel = channel
        self._gateway = gateway
        self._subdirs = subdirs

    async def fetch_package_records(self, platform: Subdir, name: PackageName) -> list[RepoDataRecord]:
        """The channel's records of one package."""
        if platform not in self._subdirs:
            return []
        found = await self._gateway.query(
            sources=[self._channel],
            platforms=[platform],
            specs=[name.normalized],
            recursive=False,
            channel_relations="disabled",
        )
        return [record for channel in found for record in channel]

    def package_names(self, platform: Subdir) -> list[str]:
        """None in advance: packages are requested one by one."""
        return []
