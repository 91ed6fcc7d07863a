"""The CPython that packages are made of and for: the running one, or that of another Debian in a directory.

The second is started by its own dynamic loader, with its own libraries: nothing in the directory is changed, nothing
is mounted, and nobody has to be root.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import elf
from model import HERE, SUBDIRS, ChannelError

from bundler.machine.inside import resolve_inside
from bundler.process import ToolFailed, run

__all__ = ["Interpreter", "of_system", "running"]

_ASK = """\
import json, platform, sys, sysconfig
print(json.dumps({
    "version": platform.python_version(),
    "build": sys.version,
    "cache_tag": sys.implementation.cache_tag,
    "home": sys.base_prefix,
    "stdlib": sysconfig.get_path("stdlib"),
    "include": sysconfig.get_path("include"),
    "header": sysconfig.get_config_h_filename(),
    "implementation": sys.implementation.name,
    "libc": platform.libc_ver(),
}))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """What one says of itself. Its paths are this machine's; :meth:`inside` has what its own system calls them."""

    command: tuple[str | Path, ...]  # starts it
    lister: tuple[str | Path, ...]  # says which libraries one program loads in its system; empty: ldd does
    root: Path  # of its system
    version: str  # "3.11.7"
    build: str  # sys.version
    cache_tag: str  # "cpython-311"
    glibc: str  # its system's
    home: Path  # sys.base_prefix
    stdlib: Path
    include: Path
    header: Path  # pyconfig.h, which need not be there
    machine: str = HERE  # what packages are for; another's Python is never run

    @property
    def python(self) -> str:
        """``3.11``."""
        return self.version.rpartition(".")[0]

    @property
    def tag(self) -> str:
        """``311``."""
        return self.python.replace(".", "")

    @property
    def site_packages(self) -> str:
        """In an environment."""
        return f"lib/python{self.python}/site-packages"

    @property
    def prefix(self) -> str:
        """Where its own files believe to be."""
        return self.inside(self.home)

    @property
    def subdir(self) -> str:
        """conda's platform of what is made for it."""
        return SUBDIRS[self.machine]

    @property
    def foreign(self) -> bool:
        """Whether it is of another system or machine than this."""
        return self.root != Path("/") or self.machine != HERE

    def inside(self, path: Path) -> str:
        """The path in its own system."""
        return f"/{path.relative_to(self.root)}"

    def resolved(self, path: Path) -> Path:
        """The file that its own system finds at ``path``, links followed there."""
        return resolve_inside(self.root, self.inside(path))

    def libraries(self, files: tuple[Path, ...]) -> dict[str, Path]:
        """Every library outside glibc that ``files`` load: soname -> file.

        Raises :class:`ChannelError` if its system lacks one that this machine has.
        """
        found = elf.libraries(files, self.lister)
        for soname, path in found.items():
            if not path.is_relative_to(self.root):
                raise ChannelError(f"has no {soname}, which its Python needs", where=str(self.root))
        return {soname: self.resolved(path) for soname, path in found.items()}

    def run(self, code: str, *arguments: str | Path) -> str:
        """What ``code`` prints, with the standard library and nothing else."""
        return run([*self.command, "-I", "-S", "-c", code, *arguments]).stdout


def running() -> Interpreter:
    """The one that runs this tool. Raises :class:`ChannelError` if it is none that can be packed."""
    return _asked(command=(sys.executable,), lister=(), root=Path("/"))


def of_system(root: Path) -> Interpreter:
    """``/usr/bin/python3`` of the Debian whose root directory is ``root``.

    Raises :class:`ChannelError` if there is none that can be packed.
    """
    python = resolve_inside(root, "/usr/bin/python3")
    if not python.is_file():
        raise ChannelError(
            "the directory has no /usr/bin/python3",
            where=str(root),
            remedy="It has to be the root of a Debian with Python: mmdebstrap --include=python3 SUITE DIRECTORY",
        )
    loader = resolve_inside(root, elf.loader(python))
    here = f"{platform.machine()}-linux-gnu"
    places = os.pathsep.join(str(resolve_inside(root, f"{lib}/{here}")) for lib in ("/lib", "/usr/lib"))
    # Without the cache, which is this machine's.
    load = (loader, "--inhibit-cache", "--library-path", places)
    return _asked(command=(*load, python), lister=(*load, "--list"), root=root)


def _asked(*, command: tuple[str | Path, ...], lister: tuple[str | Path, ...], root: Path) -> Interpreter:
    try:
        said = json.loads(run([*command, "-I", "-c", _ASK]).stdout)
    except ToolFailed as failure:
        raise ChannelError(f"its Python does not run:\n{failure.tail(3)}", where=str(root)) from failure
    libc, glibc = said["libc"]
    if said["implementation"] != "cpython" or libc != "glibc":
        raise ChannelError("the channel's Python package is made of CPython on glibc only", where=str(command[-1]))
    return Interpreter(
        command=command,
        lister=lister,
        root=root,
        version=said["version"],
        build=said["build"],
        cache_tag=said["cache_tag"],
        glibc=glibc,
        home=Path(said["home"]),
        stdlib=Path(said["stdlib"]),
        include=Path(said["include"]),
        header=Path(said["header"]),
    )
