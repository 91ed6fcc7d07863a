#!/usr/bin/env python3
"""`make release`: from the tag of this very commit to everything that is published with it, in dist/release.

sdist, wheel (with the documentation, for `conda-bundler docs`), the wheel and all that it needs as one file
(onefile.py), SHA256SUMS and the version's section of the changelog.
Nothing is fetched and nothing is uploaded: its last lines say how. Two runs on the same commit give the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from onefile import needs, zipapp

CHECKOUT = Path(__file__).resolve().parent.parent
GOAL = CHECKOUT / "dist" / "release"
SITE = CHECKOUT / "build" / "site"


def main() -> None:
    version = _version()
    _check_tag(version)
    notes = _section(version)
    if GOAL.exists():
        shutil.rmtree(GOAL)
    GOAL.mkdir(parents=True)
    subprocess.run([sys.executable, CHECKOUT / "ci" / "documentation.py"], check=True, stdout=sys.stderr)
    env = os.environ | {"SOURCE_DATE_EPOCH": _git("log", "-1", "--format=%ct"), "CONDA_BUNDLER_SITE": str(SITE)}
    for target in ("sdist", "wheel"):
        words = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(GOAL)]
        subprocess.run(words, cwd=CHECKOUT, env=env, check=True, stdout=sys.stderr)
    distributions = sorted(GOAL.iterdir())
    (wheel,) = GOAL.glob("*.whl")
    pex = zipapp(wheel, GOAL)
    print(f"{pex.name} needs {needs(pex)}", file=sys.stderr)
    files = sorted(GOAL.iterdir())
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (GOAL / "SHA256SUMS").write_text(sums, encoding="utf-8")
    (GOAL / "CHANGES.md").write_text(notes, encoding="utf-8")
    print(sums, end="")
    print(f"Upload: twine upload {_names(distributions)}")
    assets = f"dist/release/SHA256SUMS {_names(files)}"
    print(f"        gh release create v{version} --notes-file dist/release/CHANGES.md {assets}")


def _names(files: list[Path]) -> str:
    return " ".join(f"dist/release/{file.name}" for file in files)


def _version() -> str:
    text = (CHECKOUT / "bundler" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if not found:
        sys.exit("error: bundler/__init__.py: no __version__")
    return found[1]


def _check_tag(version: str) -> None:
    """What is released is what was tagged: the commit, and nothing besides."""
    if changed := _git("status", "--porcelain", "--untracked-files=no"):
        sys.exit(f"error: the work tree has changes that are not committed:\n{changed}\n  Commit or stash them.")
    tags = _git("tag", "--points-at", "HEAD").split()
    if f"v{version}" not in tags:
        sys.exit(
            f"error: this commit has not the tag v{version}, only {', '.join(tags) or 'none'}\n"
            f"  Tag it: git tag -s v{version}; or set __version__ in bundler/__init__.py."
        )


def _section(version: str) -> str:
    """The version's part of CHANGELOG.md, without its heading."""
    text = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", text, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        sys.exit(f"error: CHANGELOG.md: no section [{version}], or an empty one\n  Rename [Unreleased] to it.")
    return found[1].strip() + "\n"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
