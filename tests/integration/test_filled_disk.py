"""Packages that unpack to more than they say, or than the disk holds: a sentence, and nothing of them is left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import zstandard
from channelserver import serve
from hostilekit import entry, package
from prefixkit import install, python_package, refused, wheel
from tinychannel import File, index, make_package

from bundler import diskspace
from bundler.errors import LockError
from bundler.linking import run as linking
from bundler.linking.run import forget
from bundler.lock.shim.launcher import Failure
from bundler.lock.translate import translate_solver
from bundler.package.info import declared_size
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_cache")

MIB = 1 << 20
ZEROS = bytes(48 * MIB)
"""Of which an archive has some kilobytes."""


def left() -> list[str]:
    """What is in the cache of what the evil package has unpacked to."""
    return [str(path) for path in cache_dir("pkgs").rglob("*") if "evil" in path.name or "zeros" in path.name]


def limits(room: Path, *, kept: int = 1 << 62) -> dict[str, object]:
    """Of a disk that is full before anything is written, unless all of it may be."""
    return {"room": str(room), "kept": kept, "most": None}


def keep_all_but(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """As if no more were free on the disk than ``size``."""
    monkeypatch.setattr(diskspace, "kept_free", lambda room: shutil.disk_usage(room).free - size)


def test_more_than_is_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = package(tmp_path, "fine", {"x": File(content=b"x")}, entry("x", b"x"))
    evil = package(tmp_path, "evil", {"a": File(content=b"a"), "zeros": File(content=ZEROS)}, entry("a", b"a"))
    monkeypatch.setattr(linking, "UNDECLARED", 8 * MIB)
    said = refused(evil, fine)
    assert said.startswith("evil (evil-1.0-0.conda): ")
    assert "declares 0 MiB" in said
    assert left() == []
    assert install(fine)["x"][1] == b"x"


def test_more_than_is_declared_in_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk does not notice is noticed at the end."""
    evil = package(tmp_path, "evil", {"a": File(content=b"a"), "zeros": File(content=ZEROS)}, entry("a", b"a"))
    monkeypatch.setattr(linking, "UNDECLARED", 40 * MIB)
    monkeypatch.setattr(linking, "_limits", lambda room, _: limits(room, kept=0))
    assert "it unpacks to 48 MiB and declares 0 MiB" in refused(evil)
    assert left() == []


def test_more_than_the_disk_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unsized = {key: value for key, value in entry("zeros", ZEROS).items() if key != "size_in_bytes"}
    evil = package(tmp_path, "evil", {"zeros": File(content=ZEROS)}, unsized)
    monkeypatch.setattr(linking, "_limits", lambda room, _: limits(room))
    said = refused(evil)
    assert "evil (evil-1.0-0.conda): unpacking was stopped before the disk was full: it has unpacked to" in said
    assert "declares no sizes" in said
    assert left() == []


def test_more_than_the_disk_holds_by_their_own_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = package(tmp_path, "large", {"x": File(content=b"x")}, entry("x", b"x", size_in_bytes=1 << 60))
    assert "the packages unpack to 1,099,511,627,776 MiB, but the disk has only" in refused(large)
    keep_all_but(monkeypatch, MIB)
    assert "the packages unpack to 48 MiB, but the disk has only 1 MiB for them" in refused(
        package(tmp_path, "other", {"zeros": File(content=ZEROS)}, entry("zeros", ZEROS))
    )


def test_a_placeholder_that_makes_files_many_times_as_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"/a" * (4 * MIB)
    more = {"prefix_placeholder": "/a", "file_mode": "text"}
    evil = package(tmp_path, "evil", {"x": File(content=content)}, entry("x", content, **more))
    # It is linked only: the packages' sizes are known when they are unpacked.
    monkeypatch.setattr(linking, "_limits", lambda room, said: limits(room, kept=1 << 62 if said == (None,) else 0))
    assert "linking was stopped before the disk was full" in refused(evil)


def test_a_wheel_that_unpacks_to_more_than_the_disk_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python, large = python_package(tmp_path), wheel(tmp_path, files={"zeros": ZEROS})
    install(python, large)
    keep_all_but(monkeypatch, MIB)
    monkeypatch.setattr(linking, "_limits", lambda room, _: limits(room, kept=0))
    assert "the wheels unpack to 48 MiB, but the disk has only 1 MiB for them" in refused(python, large)


SOLVE = """
import shutil
from types import SimpleNamespace
from bundler import diskspace
shutil.disk_usage = lambda room: SimpleNamespace(free=(32 << 20) - diskspace.size_of(room))
from bundler.lock.shim.conda import main
main(["create", "--dry-run", "--json", "--channel", %r, "mine"])
"""
"""Our solver, on a disk of 32 MiB."""


@pytest.mark.network
@pytest.mark.parametrize("size", [0, 1 << 30])
def test_repodata_that_unpacks_to_more_than_the_disk_holds(tmp_path: Path, size: int) -> None:
    make_package(tmp_path / "channel", "mine", "1.0")
    index(tmp_path / "channel")
    for path in tmp_path.rglob("*shards*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    good = (tmp_path / "channel/noarch/repodata.json").read_bytes()
    frame = zstandard.ZstdCompressor(level=1).compressobj()
    blanks = b"".join(frame.compress(b" " * MIB) for _ in range(size // MIB))
    (tmp_path / "channel/noarch/repodata.json.zst").write_bytes(blanks + frame.compress(good) + frame.flush())
    with serve(tmp_path / "channel") as server:
        words = [sys.executable, "-c", SOLVE % server.url()]
        environ = os.environ | {"CONDA_SUBDIR": "linux-64"}
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, timeout=120)
        assert server.requests("repodata.json.zst")
    answer = json.loads(done.stdout)
    assert answer["success"] is (size == 0)
    assert diskspace.size_of(cache_dir("repodata")) < MIB
    if size:
        said = answer["message"]
        assert said == "reading channels was stopped before the disk was full: less than 2 MiB were left"
        error = translate_solver(Failure(kind=answer["exception_name"], platform="linux-64", message=said), "here")
        assert isinstance(error, LockError)
        assert "CONDA_BUNDLER_CACHE" in str(error.remedy)


def test_directories_deeper_than_python_can_walk(tmp_path: Path) -> None:
    """Nobody declares them, but they are unpacked; once they were there each later build failed."""
    members = {"x": File(content=b"x"), "d/" * 1100 + "y": File(content=b"y")}
    deep = package(tmp_path, "deep", members, entry("x", b"x"))
    fine = package(tmp_path, "fine", {"z": File(content=b"z")}, entry("z", b"z"))
    assert install(deep, fine)["x"][1] == b"x"
    forget("deep-1.0-0")
    assert not (cache_dir("pkgs") / "deep-1.0-0").exists()
    evil = package(tmp_path, "evil", members, entry("x", b"other", prefix_placeholder="/placeholder", file_mode="text"))
    assert "x does not match the package's sha256" in refused(evil)
    assert [path.name for path in cache_dir("pkgs").glob("scratch-*")] == []
    declared = package(tmp_path, "declared", {}, entry("d/" * 1100 + "y", b"y"))
    assert "is too long, or in too many directories" in refused(declared)
    assert "that is too long, or in too many" in refused(
        python_package(tmp_path), wheel(tmp_path, files={"d/" * 1100 + "y": b"y"})
    )
    assert install(fine)["z"][1] == b"z"


@pytest.mark.parametrize("size", [None, "1", -1, 1.5])
def test_sizes_that_are_none(size: object) -> None:
    text = b'{"paths": [{"_path": "x"%s}]}' % (b"" if size is None else b', "size_in_bytes": %r' % (size,))
    assert declared_size({"info/paths.json": text.replace(b"'", b'"')}) is None


def test_what_honest_packages_declare() -> None:
    assert declared_size({"info/paths.json": b'{"paths": []}'}) == 0
    huge = b'{"paths": [{"_path": "x", "size_in_bytes": 1%s}]}' % (b"0" * 4000)
    assert declared_size({"info/paths.json": huge}) == 1 << 60  # more than a float holds, for people to read
    assert declared_size({"info/files": b"x\n"}) is None
