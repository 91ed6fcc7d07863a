"""Lockfiles of every kind: they come with pull requests."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import yaml
from fuzzkit import Target, bytes_like, texts_like, twisted
from hypothesis import strategies as st

from bundler.config.lockfiles import Lockfiles
from bundler.errors import BundlerError
from bundler.fetch.channels import Access
from bundler.lockfiles import condalock
from bundler.lockfiles.read import locked_categories, locked_platforms, read_lock

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TARGETS"]

SHA, MD5 = "ab" * 32, "cd" * 16
C = "https://${USER}:${WORD}@conda.example.org/forge"
CONDA_LOCK: dict[str, Any] = {
    "version": 1,
    "metadata": {
        "content_hash": {"linux-64": "abc"},
        "channels": [{"url": C, "used_env_vars": ["USER"]}],
        "platforms": ["linux-64"],
        "sources": ["environment.yml"],
        "custom_metadata": {"conda-bundler.unseen": "abc"},
    },
    "package": [
        {
            "name": "python",
            "version": "3.11.7",
            "manager": "conda",
            "platform": "linux-64",
            "dependencies": {"libgcc": ">=12"},
            "url": f"{C}/linux-64/python-3.11.7-h1_0_cpython.conda",
            "hash": {"md5": MD5, "sha256": SHA},
            "category": "main",
            "optional": False,
        },
        {
            "name": "h11",
            "version": "0.14.0",
            "manager": "pip",
            "platform": "linux-64",
            "dependencies": {},
            "url": "https://pypi.example.org/files/h11-0.14.0-py3-none-any.whl",
            "hash": {"sha256": SHA},
            "category": "dev",
            "optional": True,
        },
    ],
}
PIXI: dict[str, Any] = {
    "version": 7,
    "platforms": [{"name": "linux-64"}, {"name": "old", "subdir": "linux-aarch64"}],
    "environments": {
        "default": {
            "channels": [{"url": "https://conda.example.org/forge/"}],
            "packages": {
                "linux-64": [
                    {"conda": "https://conda.example.org/forge/linux-64/zlib-1.3-h1_0.conda"},
                    {"pypi": "https://pypi.example.org/files/h11-0.14.0-py3-none-any.whl"},
                ]
            },
        }
    },
    "packages": [
        {
            "conda": "https://conda.example.org/forge/linux-64/zlib-1.3-h1_0.conda",
            "sha256": SHA,
            "md5": MD5,
            "depends": ["libgcc >=12"],
        },
        {
            "pypi": "https://pypi.example.org/files/h11-0.14.0-py3-none-any.whl",
            "name": "h11",
            "version": "0.14.0",
            "sha256": SHA,
            "requires_dist": ["dataclasses ; python_version < '3.7'"],
        },
    ],
}
EXPLICIT = f"""\
# platform: linux-64
@EXPLICIT
https://conda.example.org/forge/linux-64/python-3.11.7-h1_0_cpython.conda#sha256:{SHA}
# pip h11 @ https://pypi.example.org/files/h11-0.14.0-py3-none-any.whl --hash=sha256:{SHA}
"""
WHEEL = f'{{ url = "https://pypi.example.org/a-1.0-py3-none-any.whl", hashes = {{ sha256 = "{SHA}" }} }}'
PYLOCK = f"""\
lock-version = "1.0"
created-by = "x"
requires-python = ">=3.9"
environments = ["sys_platform == 'linux'"]
extras = ["x"]
dependency-groups = ["g"]
default-groups = ["g"]
[[packages]]
name = "a"
version = "1.0"
marker = "python_version > '3' and 'x' in extras or 'g' in dependency_groups"
dependencies = [{{ name = "b" }}]
wheels = [{WHEEL}]
[[packages]]
name = "b"
vcs = {{ type = "git", url = "https://git.example.org/b", commit-id = "abc" }}
"""
UV = f"""\
version = 1
requires-python = ">=3.9"
[[package]]
name = "app"
version = "0.1"
source = {{ virtual = "." }}
dependencies = [{{ name = "a", extra = ["x"], marker = "python_version > '3'" }}]
[package.optional-dependencies]
x = [{{ name = "a" }}]
[package.dev-dependencies]
dev = [{{ name = "a" }}]
[[package]]
name = "a"
version = "1.0"
source = {{ registry = "https://pypi.example.org/simple" }}
wheels = [{{ url = "https://pypi.example.org/a-1.0-py3-none-any.whl", hash = "sha256:{SHA}", size = 1 }}]
"""


def _check(packages: tuple[Any, ...]) -> None:
    """What everything after the reader relies on."""
    for package in packages:
        assert package.sha256 is None or (len(package.sha256) == 64 and package.sha256.isalnum()), package
        assert package.url.isprintable(), package
        if package.manager == "conda" or package.filename.endswith(".whl"):
            assert package.filename.strip(".")
            assert not {"/", "\\", "$", "%2f", "%2F"} & {*package.filename, *package.filename.split("%2f")}, package
            assert Access(own=("x",)).addresses(package.url)
            _ = package.dist, package.build, package.subdir, package.channel


def _conda_lock(data: bytes, room: Path) -> None:
    path = room / "conda-lock.yml"
    path.write_bytes(data)
    for ask in (condalock.read_metadata, condalock.locked_platforms):
        _quietly(ask, path)
    _quietly(condalock.locked_categories, path, "linux-64")
    _check(condalock.read_lock(path, "linux-64", tools=True).packages)


def _quietly(ask: Any, *arguments: Any) -> None:
    with suppress(BundlerError):
        ask(*arguments)


def _read(lockfiles: Lockfiles) -> None:
    _quietly(locked_platforms, lockfiles)
    _quietly(locked_categories, lockfiles, "linux-64")
    _check(read_lock(lockfiles, "linux-64").packages)


def _conda_file(name: str) -> Any:
    def run(data: bytes, room: Path) -> None:
        path = room / name
        path.write_bytes(data)
        _read(Lockfiles.of(path))

    return run


def _wheel_file(name: str) -> Any:
    def run(data: bytes, room: Path) -> None:
        (room / "explicit.lock").write_text(EXPLICIT.splitlines(keepends=True)[1] + EXPLICIT.splitlines()[2])
        (room / name).write_bytes(data)
        _read(Lockfiles(conda=(room / "explicit.lock",), wheels=room / name))

    return run


def _yaml(document: Any) -> st.SearchStrategy[bytes]:
    text = yaml.safe_dump(document, sort_keys=False)
    as_json = twisted(document).map(lambda changed: json.dumps(changed).encode())
    return st.one_of(as_json, texts_like(text))


TARGETS = (
    Target(name="conda-lock.yml", inputs=_yaml(CONDA_LOCK), run=_conda_lock),
    Target(name="pixi.lock", inputs=_yaml(PIXI), run=_conda_file("pixi.lock")),
    Target(name="explicit", inputs=texts_like(EXPLICIT), run=_conda_file("conda-linux-64.lock")),
    Target(name="pylock.toml", inputs=texts_like(PYLOCK), run=_wheel_file("pylock.toml")),
    Target(name="uv.lock", inputs=texts_like(UV), run=_wheel_file("uv.lock")),
    Target(
        name="any lockfile",
        inputs=bytes_like(*(text.encode() for text in (EXPLICIT, PYLOCK, UV, yaml.safe_dump(PIXI)))),
        run=_conda_file("some.lock"),
    ),
)
