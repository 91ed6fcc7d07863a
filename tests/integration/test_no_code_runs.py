"""No code of a package runs while a bundle is built, but in the cage.

Every package of this channel carries code in every place where Python, a shell or the dynamic loader would look, and
all of it writes to one place of the host that anyone may write to. Python's own package has some, too: what runs it in
the cage runs that.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pypikit import make_wheel
from realpython import VERSION, real_python
from smallbundle import command
from tinychannel import File, Link, make_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.usefixtures("own_cache")

SITE = f"lib/python{VERSION}/site-packages"
CONFIG = """
[bundle]
name = "small"
version = "1.0"
lockfile = "linux-64.lock"
bytecode = "build"
[services.small]
command = ["python"]
profile = "generic"
"""
LIBRARY = """
#include <fcntl.h>
#include <unistd.h>
__attribute__((constructor)) static void run(void)
{{
    int file = open("{marks}/library", O_CREAT | O_WRONLY, 0666);
    if (file >= 0) close(file);
}}
"""
MODULES = (
    "sitecustomize",
    "usercustomize",
    "argparse",
    "json",
    "encodings",
    "compileall",
    "zlib",
    "bundler",
    "rattler",
)
PROGRAMS = ("sh", "bash", "env", "mount", "unshare", "setpriv", "prlimit", "uv", "git", "conda-lock", "sha256sum")
LIBRARIES = ("libc.so.6", "libm.so.6", "libdl.so.2", "libz.so.1", "libpreload.so", "ld-linux-x86-64.so.2")


@pytest.fixture
def marks() -> Iterator[Path]:
    """Where all code leaves a mark; whatever user runs it."""
    path = Path(tempfile.mkdtemp(prefix="marks-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def python_code(marks: Path, name: str) -> bytes:
    return f"try: open({str(marks / name)!r}, 'w').close()\nexcept OSError: pass\n".encode()


def shell_code(marks: Path, name: str) -> bytes:
    return f"#!/bin/sh\n: >{marks / name}\n".encode()


def native_code(marks: Path, room: Path) -> bytes:
    """A library that leaves its mark when it is loaded; without a compiler one that cannot be."""
    compiler = shutil.which("cc")
    if compiler is None:
        return b"\x7fELF"
    (room / "library.c").write_text(LIBRARY.format(marks=marks))
    words: list[str | Path] = [compiler, "-shared", "-fPIC", "-o", room / "library.so", room / "library.c"]
    subprocess.run(words, check=True)
    return (room / "library.so").read_bytes()


def hostile_files(marks: Path, package: str, room: Path) -> dict[str, bytes | File | Link]:
    """All that a package which is not Python's may have."""
    files: dict[str, bytes | File | Link] = {}
    for name in MODULES:
        files[f"{SITE}/{name}.py"] = python_code(marks, f"{package}-module-{name}")
    line = f"import os; os.close(os.open({str(marks / package)!r} + '-pth', os.O_CREAT))\n"
    files[f"{SITE}/{package}.pth"] = line.encode()
    for name in PROGRAMS:
        files[f"bin/{name}"] = File(content=shell_code(marks, f"{package}-program-{name}"), mode=0o755)
    content = native_code(marks, room)
    for name in LIBRARIES:
        files |= {f"lib/{name}": content, f"lib/glibc-hwcaps/x86-64-v2/{name}": content}
    for name in ("activate.d", "deactivate.d"):
        files[f"etc/conda/{name}/{package}.sh"] = shell_code(marks, f"{package}-{name}")
    variables = {"LD_PRELOAD": "${CONDA_PREFIX}/lib/libpreload.so", "BASH_ENV": "bin/sh", "PYTHONSTARTUP": "x"}
    files[f"etc/conda/env_vars.d/{package}.json"] = json.dumps(variables).encode()
    for name in ("pre-link", "post-link", "pre-unlink"):
        script = shell_code(marks, f"{package}-{name}")
        files[f"bin/.{package}-{name}.sh"] = File(content=script, mode=0o755)
    menu = {"menu_name": package, "menu_items": [{"name": "x", "precommand": f": >{marks}/menu", "command": ["x"]}]}
    files[f"Menu/{package}.json"] = json.dumps(menu).encode()
    return files


def hostile_python(marks: Path) -> dict[str, bytes | File | Link]:
    """A Python that runs code of its own before it does anything."""
    files = dict(real_python())
    path = f"share/real/lib/python{VERSION}/compileall.py"
    code = files[path]
    assert isinstance(code, bytes)
    assert b"from __future__" not in code
    files[path] = python_code(marks, "python-own-module") + code
    files[f"lib/python{VERSION}/own.py"] = b"OWN = 1\n"
    return files


def lock(path: Path, archives: list[Path], wheels: Mapping[str, Path]) -> None:
    def digest(archive: Path) -> str:
        return hashlib.sha256(archive.read_bytes()).hexdigest()

    lines = [f"{archive.as_uri()}#{digest(archive)}" for archive in archives]
    lines += [f"# pip {name} @ {wheel.as_uri()} --hash=sha256:{digest(wheel)}" for name, wheel in wheels.items()]
    path.write_text("\n".join(["# platform: linux-64", "@EXPLICIT", *lines, ""]))


def test_nothing_of_a_hostile_channel_runs_outside_the_cage(tmp_path: Path, marks: Path) -> None:
    channel, project, room = (tmp_path / name for name in ("channel", "project", "room"))
    project.mkdir()
    room.mkdir()
    python = make_package(channel, "python", f"{VERSION}.0", subdir="linux-64", files=hostile_python(marks))
    evil = make_package(channel, "evil", "1.0", files=hostile_files(marks, "evil", room))
    noarch = make_package(
        channel,
        "pointed",
        "1.0",
        files={"site-packages/pointed.py": python_code(marks, "pointed"), "python-scripts/tool": b"#!/bin/sh\n"},
        python=True,
        entry_points=("pip = pointed:main", "uv-build = pointed:main"),
        depends=["python"],
    )
    wheel = make_wheel(
        tmp_path / "wheels",
        "wheeled",
        "1.0",
        files={
            "wheeled.py": python_code(marks, "wheeled"),
            "wheeled.pth": b"import wheeled\n",
            "wheeled-1.0.data/scripts/wheel-script": b"#!python\n" + python_code(marks, "wheel-script"),
            "wheeled-1.0.data/data/etc/conda/activate.d/wheeled.sh": shell_code(marks, "wheel-activate"),
        },
        scripts={"pip3": "wheeled:main"},
    )
    lock(project / "linux-64.lock", [python, evil, noarch], {"wheeled": wheel})
    (project / "bundle.toml").write_text(CONFIG)

    for _ in range(2):  # cold caches, and warm ones
        done = command("build", project, "--format", "dir", "--output-dir", tmp_path / "dist")
        assert done.returncode == 0, done.stderr
        assert not list(marks.iterdir())
    assert command("verify", tmp_path / "dist" / "small-1.0-linux-64").returncode == 0
    assert not list(marks.iterdir())

    with tarfile.open(tmp_path / "dist" / "small-1.0-linux-64" / "environment.tar.gz") as tar:
        names = set(tar.getnames())
    compiled = [name for name in names if name.startswith(f"env/lib/python{VERSION}/") and name.endswith(".pyc")]
    assert len(compiled) > len(MODULES), "it was compiled here, by that Python"
    assert f"env/{SITE}/sitecustomize.py" in names
