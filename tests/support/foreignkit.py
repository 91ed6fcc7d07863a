"""Packages for machines that this one is not: native code of a few bytes, and a Python that tells when it is run."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commandkit import conda_bundler
from tinychannel import PLACEHOLDER, File, Link, index, make_package

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

__all__ = [
    "ARM",
    "EVERY",
    "FOREIGN",
    "PYTHON",
    "TAIL",
    "TEXT",
    "Foreign",
    "build",
    "elf",
    "make_channel",
    "make_project",
    "run",
]

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
TEXT = b"/share/native/text"
TAIL = b"tail of the strings"
HEAD = """
[bundle]
name = "small"
version = "1.0"
"""
ARM = """
[platforms.linux-aarch64]
linux = "5.15"
cuda = "12.4"
"""
EVERY = f"""
[platforms.linux-64]
archspec = "x86_64_v2"
{ARM}
[platforms.linux-s390x]
"""
REST = """
[files]
"job.py" = "job.py"
[services.small]
command = ["python", "{app}/job.py"]
"""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A platform as ELF has it (``e_machine`` of elf.h)."""

    platform: str
    number: int
    order: str = "little"
    depends: tuple[str, ...] = ()


FOREIGN = (
    Foreign(platform="linux-64", number=62, depends=("__archspec 1 x86_64_v2",)),
    Foreign(platform="linux-aarch64", number=183, depends=("__linux >=5.15", "__cuda >=12.1")),
    Foreign(platform="linux-s390x", number=22, order="big"),
)


def elf(foreign: Foreign) -> bytes:
    """The head of a 64-bit shared library, and a string table with the placeholder in it."""
    order = 1 if foreign.order == "little" else 2
    ident = b"\x7fELF" + bytes([2, order, 1]) + bytes(9)

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little" if foreign.order == "little" else "big")

    sizes = [number(0, 8)] * 3 + [number(0, 4), number(64, 2), number(56, 2)] + [number(0, 2)] * 4
    head = ident + number(3, 2) + number(foreign.number, 2) + number(1, 4) + b"".join(sizes)
    assert len(head) == 64
    return head + b"\0" + PLACEHOLDER.encode() + TEXT + b"\0" + TAIL + b"\0"


def make_channel(channel: Path) -> Path:
    """``python`` and ``native`` for each of FOREIGN, and ``words``, which is noarch.

    Each Python is a script that makes ``ran-<platform>`` beside the channel, so that running it would not go unseen.
    """
    for foreign in FOREIGN:
        told = channel.parent / f"ran-{foreign.platform}"
        interpreter = File(content=f"#!/bin/sh\n: >'{told}'\necho cpython-0\n".encode(), mode=0o755)
        version = ".".join(map(str, sys.version_info[:3]))
        files: dict[str, bytes | File | Link] = {f"bin/{PYTHON}": interpreter, "bin/python": Link(PYTHON)}
        files |= {f"lib/{PYTHON}/os.py": b"import sys\n"}
        make_package(channel, "python", version, subdir=foreign.platform, files=files)
        make_package(
            channel,
            "native",
            "1.0",
            subdir=foreign.platform,
            depends=["__glibc >=2.17,<3.0.a0", *foreign.depends],
            files={"lib/libnative.so": File(content=elf(foreign), prefix="binary")},
        )
    make_package(
        channel,
        "words",
        "1.0",
        depends=["python"],
        python=True,
        entry_points=["words = words:main"],
        files={
            "site-packages/words/__init__.py": b"def main():\n    return 0\n",
            "site-packages/words/place.py": File(content=f"PLACE = '{PLACEHOLDER}'\n".encode(), prefix="text"),
        },
    )
    index(channel)
    return channel


def make_project(project: Path, *, tables: str = EVERY, dependencies: str = "python, native, words") -> Path:
    """``tables`` are further keys of ``[bundle]`` and the platforms."""
    project.mkdir(parents=True)
    (project / "environment.yml").write_text(f"channels: [nowhere]\ndependencies: [{dependencies}]\n")
    (project / "bundle.toml").write_text(HEAD + tables + REST)
    (project / "job.py").write_text("print('job')\n")
    return project


def run(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run conda-bundler."""
    return conda_bundler(*words, env=env)


def build(
    project: Path, channels: tuple[Path, ...], *options: str, env: dict[str, str] | None = None
) -> dict[str, Path]:
    """The bundles of the project, by their platform."""
    output = project.parent / f"dist-{project.name}"
    given = [f"--channel={channel.as_uri()}" for channel in channels]
    done = run("build", project, *given, "--output-dir", output, "--json", *options, env=env)
    assert done.returncode == 0, done.stderr
    output.with_suffix(".stderr").write_text(done.stderr)
    return dict(_by_platform(done.stdout))


def _by_platform(printed: str) -> Iterator[tuple[str, Path]]:
    for bundle in json.loads(printed)["bundles"]:
        path = Path(bundle["path"])
        yield path.name.removesuffix(".tar").removeprefix("small-1.0-"), path
