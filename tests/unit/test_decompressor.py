"""The decompressor's packages in a lockfile: which they are, and that they are nobody else's business."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bundler.errors import ConfigError
from bundler.installer.requirements import Requirements
from bundler.lock.decompressor import locked_decompressor, with_tools, without_tools
from bundler.locked import TOOLS
from bundler.lockfiles.condalock import read_lock

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "# written by a tool\n"


def entry(name: str, version: str = "1.0", *, category: str = "main", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "manager": "conda",
        "platform": "linux-64",
        "dependencies": {},
        "url": f"https://conda.example/main/linux-64/{name}-{version}-0.conda",
        "hash": {"md5": "0" * 32, "sha256": "1" * 64},
        "category": category,
        "optional": category != "main",
    } | more


def lockfile(path: Path, *entries: dict[str, Any]) -> Path:
    document = {"version": 1, "metadata": {"platforms": ["linux-64", "linux-aarch64"]}, "package": list(entries)}
    path.write_text(HEAD + yaml.safe_dump(document, sort_keys=False))
    return path


def action(name: str, version: str = "1.0", depends: tuple[str, ...] = ()) -> dict[str, Any]:
    """As the solver writes it."""
    url = f"https://conda.example/main/linux-64/{name}-{version}-0.conda"
    return {"name": name, "version": version, "url": url, "depends": list(depends), "md5": "a" * 32, "sha256": "b" * 64}


ZSTD = entry("zstd", "1.5", dependencies={"libzlib": ">=1.2", "__glibc": ">=2.17"}, category=TOOLS)
ZLIB = entry("libzlib", "1.3")


def test_they_are_what_zstd_depends_on_in_whatever_category(tmp_path: Path) -> None:
    path = lockfile(tmp_path / "conda-lock.yml", entry("app"), ZLIB | {"category": "dev"}, ZSTD, entry("other"))
    tools = locked_decompressor(read_lock(path, "linux-64", ()))
    assert tools is not None
    assert [package.name for package in tools.packages] == ["libzlib", "zstd"]


def test_an_environments_own_is_taken_as_it_is_there(tmp_path: Path) -> None:
    path = lockfile(tmp_path / "conda-lock.yml", entry("zstd", "1.4"))
    lock = read_lock(path, "linux-64", ())
    injected = replace(lock, packages=tuple(replace(package, version="9", injected=True) for package in lock.packages))
    tools = locked_decompressor(injected)
    assert tools is not None
    assert [(package.version, package.injected) for package in tools.packages] == [("9", True)]


def test_there_may_be_none(tmp_path: Path) -> None:
    wheel = entry("zstd", manager="pip", url="https://files.example/packages/zstd-1.0-py3-none-any.whl")
    other = ZSTD | {"platform": "linux-aarch64", "url": ZSTD["url"].replace("linux-64", "linux-aarch64")}
    path = lockfile(tmp_path / "conda-lock.yml", entry("app"), wheel, other)
    assert locked_decompressor(read_lock(path, "linux-64")) is None


def test_no_environment_has_them(tmp_path: Path) -> None:
    path = lockfile(tmp_path / "conda-lock.yml", entry("app"), entry("lint", category="dev"), ZSTD)
    assert read_lock(path, "linux-64").names == {"app", "lint"}
    assert read_lock(path, "linux-64", ()).names == {"app"}
    assert read_lock(path, "linux-64", tools=True).names == {"app", "lint", "zstd"}
    with pytest.raises(ConfigError, match="locked categories: dev, main"):
        read_lock(path, "linux-64", (TOOLS,))


def test_what_the_solver_found_is_added_at_the_end(tmp_path: Path) -> None:
    path = lockfile(tmp_path / "conda-lock.yml", entry("app"))
    (tmp_path / "linux-64.json").write_text(json.dumps([action("zstd", depends=("libzlib >=1.2,<2", "python"))]))
    added = with_tools(path.read_bytes(), tmp_path, ("linux-64", "linux-aarch64"), None)
    assert added.startswith(path.read_bytes())
    path.write_bytes(added)
    (app, zstd) = read_lock(path, "linux-64", tools=True).packages
    assert zstd.depends == ("libzlib >=1.2,<2", "python")
    assert (zstd.sha256, zstd.md5, zstd.platform) == ("b" * 64, "a" * 32, "linux-64")
    assert app.name == "app"


def test_of_a_platform_that_the_solver_was_not_asked_about_the_old_ones_stay(tmp_path: Path) -> None:
    old = lockfile(tmp_path / "old.yml", entry("app"), ZSTD, ZSTD | {"platform": "linux-aarch64"})
    new = lockfile(tmp_path / "new.yml", entry("app")).read_bytes()
    kept = yaml.safe_load(with_tools(new, tmp_path, ("linux-64",), old))["package"]
    assert kept == [entry("app"), ZSTD]
    assert with_tools(new, tmp_path, ("linux-64",), None) == new


def test_none_is_added_without_the_md5_that_conda_lock_wants(tmp_path: Path) -> None:
    path = lockfile(tmp_path / "conda-lock.yml", entry("app"))
    lacking = {key: value for key, value in action("libzlib").items() if key != "md5"}
    (tmp_path / "linux-64.json").write_text(json.dumps([action("zstd"), lacking]))
    assert with_tools(path.read_bytes(), tmp_path, ("linux-64",), None) == path.read_bytes()


def test_conda_lock_updates_a_lockfile_without_them(tmp_path: Path) -> None:
    other = ZSTD | {"platform": "linux-aarch64"}
    path = lockfile(tmp_path / "conda-lock.yml", entry("app"), ZSTD, other)
    assert yaml.safe_load(without_tools(path.read_bytes(), ("linux-64",)))["package"] == [entry("app"), other]
    plain = lockfile(tmp_path / "plain.yml", entry("app")).read_bytes()
    assert without_tools(plain, ("linux-64",)) == plain


@pytest.mark.parametrize(
    ("machine", "asks", "covered"),
    [
        ({"glibc": "2.28"}, {"glibc": "2.17"}, True),
        ({"glibc": "2.9"}, {"glibc": "2.17"}, False),
        ({}, {"glibc": "2.17"}, False),
        ({"glibc": "2.28"}, {}, True),
        ({"linux": "5.10"}, {"linux": "5.4"}, True),
        ({"linux": "5.4"}, {"linux": "5.10"}, False),
        ({"level": "x86_64_v3"}, {"level": "x86_64_v2"}, True),
        ({"level": "x86_64_v2"}, {"level": "x86_64_v3"}, False),
        ({}, {"level": "x86_64_v2"}, False),
    ],
)
def test_requirements_cover_lower_ones(machine: dict[str, str], asks: dict[str, str], covered: bool) -> None:
    machines = ("x86_64",)
    assert Requirements(machines=machines, **machine).covers(Requirements(machines=machines, **asks)) is covered  # type: ignore[arg-type]
