"""install.sh where there is no zstd: when the bundle's own is used, and that it is checked before it is run."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
import zstandard
from shellkit import BUSYBOX, SHELLS_WITH_TOOLS, with_functions

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOOLS = "cat chmod cp env grep gzip head mkdir rm sed sha256sum sh tail tr"
_PROGRAM = "tools/bin/zstd.gz"
_LIBRARY = "tools/lib/libother.so.1.gz"
CONTENT = os.urandom(100_000) * 3


@dataclass(frozen=True)
class Target:
    """A bundle and a machine's tools in a directory; ``ran`` is there once the bundle's program was run."""

    room: Path
    shell: str

    @property
    def ran(self) -> Path:
        return self.room / "ran"

    def program(self, script: str) -> None:
        """What the bundle has as its program."""
        self.files({_PROGRAM: f"#!/bin/sh\n: >{self.ran}\n{script}\n".encode(), _LIBRARY: b"a library"})

    def files(self, contents: dict[str, bytes]) -> None:
        for name, content in contents.items():
            path = self.room / "bundle" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(content, mtime=0))

    def run(
        self,
        steps: str,
        *,
        stdin: bytes = b"",
        digests: Mapping[str, str] = MappingProxyType({}),
        values: Mapping[str, str] = MappingProxyType({}),
    ) -> _Done:
        bundle = self.room / "bundle"
        found = {
            name: hashlib.sha256((bundle / name).read_bytes()).hexdigest()
            for name in (_PROGRAM, _LIBRARY)
            if (bundle / name).exists()
        } | dict(digests)
        listed = "".join(f'    "$1" {digest} {name}\n' for name, digest in found.items())
        header = {
            "PROGRAM": "install.sh",
            "NAME": "hello",
            "RELEASE": "1.0-0123456789ab",
            "IMAGE": "",
            "PAYLOAD_CODEC": "zstd",
            "DECOMPRESSOR": _PROGRAM,
            "DECOMPRESSOR_DIR": "tools",
            "DECOMPRESSOR_LOADER": "",
            "DECOMPRESSOR_GLIBC": "",
            "PATH": f"{self.room}/bin",
        } | dict(values)
        text = "".join(f"{name}='{value}'\n" for name, value in header.items())
        script = f"{text}each_file() {{\n{listed}    :\n}}\n"
        script += f"BUNDLE='{bundle}' STAGE='{self.room}/releases/.1.0.partial'\n{steps}\n"
        (self.room / "script").write_text(with_functions(script, header=text))
        done = subprocess.run(
            [*self.shell.split(), self.room / "script"],
            input=stdin,
            capture_output=True,
            check=False,
            env={"LD_LIBRARY_PATH": "/nowhere", "LD_PRELOAD": "", "ZSTD_CLEVEL": "1"},
        )
        return _Done(status=done.returncode, stdout=done.stdout, stderr=done.stderr.decode())


@dataclass(frozen=True, kw_only=True)
class _Done:
    status: int
    stdout: bytes
    stderr: str


@pytest.fixture(params=[pytest.param(one.values, id=one.id) for one in SHELLS_WITH_TOOLS])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    shell, tools = request.param
    for name in ("bin", "releases", "bundle"):
        (tmp_path / name).mkdir()
    for tool in {*_TOOLS.split(), shell.partition(" ")[0]}:
        found = shutil.which("busybox" if tools == BUSYBOX and tool != "dash" else tool)
        (tmp_path / "bin" / tool).symlink_to(found or "/missing")
    return Target(tmp_path, shell)


def tool(target: Target, name: str, script: str) -> None:
    path = target.room / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_bundles_own_reads_the_payload(target: Target) -> None:
    target.program(f'[ -z "${{LD_LIBRARY_PATH-}}${{ZSTD_CLEVEL-}}" ] && exec {shutil.which("zstd")} "$@"')
    done = target.run("bring_decompressor; decompress", stdin=zstandard.compress(CONTENT))
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == CONTENT
    brought = target.room / "releases" / ".1.0.tools.partial" / "tools"
    assert brought.parent.stat().st_mode & 0o777 == 0o700
    assert (brought / "lib" / "libother.so.1").read_bytes() == b"a library"
    shutil.rmtree(brought.parent)
    assert target.run("bring_decompressor; drop_decompressor; drop_decompressor").status == 0
    assert list((target.room / "releases").iterdir()) == []


def test_the_machines_own_is_taken_where_there_is_one(target: Target) -> None:
    target.program("exit 1")
    tool(target, "zstd", f'exec {shutil.which("zstd")} "$@"')
    done = target.run("bring_decompressor; decompress; codec_tool", stdin=zstandard.compress(CONTENT))
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout == CONTENT + b"zstd\n"
    assert not target.ran.exists()
    assert list((target.room / "releases").iterdir()) == []


@pytest.mark.parametrize("name", [_PROGRAM, _LIBRARY])
def test_a_damaged_one_is_not_run(target: Target, name: str) -> None:
    target.program("cat")
    done = target.run("bring_decompressor", digests={name: "0" * 64})
    assert done.status == 11
    assert f"{name} does not match its checksum" in done.stderr
    assert not target.ran.exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo 'no such\033 loader' >&2; exit 127", "does not run: no such loader"), ("echo 2", "does not run: 2")],
)
def test_one_that_does_not_run_here_says_so(target: Target, script: str, said: str) -> None:
    target.program(script)
    done = target.run("bring_decompressor")
    assert done.status == 10
    assert f"there is no zstd on this machine, and the one in the bundle {said}" in done.stderr
    assert "Install zstd, or build the bundle with --compression gzip." in done.stderr


def test_one_for_another_processor_says_so(target: Target) -> None:
    foreign = bytearray(Path(shutil.which("zstd") or "").read_bytes())
    foreign[18:20] = b"\xff\x00"  # e_machine
    target.files({_PROGRAM: bytes(foreign), _LIBRARY: b""})
    done = target.run("bring_decompressor")
    assert done.status == 10
    assert "the one in the bundle does not run" in done.stderr


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"DECOMPRESSOR_LOADER": "/lib/ld-none.so.9"}, "needs /lib/ld-none.so.9"),
        ({"DECOMPRESSOR_GLIBC": "2.40"}, "needs glibc 2.40 or later, not 2.36"),
        ({"DECOMPRESSOR_GLIBC": "2.36", "DECOMPRESSOR_LOADER": "/bin/sh"}, ""),
        ({"DECOMPRESSOR": "", "DECOMPRESSOR_GLIBC": "2.40"}, ""),
    ],
)
def test_preflight_sees_what_it_would_lack(target: Target, values: dict[str, str], said: str) -> None:
    tool(target, "getconf", "echo glibc 2.36")
    done = target.run('check_decompressor; exit "$PROBLEMS"', values=values)
    assert done.status == bool(said), done.stderr
    assert said in done.stderr
    assert bool(said) is ("Install zstd" in done.stderr)
    tool(target, "zstd", "exit 1")
    assert target.run('check_decompressor; exit "$PROBLEMS"', values=values).status == 0


def test_preflight_asks_for_what_the_payload_needs(target: Target) -> None:
    for codec, decompressor, asked in (
        ("zstd", _PROGRAM, b"env gzip\n"),
        ("zstd", "", b"zstd\n"),
        ("xz", "", b"xz\n"),
        ("gzip", "", b"gzip\n"),
        ("none", "", b""),
    ):
        done = target.run("codec_tool", values={"PAYLOAD_CODEC": codec, "DECOMPRESSOR": decompressor})
        assert (done.status, done.stdout) == (0, asked)
