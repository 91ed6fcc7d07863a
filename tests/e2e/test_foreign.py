"""A bundle for aarch64 that was built here: refused by this machine, installed and run on an emulated one."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from emulation import debian, lacking, run_emulated
from examplekit import CHECKOUT
from foreignkit import ARM, FOREIGN, build, elf, make_channel, make_project
from targetkit import changes, ready
from tinychannel import PLACEHOLDER, File, Link, index, make_package

from bundler.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.e2e

LIB = "lib/python3.11"
SITE = "lib/python3/dist-packages"  # as Debian's Python has it
ASKS = """
import sys
import httptools

parser = httptools.HttpRequestParser(object())
parser.feed_data(b"GET / HTTP/1.1\\r\\n\\r\\n")
print(parser.get_method().decode(), sys.prefix, httptools.__cached__)
"""
TRIAL = """
set -eu
uname -m
sh /srv/bundle/install.sh --no-systemd --prefix /srv/edge >&2
env=$(echo /srv/edge/envs/*)
"$env/bin/ask"
find "$env" -name '*.pyc' | wc -l
head -c 17 "$env/lib/libnative.so" | od -An -tu2 -j16 -N2 | tr -d ' '
tr '\\000' '\\n' <"$env/lib/libnative.so" | grep share/native
sed -n 's/^small://p' /etc/passwd
sh /srv/edge/manage verify >&2
"""


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of packages that need no Debian of aarch64."""
    room = tmp_path_factory.mktemp("synthetic")
    project = make_project(room / "p", tables=ARM)
    return build(project, (make_channel(room / "channel"),), "--format=dir")["linux-aarch64"]


def test_this_machine_refuses_it(synthetic: Path, bookworm: Path, tmp_path: Path) -> None:
    with Machine(bookworm) as machine:
        target = ready(machine, tmp_path)
        machine.copy_in(synthetic, "/root/bundle")
        before = target.listing()
        for option in ("--check", "--no-start", "--no-systemd", "--root=/srv"):
            answer = machine.run("sh", "/root/bundle/install.sh", option)
            assert answer.status == 10, answer.stderr
            said = "error: this bundle is for aarch64 (linux-aarch64); this machine is x86_64\n"
            assert answer.stderr.count(said) == 1, answer.stderr
        assert not changes(before, target.listing())


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of Debian's Python for aarch64, a wheel of PyPI with compiled code for it, and a library with a prefix in it."""
    if why := lacking():
        pytest.skip(f"emulating aarch64 needs {why}")
    room = tmp_path_factory.mktemp("real")
    channel = room / "channel"
    root = debian() / "usr"
    files: dict[str, bytes | File | Link] = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in (root / LIB).rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    program = File(content=(root / "bin/python3.11").read_bytes(), mode=0o755)
    files |= {"bin/python3.11": program, "bin/python": Link("python3.11")}
    make_package(channel, "python", "3.11.2", subdir="linux-aarch64", files=files, depends=["__glibc >=2.34"])
    (foreign,) = (foreign for foreign in FOREIGN if foreign.platform == "linux-aarch64")
    ask = f"#!{PLACEHOLDER}/bin/python -I\n{ASKS}".encode()
    made: dict[str, bytes | File | Link] = {
        "bin/ask": File(content=ask, mode=0o755, prefix="text"),
        "lib/libnative.so": File(content=elf(foreign), prefix="binary"),
        **_wheel(room),
    }
    make_package(channel, "asking", "1.0", subdir="linux-aarch64", depends=["python"], files=made)
    index(channel)
    tables = '[platforms.linux-aarch64]\nglibc = "2.36"\n'
    return build(make_project(room / "p", tables=tables, dependencies="asking"), (channel,), "--format=dir")[
        "linux-aarch64"
    ]


def _wheel(room: Path) -> dict[str, bytes | File | Link]:
    """The wheel for the Debian's Python, whatever runs this test."""
    words = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(room),
    ]
    words += ["--platform=manylinux2014_aarch64", "--platform=manylinux_2_17_aarch64", "--python-version=3.11"]
    words += ["--implementation=cp", "--abi=cp311", "--disable-pip-version-check", "httptools==0.9.0"]
    subprocess.run(words, check=True, timeout=300, cwd=CHECKOUT)
    (wheel,) = room.glob("httptools-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        return {f"{SITE}/{name}": archive.read(name) for name in names}


def test_an_emulated_machine_installs_and_runs_it(real: Path) -> None:
    """Relocated, compiled and verified there; nothing of it has run before."""
    done = run_emulated(real, TRIAL)
    assert done.returncode == 0, done.stderr
    machine, asked, compiled, number, text, user = done.stdout.splitlines()
    method, prefix, cached = asked.split()
    assert (machine, method) == ("aarch64", "GET")
    assert prefix.startswith("/srv/edge/envs/")
    assert cached == f"{prefix}/{SITE}/httptools/__pycache__/__init__.cpython-311.pyc"
    assert "compiling " in done.stderr
    assert int(compiled) > 200
    assert (number, text) == ("3", f"{prefix}/share/native/text")
    assert user.endswith(":/usr/sbin/nologin")
