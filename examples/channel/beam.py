"""``erlang`` and ``elixir`` from Debian's packages, laid out as conda-forge has them; neither needs Python.

What Erlang's programs need outside glibc goes into a directory of Erlang's own: a minimal target lacks some of it,
and ``lib/`` belongs to the packages of those libraries.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import elf
from model import PLACEHOLDER, ChannelError, Member, Package, Recipe

from bundler.process import ToolFailed, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


@dataclass(frozen=True, kw_only=True)
class _Deb:
    """One of Debian's packages, as apt would fetch it now."""

    name: str
    version: str
    sha256: str

    @property
    def upstream(self) -> str:
        """``25.2.3`` of ``1:25.2.3+dfsg-1+deb12u4``."""
        found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", self.version)
        assert found
        return found[1]


def recipes(cache: Path) -> tuple[Recipe, ...]:
    """Both. Raises :class:`ChannelError` where there is no apt, or its lists do not know the packages."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ChannelError("Erlang and Elixir are made from Debian's packages, and this machine has no apt")
    known = {deb.name: deb for deb in _known((*_ERLANG, *_ELIXIR))}
    erlang, elixir = (tuple(known[name] for name in names) for names in (_ERLANG, _ELIXIR))
    room = cache / "debian"
    return (
        Recipe(key="erlang", inputs=f"{erlang}", make=lambda: _erlang(erlang, room)),
        Recipe(key="elixir", inputs=f"{elixir} {erlang}", make=lambda: _elixir(elixir, room, erlang[0].upstream)),
    )


def _known(names: Sequence[str]) -> tuple[_Deb, ...]:
    """What apt's lists, which it has verified, say of the packages."""
    try:
        shown = run(["apt-cache", "show", "--no-all-versions", *names]).stdout
    except ToolFailed as failure:
        raise ChannelError(
            f"apt does not know all of {', '.join(names)}:\n{failure.tail(3)}",
            where="Debian's packages",
            remedy="Fetch its lists: apt-get update",
        ) from failure
    stanzas = (
        dict(re.findall(r"^(Package|Version|SHA256): (.*)$", text, re.MULTILINE)) for text in shown.split("\n\n")
    )
    return tuple(
        _Deb(name=entry["Package"], version=entry["Version"], sha256=entry["SHA256"]) for entry in stanzas if entry
    )


def _erlang(debs: tuple[_Deb, ...], room: Path) -> Package:
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        _unpack(debs, room, tree)
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


def _elixir(debs: tuple[_Deb, ...], room: Path, erlang: str) -> Package:
    with tempfile.TemporaryDirectory() as scratch:
        _unpack(debs, room, Path(scratch))
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


def _unpack(debs: Sequence[_Deb], room: Path, tree: Path) -> None:
    for path in _fetched(debs, room):
        run(["dpkg-deb", "--extract", path, tree])


def _fetched(debs: Sequence[_Deb], room: Path) -> tuple[Path, ...]:
    """The packages' files; apt fetches those that ``room`` lacks."""
    goals = {deb: room / f"{deb.sha256}.deb" for deb in debs}
    missing = [deb for deb, path in goals.items() if not path.is_file()]
    if missing:
        room.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=room, prefix=".partial-") as scratch:
            found = _downloaded(missing, Path(scratch))
            for deb in missing:
                if deb.sha256 not in found:
                    raise ChannelError("apt brought another file than its list says", where=f"{deb.name} {deb.version}")
                found[deb.sha256].replace(goals[deb])
    return tuple(goals.values())


def _downloaded(debs: Sequence[_Deb], directory: Path) -> dict[str, Path]:
    """Digest -> file."""
    wanted = [f"{deb.name}={deb.version}" for deb in debs]
    try:
        # As root it would otherwise complain that its own user may not write here.
        run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *wanted], cwd=directory)
    except ToolFailed as failure:
        raise ChannelError(
            f"apt could not download {', '.join(wanted)}:\n{failure.tail(3)}",
            where="Debian's packages",
            remedy="Its lists may be too old: apt-get update",
        ) from failure
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in directory.glob("*.deb")}


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
