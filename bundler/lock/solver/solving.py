"""Solve with py-rattler, with channels at addresses that respond, and explanations of failures.

Channel priority is strict by default, as conda-forge recommends: a package is taken from the first channel that has it
in any version, so that a channel lower in the list cannot inject a newer one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rattler import (
    Channel,
    ChannelPriority,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    Subdir,
    Version,
    solve,
)
from rattler.exceptions import GatewayError, InvalidMatchSpecError, SolverError
from rattler.package import BuildString

from bundler.cooldown import DEFAULT
from bundler.errors import without_credentials
from bundler.fetch.download import Downloader
from bundler.lock.cooldown import told
from bundler.lock.solver.dated import Dated, common_date, date_of, parse_date
from bundler.lock.solver.explain import explain_unsatisfiable, without_candidates
from bundler.lock.solver.offline import NotCachedError, asked_subdirs, at_hand, note_absent, queried
from bundler.lock.solver.sources import (
    Gateways,
    SilentChannelError,
    Source,
    blame,
    first_answering,
    make_gateways,
    public_text,
    public_url_of,
)
from bundler.lock.watch import append_status
from bundler.locked import dist_of
from bundler.platforms import MACHINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rattler.repo_data.source import RepoDataSource

    from bundler.fetch.channels import Access

__all__ = ["Question", "SolveError", "answering", "find_packages", "names_of", "tell"]

_PRIORITIES = {"strict": ChannelPriority.Strict, "flexible": ChannelPriority.Flexible}


class SolveError(Exception):
    """A failure caused by the environment or a channel, not by us."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class Question:
    """The problem to solve. ``keep`` are URLs of packages to keep if possible, ``update`` names of those to update.

    ``pinned`` is an environment that is already solved: its packages do not change. Packages that are newer than their
    channel's date in ``exclude_newer``, or have no timestamp, are not used. The current activity is appended to the
    file ``status``.
    """

    platform: str
    access: Access
    sources: tuple[Source, ...]
    virtual: tuple[dict[str, Any], ...]
    specs: tuple[MatchSpec, ...]
    keep: frozenset[str]
    update: frozenset[str]
    pinned: tuple[RepoDataRecord, ...] = ()
    exclude_newer: Mapping[str, str | None] = field(default_factory=dict)
    status: str | None = None

    def dates(self) -> tuple[str | None, ...]:
        """The ``exclude_newer`` date of each source."""
        return tuple(date_of(source, self.exclude_newer) for source in self.sources)


async def find_packages(question: Question) -> list[RepoDataRecord]:
    """Solve, with each channel at an address that responds, or at its next one if that fails. Raises
    :class:`SolveError`.
    """
    question = replace(question, sources=await answering(question))
    while True:
        try:
            found = await _ask_cached(question)
            if not question.access.offline:
                await note_absent(question.sources, question.platform, question.access)
            return found
        except GatewayError as failed:
            number, reason = await blame(failed, question.sources, _subdirs(question), question.access)
            elsewhere = None if number is None else question.sources[number].elsewhere()
            if number is None or elsewhere is None:
                raise SolveError("channel", reason) from failed
            sources = (*question.sources[:number], elsewhere, *question.sources[number + 1 :])
            question = replace(question, sources=sources)


async def answering(question: Question) -> tuple[Source, ...]:
    """The sources, at addresses that respond or are in the cache."""
    access, sources = question.access, question.sources
    tell(question, _reading([source.given for source in sources], question))
    try:
        if access.offline:
            return await at_hand(sources, question.platform, access)
        downloader = Downloader(
            retries=access.retries, read_timeout=access.read_timeout, connections=1, servers=access.servers
        )
        return tuple(first_answering(source, downloader) for source in sources)
    except SilentChannelError as silent:
        raise SolveError("channel", str(silent)) from silent
    except NotCachedError as missing:
        listed = "".join(f"\n    {channel}" for channel in missing.channels)
        raise SolveError("offline", f"no cached repodata for {question.platform} of{listed}") from missing


async def _ask_cached(question: Question) -> list[RepoDataRecord]:
    try:
        return await _ask(question, make_gateways(question.sources, question.access))
    except GatewayError as failed:
        # from servers whose "not modified" lacks the validators (python -m http.server): conda/rattler#2719
        if "304 Not Modified" not in str(failed):
            raise
        return await _ask(question, make_gateways(question.sources, question.access, "no-cache"))


async def _ask(question: Question, gateways: Gateways) -> list[RepoDataRecord]:
    await _read(question, gateways)
    tell(question, f"solving for {question.platform}")
    try:
        free = await _run(question, gateways)
        if not question.keep:
            return free
        # Updated packages are as new as possible, whatever that changes; then everything else is kept if possible.
        moved = [
            f"{record.name.normalized} =={record.version}"
            for record in free
            if record.name.normalized in question.update
        ]
        return await _run(question, gateways, constraints=moved, locked=await _kept(question, gateways))
    except SolverError as unsatisfiable:
        text = public_text(str(unsatisfiable), question.sources)
        reason = explain_unsatisfiable(
            text,
            platform=question.platform,
            virtual={record["name"]: record["version"] for record in question.virtual},
            channels=[source.given for source in question.sources],
            elsewhere=await _elsewhere(without_candidates(text), question, gateways),
        )
        raise SolveError(
            "unsatisfiable", reason + _on_cooldown(text, question) + _on_free_threads(text)
        ) from unsatisfiable


async def _read(question: Question, gateways: Gateways) -> None:
    """Have the gateway read what the solver will need, so that a slow channel can be reported."""
    unread = [source.given for source in question.sources]

    async def read(source: Source) -> None:
        subdirs = asked_subdirs(source, question.platform, question.access)
        await asyncio.gather(*(gateways.of(source).channel_relations(source.reached, one) for one in subdirs))
        unread.remove(source.given)
        if unread:
            tell(question, _reading(unread, question))

    tell(question, _reading(unread, question))
    await asyncio.gather(*map(read, question.sources))


def _reading(channels: Sequence[str], question: Question) -> str:
    named = ", ".join(map(without_credentials, channels))
    return f"reading channel{'s' if len(channels) > 1 else ''} {named}, for {question.platform}"


def tell(question: Question, text: str) -> None:
    """Report the current activity."""
    if question.status:
        append_status(question.status, text)


async def _elsewhere(specs: Sequence[str], question: Question, gateways: Gateways) -> dict[str, list[str]]:
    """The other platforms that have a package for each of ``specs``, if the channels still respond."""
    found: dict[str, list[str]] = {}
    if question.access.offline or question.pinned:  # nobody reads a reason then
        return found
    others = [Subdir(name) for name in MACHINES if name != question.platform]
    for spec in specs:
        with contextlib.suppress(GatewayError, InvalidMatchSpecError):
            answer = await gateways.together.query(
                sources=_sources(question, gateways),
                platforms=others,
                specs=[spec],
                recursive=False,
                channel_relations="disabled",
            )
            found[spec] = sorted({record.subdir for channel in answer for record in channel})
    return {spec: subdirs for spec, subdirs in found.items() if subdirs}


async def _run(
    question: Question,
    gateways: Gateways,
    *,
    constraints: Sequence[str] = (),
    locked: Sequence[RepoDataRecord] = (),
) -> list[RepoDataRecord]:
    # Also the bare names: specs also filter what is fetched, so with only `x >=2`, a channel that has only x 1 would
    # count as having no x, and strict priority would use the next channel. This also improves explanations.
    newest = common_date(question.dates(), question.exclude_newer.get(DEFAULT))
    return await solve(
        sources=_sources_by_date(question, gateways, newest),
        specs=[*question.specs, *_bare(question.specs)],
        gateway=gateways.together,
        platforms=_subdirs(question),
        virtual_packages=[_virtual(record) for record in question.virtual],
        locked_packages=locked,
        pinned_packages=question.pinned,
        constraints=[*constraints, *_with_gil(question)],
        channel_priority=_PRIORITIES[question.access.priority],
        channel_relations="disabled",
        exclude_newer=parse_date(newest) if newest else None,
    )


async def _kept(question: Question, gateways: Gateways) -> list[RepoDataRecord]:
    """The channels' records of the packages to keep; those that a channel has removed cannot be kept."""
    specs = [" ".join(_name_version_build(url)) for url in sorted(question.keep)]
    found = await gateways.together.query(
        sources=_sources(question, gateways),
        platforms=_subdirs(question),
        specs=specs,
        recursive=False,
        channel_relations="disabled",
    )
    records = [record for channel in found for record in channel]
    return [record for record in records if public_url_of(record.url, question.sources) in question.keep]


def _on_cooldown(text: str, question: Question) -> str:
    """A hint if the solver excluded packages because of their age."""
    if not any(question.dates()) or not re.search("after the cutoff date|has no timestamp", text):
        return ""
    return (
        f"\n[lock] exclude_newer in bundle.toml excludes packages newer than {told(question.exclude_newer)}, and what "
        "has no timestamp. Set a later date or a shorter age there, or ask for an older version."
    )


def _on_free_threads(text: str) -> str:
    if "(?!.*_cp" not in text:
        return ""
    return (
        "\nA free-threaded Python must be requested explicitly: add `python-freethreading`, or a build such as "
        "`python * *_cp313t`, in environment.yml."
    )


def _with_gil(question: Question) -> list[str]:
    """Exclude free-threaded Python, unless it is requested by `python-freethreading` or by a build string."""
    asked = any(
        spec.name.normalized == "python-freethreading"
        or (spec.name.normalized in {"python", "python_abi"} and re.search(r"cp\d+t", str(spec.build or "")))
        for spec in question.specs
    )
    return [] if asked or question.pinned else [r'python[build="^(?!.*_cp\d+t$).*$"]']


def _sources_by_date(question: Question, gateways: Gateways, common: str | None) -> list[Channel | RepoDataSource]:
    """The same; sources whose date differs from ``common`` are queried through us."""
    plain = _sources(question, gateways)
    return [
        plain[number]
        if date == common or common is None
        else Dated(
            source.reached,
            asked_subdirs(source, question.platform, question.access),
            gateways.of(source),
            date=date,
            common=common,
        )
        for number, (source, date) in enumerate(zip(question.sources, question.dates(), strict=True))
    ]


def _sources(question: Question, gateways: Gateways) -> list[Channel | RepoDataSource]:
    return [queried(source, question.platform, gateways, question.access) for source in question.sources]


def _subdirs(question: Question) -> list[Subdir]:
    return [Subdir(question.platform), Subdir("noarch")]


def _bare(specs: Sequence[MatchSpec]) -> list[str]:
    """Specs with only the names, and with the conditions, if there are any."""
    conditions = (f'[when="{spec.condition}"]' if spec.condition else "" for spec in specs)
    return [name + condition for name, condition in zip(names_of(specs), conditions, strict=True)]


def names_of(specs: Iterable[MatchSpec]) -> list[str]:
    return [spec.name.normalized for spec in specs]


def _virtual(record: dict[str, Any]) -> GenericVirtualPackage:
    return GenericVirtualPackage(PackageName(record["name"]), Version(record["version"]), BuildString(record["build"]))


def _name_version_build(url: str) -> tuple[str, str, str]:
    """The exact spec of the package at ``url``."""
    name, version, build = dist_of(url.rsplit("/", 1)[-1]).rsplit("-", 2)
    return name, f"=={version}", build
