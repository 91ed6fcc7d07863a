"""The compiler's runtime libraries, which manylinux wheels expect of a system: ``libgcc`` and ``libstdcxx``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import elf
from model import ChannelError, Member, Package, Recipe

from bundler.process import ToolFailed

if TYPE_CHECKING:
    from interpreter import Interpreter

__all__ = ["PROVIDERS", "recipes"]

# soname -> package. zlib is the interpreter's: its own modules need it, so it is vendored there.
PROVIDERS = {"libgcc_s.so.1": "libgcc", "libstdc++.so.6": "libstdcxx", "libz.so.1": "python"}

_LICENSE = "GPL-3.0-only WITH GCC-exception-3.1"


# The loader's choice, whatever its search path is made of.
_LOAD = """\
import ctypes, sys
ctypes.CDLL(sys.argv[1])
print(open("/proc/self/maps", encoding="utf-8").read())
"""


def recipes(interpreter: Interpreter) -> tuple[Recipe, ...]:
    """Both, from the libraries that the loader of its system finds."""
    return (
        _recipe("libgcc", "libgcc_s.so.1", (), _loaded("libgcc_s.so.1", interpreter)),
        _recipe("libstdcxx", "libstdc++.so.6", ("libgcc",), _loaded("libstdc++.so.6", interpreter)),
    )


def _recipe(name: str, soname: str, depends: tuple[str, ...], path: Path) -> Recipe:
    stat = path.stat()
    inputs = f"{path} {stat.st_size} {stat.st_mtime_ns}"
    return Recipe(key=name, inputs=inputs, make=lambda: _package(name, soname, path, depends))


def _loaded(soname: str, interpreter: Interpreter) -> Path:
    """The file that the dynamic loader takes for ``soname``."""
    try:
        maps = interpreter.run(_LOAD, soname)
    except ToolFailed as missing:
        raise ChannelError(
            f"the system has no {soname}",
            where=str(interpreter.root),
            remedy="Install it, on Debian and Ubuntu: apt-get install libstdc++6",
        ) from missing
    stem = soname.partition(".so")[0]
    for line in filter(None, maps.splitlines()):
        path = Path(line.split(maxsplit=5)[-1])
        if path.name.startswith((f"{stem}.so", f"{stem}-")) and path.is_relative_to(interpreter.root):
            return path
    raise ChannelError(f"{soname} is loaded, but /proc/self/maps does not show it", where=soname)


def _package(name: str, soname: str, path: Path, depends: tuple[str, ...]) -> Package:
    content = _relocatable(soname, path)
    return Package(
        name=name,
        # The last number of the file's name is what the library calls itself: libstdc++.so.6.0.30.
        version=path.resolve().name.partition(".so.")[2] or "1",
        license=_LICENSE,
        summary=f"{soname}, which compiled code of other packages is linked with",
        home="https://gcc.gnu.org/",
        depends=(f"__glibc >={elf.glibc_floor([content])},<3.0.a0", *depends),
        members=(Member(path=f"lib/{soname}", content=content, executable=True),),
    )


def _relocatable(soname: str, path: Path) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "lib", soname)
        copy.parent.mkdir()
        shutil.copyfile(path, copy)
        elf.strip_debug([copy])
        elf.set_runpaths(Path(scratch), [f"lib/{soname}"])
        return copy.read_bytes()
