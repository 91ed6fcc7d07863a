"""Files that are whole from the moment they have their name, and locks."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from bundler.atomic import hold_lock, new_name, write_file

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_whole_with_the_mode_that_it_is_to_have(tmp_path: Path) -> None:
    path = tmp_path / "file"
    before = os.umask(0o027)
    try:
        write_file(path, b"first")
        assert (path.read_bytes(), mode(path)) == (b"first", 0o640)
        write_file(path, b"second", mode=0o755, sync=True)
        assert (path.read_bytes(), mode(path)) == (b"second", 0o755)
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_the_old_file_and_nothing_besides(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_file(path, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(FileNotFoundError):
        write_file(tmp_path / "nowhere" / "file", b"new")


def test_a_new_name_is_beside_the_file_and_fits_into_a_directory(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    names = {new_name(path) for _ in range(9)}
    assert len(names) == 9
    assert {name.parent for name in names} == {tmp_path}
    assert max(len(name.name) for name in names) <= 255
    write_file(path, b"long")
    assert path.read_bytes() == b"long"


@pytest.mark.parametrize("kind", ["directory", "link", "file"])
def test_one_holds_a_lock_at_a_time(tmp_path: Path, kind: str) -> None:
    """A cache's directory may be a link to a disk with more room."""
    path = tmp_path / "locked"
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to("elsewhere")
    with hold_lock(path), pytest.raises(BlockingIOError), hold_lock(path, wait=False):
        pass
    with hold_lock(path, wait=False):
        pass
