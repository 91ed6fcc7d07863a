"""A conda-compatible executable on py-rattler, with just what conda-lock calls.

conda-lock asks for ``--version``, ``create --dry-run`` and, for ``--update``, ``list`` and ``install --dry-run`` on a
fake prefix that has nothing but ``conda-meta``; ``info`` is there for its look into the package cache. The platform
comes as ``CONDA_SUBDIR``. Answers go to standard output as one JSON document; a failure is ``{"message": …}`` and exit
status 1.

Channel priority is strict unless said, as conda-forge recommends it: a package is taken from the first channel that has
it in any version, so that a channel lower in the list cannot slip a newer one in.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rattler import (
    Channel,
    ChannelPriority,
    Gateway,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    Subdir,
    Version,
    solve,
)
from rattler.exceptions import GatewayError, InvalidChannelError, InvalidMatchSpecError, ParseSubdirError, SolverError
from rattler.package import BuildString

from bundler import __version__
from bundler.fetch.channels import Access
from bundler.fetch.download import Downloader
from bundler.lock.explain import explain_unsatisfiable, without_candidates
from bundler.lock.launcher import Failure, SolverSettings
from bundler.lock.offline import NotCachedError, at_hand, note_absent, queried
from bundler.lock.sources import (
    SilentChannelError,
    Source,
    blame,
    find_source,
    first_answering,
    make_gateway,
    public_text,
    public_url_of,
)
from bundler.lock.virtual import split_virtual
from bundler.platforms import MACHINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rattler.repo_data.source import RepoDataSource

__all__ = ["main"]

_PRIORITIES = {"strict": ChannelPriority.Strict, "flexible": ChannelPriority.Flexible}


class _SolveError(Exception):
    """A failure that is the environment's or the channel's, not ours."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What is to be solved. ``keep`` are URLs of packages that stay if they can, ``update`` names that are to move."""

    platform: str
    access: Access
    sources: tuple[Source, ...]
    virtual: tuple[dict[str, Any], ...]
    specs: tuple[MatchSpec, ...]
    keep: frozenset[str]
    update: frozenset[str]


def main(argv: Sequence[str] | None = None, *, settings_file: str | None = None) -> NoReturn:
    """Answer one call of conda-lock and end the process."""
    arguments = _parse(argv)
    settings = _settings(settings_file)
    platform = os.environ.get("CONDA_SUBDIR") or str(Subdir.current())
    try:
        answer = _answer(arguments, platform, settings)
        status = 0
    except _SolveError as failed:
        answer, status = _fail(failed.kind, str(failed), platform, settings), 1
    except Exception as bug:  # noqa: BLE001 -- conda-lock reads a message from stdout, not a traceback
        answer, status = _fail("bug", f"{type(bug).__name__}: {bug}", platform, settings), 1
    json.dump(answer, sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.stdout.flush()
    # rattler's threads may outlive the interpreter's shutdown and crash there (seen once in 20 runs)
    os._exit(status)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="conda", description="conda for conda-lock, on py-rattler")
    parser.add_argument("--version", action="version", version=f"conda-bundler {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("create", "install"):
        command = commands.add_parser(name)
        command.add_argument("-p", "--prefix", type=Path)
        command.add_argument("-c", "--channel", action="append", default=[], dest="channels")
        command.add_argument("specs", nargs="*")
        for flag in ("--dry-run", "--json", "--override-channels"):
            command.add_argument(flag, action="store_true")
    listing = commands.add_parser("list")
    listing.add_argument("-p", "--prefix", type=Path, required=True)
    for flag in ("--no-pip", "--json"):
        listing.add_argument(flag, action="store_true")
    commands.add_parser("info").add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def _settings(path: str | None) -> SolverSettings:
    if path is None:
        return SolverSettings(variables=dict(os.environ))
    return SolverSettings(**json.loads(Path(path).read_text(encoding="utf-8")))


def _answer(arguments: argparse.Namespace, platform: str, settings: SolverSettings) -> Any:
    if arguments.command == "info":
        return {"conda_version": __version__, "platform": platform, "pkgs_dirs": []}
    if arguments.command == "list":
        return [_listed(entry) for entry in _installed(arguments.prefix)]
    question = _question(arguments, platform, settings)
    records = asyncio.run(_solve(question))
    packages = [_action(record, question.sources) for record in records] + _asked_virtual(question)
    return {"success": True, "dry_run": True, "actions": {"FETCH": packages, "LINK": packages}}


def _question(arguments: argparse.Namespace, platform: str, settings: SolverSettings) -> _Question:
    try:
        Subdir(platform)
    except ParseSubdirError as unknown:
        raise _SolveError("platform", f"{platform} is no conda platform") from unknown
    channels, virtual = split_virtual(arguments.channels, platform)
    access = Access(**settings.access)
    sources = tuple(_source(channel, settings, access) for channel in channels)
    specs = tuple(_spec(spec, sources) for spec in arguments.specs)
    keep: Iterable[str] = settings.keep.get(platform, ())
    update = frozenset(settings.update)
    if arguments.command == "install":
        installed = _installed(arguments.prefix)
        update = frozenset(_names(specs))
        keep = [entry["url"] for entry in installed if entry["name"] not in update]
        # conda keeps all that is installed, asked for by name or not
        specs += tuple(MatchSpec(entry["name"]) for entry in installed if entry["name"] not in update)
    return _Question(
        platform=platform,
        access=access,
        sources=sources,
        virtual=virtual,
        specs=specs,
        keep=frozenset(keep),
        update=update,
    )


def _source(given: str, settings: SolverSettings, access: Access) -> Source:
    if given == "defaults":
        raise _SolveError(
            "channel", "`defaults` is not a channel but a setting of conda; name the channel that you mean"
        )
    try:
        return find_source(given, settings.variables, access)
    except InvalidChannelError as invalid:
        raise _SolveError("channel", f"{given} is no channel: {invalid}") from invalid


async def _solve(question: _Question) -> list[RepoDataRecord]:
    """Ask each channel where it answers; at its next address if it breaks down there."""
    question = replace(question, sources=await _answering(question))
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
                raise _SolveError("channel", reason) from failed
            sources = (*question.sources[:number], elsewhere, *question.sources[number + 1 :])
            question = replace(question, sources=sources)


async def _answering(question: _Question) -> tuple[Source, ...]:
    """The sources at the addresses that answer, or of which there is something in the cache."""
    access, sources = question.access, question.sources
    try:
        if access.offline:
            return await at_hand(sources, question.platform, access)
        downloader = Downloader(retries=access.retries, read_timeout=access.read_timeout, connections=1)
        return tuple(first_answering(source, downloader) for source in sources)
    except SilentChannelError as silent:
        raise _SolveError("channel", str(silent)) from silent
    except NotCachedError as missing:
        listed = "".join(f"\n    {channel}" for channel in missing.channels)
        raise _SolveError("offline", f"there is no cached repodata, for {question.platform}, of{listed}") from missing


async def _ask_cached(question: _Question) -> list[RepoDataRecord]:
    try:
        return await _ask(question, make_gateway(question.sources, question.access))
    except GatewayError as failed:
        # from servers whose "not modified" lacks the validators (python -m http.server): conda/rattler#2719
        if "304 Not Modified" not in str(failed):
            raise
        return await _ask(question, make_gateway(question.sources, question.access, "no-cache"))


async def _ask(question: _Question, gateway: Gateway) -> list[RepoDataRecord]:
    try:
        free = await _run(question, gateway)
        if not question.keep:
            return free
        # An updated package goes as far as it can, whatever that moves; then all else stays put if it can.
        moved = [
            f"{record.name.normalized} =={record.version}"
            for record in free
            if record.name.normalized in question.update
        ]
        return await _run(question, gateway, constraints=moved, locked=await _kept(question, gateway))
    except SolverError as unsatisfiable:
        text = public_text(str(unsatisfiable), question.sources)
        reason = explain_unsatisfiable(
            text,
            platform=question.platform,
            virtual={record["name"]: record["version"] for record in question.virtual},
            channels=[source.given for source in question.sources],
            elsewhere=await _elsewhere(without_candidates(text), question, gateway),
        )
        raise _SolveError("unsatisfiable", reason) from unsatisfiable


async def _elsewhere(specs: Sequence[str], question: _Question, gateway: Gateway) -> dict[str, list[str]]:
    """Which other platforms have a package for each of ``specs``, by what the channels say if they still answer."""
    found: dict[str, list[str]] = {}
    if question.access.offline:
        return found
    others = [Subdir(name) for name in MACHINES if name != question.platform]
    for spec in specs:
        with contextlib.suppress(GatewayError, InvalidMatchSpecError):
            answer = await gateway.query(
                sources=_sources(question, gateway), platforms=others, specs=[spec], recursive=False
            )
            found[spec] = sorted({record.subdir for channel in answer for record in channel})
    return {spec: subdirs for spec, subdirs in found.items() if subdirs}


async def _run(
    question: _Question,
    gateway: Gateway,
    *,
    constraints: Sequence[str] = (),
    locked: Sequence[RepoDataRecord] = (),
) -> list[RepoDataRecord]:
    # The bare names too: a spec is also a filter on what is fetched, so with `x >=2` alone a channel that has only x 1
    # would count as having no x, and strict priority would let the next channel in. Explanations get better as well.
    return await solve(
        sources=_sources(question, gateway),
        specs=[*question.specs, *_names(question.specs)],
        gateway=gateway,
        platforms=_subdirs(question),
        virtual_packages=[_virtual(record) for record in question.virtual],
        locked_packages=locked,
        constraints=constraints,
        channel_priority=_PRIORITIES[question.access.priority],
    )


async def _kept(question: _Question, gateway: Gateway) -> list[RepoDataRecord]:
    """The channels' own records of the packages to keep; one that a channel has withdrawn cannot be kept."""
    specs = [" ".join(_name_version_build(url)) for url in sorted(question.keep)]
    found = await gateway.query(
        sources=_sources(question, gateway), platforms=_subdirs(question), specs=specs, recursive=False
    )
    records = [record for channel in found for record in channel]
    return [record for record in records if public_url_of(record.url, question.sources) in question.keep]


def _sources(question: _Question, gateway: Gateway) -> list[Channel | RepoDataSource]:
    return [queried(source, question.platform, gateway, question.access) for source in question.sources]


def _subdirs(question: _Question) -> list[Subdir]:
    return [Subdir(question.platform), Subdir("noarch")]


def _spec(text: str, sources: Iterable[Source]) -> MatchSpec:
    """A spec as conda-lock writes it: of ``channel::name`` it leaves just the last part of the channel's URL."""
    channel, separator, rest = text.partition("::")
    named = (source for source in sources if separator and source.public.endswith(f"/{channel}"))
    base = next((source.base for source in named), None)
    try:
        return MatchSpec(f"{base}::{rest}" if base else text)
    except InvalidMatchSpecError as invalid:
        raise _SolveError("spec", f"`{text}` is no match spec: {str(invalid).splitlines()[0]}") from invalid


def _names(specs: Iterable[MatchSpec]) -> list[str]:
    return [spec.name.normalized for spec in specs]


def _virtual(record: dict[str, Any]) -> GenericVirtualPackage:
    return GenericVirtualPackage(PackageName(record["name"]), Version(record["version"]), BuildString(record["build"]))


def _name_version_build(url: str) -> tuple[str, str, str]:
    """The exact spec of the package at ``url``."""
    stem = url.rsplit("/", 1)[-1].removesuffix(".conda").removesuffix(".tar.bz2")
    name, version, build = stem.rsplit("-", 2)
    return name, f"=={version}", build


def _action(record: RepoDataRecord, sources: Iterable[Source]) -> dict[str, Any]:
    """One entry of ``actions.FETCH``, as conda writes it."""
    url = public_url_of(record.url, sources)
    action = {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "build_string": str(record.build),
        "build_number": record.build_number,
        "channel": url.rsplit("/", 1)[0],
        "subdir": record.subdir,
        "fn": record.file_name,
        "url": url,
        "depends": record.depends,
        "constrains": record.constrains,
        "timestamp": int(record.timestamp.timestamp() * 1000) if record.timestamp else 0,
    }
    # left out where a channel has none: conda-lock takes a null for an error
    hashes = {"md5": record.md5, "sha256": record.sha256}
    return action | {name: value.hex() for name, value in hashes.items() if value}


def _asked_virtual(question: _Question) -> list[dict[str, Any]]:
    """The virtual packages that are asked for by name: conda-lock looks each requested name up among the answers."""
    names = _names(question.specs)
    return [record for record in question.virtual if record["name"] in names]


def _installed(prefix: Path) -> list[dict[str, Any]]:
    """What ``conda-meta`` lists, sorted by name."""
    files = sorted((prefix / "conda-meta").glob("*.json"))
    return sorted((json.loads(file.read_bytes()) for file in files), key=lambda entry: str(entry["name"]))


def _listed(entry: dict[str, Any]) -> dict[str, Any]:
    """One entry of ``conda list --json``."""
    return {
        "name": entry["name"],
        "version": entry["version"],
        "build_string": entry["build"],
        "build_number": entry["build_number"],
        "channel": entry["channel"],
        "base_url": entry["url"].rsplit("/", 2)[0],
        "platform": entry["subdir"],
        "dist_name": f"{entry['name']}-{entry['version']}-{entry['build']}",
    }


def _fail(kind: str, message: str, platform: str, settings: SolverSettings) -> dict[str, Any]:
    """The answer for conda-lock, which only prints it; the report is for us."""
    if settings.report:
        failure = Failure(kind=kind, platform=platform, message=message)
        Path(settings.report).write_text(json.dumps(asdict(failure)), encoding="utf-8")
    return {"success": False, "error": message, "message": message, "exception_name": kind}


if __name__ == "__main__":
    main()
