"""Bundles from other tools' lockfiles: the same packages are the same tree, whoever has locked them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from commandkit import conda_bundler
from pypikit import Index, make_sdist, make_wheel, serve_index
from rattler import LockFile
from tinychannel import PLACEHOLDER, File, index, make_package

from bundler.lockfiles.condalock import read_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.locked import LockedPackage

pytestmark = [pytest.mark.network, pytest.mark.usefixtures("own_cache")]

CONFIG = """\
[bundle]
name = "small"
version = "1.0"
bytecode = "none"
lockfile = {}
[services.small]
command = ["tool"]
profile = "generic"
"""
PYPROJECT = """\
[project]
name = "small"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["app_lib >=1", "winny; sys_platform == 'win32'"{more}]
[[tool.uv.index]]
url = "{index}"
default = true
"""


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    channel = tmp_path_factory.mktemp("channel")
    make_package(channel, "python", "3.11.7", subdir="linux-64", build="h1_0_cpython", depends=["__glibc >=2.17"])
    make_package(channel, "pip", "24.0", depends=["python"], python=True)
    tool = File(content=f"#!{PLACEHOLDER}/bin/sh\nexec true\n".encode(), mode=0o755, prefix="text")
    make_package(channel, "tool", "1.0", files={"bin/tool": tool}, depends=["library >=2", "python"])
    make_package(channel, "library", "2.0", subdir="linux-64", files={"lib/big": b"x" * 1000})
    index(channel)
    return channel


@pytest.fixture(scope="module")
def pypi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    wheels = tmp_path_factory.mktemp("wheels")
    make_wheel(wheels, "app-lib", "1.0", requires=["fast"], scripts={"app": "app_lib:main"})
    for machine in ("x86_64", "aarch64"):
        make_wheel(
            wheels, "fast", "2.0", tag=f"cp311-cp311-manylinux_2_17_{machine}", files={"fast.py": machine.encode()}
        )
    make_wheel(wheels, "winny", "1.0")
    make_sdist(wheels, "sourcy", "1.0")
    with serve_index(wheels) as served:
        yield served


def run(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return conda_bundler(*words, cwd=cwd)


def build(project: Path, lockfile: str, *options: str) -> Path:
    (project / "bundle.toml").write_text(CONFIG.format(lockfile))
    done = run("build", "--json", "--format", "dir", "--compression", "none", *options, cwd=project)
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["bundles"][0]["path"])


def tree(bundle: Path) -> dict[str, bytes | str]:
    """The environment as it will be on the server, but for what the lockfiles say differently.

    That is the build id, as it covers what is said of dependencies, with the digests of files that have it in them; and
    MD5, which not every kind has.
    """
    build_id = json.loads((bundle / "manifest.json").read_text())["build_id"].encode()
    found: dict[str, bytes | str] = {}
    with tarfile.open(bundle / "payload.tar") as payload:
        for member in payload:
            if not member.name.startswith("env/"):
                continue
            file = payload.extractfile(member) if member.isfile() else None
            content = file.read().replace(build_id, b"BUILD") if file else member.linkname
            if isinstance(content, bytes) and re.fullmatch(r"env/conda-meta/.*\.json", member.name):
                record = json.loads(content)
                record.pop("md5", None)
                for entry in record["paths_data"]["paths"]:
                    entry.pop("sha256_in_prefix", None)  # of a file whose content is compared itself
                content = json.dumps(record, sort_keys=True)
            found[member.name] = content
    return found


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, channel: Path, pypi: Index) -> Path:
    """A project that `conda-bundler lock` has locked, conda packages and wheels."""
    project = tmp_path_factory.mktemp("locked")
    document = {
        "channels": [channel.as_uri()],
        "dependencies": ["tool", "python", "pip", {"pip": ["app_lib >=1"]}],
        "pip-repositories": [pypi.url()],
        "allow-pypi-requests": False,
    }
    (project / "environment.yml").write_text(yaml.safe_dump(document))
    (project / "bundle.toml").write_text(CONFIG.format('"conda-lock.yml"'))
    done = run("lock", cwd=project)
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture(scope="module")
def expected(locked: Path) -> dict[str, bytes | str]:
    found = tree(build(locked, '"conda-lock.yml"'))
    assert {"env/bin/tool", "env/bin/app", "env/lib/python3.11/site-packages/fast.py"} <= set(found)
    return found


def packages(locked: Path) -> tuple[LockedPackage, ...]:
    return read_lock(locked / "conda-lock.yml", "linux-64", ()).packages


def write_explicit(path: Path, of: tuple[LockedPackage, ...]) -> None:
    conda = [f"{one.url}#{one.sha256}" for one in of if one.manager == "conda"]
    wheels = [f"# pip {one.name} @ {one.url} --hash=sha256:{one.sha256}" for one in of if one.manager == "pip"]
    path.write_text("\n".join(["# platform: linux-64", "@EXPLICIT", *conda, *wheels, ""]))


def write_pixi(path: Path, of: tuple[LockedPackage, ...], version: int) -> None:
    entries: list[dict[str, Any]] = [
        {
            "conda": one.url,
            "name": one.name,
            "version": one.version,
            "build": one.build,
            "subdir": one.subdir,
            "sha256": one.sha256,
            "md5": one.md5,
            "depends": list(one.depends),
        }
        if one.manager == "conda"
        else {"pypi": one.url, "name": one.name, "version": one.version, "sha256": one.sha256}
        for one in of
    ]
    listed = [{key: entry[key] for key in ("conda", "pypi") if key in entry} for entry in entries]
    environment = {"channels": [{"url": "https://conda.example.org/forge/"}], "packages": {"linux-64": listed}}
    document: dict[str, Any] = {"version": version, "environments": {"default": environment}, "packages": entries}
    if version > 6:
        document["platforms"] = [{"name": "linux-64"}]
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def uv(project: Path, *words: str) -> None:
    command: list[str | Path] = [Path(sys.executable).with_name("uv"), *words, "--cache-dir", project / "cache"]
    subprocess.run([*command, "--python", sys.executable], cwd=project, check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize("version", [6, 7])
def test_a_pixi_lock(tmp_path: Path, locked: Path, expected: dict[str, bytes | str], version: int) -> None:
    lockfile = tmp_path / "pixi.lock"
    write_pixi(lockfile, packages(locked), version)
    assert LockFile.from_path(lockfile).default_environment() is not None, "rattler reads it, too"
    bundle = build(tmp_path, '"pixi.lock"')
    assert tree(bundle) == expected
    assert (bundle / "pixi.lock").read_bytes() == lockfile.read_bytes()
    assert not (bundle / "conda-lock.yml").exists()
    assert run("verify", bundle, cwd=tmp_path).returncode == 0
    inspected = json.loads(run("inspect", "--json", bundle, cwd=tmp_path).stdout)
    assert {one["name"] for one in inspected["packages"]} == {one.name for one in packages(locked)}


def test_an_explicit_file(tmp_path: Path, locked: Path, expected: dict[str, bytes | str]) -> None:
    write_explicit(tmp_path / "conda-linux-64.lock", packages(locked))
    bundle = build(tmp_path, '"conda-linux-64.lock"')
    assert tree(bundle) == expected
    assert run("verify", bundle, cwd=tmp_path).returncode == 0
    before = locked / "dist" / "small-1.0-linux-64"
    done = run("diff", "--exit-code", "--json", before, bundle, cwd=tmp_path)
    assert not json.loads(done.stdout).get("packages"), done.stdout
    done = run("build", "--format", "dir", "--output-dir", tmp_path / "packed", cwd=tmp_path)
    assert "an @EXPLICIT file lists no dependencies, so the bundle cannot include a zstd program" in done.stderr
    assert (tmp_path / "packed" / bundle.name / "payload.tar.gz").is_file()


@pytest.mark.parametrize("kind", ["uv.lock", "pylock.toml"])
def test_wheels_beside_condas_python(
    tmp_path: Path, locked: Path, pypi: Index, expected: dict[str, bytes | str], kind: str
) -> None:
    write_explicit(tmp_path / "conda.lock", tuple(one for one in packages(locked) if one.manager == "conda"))
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(index=pypi.url(), more=""))
    uv(tmp_path, "lock")
    if kind == "pylock.toml":
        uv(tmp_path, "export", "--format", "pylock.toml", "--no-emit-project", "--output-file", "pylock.toml")
    bundle = build(tmp_path, f'["conda.lock", "{kind}"]')
    assert tree(bundle) == expected
    assert (bundle / kind).read_bytes() == (tmp_path / kind).read_bytes()
    assert (bundle / "conda.lock").is_file()


def test_wheels_beside_a_conda_lock_yml(tmp_path: Path, channel: Path, pypi: Index) -> None:
    """`build` locks the conda part, and leaves the other tool's file alone."""
    (tmp_path / "environment.yml").write_text(f"channels: [{channel.as_uri()}]\ndependencies: [tool, python]\n")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(index=pypi.url(), more=""))
    uv(tmp_path, "lock")
    before = (tmp_path / "uv.lock").read_bytes()
    found = tree(build(tmp_path, '["conda-lock.yml", "uv.lock"]'))
    assert "env/lib/python3.11/site-packages/fast.py" in found
    assert found["env/lib/python3.11/site-packages/fast.py"] == b"x86_64"
    done = run("lock", "--check", cwd=tmp_path)
    assert (done.returncode, done.stdout.count("is up to date with its manifest")) == (0, 1), done.stderr
    manifest = tmp_path / "pyproject.toml"
    manifest.write_text(manifest.read_text().replace(">=1", ">=2"))
    for words in (("lock", "--check"), ("build",)):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 4, done.stderr
        assert "pyproject.toml requires app-lib>=2; it was locked for app-lib>=1" in done.stderr
    assert (tmp_path / "uv.lock").read_bytes() == before


def test_what_uv_would_build_is_injected(tmp_path: Path, locked: Path, pypi: Index) -> None:
    write_explicit(tmp_path / "conda.lock", tuple(one for one in packages(locked) if one.manager == "conda"))
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(index=pypi.url(), more=', "sourcy"'))
    uv(tmp_path, "lock")
    names = '["conda.lock", "uv.lock"]'
    (tmp_path / "bundle.toml").write_text(CONFIG.format(names))
    done = run("build", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "sourcy 1.0: no wheel available, only source" in done.stderr
    assert "Traceback" not in done.stderr
    make_wheel(tmp_path / "built", "sourcy", "1.0", files={"sourcy.py": b""})
    found = tree(build(tmp_path, f'{names}\ninject = ["built/*.whl"]'))
    assert "env/lib/python3.11/site-packages/sourcy.py" in found


def test_a_lockfile_of_another_tool_is_not_written(tmp_path: Path, locked: Path) -> None:
    write_pixi(tmp_path / "pixi.lock", packages(locked), 7)
    before = (tmp_path / "pixi.lock").read_bytes()
    (tmp_path / "bundle.toml").write_text(CONFIG.format('"pixi.lock"'))
    for words in (("lock",), ("lock", "--update", "tool")):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert "conda-bundler can read it, but not write" in done.stderr
    done = run("lock", "--check", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["fresh"] is None
    (tmp_path / "pixi.toml").write_text('[dependencies]\ntool = "2.*"\n')
    done = run("build", cwd=tmp_path)
    assert done.returncode == 4
    assert "pixi.toml requires tool 2.*, but 1.0 0 is locked" in done.stderr
    assert "pixi lock" in done.stderr
    assert (tmp_path / "pixi.lock").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.toml", "pixi.lock", "pixi.toml"]


def test_an_archive_that_is_not_what_was_locked(tmp_path: Path, locked: Path) -> None:
    changed = [one for one in packages(locked) if one.manager == "conda"]
    write_explicit(tmp_path / "conda.lock", tuple(changed))
    lockfile = tmp_path / "conda.lock"
    tool = next(one for one in changed if one.name == "tool")
    assert tool.sha256
    lockfile.write_text(lockfile.read_text().replace(tool.sha256, "0" * 64))
    (tmp_path / "bundle.toml").write_text(CONFIG.format('"conda.lock"'))
    done = run("build", cwd=tmp_path)
    assert done.returncode == 5
    assert f"sha256 is {tool.sha256}, but the lockfile says {'0' * 64}" in done.stderr
