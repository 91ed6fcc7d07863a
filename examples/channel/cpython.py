"""An interpreter made into a conda package that runs anywhere with a new enough glibc.

It may come from pyenv, a distribution, a container image or conda. What it needs outside glibc is put into ``lib/``,
since the target machines are minimal; where it was built is forgotten.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import elf
from bytecode import compiled
from model import PLACEHOLDER, ChannelError, Member, Package, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interpreter import Interpreter

__all__ = ["recipe"]

_LEFT_OUT_DIRECTORIES = {
    "__pycache__",  # compiled anew: the machine's own name its prefix
    "dist-packages",
    "idle_test",
    "idlelib",  # the graphical parts: Tk and X11 are not vendored
    "site-packages",  # the machine's, not the interpreter's
    "test",
    "tests",
    "tkinter",
    "turtledemo",
}
_LEFT_OUT_FILES = (
    "*.a",
    "*.o",
    "EXTERNALLY-MANAGED",  # the distribution's word on its own directories
    "_crypt.*",  # libcrypt and libnsl alone would raise the glibc that is needed, and bring Kerberos along
    "_ctypes_test.*",
    "_test*.so",
    "_tkinter.*",
    "_xxtestfuzz.*",
    "nis.*",
    "sitecustomize.py",
    "turtle.py",
    "usercustomize.py",
    "xxlimited*.so",
)
_SCRIPTS = ("2to3-{0}", "pydoc{0}", "python{0}-config")

# Debian's site looks into dist-packages, which a conda environment does not have; from 3.11 on it is frozen into the
# interpreter, where a name of the same length can stand in. Its sysconfig behaves as everybody's does in a virtual
# environment, which is what it recognises by the other expression.
_DEBIAN_SITE = (b"dist-packages", b"site-packages")
_DEBIAN_SCHEME = (b'sys.base_prefix != sys.prefix or hasattr(sys, "real_prefix")', b"True")


def recipe(interpreter: Interpreter) -> Recipe:
    """The ``python`` package."""
    files = dict(_files(interpreter))
    stats = [f"{name} {path} {_stamp(path)}" for name, path in sorted(files.items())]
    # The loader's cache is rewritten when a library package changes, and costs less to look at than ldd does.
    machine = [interpreter.build, str(interpreter.home), _stamp(interpreter.root / "etc/ld.so.cache")]
    return Recipe(key="python", inputs="\n".join(machine + stats), make=lambda: _package(files, interpreter))


def _private_prefixes(interpreter: Interpreter) -> dict[str, str]:
    """Where the interpreter was installed -> a path as long that exists nowhere. Empty for /usr and the like.

    The last component stays: a linker may have merged another string into the end of the path, such as the version
    in ``~/.pyenv/versions/3.11.7``. ``/usr`` says nothing about a machine, and is in half of all text files.
    """
    found: dict[str, str] = {}
    for prefix in (interpreter.prefix, interpreter.inside(interpreter.resolved(interpreter.home))):
        head, _, last = prefix.rpartition("/")
        if head and prefix != "/usr/local":
            neutral = ("/nonexistent" * len(head))[: len(head)]
            found[prefix] = f"{neutral}/{last}"
    return found


def _stamp(path: Path) -> str:
    if not path.exists():
        return "absent"
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _files(interpreter: Interpreter) -> Iterator[tuple[str, Path]]:
    """Path in the package -> file on this machine."""
    prefix, python = interpreter.home, interpreter.python
    yield f"bin/python{python}", interpreter.resolved(prefix / "bin" / f"python{python}")
    for pattern in _SCRIPTS:
        script = prefix / "bin" / pattern.format(python)
        if script.is_file():
            yield f"bin/{script.name}", script
    for directory, subdirectories, names in os.walk(interpreter.stdlib):
        subdirectories[:] = sorted(set(subdirectories) - _LEFT_OUT_DIRECTORIES)
        for name in sorted(names):
            path = Path(directory, name)
            if any(fnmatch.fnmatch(name, pattern) for pattern in _LEFT_OUT_FILES):
                continue
            if (file := interpreter.resolved(path)).is_file():
                yield str(path.relative_to(prefix)), file
    # sysconfig reads this one header; the others are for building extensions, which nobody does on a server.
    if interpreter.header.is_file():
        yield f"include/{interpreter.include.name}/pyconfig.h", interpreter.header
    for path in sorted((prefix / "lib" / "pkgconfig").glob(f"python-{python}*.pc")):
        yield f"lib/pkgconfig/{path.name}", path


def _package(files: dict[str, Path], interpreter: Interpreter) -> Package:
    objects = {name: path for name, path in files.items() if elf.is_elf(_first_bytes(path))}
    vendored = interpreter.libraries(tuple(objects.values()))
    objects.update({f"lib/{soname}": path for soname, path in vendored.items()})
    members = [_text_member(name, path, interpreter) for name, path in files.items() if name not in objects]
    native = _relocatable(objects, interpreter)
    members += [*native, *_links(files, frozenset(objects), interpreter.python)]
    members += compiled(tuple(members), interpreter)
    _refuse_prefixes(members, interpreter)
    return Package(
        name="python",
        version=interpreter.version,
        license="Python-2.0",
        summary="General purpose programming language",
        home="https://www.python.org/",
        members=tuple(members),
        licenses=tuple(
            Member(path=path.name, content=path.read_bytes()) for path in sorted(interpreter.stdlib.glob("LICENSE*"))
        ),
        depends=(f"__glibc >={elf.glibc_floor(member.content for member in native)},<3.0.a0",),
        build_suffix="_cpython",
    )


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _text_member(name: str, path: Path, interpreter: Interpreter) -> Member:
    content = path.read_bytes()
    if name.endswith(("/site.py", "/sysconfig.py", "/sysconfig/__init__.py")):
        content = content.replace(*_DEBIAN_SITE).replace(*_DEBIAN_SCHEME)
    if name.startswith("bin/"):
        content = _with_own_shebang(content, interpreter.prefix)
    if name.rpartition("/")[2].startswith("_sysconfigdata"):
        # Values that start with the prefix: right for /usr too, which is nowhere else replaced. The system's time
        # zones stay the system's.
        start = re.compile(rb"(?<=')(?<!'TZPATH': ')" + re.escape(interpreter.prefix.encode()) + rb"(?=['/])")
        content = start.sub(PLACEHOLDER.encode(), content)
    if b"\0" not in content:
        for prefix in _private_prefixes(interpreter):
            content = content.replace(prefix.encode(), PLACEHOLDER.encode())
    marked = PLACEHOLDER.encode() in content
    executable = name.startswith("bin/") or os.access(path, os.X_OK)
    return Member(path=name, content=content, executable=executable, placeholder="text" if marked else None)


def _with_own_shebang(content: bytes, prefix: str) -> bytes:
    """A script of the interpreter's own runs under the environment's, also where the prefix is /usr."""
    ours = f"#!{prefix}/bin/python".encode()
    replaced = f"#!{PLACEHOLDER}/bin/python".encode()
    return replaced + content[len(ours) :] if content.startswith(ours) else content


def _relocatable(objects: dict[str, Path], interpreter: Interpreter) -> list[Member]:
    """The ELF files, without debug sections, absolute RUNPATHs and their build prefix."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, path in objects.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, root / name)
        # In this order: strip does not understand what patchelf leaves behind.
        elf.strip_debug([root / name for name in objects])
        elf.set_runpaths(root, objects)
        return [
            Member(path=name, content=_neutral((root / name).read_bytes(), interpreter), executable=True)
            for name in sorted(objects)
        ]


def _neutral(content: bytes, interpreter: Interpreter) -> bytes:
    """An ELF file whose strings have been overwritten where they knew too much, none of them moved."""
    for prefix, neutral in _private_prefixes(interpreter).items():
        content = content.replace(prefix.encode(), neutral.encode())
    return content.replace(*_DEBIAN_SITE)


def _links(files: dict[str, Path], objects: frozenset[str], python: str) -> Iterator[Member]:
    for name in ("python", "python3"):
        yield Member(path=f"bin/{name}", target=f"python{python}")
    for name, target in (
        ("2to3", f"2to3-{python}"),
        ("pydoc", f"pydoc{python}"),
        ("pydoc3", f"pydoc{python}"),
        ("python-config", f"python{python}-config"),
        ("python3-config", f"python{python}-config"),
    ):
        if f"bin/{target}" in files:
            yield Member(path=f"bin/{name}", target=target)
    shared = f"lib/libpython{python}.so"
    if f"{shared}.1.0" in objects:
        yield Member(path=shared, target=f"libpython{python}.so.1.0")


def _refuse_prefixes(members: list[Member], interpreter: Interpreter) -> None:
    system = (str(interpreter.root),) if interpreter.foreign else ()
    for prefix in (*_private_prefixes(interpreter), *system):
        for member in members:
            if prefix.encode() in member.content:
                raise ChannelError(f"still names this machine's {prefix}", where=f"python: {member.path}")
