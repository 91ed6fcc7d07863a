#!/usr/bin/env python3
"""`make zipapp`: conda-bundler and all that it needs as one file, for a build machine without a network: dist/….pex.

It is made from what is installed in .venv, by the hashes in requirements.txt, so nothing is fetched. Several of these
packages are compiled: the file is for the Python that makes it, as its name says. Its first start unpacks it into the
cache directory of whoever runs it. Two runs on the same commit give the same bytes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import distributions
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def main() -> None:
    goal = CHECKOUT / "dist"
    with tempfile.TemporaryDirectory() as room:
        words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", room]
        subprocess.run(words, cwd=CHECKOUT, check=True, stdout=sys.stderr)
        (wheel,) = Path(room).glob("*.whl")
        made = zipapp(wheel, goal)
    print(f"{made.relative_to(CHECKOUT)}: {made.stat().st_size / 1e6:.0f} MB; needs {needs(made)}")


def zipapp(wheel: Path, goal: Path) -> Path:
    """``wheel`` with the packages that it requires, as they are installed beside the Python that runs this."""
    version = wheel.name.split("-")[1]
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}-linux_{os.uname().machine}"
    made = goal / f"conda-bundler-{version}-{tag}.pex"
    goal.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        # Our own package is installed from the checkout, which pex would copy with all of build: it gets the wheel's.
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(room)
        (ours,) = distributions(path=[room])
        required = [line for line in ours.requires or () if "extra ==" not in line]
        words = [sys.executable, "-m", "pex", *required, "--sources-directory", room]
        words += ["--venv-repository", sys.prefix, "--no-build", "--no-pypi", "--venv", "prepend"]
        words += ["--entry-point", "bundler.cli:main", "--output-file", str(made)]
        env = os.environ | {"PEX_ROOT": str(CHECKOUT / "build" / "pex")}
        subprocess.run(words, check=True, env=env, stdout=sys.stderr)
    return made


def needs(made: Path) -> str:
    """What a machine must have, by the names of the wheels inside."""
    with zipfile.ZipFile(made) as archive:
        wheels = json.loads(archive.read("PEX-INFO"))["distributions"]
    oldest = [min(found) for name in wheels if (found := glibcs(name))]
    glibc = ".".join(map(str, max(oldest)))
    return f"CPython {sys.version_info.major}.{sys.version_info.minor}, {os.uname().machine}, glibc {glibc}"


def glibcs(name: str) -> list[tuple[int, int]]:
    """The glibcs of a wheel's platform tags, each of which would do."""
    legacy = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
    found = [glibc for tag, glibc in legacy.items() if f"{tag}_" in name]
    return found + [(int(major), int(minor)) for major, minor in re.findall(r"manylinux_(\d+)_(\d+)_", name)]


if __name__ == "__main__":
    main()
