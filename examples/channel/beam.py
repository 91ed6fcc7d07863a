"""``erlang`` and ``elixir`` from Debian's packages, laid out as conda-forge has them; neither needs Python.

What Erlang's programs need outside glibc goes into a directory of Erlang's own: a minimal target lacks some of it,
and ``lib/`` belongs to the packages of those libraries.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import elf
from debian import has_apt, known, unpack
from model import PLACEHOLDER, ChannelError, Member, Package, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from debian import Deb

__all__ = ["recipes"]

# What Elixir needs, and what releases usually ask for beside it. No wx: no server has a screen.
_ERLANG = (
    "erlang-asn1",
    "erlang-base",
    "erlang-crypto",
    "erlang-eunit",
    "erlang-inets",
    "erlang-mnesia",
    "erlang-os-mon",
    "erlang-parsetools",
    "erlang-public-key",
    "erlang-runtime-tools",
    "erlang-ssl",
    "erlang-syntax-tools",
    "erlang-tools",
    "erlang-xmerl",
)
_ELIXIR = ("elixir",)
_ERLANG_PROGRAMS = ("epmd", "erl", "erlc", "escript")
_VENDORED = "lib/erlang/vendored"


def recipes(cache: Path) -> tuple[Recipe, ...]:
    """Both. Raises :class:`ChannelError` where there is no apt, or its lists do not know the packages."""
    if not has_apt():
        raise ChannelError("Erlang and Elixir are made from Debian's packages, and this machine has no apt")
    found = {deb.name: deb for deb in known((*_ERLANG, *_ELIXIR))}
    erlang, elixir = (tuple(found[name] for name in names) for names in (_ERLANG, _ELIXIR))
    room = cache / "debian"
    return (
        Recipe(key="erlang", inputs=f"{erlang}", make=lambda: _erlang(erlang, room)),
        Recipe(key="elixir", inputs=f"{elixir} {erlang}", make=lambda: _elixir(elixir, room, erlang[0].upstream)),
    )


def _erlang(debs: tuple[Deb, ...], room: Path) -> Package:
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        unpack(debs, room, tree)
        members = list(_members(tree, "lib/erlang"))
        native = _relocatable(tree, [member for member in members if elf.is_elf(member.content)])
    members = [member for member in members if not elf.is_elf(member.content)]
    members += native
    members += [Member(path=f"bin/{name}", target=f"../lib/erlang/bin/{name}") for name in _ERLANG_PROGRAMS]
    return Package(
        name="erlang",
        version=debs[0].upstream,
        license="Apache-2.0",
        summary="A language for large systems that have to stay up",
        home="https://www.erlang.org/",
        members=tuple(members),
        depends=(f"__glibc >={elf.glibc_floor(member.content for member in native)},<3.0.a0",),
    )


def _elixir(debs: tuple[Deb, ...], room: Path, erlang: str) -> Package:
    with tempfile.TemporaryDirectory() as scratch:
        unpack(debs, room, Path(scratch))
        members = tuple(_members(Path(scratch), "lib/elixir"))
    scripts = [member.path for member in members if member.path.startswith("lib/elixir/bin/")]
    major = int(erlang.partition(".")[0])
    return Package(
        name="elixir",
        version=debs[0].upstream,
        license="Apache-2.0",
        summary="A functional language on the Erlang VM",
        home="https://elixir-lang.org/",
        subdir="noarch",
        noarch="generic",
        members=(*members, *(Member(path=f"bin/{posixpath.basename(path)}", target=f"../{path}") for path in scripts)),
        depends=(f"erlang >={major},<{major + 1}.0a0",),
    )


def _members(tree: Path, top: str) -> Iterator[Member]:
    """What Debian has below ``/usr/<top>``, for ``<top>`` of an environment."""
    usr = tree / "usr"
    for path in sorted((usr / top).rglob("*")):
        name = path.relative_to(usr).as_posix()
        if path.is_symlink():
            target = os.path.relpath(path.resolve(), path.parent.resolve())
            if path.resolve().is_relative_to(usr / top) and path.exists():
                yield Member(path=name, target=target)
        elif path.is_file():
            yield _file(name, path.read_bytes(), executable=os.access(path, os.X_OK))


def _file(name: str, content: bytes, *, executable: bool) -> Member:
    """A start script says where Erlang is; compiled code does not care."""
    if b"\0" not in content:
        content = content.replace(b"/usr/lib/erlang", f"{PLACEHOLDER}/lib/erlang".encode())
    marked = PLACEHOLDER.encode() in content
    return Member(path=name, content=content, executable=executable, placeholder="text" if marked else None)


def _relocatable(tree: Path, objects: Sequence[Member]) -> list[Member]:
    """The ELF files and the libraries that they need, all of which find each other wherever they are put."""
    root = tree / "usr"
    files = [root / member.path for member in objects]
    vendored = elf.libraries(files)
    if absent := elf.needed(files) - vendored.keys():
        raise ChannelError(
            f"this machine has no {', '.join(sorted(absent))}",
            where="erlang",
            remedy="Install it: Erlang's programs are linked with it, and the package brings it along.",
        )
    (root / _VENDORED).mkdir(parents=True)
    for soname, path in vendored.items():
        shutil.copyfile(path, root / _VENDORED / soname)
    paths = sorted([member.path for member in objects] + [f"{_VENDORED}/{soname}" for soname in vendored])
    elf.set_runpaths(root, paths, libraries=_VENDORED)
    return [Member(path=path, content=(root / path).read_bytes(), executable=True) for path in paths]
