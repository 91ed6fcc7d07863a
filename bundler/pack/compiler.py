"""Compile bytecode with the environment's own Python, in a sandbox.

Everything that this Python loads is untrusted. So the copy of its package in the cache is used, which contains no files
of other packages. Only if that does not run is the whole environment used; the output then depends on that environment
(``recipe``). The compiler sees the sources and can write to an empty directory; only plain files with the expected
names are taken from there.

There is one process per package, since compileall's output depends on what the same process compiled before. Several
processes share a sandbox, because creating one takes as long as compiling a hundred modules.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundler.cage import SYSTEM_PATH, Bind, Limits, owner, run_caged
from bundler.errors import MissingToolError, PackError
from bundler.pack.bytecode import bytecode_of
from bundler.platforms import runs_here
from bundler.printable import counted, last_lines
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bundler.prefix import Prefix

__all__ = ["Compiler", "place_of"]

_PYTHON, _WORK, _OUTPUT, _EMPTY = "/python", "/work", "/bytecode", "/empty"
_PROGRAM = """
import sys, compileall
sys.pycache_prefix = sys.argv.pop(1)
sys.exit(compileall.main())
"""
_LOOP = """
for job in /work/*.list; do
    name=${job##*/} name=${name%.list}
    "$1" -S -s -B -c "$2" "/bytecode/$name" -q -f -s "/work/$name/" -i "$job" --invalidation-mode unchecked-hash || :
done
"""
_ENV = {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "PATH": SYSTEM_PATH}
"""The hash seed decides the order of sets in the output, up to Python 3.10; so Python is not run with -I, which has it
ignore the seed: there is no other variable, and the directory that ``-c`` looks into is empty."""


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """``tag`` is its cache tag, such as ``cpython-311``; ``tree`` is the directory that is ``place`` in the sandbox.

    ``recipe`` describes what the output depends on in addition to the sources.
    """

    tree: Path
    place: str
    tag: str
    recipe: str

    @classmethod
    def of(cls, prefix: Prefix) -> Compiler | str:
        """The Python of ``prefix``; if there is none, or this machine cannot run it in a cage, why that is."""
        if not runs_here(prefix.lock.platform):
            return f"it is for {prefix.lock.platform}"
        conda = [archive for archive in prefix.archives if archive.package.manager == "conda"]
        own = [archive for archive in conda if archive.package.key == "python"]
        # Not prefix.path: link scripts may have put something else there.
        places = [(cache_dir("pkgs") / one.index().dist, _PYTHON, [one]) for one in own]
        places.append((prefix.linked, prefix.baked, conda))
        why = "there is none"
        for tree, place, archives in places:
            if os.path.lexists(tree / "bin" / "python"):
                recipe = (
                    f"bytecode compiled in a sandbox by {sorted(str(archive.package.sha256) for archive in archives)}"
                )
                tag, why = _ask(tree, place)
                if tag:
                    return cls(tree=tree, place=place, tag=tag, recipe=recipe)
        return why

    def compile(self, jobs: Sequence[tuple[str, ...]], room: Path) -> tuple[tuple[tuple[str, Path], ...], ...]:
        """Compile the sources of ``jobs``, a package's each, which lie below their :func:`place_of` in ``room``.

        Of each job the paths of what came out, sorted, and where that is. A source that does not compile is left out,
        as compileall does: it may be for another Python. Raises :class:`PackError` if it takes too long.
        """
        work, output, empty = (room / name for name in ("work", "output", "empty"))
        for directory in (work, output, empty):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o755)
        for number, sources in enumerate(jobs):
            listed = (os.fsencode(f"{_WORK}/{number}/{source}\n") for source in sorted(sources))
            (work / f"{number}.list").write_bytes(b"".join(listed))
            (work / f"{number}.list").chmod(0o644)
        binds = [_bind(self.tree, self.place), _bind(work, _WORK), _bind(empty, _EMPTY)]
        user = owner()
        if user is not None:
            os.chown(output, user, user)
        binds.append(Bind(source=output, target=_OUTPUT, writable=True))
        count = sum(map(len, jobs))
        limits = Limits(seconds=300 + count / 2)
        words = ["sh", "-c", _LOOP, "sh", f"{self.place}/bin/python", _PROGRAM]
        ended = run_caged(words, binds=binds, env=_ENV, cwd=_EMPTY, limits=limits)
        if ended.late or ended.status != 0:
            reason = f"did not finish within {limits.seconds:.0f} seconds" if ended.late else f"status {ended.status}"
            said = "".join(f"\n    {line}" for line in last_lines(ended.output, 5))
            raise PackError(
                f"compiling {counted(count, 'module')} failed: {reason}{said}",
                where="the environment's Python",
                remedy='Build on a machine with more memory, or compile on the server: bytecode = "install".',
            )
        return tuple(tuple(_taken(output, number, sources, self.tag)) for number, sources in enumerate(jobs))


def place_of(number: int, room: Path) -> Path:
    """The directory for the sources of a job."""
    return room / "work" / str(number)


def _bind(tree: Path, target: str) -> Bind:
    return Bind(source=tree, target=target)


def _ask(tree: Path, place: str) -> tuple[str, str]:
    """The cache tag of the Python in ``tree``; or an empty one, and why it does not run."""
    words = [
        f"{place}/bin/python",
        "-S",
        "-s",
        "-B",
        "-c",
        "import sys, compileall; print(sys.implementation.cache_tag)",
    ]
    try:
        ended = run_caged(words, binds=[_bind(tree, place)], env=_ENV)
    except MissingToolError as error:
        return "", error.message
    tag = ended.output.strip()
    if ended.status == 0 and tag.replace("-", "").replace("_", "").isalnum():
        return tag, ""
    return "", f"it does not run: {' '.join(last_lines(ended.output, 1)) or f'status {ended.status}'}"


def _taken(output: Path, number: int, sources: tuple[str, ...], tag: str) -> Iterator[tuple[str, Path]]:
    """The plain files that are not below links; the code that ran there may have left anything."""
    real: dict[Path, bool] = {output: True}

    def is_real(directory: Path) -> bool:
        if directory not in real:
            real[directory] = is_real(directory.parent) and _has_mode(directory, stat.S_ISDIR)
        return real[directory]

    for source in sorted(sources):
        path = bytecode_of(source, tag)
        directory, _, file = path.rpartition("/")
        there = output / str(number) / _WORK.strip("/") / str(number) / directory.removesuffix("__pycache__") / file
        if is_real(there.parent) and _has_mode(there, stat.S_ISREG):
            yield path, there


def _has_mode(path: Path, test: Callable[[int], bool]) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:  # also if a name is too long
        return False
    return test(mode)
