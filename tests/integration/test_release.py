"""`make release`: from a tag to what is published, in a clone of this very checkout."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
VERSION = "7.8.9"


def git(clone: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x", *words], cwd=clone, check=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in the work tree, committed, with a version and a section of the changelog of its own."""
    clone = tmp_path_factory.mktemp("release") / "clone"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, goal = CHECKOUT / name, clone / name
        if source.is_file() and not name.startswith("tests/") and not name.startswith("examples/"):
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(source.read_bytes())
            goal.chmod(source.stat().st_mode)
    (clone / "bundler" / "__init__.py").write_text(f'__version__ = "{VERSION}"\n')
    changes = (clone / "CHANGELOG.md").read_text()
    section = f"## [Unreleased]\n\n## [{VERSION}] - 2030-01-01\n\n- New.\n\n## [7.8.8]\n\n- Old.\n"
    (clone / "CHANGELOG.md").write_text(changes.partition("## [Unreleased]")[0] + section)
    git(clone, "init", "-q")
    git(clone, "add", ".")
    git(clone, "commit", "-qm", "x")
    return clone


def release(clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "ci/release.py"], cwd=clone, capture_output=True, text=True, check=False)


def test_from_a_tag_to_what_is_published(clone: Path) -> None:
    done = release(clone)
    assert done.returncode == 1
    assert f"this commit has not the tag v{VERSION}, only none" in done.stderr
    git(clone, "tag", f"v{VERSION}")

    digests = []
    for _ in range(2):
        done = release(clone)
        assert done.returncode == 0, done.stderr
        goal = clone / "dist" / "release"
        tag = f"cp{sys.version_info.major}{sys.version_info.minor}-linux_{os.uname().machine}"
        onefile = f"conda-bundler-{VERSION}-{tag}.pex"
        files = {f"conda_bundler-{VERSION}.tar.gz", f"conda_bundler-{VERSION}-py3-none-any.whl", onefile}
        assert {file.name for file in goal.iterdir()} == files | {"SHA256SUMS", "CHANGES.md"}
        sums = dict(line.split()[::-1] for line in (goal / "SHA256SUMS").read_text().splitlines())
        with zipfile.ZipFile(goal / f"conda_bundler-{VERSION}-py3-none-any.whl") as wheel:
            for page, language in ("index.html", "en"), ("zh/index.html", "zh"):
                assert f'<html lang="{language}"' in wheel.read(f"bundler/site/{page}").decode()
        assert sums == {name: hashlib.sha256((goal / name).read_bytes()).hexdigest() for name in files}
        digests.append(sums)
        assert (goal / "CHANGES.md").read_text() == "- New.\n"
        assert f"gh release create v{VERSION} " in done.stdout
        assert onefile not in done.stdout.partition("twine upload")[2].partition("\n")[0]  # no index takes it
    assert digests[0] == digests[1]

    (clone / "README.md").write_text("changed")
    done = release(clone)
    assert done.returncode == 1
    assert "README.md" in done.stderr
    git(clone, "checkout", "-q", "README.md")
    git(clone, "tag", "-d", f"v{VERSION}")
    (clone / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n- New.\n")
    git(clone, "commit", "-qam", "y")
    git(clone, "tag", f"v{VERSION}")
    done = release(clone)
    assert done.returncode == 1
    assert f"CHANGELOG.md: no section [{VERSION}]" in done.stderr
