"""``zstd`` as the system has it, with what it needs outside glibc in a directory of its own.

``lib/`` is not that: an environment that has this package has those libraries from others.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import elf
from debian import has_apt, known, unpack
from model import ChannelError, Member, Package, Recipe

from bundler.process import run

if TYPE_CHECKING:
    from interpreter import Interpreter

__all__ = ["recipes"]

_PROGRAM = "bin/zstd"
_VENDORED = "lib/zstd"


def recipes(interpreter: Interpreter, cache: Path) -> tuple[Recipe, ...]:
    """The package, from the interpreter's system or, where this machine has no zstd, from what apt fetches.

    None where neither has it: bundles are then compressed with gzip.
    """
    program = interpreter.resolved(interpreter.root / "usr" / _PROGRAM)
    if program.is_file():
        stat = program.stat()
        inputs = f"{program} {stat.st_size} {stat.st_mtime_ns}"
        return (Recipe(key="zstd", inputs=inputs, make=lambda: _package(program, interpreter)),)
    if interpreter.foreign or not has_apt():
        return ()
    with contextlib.suppress(ChannelError):
        (deb,) = known(["zstd"])

        def make() -> Package:
            with tempfile.TemporaryDirectory() as scratch:
                unpack([deb], cache / "debian", Path(scratch))
                return _package(Path(scratch, "usr", _PROGRAM), interpreter)

        return (Recipe(key="zstd", inputs=str(deb), make=make),)
    return ()


def _package(program: Path, interpreter: Interpreter) -> Package:
    said = run([*interpreter.command[:-1], program, "--version"]).stdout
    version = re.search(r"v(\d+(?:\.\d+)+)", said)
    if version is None:
        raise ChannelError(f"does not say its version: {said.strip()}", where=str(program))
    with tempfile.TemporaryDirectory() as scratch:
        members = _relocatable(Path(scratch), program, interpreter)
    return Package(
        name="zstd",
        version=version[1],
        license="BSD-3-Clause",
        summary="Zstandard, a fast lossless compression",
        home="https://facebook.github.io/zstd/",
        members=members,
        depends=(f"__glibc >={elf.glibc_floor(member.content for member in members)},<3.0.a0",),
    )


def _relocatable(root: Path, program: Path, interpreter: Interpreter) -> tuple[Member, ...]:
    """The program and its libraries, which find each other wherever they are put."""
    files = {_PROGRAM: program}
    files |= {f"{_VENDORED}/{soname}": path for soname, path in interpreter.libraries((program,)).items()}
    for name, path in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, root / name)
    elf.set_runpaths(root, files, libraries=_VENDORED)
    return tuple(Member(path=name, content=(root / name).read_bytes(), executable=True) for name in sorted(files))
