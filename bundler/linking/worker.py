"""A separate program that unpacks or links packages; it reads a task from standard input and prints the result.

Both are JSON. :mod:`bundler.linking.run` starts it and writes the task. The result is ``{}``, or ``{"failed": why,
"package": its index in the list, or null, "status": the exit status of the process that unpacked it, or null}``, or
``{"full": true}``.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rattler import PackageRecord, RepoDataRecord, install
from rattler.package_cache import PackageCache, ValidationMode
from rattler.package_streaming import extract
from rattler.platform import Subdir

from bundler.diskspace import watch
from bundler.linking.crew import Crew, end_with_parent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class _Failed(Exception):  # noqa: N818 -- never shown: it becomes the result
    def __init__(self, why: str, package: int | None = None, status: int | None = None) -> None:
        super().__init__(why)
        self.answer: dict[str, object] = {"failed": why, "package": package, "status": status}


def main() -> None:
    """Run the task on standard input."""
    end_with_parent()  # nothing continues after the build is killed
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o022)  # the cage's user has to read unpacked files, too
    answer: dict[str, object] = {}
    try:
        task = json.load(sys.stdin)
        packages = task.get("unpack", ())
        crew = _crew(packages)
        look = watch(Path(task["room"]), task["kept"], task.get("most"), _end_full)
        if packages:
            _unpack(crew, packages)
        else:
            _link(task)
        look()
    except _Failed as failed:
        answer = failed.answer
    print(json.dumps(answer), flush=True)
    os._exit(0)  # the linker's threads may crash while Python shuts down


def _end_full() -> None:
    """Exit at once, since the linker itself cannot be interrupted."""
    os.write(1, b'{"full": true}')
    os._exit(0)


def _crew(packages: Sequence[Mapping[str, str]]) -> Crew:
    def unpack(place: int) -> None:
        extract(Path(packages[place]["archive"]), Path(packages[place]["goal"]))

    try:
        return Crew(unpack, len(packages))
    except OSError as error:
        raise _Failed(f"cannot start a process: {error.strerror}") from error


def _unpack(crew: Crew, packages: Sequence[Mapping[str, str]]) -> None:
    """Unpack the largest first, so that a large one does not run alone at the end."""
    sizes = [Path(one["archive"]).stat().st_size for one in packages]
    if failures := crew.work(sorted(range(len(packages)), key=lambda place: -sizes[place])):
        first = failures[0]
        raise _Failed(first.why, first.place, first.status)


def _link(task: Mapping[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=task["room"]) as room:
        records = [_record(place, one, Path(room)) for place, one in enumerate(task["records"])]
        try:
            asyncio.run(_install(records, task))
        except Exception as error:  # the linker's, and whatever it raises for others
            raise _Failed(str(error)) from error


def _record(place: int, one: Mapping[str, Any], room: Path) -> RepoDataRecord:
    index = room / "index.json"
    index.write_text(json.dumps(one["index"]))
    try:
        record = PackageRecord.from_index_json(index, one["size"], one["sha256"], one["md5"])
        # Its copy is in the cache. If it disappears now, nothing is unpacked instead: the archive does not exist.
        url = (room / one["filename"]).as_uri()
        return RepoDataRecord(record, one["filename"], url, one["channel"])
    except Exception as error:  # whatever the parser raises
        raise _Failed(str(error), place) from error


async def _install(records: list[RepoDataRecord], task: Mapping[str, Any]) -> None:
    await install(
        records,
        task["prefix"],
        platform=Subdir(task["platform"]),
        show_progress=False,
        alternative_target_prefix=task["baked"],
        package_cache=PackageCache.new_layered([Path(task["cache"])], False, ValidationMode.fast()),
        execute_link_scripts=False,
    )
