"""Wheel -> conda package: noarch if it has no compiled code, else for this machine and Python.

Sources: https://packaging.python.org/en/latest/specifications/binary-distribution-format/ and, for what conda
does with ``noarch: python``, https://conda.io/projects/conda/en/stable/dev-guide/deep-dives/install.html
"""

from __future__ import annotations

import base64
import configparser
import email.parser
import hashlib
import posixpath
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import elf
from bytecode import compiled
from model import PLACEHOLDER, ChannelError, Member, Package
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from runtime import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

    from interpreter import Interpreter
    from wheels import Pin

__all__ = ["package"]


@dataclass(frozen=True, kw_only=True)
class _Wheel:
    """An opened wheel: its files (path -> content, executable) and its metadata."""

    path: Path
    pin: Pin
    interpreter: Interpreter
    files: Mapping[str, tuple[bytes, bool]]
    metadata: Message
    dist_info: str
    pure: bool

    @property
    def site(self) -> str:
        """Where modules go; conda moves a noarch package's to the Python at hand."""
        return "site-packages" if self.pure else self.interpreter.site_packages

    @property
    def bin(self) -> str:
        return "python-scripts" if self.pure else "bin"


def package(wheel: Path, pin: Pin, names: Mapping[str, str], interpreter: Interpreter) -> Package:
    """The conda package of ``wheel``, for ``interpreter``; ``names`` has conda's name for PyPI's, where they differ."""
    opened = _open(wheel, pin, interpreter)
    scripts = _console_scripts(opened)
    members = list(_placed(opened))
    if not opened.pure:
        members += [_script(entry) for entry in scripts]
    members, providers = _with_runtime(wheel, members)
    members += [
        Member(path=f"{opened.site}/{opened.dist_info}/INSTALLER", content=b"conda\n"),
        _record(opened, members),
    ]
    if not opened.pure:
        members += compiled(tuple(members), interpreter)
    floor = elf.glibc_floor(member.content for member in members if elf.is_elf(member.content))
    return Package(
        name=pin.name,
        version=pin.version,
        license=_license(opened.metadata),
        summary=opened.metadata.get("Summary", ""),
        home=opened.metadata.get("Home-page"),
        members=tuple(members),
        licenses=tuple(_license_texts(opened)),
        subdir="noarch" if opened.pure else interpreter.subdir,
        noarch="python" if opened.pure else None,
        depends=_depends(opened, names) + providers + ((f"__glibc >={floor},<3.0.a0",) if floor else ()),
        entry_points=scripts if opened.pure else (),
        build_prefix="py" if opened.pure else f"py{interpreter.tag}",
        archive=pin.archive,
    )


def _open(wheel: Path, pin: Pin, interpreter: Interpreter) -> _Wheel:
    with zipfile.ZipFile(wheel) as archive:
        files = {
            part.filename: (archive.read(part), bool(part.external_attr >> 16 & 0o111))
            for part in archive.infolist()
            if not part.is_dir()
        }
    (marker,) = (name for name in files if name.endswith(".dist-info/WHEEL") and name.count("/") == 1)
    dist_info = marker.split("/")[0]

    def parse(name: str) -> Message:
        # As text: of bytes that are not ASCII the parser makes something that is none.
        return email.parser.Parser().parsestr(files[f"{dist_info}/{name}"][0].decode())

    return _Wheel(
        path=wheel,
        pin=pin,
        interpreter=interpreter,
        files=files,
        metadata=parse("METADATA"),
        dist_info=dist_info,
        pure=all(tag.endswith("-none-any") for tag in parse("WHEEL").get_all("Tag", [])),
    )


def _placed(wheel: _Wheel) -> Iterator[Member]:
    """The wheel's files where conda wants them; the RECORD is made anew."""
    data = wheel.dist_info.removesuffix(".dist-info") + ".data/"
    for name, (content, executable) in wheel.files.items():
        if name == f"{wheel.dist_info}/RECORD" or "/__pycache__/" in name:  # some bring bytecode: it is made anew
            continue
        if not name.startswith(data):
            yield Member(path=f"{wheel.site}/{name}", content=content, executable=executable)
            continue
        kind, _, rest = name.removeprefix(data).partition("/")
        if kind == "scripts":
            yield _shipped_script(f"{wheel.bin}/{rest}", content)
        elif kind in ("purelib", "platlib"):
            yield Member(path=f"{wheel.site}/{rest}", content=content, executable=executable)
        elif kind == "data":
            yield Member(path=rest, content=content, executable=executable)
        else:
            raise ChannelError(f"no place is known for {name}", where=str(wheel.path))


def _shipped_script(path: str, content: bytes) -> Member:
    first, newline, rest = content.partition(b"\n")
    if not first.startswith(b"#!python"):
        return Member(path=path, content=content, executable=True)
    shebang = f"#!{PLACEHOLDER}/bin/python".encode()
    return Member(path=path, content=shebang + newline + rest, executable=True, placeholder="text")


def _console_scripts(wheel: _Wheel) -> tuple[str, ...]:
    """``name = module:function``, as conda's link.json has it."""
    content, _ = wheel.files.get(f"{wheel.dist_info}/entry_points.txt", (b"", False))
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(content.decode())
    if "console_scripts" not in parser:
        return ()
    return tuple(sorted(f"{name} = {target}" for name, target in parser["console_scripts"].items()))


def _script(entry: str) -> Member:
    name, _, target = entry.partition(" = ")
    module, _, function = target.partition(":")
    text = (
        f"#!{PLACEHOLDER}/bin/python\n"
        "import sys\n\n"
        f"from {module} import {function.split('.')[0]}\n\n"
        f'if __name__ == "__main__":\n    sys.exit({function}())\n'
    )
    return Member(path=f"bin/{name}", content=text.encode(), executable=True, placeholder="text")


def _record(wheel: _Wheel, members: list[Member]) -> Member:
    """RECORD, without hashes for what an installer will change."""
    record = f"{wheel.site}/{wheel.dist_info}/RECORD"
    installer = Member(path=f"{wheel.site}/{wheel.dist_info}/INSTALLER", content=b"conda\n")
    lines = [f"{wheel.dist_info}/RECORD,,"]
    for member in [*members, installer]:
        path = posixpath.relpath(member.path, wheel.site)
        digest = base64.urlsafe_b64encode(hashlib.sha256(member.content).digest()).rstrip(b"=").decode()
        lines.append(f"{path},," if member.placeholder else f"{path},sha256={digest},{len(member.content)}")
    return Member(path=record, content="".join(f"{line}\n" for line in sorted(lines)).encode())


def _with_runtime(wheel: Path, members: list[Member]) -> tuple[list[Member], tuple[str, ...]]:
    """The members, able to find the system's libraries in the environment, and the packages that bring these.

    A wheel may count on a few libraries of the system; a minimal target has none of them.
    """
    own = {posixpath.basename(member.path) for member in members}
    found = []
    providers: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "object")
        for member in members:
            if not elf.is_elf(member.content):
                found.append(member)
                continue
            file.write_bytes(member.content)
            foreign = elf.needed([file]) - own
            _refuse(wheel, foreign - PROVIDERS.keys())
            if foreign:
                elf.add_runpath(file, member.path)
            providers |= {PROVIDERS[soname] for soname in foreign}
            found.append(replace(member, content=file.read_bytes()))
    return found, tuple(sorted(providers - {"python"}))  # that one every wheel has


def _refuse(wheel: Path, foreign: frozenset[str]) -> None:
    if foreign:
        raise ChannelError(
            f"needs {', '.join(sorted(foreign))}, which no package of this channel has",
            where=str(wheel),
            remedy="Add a recipe for a package with these libraries to runtime.py.",
        )


def _depends(wheel: _Wheel, names: Mapping[str, str]) -> tuple[str, ...]:
    if wheel.pure:
        python = _match_spec("python", SpecifierSet(wheel.metadata.get("Requires-Python", "")))
    else:
        major, minor = wheel.interpreter.python.split(".")
        python = f"python >={major}.{minor},<{major}.{int(minor) + 1}.0a0"
    extras = ("", *wheel.pin.extras)
    environment = {key: str(value) for key, value in default_environment().items()}
    environment |= {"python_version": wheel.interpreter.python, "python_full_version": wheel.interpreter.version}
    environment["platform_machine"] = wheel.interpreter.machine
    found = {python}
    for line in wheel.metadata.get_all("Requires-Dist", []):
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in extras):
            project = canonicalize_name(requirement.name)
            found.add(_match_spec(names.get(project, project), requirement.specifier))
    return tuple(sorted(found))


def _match_spec(name: str, specifiers: SpecifierSet) -> str:
    """PEP 440 and conda agree on most operators; ``==1.2.*`` is plain ``1.2.*`` there."""
    parts = sorted(str(specifier) for specifier in specifiers)
    conda = [part[2:] if part.startswith("==") and part.endswith(".*") else part for part in parts]
    return f"{name} {','.join(conda)}".strip()


def _license(metadata: Message) -> str:
    stated = metadata.get("License-Expression") or metadata.get("License") or ""
    return stated.strip().splitlines()[0] if stated.strip() else "LicenseRef-see-files"


def _license_texts(wheel: _Wheel) -> Iterator[Member]:
    for name, (content, _) in wheel.files.items():
        inside = name.removeprefix(f"{wheel.dist_info}/")
        if inside != name and inside.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")):
            yield Member(path=inside.removeprefix("licenses/"), content=content)
