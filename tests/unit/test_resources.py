"""Whose the caches are, since root runs and boots what is there; and which templates count for a release."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from bundler import resources
from bundler.errors import ConfigError
from bundler.resources import cache_dir, templates_dir

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to give a directory to somebody else")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "above" / "cache"
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(path))
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_cache_is_its_users_alone(cache: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert cache_dir("rootfs") == cache / "rootfs"
    finally:
        os.umask(before)
    assert [mode_of(path) for path in (cache, cache / "rootfs")] == [0o700, 0o700]


def test_a_room_that_an_older_version_left_open_is_closed(cache: Path) -> None:
    (cache / "rootfs").mkdir(parents=True, mode=0o755)
    (cache / "rootfs").chmod(0o755)
    cache_dir("rootfs")
    assert mode_of(cache / "rootfs") == 0o700


@root_only
@pytest.mark.parametrize("place", [".", "rootfs"])
@pytest.mark.parametrize(
    ("owner", "mode", "why"), [(65534, 0o755, "uid 65534"), (0, 0o775, "0775"), (0, 0o1777, "1777")]
)
def test_root_refuses_what_others_could_write(cache: Path, place: str, owner: int, mode: int, why: str) -> None:
    (cache / "rootfs").mkdir(parents=True)
    os.chown(cache / place, owner, owner)
    (cache / place).chmod(mode)
    with pytest.raises(ConfigError, match="refusing to use this cache as root") as caught:
        cache_dir("rootfs")
    assert why in caught.value.message
    assert "CONDA_BUNDLER_CACHE" in str(caught.value.remedy)
    assert caught.value.where == str(cache / place)
    assert mode_of(cache / place) == mode, "it was changed"


@root_only
def test_nothing_is_made_in_a_cache_that_is_not_ours(cache: Path) -> None:
    cache.mkdir(parents=True)
    os.chown(cache, 65534, 65534)
    with pytest.raises(ConfigError, match="uid 65534"):
        cache_dir("rootfs")
    assert list(cache.iterdir()) == []


def test_others_use_a_cache_that_was_given_to_them(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "rootfs").mkdir(parents=True)
    (cache / "rootfs").chmod(0o775)
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert cache_dir("rootfs") == cache / "rootfs"


@pytest.mark.parametrize(
    ("template", "counts"),
    [("install/main.sh", True), ("lib/lock.sh", True), ("report/style.css", False), ("init/job/bundle.toml.j2", False)],
)
def test_a_template_that_is_in_no_bundle_makes_no_other_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, counts: bool
) -> None:
    copy = Path(shutil.copytree(templates_dir(), tmp_path / "templates"))
    monkeypatch.setattr(resources, "templates_dir", lambda: copy)
    digest = resources.templates_digest.__wrapped__
    before = digest()
    assert before == resources.templates_digest()
    with (copy / template).open("a") as file:
        file.write("# more\n")
    assert (digest() != before) is counts
