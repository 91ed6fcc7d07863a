"""Packages that exist to be big: ``bulk-01`` and on, ``small-files``, ``giant-file``, and ``note`` that is small.

A ``bulk-NN`` is made of files of real packages under other names, so that sizes, kinds and compressibility are what
environments have; ten of them are about as much as an environment of Python, numpy, scipy and pandas. ``bulk-3x`` and
``bulk-10x`` depend on as many as make such an environment three and ten times as large.
"""

from __future__ import annotations

import random
import zipfile
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

from model import PLACEHOLDER, Member, Package, Recipe
from wheels import SCIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["recipes"]

_VERSION = "1.0"
_DONORS = ("numpy", "pandas", "scipy")
_SLICES = 7  # of the donors' files; what comes of a slice again has other names
_COUNTS = {"bulk-3x": 22, "bulk-10x": 100}
_FILE_COST = 4096  # bytes that a file counts for beside its content, so that numbers are balanced too
_PROGRAMS = 4  # in each package, with the placeholder in strings
_PROGRAM = 1 << 20  # bytes at most
_SCRIPTS = 20  # likewise, with the placeholder in their first line
_SMALL_FILES = 12_000
_GIANT_MIB = 1024


def recipes(wheels: Callable[[], Mapping[str, Path]], *, large: bool) -> tuple[Recipe, ...]:
    """All of them; those for 10x and the giant only if ``large``. ``wheels`` fetches the donors."""
    counts = {name: count for name, count in _COUNTS.items() if large or name == "bulk-3x"}
    pins = " ".join(str(pin) for pin in SCIENCE)
    made = [
        Recipe(key=f"bulk-{number:02}", inputs=pins, make=partial(_bulk, wheels, number))
        for number in range(1, max(counts.values()) + 1)
    ]
    made += [_recipe(_all_of(name, count)) for name, count in counts.items()]
    made += [_recipe(_note(version)) for version in ("1.0", "2.0")]
    made.append(Recipe(key="small-files", inputs=_VERSION, make=_small_files))
    if large:
        made.append(Recipe(key="giant-file", inputs=_VERSION, make=_giant_file))
    return tuple(made)


def _recipe(package: Package) -> Recipe:
    key = f"{package.name} {package.version}"
    return Recipe(key=key, inputs=key, make=lambda: package)


def _package(
    name: str, members: tuple[Member, ...], *, version: str = _VERSION, depends: tuple[str, ...] = ()
) -> Package:
    return Package(
        name=name,
        version=version,
        license="BSD-3-Clause",
        summary="Something to measure with",
        subdir="noarch",
        noarch="generic",
        depends=depends,
        members=members,
        quick=True,
    )


def _all_of(name: str, count: int) -> Package:
    return _package(name, (), depends=tuple(f"bulk-{number:02}" for number in range(1, count + 1)))


def _note(version: str) -> Package:
    return _package("note", (Member(path="share/note.txt", content=f"{version}\n".encode()),), version=version)


def _bulk(wheels: Callable[[], Mapping[str, Path]], number: int) -> Package:
    name = f"bulk-{number:02}"
    files = tuple(_slice(wheels(), number % _SLICES))
    members = [Member(path=f"lib/{name}/{path}", content=content) for path, content in files]
    # Of middling size: what carries a prefix is programs and a few libraries, a percent or two of an environment.
    libraries = sorted(
        (content for path, content in files if path.endswith(".so") and len(content) < _PROGRAM), key=len
    )
    middle = len(libraries) // 2
    programs = libraries[middle : middle + _PROGRAMS]
    members += [_program(name, position, content) for position, content in enumerate(programs)]
    members += [_script(name, position) for position in range(_SCRIPTS)]
    return _package(name, tuple(members))


def _slice(wheels: Mapping[str, Path], number: int) -> Iterator[tuple[str, bytes]]:
    """A part of the donors' files, whole directories but for the first and the last."""
    archives = [zipfile.ZipFile(wheels[donor]) for donor in _DONORS]
    try:
        parts = [(part, archive) for archive in archives for part in archive.infolist() if not part.is_dir()]
        parts.sort(key=lambda pair: pair[0].filename)
        costs = [part.file_size + _FILE_COST for part, _ in parts]
        for (part, archive), end in zip(parts, accumulate(costs), strict=True):
            if (end - 1) * _SLICES // sum(costs) == number:
                yield part.filename, archive.read(part)
    finally:
        for archive in archives:
            archive.close()


def _program(name: str, position: int, content: bytes) -> Member:
    strings = "".join(f"\0{PLACEHOLDER}/{path}" for path in (f"lib/{name}", "share", f"bin:{PLACEHOLDER}/sbin"))
    return Member(
        path=f"bin/{name}-{position}",
        content=content + strings.encode() + b"\0",
        executable=True,
        placeholder="binary",
    )


def _script(name: str, position: int) -> Member:
    text = f"#!{PLACEHOLDER}/bin/python\n# {name}\nprint({position})\n"
    return Member(path=f"bin/{name}-script-{position}", content=text.encode(), executable=True, placeholder="text")


def _small_files() -> Package:
    numbers = random.Random(0)
    words = [f"{numbers.getrandbits(40):x}" for _ in range(2000)]
    members = (
        Member(
            path=f"share/small-files/{number // 100:03}/{number % 100:02}.txt",
            content=" ".join(numbers.choices(words, k=numbers.randrange(10, 400))).encode(),
        )
        for number in range(_SMALL_FILES)
    )
    return _package("small-files", tuple(members))


def _giant_file() -> Package:
    """One file, a quarter of it incompressible, as models and databases are."""
    numbers = random.Random(0)
    content = bytearray()
    for number in range(_GIANT_MIB):
        content += numbers.randbytes(1 << 18)
        content += f"{number:015}\n".encode() * (3 << 14)
    return _package("giant-file", (Member(path="share/giant.bin", content=bytes(content)),))
