"""A conda-compatible executable on py-rattler, with just what conda-lock calls.

conda-lock asks for ``--version``, ``create --dry-run`` and, for ``--update``, ``list`` and ``install --dry-run`` on a
fake prefix that has nothing but ``conda-meta``; ``info`` is there for its look into the package cache. The platform
comes as ``CONDA_SUBDIR``. Answers go to standard output as one JSON document; a failure is ``{"message": …}`` and exit
status 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rattler import MatchSpec, Subdir
from rattler.exceptions import InvalidChannelError, ParseSubdirError

from bundler import __version__
from bundler.diskspace import kept_free, mib, open_files, watch
from bundler.fetch.channels import Access
from bundler.lock.decompressor import DECOMPRESSOR
from bundler.lock.shim.launcher import Failure, SolverSettings
from bundler.lock.solver.conditions import UnreadableConditionError, plain_dependencies
from bundler.lock.solver.granted import UnreadableSpecError, absent, not_granted, whole_specs
from bundler.lock.solver.related import with_relations
from bundler.lock.solver.solving import Question, SolveError, find_packages, names_of, tell
from bundler.lock.solver.sources import find_source, public_url_of
from bundler.lock.solver.virtual import split_virtual
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rattler import RepoDataRecord

    from bundler.lock.solver.sources import Source

__all__ = ["main"]

_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
"""What conda means by the channel ``defaults``, on Linux."""


def main(argv: Sequence[str] | None = None, *, settings_file: str | None = None) -> NoReturn:
    """Answer one call of conda-lock and end the process."""
    arguments = _parse(argv)
    settings = _settings(settings_file)
    platform = os.environ.get("CONDA_SUBDIR") or str(Subdir.current())
    _end_when_full(platform, settings)
    try:
        answer = _answer(arguments, platform, settings)
        status = 0
    except SolveError as failed:
        answer, status = _fail(failed.kind, str(failed), platform, settings), 1
    except Exception as bug:  # noqa: BLE001 -- conda-lock reads a message from stdout, not a traceback
        answer, status = _fail("bug", f"{type(bug).__name__}: {bug}", platform, settings), 1
    _end(answer, status)


def _end(answer: Any, status: int) -> NoReturn:
    json.dump(answer, sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.stdout.flush()
    # rattler's threads may outlive the interpreter's shutdown and crash there (seen once in 20 runs)
    os._exit(status)


def _end_when_full(platform: str, settings: SolverSettings) -> None:
    """From now on, this process ends when the disk is down to a reserve.

    Some kilobytes of repodata.json.zst unpack to more than any disk holds, and rattler itself cannot be stopped. What
    it is writing has no other name yet than a temporary one, and is removed.
    """
    room = cache_dir("repodata")

    def end() -> NoReturn:
        for path in open_files(room):
            path.unlink(missing_ok=True)
        message = f"reading channels was stopped before the disk was full: less than {mib(kept)} were left"
        _end(_fail("disk", message, platform, settings), 1)

    kept = kept_free(room)
    watch(room, kept, None, end)


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
    if settings.relations:
        question, followed = asyncio.run(with_relations(question))
        told = json.dumps([asdict(one) for one in followed])
        Path(settings.relations, f"{platform}.json").write_text(told, encoding="utf-8")
    records = asyncio.run(find_packages(question))
    if refused := list(not_granted(question.specs, records)):
        raise SolveError("spec", "; ".join(refused))
    if settings.tools:
        tools = json.dumps(_tools(question, records))
        Path(settings.tools, f"{platform}.json").write_text(tools, encoding="utf-8")
    packages = _actions(records, question) + _asked_virtual(question) + absent(question.specs, records)
    if settings.asked:
        _note_answer(Path(settings.asked, f"{platform}.json"), arguments, packages)
    return {"success": True, "dry_run": True, "actions": {"FETCH": packages, "LINK": packages}}


def _note_answer(file: Path, arguments: argparse.Namespace, answer: Sequence[Any]) -> None:
    """For :mod:`bundler.lock.replay`."""
    asked = {"command": arguments.command, "channels": arguments.channels, "specs": arguments.specs}
    with file.open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(asked | {"answer": answer}) + "\n")


def _question(arguments: argparse.Namespace, platform: str, settings: SolverSettings) -> Question:
    try:
        Subdir(platform)
    except ParseSubdirError as unknown:
        raise SolveError("platform", f"{platform} is not a conda platform") from unknown
    channels, virtual = split_virtual(arguments.channels, platform)
    access = Access(**settings.access)
    expanded = (url for channel in channels for url in (_DEFAULTS if channel == "defaults" else (channel,)))
    sources = tuple(_source(channel, settings, access) for channel in expanded)
    try:
        specs = tuple(whole_specs(arguments.specs, settings.specs.get(platform, {}), sources))
    except UnreadableSpecError as unreadable:
        raise SolveError("spec", str(unreadable)) from unreadable
    keep: Iterable[str] = settings.keep.get(platform, ())
    update = frozenset(settings.update)
    if arguments.command == "install":
        installed = _installed(arguments.prefix)
        update = frozenset(names_of(specs))
        keep = [entry["url"] for entry in installed if entry["name"] not in update]
        # conda keeps all that is installed, asked for by name or not
        specs += tuple(MatchSpec(entry["name"]) for entry in installed if entry["name"] not in update)
    return Question(
        platform=platform,
        access=access,
        status=settings.status,
        sources=sources,
        virtual=virtual,
        specs=specs,
        keep=frozenset(keep),
        update=update,
        exclude_newer=settings.exclude_newer,
    )


def _tools(question: Question, environment: Sequence[RepoDataRecord]) -> list[dict[str, Any]]:
    """What the decompressor needs beside the environment; nothing if no channel has one that goes with it.

    Both stand in one lockfile, where conda-lock has one entry for a name.
    """
    names = {record.name.normalized for record in environment}
    if DECOMPRESSOR in names:
        return []
    tell(question, f"looking for {DECOMPRESSOR}, which bundles include, for {question.platform}")
    beside = replace(question, specs=(MatchSpec(DECOMPRESSOR),), pinned=tuple(environment), update=frozenset())
    try:
        records = asyncio.run(find_packages(beside))
    except SolveError as failed:
        if failed.kind != "unsatisfiable":
            raise
        return []
    added = [record for record in records if record.name.normalized not in names]
    return _actions(added, beside, environment)


def _source(given: str, settings: SolverSettings, access: Access) -> Source:
    try:
        return find_source(given, settings.variables, access)
    except InvalidChannelError as invalid:
        raise SolveError("channel", f"{given} is not a channel: {invalid}") from invalid


def _actions(
    records: Sequence[RepoDataRecord], question: Question, environment: Sequence[RepoDataRecord] = ()
) -> list[dict[str, Any]]:
    """``actions.FETCH`` as conda writes it, of ``records`` that are beside ``environment``."""
    try:
        depends = plain_dependencies([*environment, *records], question.virtual, question.specs)
    except UnreadableConditionError as unreadable:
        raise SolveError("spec", f"a channel has an invalid dependency: {unreadable}") from unreadable
    return [_action(record, depends[record.name.normalized], question.sources) for record in records]


def _action(record: RepoDataRecord, depends: Sequence[str], sources: Iterable[Source]) -> dict[str, Any]:
    """One entry of it."""
    if "$" in f"{record.url}{record.file_name}":  # which would be read as an environment variable of this machine
        raise SolveError(
            "channel", f"a channel has a file name or URL with a `$` for {record.name.normalized}: {record.url}"
        )
    if record.url.startswith("file:") and not (record.channel or "").startswith("file:"):
        raise SolveError(
            "channel", f"a channel lists a file of this machine for {record.name.normalized}: {record.url}"
        )
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
        "depends": list(depends),
        "constrains": record.constrains,
        "timestamp": int(record.timestamp.timestamp() * 1000) if record.timestamp else 0,
    }
    # left out where a channel has none: conda-lock takes a null for an error
    hashes = {"md5": record.md5, "sha256": record.sha256}
    return action | {name: value.hex() for name, value in hashes.items() if value}


def _asked_virtual(question: Question) -> list[dict[str, Any]]:
    """The virtual packages that are asked for by name: conda-lock looks each requested name up among the answers."""
    names = names_of(question.specs)
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
