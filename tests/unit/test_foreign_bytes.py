"""What `make fuzz` has found, and its like: each is answered with a sentence."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from tinychannel import File, write_archive

from bundler.bundle.index import read_manifest
from bundler.config.lockfiles import Lockfiles
from bundler.config.project import load_config
from bundler.errors import BundlerError, ConfigError, LockError, PrefixError, VerificationError
from bundler.inject import files as local_files
from bundler.lock.environment.check import check_environment
from bundler.lockfiles.condalock import locked_categories, read_lock
from bundler.lockfiles.read import read_lock as read_any
from bundler.plainyaml import load_yaml
from bundler.tar.read import TarDamage, TarStream
from bundler.wheels import names
from bundler.wheels.read import read_wheel

if TYPE_CHECKING:
    from pathlib import Path

DEEP = 20_000


@pytest.mark.parametrize("text", ["[" * DEEP, "{a: " * DEEP, "&a " + "[" * DEEP, "? [a]\n: b\n", "- !!int x\n"])
def test_yaml_that_cannot_be_data(text: str, tmp_path: Path) -> None:
    for name, read in (
        ("conda-lock.yml", lambda path: read_lock(path, "linux-64")),
        ("pixi.lock", lambda path: read_any(Lockfiles.of(path), "linux-64")),
        ("environment.yml", lambda path: check_environment([path], ["linux-64"])),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(BundlerError):
            read(path)


def test_yaml_of_some_depth_is_data() -> None:
    assert load_yaml(b"[" * 50 + b"]" * 50)


@pytest.mark.parametrize("text", ["a = " + "[" * DEEP, "a = " + "9" * 5000, "a = \udc80", "a = 2024-99-99"])
def test_toml_that_cannot_be_data(text: str, tmp_path: Path) -> None:
    data = text.encode("utf-8", "surrogateescape")
    (tmp_path / "bundle.toml").write_bytes(data)
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(tmp_path)
    (tmp_path / "explicit.lock").write_text(
        f"@EXPLICIT\nhttps://h.example/c/linux-64/python-3.11.7-h1_0_cpython.conda#{'ab' * 32}\n"
    )
    for name in ("uv.lock", "pylock.toml"):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(LockError, match="not valid TOML"):
            read_any(Lockfiles(conda=(tmp_path / "explicit.lock",), wheels=tmp_path / name), "linux-64")


def test_json_that_cannot_be_data() -> None:
    with pytest.raises(VerificationError, match=r"manifest\.json is corrupted"):
        read_manifest(b"[" * DEEP, where="x")


def test_entries_of_other_types(tmp_path: Path) -> None:
    path = tmp_path / "conda-lock.yml"
    path.write_text("version: 1\nmetadata: {platforms: [linux-64]}\npackage: [1, null, [], x]\n")
    assert locked_categories(path, "linux-64") == {}
    with pytest.raises(LockError, match="is invalid"):
        read_lock(path, "linux-64")


def test_an_explicit_file_whose_url_has_slashes_in_its_digest_alone(tmp_path: Path) -> None:
    path = tmp_path / "explicit.lock"
    path.write_text("@EXPLICIT\nx#a/b/c\n")
    with pytest.raises(LockError, match="name its platform"):
        read_any(Lockfiles.of(path), "linux-64")


@pytest.mark.parametrize(
    "line",
    ["-c\0x", "-r x\0", "--find-links x\0", "-i https://[h.example/simple", "https://[h.example/x.whl", "-r \x1b"],
)
def test_lines_of_a_requirement_file(line: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(line)
    path = tmp_path / "environment.yml"
    path.write_text("channels: [x]\ndependencies: [python, {pip: [-r requirements.txt]}]\n")
    with pytest.raises(ConfigError):
        check_environment([path], ["linux-64"])


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 30, "-1", "1_0"])
def test_the_size_in_a_tar(digits: str) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("env/x")
        info.pax_headers = {"size": digits}
        tar.addfile(info)
    for seekable in (True, False):
        with pytest.raises(TarDamage):
            for _ in TarStream(io.BytesIO(raw.getvalue()), seekable=seekable):
                pass


def test_a_wheel_whose_content_is_damaged(tmp_path: Path) -> None:
    from pypikit import make_wheel

    path = make_wheel(tmp_path, "app", "1.0", files={"app.py": b""})
    data = bytearray(path.read_bytes())
    for begin in range(60, len(data), 7):
        changed = bytes(data[:begin]) + b"\xff\x00\xff" + bytes(data[begin + 3 :])
        path.write_bytes(changed)
        try:
            read_wheel(path)
        except PrefixError:
            continue


def test_a_table_of_names_that_is_nested_too_deeply() -> None:
    """Whatever a server sends in its place is no table, and no bug."""
    with pytest.raises(ValueError, match="not a table of names"):
        names._parse(b"[" * 100_000)


@pytest.mark.parametrize("index", [b"{", b"[" * 100_000, b"[]", b'"x"', b"1", b"{}"])
def test_an_injected_package_that_says_nothing_of_itself(index: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd-1.0-0.conda"
    write_archive(path, {"info/index.json": File(content=index)})
    with pytest.raises(BundlerError, match="not a conda package"):
        local_files._read(path, "odd")
