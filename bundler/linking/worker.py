"""A program of its own: unpacks packages, or links them, as standard input says; the answer is on standard output.

Both are JSON. :mod:`bundler.linking.run` starts it, and knows what goes in; the answer is ``{}``, or ``{"failed": why,
"package": its place in the list, or null}``, or ``{"full": true}``.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rattler import PackageRecord, RepoDataRecord, install
from rattler.package_cache import PackageCache, ValidationMode
from rattler.package_streaming import extract
from rattler.platform import Subdir

from bundler.diskspace import watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PR_SET_PDEATHSIG = 1


class _Failed(Exception):  # noqa: N818 -- never shown: it is the answer
    def __init__(self, why: str, package: int | None = None) -> None:
        super().__init__(why)
        self.package = package


def main() -> None:
    """Do as standard input says."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody waits for what a killed build has begun
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o022)  # the cage's user reads what is unpacked, too
    answer: dict[str, object] = {}
    try:
        task = json.load(sys.stdin)
        look = watch(Path(task["room"]), task["kept"], task.get("most"), _end_full)
        if "unpack" in task:
            _unpack(task["unpack"])
        else:
            _link(task)
        look()
    except _Failed as failed:
        answer = {"failed": str(failed), "package": failed.package}
    print(json.dumps(answer), flush=True)
    os._exit(0)  # the linker's threads may crash when Python ends below them


def _end_full() -> None:
    """The linker itself cannot be stopped."""
    os.write(1, b'{"full": true}')
    os._exit(0)


def _unpack(packages: Sequence[Mapping[str, str]]) -> None:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        pending = [pool.submit(extract, Path(one["archive"]), Path(one["goal"])) for one in packages]
        for place, future in enumerate(pending):
            if error := future.exception():
                raise _Failed(str(error), place)


def _link(task: Mapping[str, Any]) -> None:
    with tempfile.TemporaryDirectory(dir=task["room"]) as room:
        records = [_record(place, one, Path(room)) for place, one in enumerate(task["records"])]
        try:
            asyncio.run(_install(records, task))
        except Exception as error:  # the linker's own, and what it translates others into
            raise _Failed(str(error)) from error


def _record(place: int, one: Mapping[str, Any], room: Path) -> RepoDataRecord:
    index = room / "index.json"
    index.write_text(json.dumps(one["index"]))
    try:
        record = PackageRecord.from_index_json(index, one["size"], one["sha256"], one["md5"])
        # Its copy is in the cache. Should that vanish meanwhile nothing is unpacked: there is no such archive.
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
