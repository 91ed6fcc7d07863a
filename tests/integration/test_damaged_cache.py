"""What lies in the package cache is never taken at its word: a changed copy is found and unpacked anew."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest
from commandkit import conda_bundler
from tinychannel import PLACEHOLDER, File, Link, index, make_package

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_cache")

CONFIG = """
[bundle]
name = "small"
version = "1.0"
[services.small]
command = ["tool"]
profile = "generic"
"""
PYC = b"\xa7\r\r\n" + bytes(12) + b"code"
PYTHON: dict[str, bytes | File | Link] = {
    "bin/python3.11": File(content=b"#!/bin/sh\nexit 1\n", mode=0o755),
    "bin/python": Link("python3.11"),
    "lib/python3.11/module.py": b"VALUE = 1\n",
    "lib/python3.11/__pycache__/module.cpython-311.pyc": PYC,
    "both": b"python's",
}
TOOL: dict[str, bytes | File | Link] = {
    "bin/tool": File(content=f"#!{PLACEHOLDER}/bin/sh\n".encode(), mode=0o755, prefix="text"),
    "lib/tool.bin": File(content=f"\x7fELF{PLACEHOLDER}/share\0tail".encode(), prefix="binary"),
    "share/plain": b"as it was built",
    "both": b"tool's",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A locked project, its caches warm."""
    room = tmp_path_factory.mktemp("damaged")
    channel, project = room / "channel", room / "project"
    make_package(channel, "python", "3.11.0", files=PYTHON)
    make_package(channel, "tool", "1.0", files=TOOL, depends=["python", "command"])
    make_package(
        channel,
        "command",
        "1.0",
        files={"site-packages/command.py": b"def main(): pass\n"},
        python=True,
        entry_points=("command = command:main",),
        depends=["python"],
    )
    index(channel)
    project.mkdir()
    (project / "environment.yml").write_text(f"channels: [{channel.as_uri()}]\ndependencies: [tool]\n")
    (project / "bundle.toml").write_text(CONFIG)
    build(project)
    return project


@pytest.fixture(scope="module")
def sound(project: Path) -> tuple[str, str]:
    return build(project)


def build(project: Path) -> tuple[str, str]:
    """The bundle's sha256, and what was said. Segments that were kept would spare most files from being read."""
    cache = project.parent / "cache"
    shutil.rmtree(cache / "segments", ignore_errors=True)
    done = conda_bundler("build", project, "--json", env={"CONDA_BUNDLER_CACHE": str(cache)})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["bundles"][0]["sha256"], done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "tool-1.0-0/share/plain",
        "tool-1.0-0/bin/tool",
        "tool-1.0-0/lib/tool.bin",
        "tool-1.0-0/both python-3.11.0-0/both",
        "tool-1.0-0/info/paths.json",
        "python-3.11.0-0/lib/python3.11/module.py",
        "python-3.11.0-0/lib/python3.11/__pycache__/module.cpython-311.pyc",
        "command-1.0-0/site-packages/command.py",
        "command-1.0-0/info/link.json",
    ],
)
@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_a_changed_copy_is_unpacked_anew(project: Path, sound: tuple[str, str], path: str, *, known: bool) -> None:
    if not known:
        shutil.rmtree(project.parent / "cache" / "checks")
    changed = [project.parent / "cache" / "pkgs" / word for word in path.split()]
    for file in changed:
        content = file.read_bytes()
        file.write_bytes(content.replace(b"m", b"M") if b"m" in content else content.swapcase())
        assert file.read_bytes() != content
    assert build(project)[0] == sound[0]
    assert build(project) == sound


@pytest.mark.parametrize("path", ["tool-1.0-0/share/plain", "tool-1.0-0/bin/tool", "tool-1.0-0/info", "tool-1.0-0"])
def test_what_is_missing_in_a_copy_is_unpacked_anew(project: Path, sound: tuple[str, str], path: str) -> None:
    gone = project.parent / "cache" / "pkgs" / path
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert build(project)[0] == sound[0]
    assert gone.exists()
    assert build(project) == sound


def test_an_archive_is_verified_before_anything_is_unpacked_from_it(project: Path, sound: tuple[str, str]) -> None:
    """One that was verified once, and has changed since."""
    cache = project.parent / "cache"
    (archive,) = (cache / "archives").rglob("tool-1.0-0.conda")
    content = archive.read_bytes()
    archive.write_bytes(content[:100] + bytes(20) + content[120:])
    assert build(project) == sound  # nothing is read of it
    shutil.rmtree(cache / "pkgs" / "tool-1.0-0")
    assert build(project) == sound
    assert archive.read_bytes() == content


def test_nothing_is_unpacked_from_what_was_not_verified(project: Path, sound: tuple[str, str], tmp_path: Path) -> None:
    """A copy that is found to lack a file only when it is linked, and in the store another archive of the same size."""
    cache = project.parent / "cache"
    (archive,) = (cache / "archives").rglob("tool-1.0-0.conda")
    files = {**TOOL, "bin/tool": File(content=f"#!{PLACEHOLDER}/bin/rm\n".encode(), mode=0o755, prefix="text")}
    del files["both"]
    other = make_package(tmp_path, "tool", "1.0", files=files, depends=["python", "command"])
    with zipfile.ZipFile(other, "a") as container:
        container.comment = bytes(archive.stat().st_size - other.stat().st_size)
    archive.write_bytes(other.read_bytes())
    (cache / "pkgs" / "tool-1.0-0" / "share" / "plain").unlink()
    assert build(project)[0] == sound[0]
    assert build(project) == sound


@pytest.mark.parametrize("change", ["torn", "bent", "empty"])
@pytest.mark.parametrize("which", ["archives/**/.tool-1.0-0.conda.info", "checks/*"])
def test_a_damaged_note_is_none(project: Path, sound: tuple[str, str], change: str, which: str) -> None:
    notes = list((project.parent / "cache").glob(which))
    before = {note: note.read_bytes() for note in notes}
    assert before
    for note, content in before.items():
        bent = content.replace(b"share", b"shore")  # still one that can be read
        if bent == content:
            bent = content[:-1] + bytes([content[-1] ^ 1])
        note.write_bytes({"torn": content[:-9], "bent": bent, "empty": b""}[change])
    assert build(project) == sound
    assert {note: note.read_bytes() for note in notes} == before


def test_a_package_that_declares_something_else_than_it_holds_is_refused(tmp_path: Path) -> None:
    make_package(
        tmp_path / "channel", "tool", "1.0", files={**TOOL, "share/plain": File(content=b"x", declared="0" * 64)}
    )
    index(tmp_path / "channel")
    (tmp_path / "environment.yml").write_text(f"channels: [{tmp_path.as_uri()}/channel]\ndependencies: [tool]\n")
    (tmp_path / "bundle.toml").write_text(CONFIG)
    done = conda_bundler("build", tmp_path)
    assert done.returncode == 5
    assert "share/plain in the package cache does not match its package's checksum" in done.stderr
    assert not list((tmp_path / "dist").glob("*"))
