"""An executable that describes the server's Python to uv.

uv supports only a few platforms by name. But it queries an interpreter for all that matters: markers, glibc, machine,
free threading. So it gets an executable that answers like the server's Python: it runs uv's own query script in our
Python, so that the answer has the format that this uv expects, and replaces the facts. It runs nothing else, so a
source distribution cannot be built with it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from packaging.tags import compatible_tags, cpython_tags

from bundler.atomic import write_file
from bundler.platforms import MACHINES
from bundler.wheels.python import parse_filename

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.tags import Tag

    from bundler.wheels.python import Python

__all__ = ["best_wheel", "write_interpreter"]

_ANSWER = """\
import contextlib, io, json, sys
code = sys.argv[-1]
if "get_interpreter_info" not in code:
    sys.exit("conda-bundler: this Python runs nothing; it only says what it is")
printed = io.StringIO()
with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
    exec(code, {"__name__": "__main__"})
answer = json.loads(printed.getvalue())
facts = json.loads(FACTS)
if answer.get("result") == "success":
    answer.update({name: value for name, value in facts.items() if name in answer})
print(json.dumps(answer))
"""
_LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_OLDEST = 5  # glibc 2.5 is the oldest that any tag supports


def write_interpreter(directory: Path, python: Python, glibc: tuple[int, int]) -> Path:
    """Write an executable that claims to be ``python`` on a machine with ``glibc``, and return its path.

    The same facts yield the same file, so that uv has to query each only once.
    """
    marked = hashlib.sha256(f"{python!r} {glibc} {sys.executable} {_ANSWER}".encode()).hexdigest()[:16]
    home = directory / marked
    path = home / "python3"
    if path.exists():
        return path
    home.mkdir(parents=True, exist_ok=True)
    facts = json.dumps(_facts(python, glibc, str(path)))
    answer = home / "answer.py"
    write_file(answer, _ANSWER.replace("FACTS", repr(facts)).encode(), mode=0o644)
    # /bin/sh, since an interpreter's path may be too long for a #! line, or contain a space
    command = f"exec {shlex.quote(sys.executable)} -I -B {shlex.quote(str(answer))}"
    write_file(path, f'#!/bin/sh\n{command} "$@"\n'.encode(), mode=0o755)
    return path


def _facts(python: Python, glibc: tuple[int, int], path: str) -> dict[str, Any]:
    """The facts that differ from those of the Python that we run in."""
    machine = MACHINES[python.platform]
    return {
        "markers": {name: value for name, value in python.markers.items() if name != "extra"},
        "os": {"name": "manylinux", "major": glibc[0], "minor": glibc[1]},
        "arch": machine,
        "cpu_info": {"unavailable": "it is another machine's"},
        "manylinux_compatible": True,
        "gil_disabled": python.free_threaded,
        "debug_enabled": False,
        "pointer_size": "32" if machine in ("i686", "armv6l", "armv7l") else "64",
        "sys_executable": path,
        "sys_base_executable": path,  # or uv would build with our own Python
    }


def best_wheel(filenames: Iterable[str], python: Python, glibc: tuple[int, int]) -> str | None:
    """The wheel that pip would choose on the server; None if none of them fits.

    Of two that fit equally well, the one with the higher build number (1 in x-1.0-1-py3-none-any.whl).
    """
    ranks = _ranks(python, glibc)
    fitting = []
    for filename in sorted(filenames):
        _, _, build, tags = parse_filename(filename)
        if found := [ranks[tag] for tag in tags if tag in ranks]:
            fitting.append((-min(found), build, filename))
    return max(fitting, key=itemgetter(0, 1))[2] if fitting else None


@lru_cache(maxsize=4)
def _ranks(python: Python, glibc: tuple[int, int]) -> Mapping[Tag, int]:
    """The rank of each supported tag."""
    return {tag: rank for rank, tag in enumerate(_tags(python, glibc))}


def _tags(python: Python, glibc: tuple[int, int]) -> Iterator[Tag]:
    """All supported tags, the best first."""
    release = python.version.release[:2]
    interpreter = f"cp{release[0]}{release[1]}"
    abi = f"{interpreter}t" if python.free_threaded else interpreter
    platforms = tuple(_platforms(MACHINES[python.platform], glibc))
    yield from cpython_tags(python_version=release, abis=[abi], platforms=platforms)
    yield from compatible_tags(python_version=release, interpreter=interpreter, platforms=platforms)


def _platforms(machine: str, glibc: tuple[int, int]) -> Iterator[str]:
    """The platform tags of PEP 600 up to ``glibc``, and the older names of some."""
    for minor in range(glibc[1], _OLDEST - 1, -1):
        yield f"manylinux_{glibc[0]}_{minor}_{machine}"
        if legacy := _LEGACY.get((glibc[0], minor)):
            yield f"{legacy}_{machine}"
    yield f"linux_{machine}"
