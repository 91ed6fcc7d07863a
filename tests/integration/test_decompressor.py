"""A bundle that brings zstd: where the package comes from, what of it is brought, and when gzip is taken instead."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from commandkit import conda_bundler
from lockkit import lock_of, locked
from tinychannel import File, Link, index, make_package
from tooling import patchelf

from bundler.locked import TOOLS
from bundler.lockfiles.condalock import read_lock
from bundler.pack.decompressor import UnusableError, take_decompressor
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress
from bundler.reader.verify import verify
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Mapping
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
GLIBC = "__glibc >=2.17,<3.0.a0"
TOOL = File(content=b"#!/bin/sh\n", mode=0o755)
NOTE = "the payload is compressed with gzip"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A program that needs a library that needs another, each found by its own RUNPATH; and a static program."""
    room = tmp_path_factory.mktemp("compiled")
    (room / "inner.c").write_text("int inner(void) { return 7; }\n")
    (room / "outer.c").write_text("int inner(void); int outer(void) { return inner(); }\n")
    (room / "main.c").write_text("int outer(void); int main(void) { return outer() - 7; }\n")
    (room / "alone.c").write_text("int main(void) { return 0; }\n")
    library = ("-shared", "-fPIC", "-Wl,--no-as-needed")
    for words in (
        (*library, "-Wl,-soname,libinner.so.1", "inner.c", "-o", "libinner.so.1"),
        (
            *library,
            "-Wl,-soname,libouter.so.2",
            "-Wl,-rpath,$ORIGIN",
            "outer.c",
            "libinner.so.1",
            "-o",
            "libouter.so.2",
        ),
        ("main.c", "libouter.so.2", "-L.", "-Wl,-rpath,$ORIGIN/../lib", "-Wl,-rpath-link,.", "-o", "zstd"),
        ("-static", "alone.c", "-o", "static"),
    ):
        subprocess.run(["cc", *words], cwd=room, check=True)
    return {path.name: path.read_bytes() for path in room.iterdir() if path.suffix != ".c"}


def add_zstd(channel: Path, files: Mapping[str, bytes | File | Link], *, version: str = "1.5", **more: Any) -> None:
    options: dict[str, Any] = {"subdir": "linux-64", "depends": [GLIBC]} | more
    make_package(channel, "zstd", version, files=files, **options)


def whole(compiled: dict[str, bytes], channel: Path, **more: Any) -> None:
    """zstd in two packages, as conda has it: the library's soname is a link."""
    inner: dict[str, bytes | File | Link] = {"lib/libinner.so.1": Link("libinner.so.1.0")}
    inner["lib/libinner.so.1.0"] = compiled["libinner.so.1"]
    make_package(channel, "inner", "1.0", subdir="linux-64", files=inner, depends=[GLIBC])
    program: dict[str, bytes | File | Link] = {"lib/libouter.so.2": compiled["libouter.so.2"]}
    program["bin/zstd"] = File(content=compiled["zstd"], mode=0o755)
    add_zstd(channel, program, depends=["inner >=1", GLIBC], **more)


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """A channel with the environment's package; a test adds zstd, and indexes it."""
    path = tmp_path / "channel"
    make_package(path, "tool", "1.0", subdir="linux-64", files={"bin/tool": TOOL}, depends=[GLIBC])
    make_package(path, "tool", "1.0", subdir="linux-aarch64", files={"bin/tool": TOOL}, depends=[GLIBC])
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    (path / "environment.yml").write_text("channels: [nowhere]\ndependencies: [tool]\n")
    (path / "bundle.toml").write_text(CONFIG)
    return path


def command(verb: str, project: Path, channel: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return conda_bundler(verb, project, "--channel", channel.as_uri(), *options, cwd=project)


def built(project: Path, channel: Path, *options: str) -> tuple[Path, str]:
    """The bundle's directory, and what was said."""
    done = command("build", project, channel, "--format", "dir", *options)
    assert done.returncode == 0, done.stderr
    return project / "dist" / "small-1.0-linux-64", done.stderr


def manifest(bundle: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return document


def tools(bundle: Path) -> dict[str, bytes]:
    found = (path for path in (bundle / "tools").rglob("*") if path.is_file())
    return {path.relative_to(bundle / "tools").as_posix(): gzip.decompress(path.read_bytes()) for path in found}


def test_it_is_locked_beside_the_environment_and_brought(
    project: Path, channel: Path, compiled: dict[str, bytes], tmp_path: Path
) -> None:
    whole(compiled, channel)
    index(channel)
    bundle, said = built(project, channel)
    assert not [
        line for line in said.splitlines() if line.startswith("note") and not re.search("health|services", line)
    ]
    lockfile = project / "conda-lock.yml"
    assert read_lock(lockfile, "linux-64").names == {"tool"}
    entries = yaml.safe_load(lockfile.read_text())["package"]
    assert [(entry["name"], entry["category"]) for entry in entries] == [
        ("tool", "main"),
        ("inner", TOOLS),
        ("zstd", TOOLS),
    ]
    assert tools(bundle) == {
        "bin/zstd.gz": compiled["zstd"],
        "lib/libouter.so.2.gz": compiled["libouter.so.2"],
        "lib/libinner.so.1.gz": compiled["libinner.so.1"],
    }
    for name, content in tools(bundle).items():  # they find one another wherever they are
        path = tmp_path / "elsewhere" / name.removesuffix(".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)
    assert subprocess.run([tmp_path / "elsewhere/bin/zstd"], env={}, check=False).returncode == 0
    brought = manifest(bundle)["decompressor"]
    assert brought["program"] == "tools/bin/zstd.gz"
    assert [package["name"] for package in brought["packages"]] == ["inner", "zstd"]
    assert [package["name"] for package in manifest(bundle)["packages"]] == ["tool"]
    assert verify(bundle, QuietProgress()).name == "small"
    lines = conda_bundler("inspect", bundle)
    assert "tools/bin/zstd.gz, included for servers without zstd: inner 1.0 0, zstd 1.5 0" in lines.stdout
    assert "sh, tar, gzip, and coreutils" in lines.stdout


def test_the_release_is_the_same_with_gzip(project: Path, channel: Path, compiled: dict[str, bytes]) -> None:
    whole(compiled, channel)
    index(channel)
    first = manifest(built(project, channel)[0])
    bundle, said = built(project, channel, "--compression", "gzip")
    second = manifest(bundle)
    assert (first["payload"]["codec"], second["payload"]["codec"]) == ("zstd", "gzip")
    assert (first["tree_digest"], first["build_id"]) == (second["tree_digest"], second["build_id"])
    assert second["decompressor"] is None
    assert not (bundle / "tools").exists()
    assert not [
        line for line in said.splitlines() if line.startswith("note") and not re.search("health|services", line)
    ]


@pytest.mark.parametrize("form", ["tar", "run"])
def test_it_is_in_every_form(project: Path, channel: Path, compiled: dict[str, bytes], form: str) -> None:
    whole(compiled, channel)
    index(channel)
    first = {}
    for _ in range(2):
        done = command("build", project, channel, "--format", form)
        assert done.returncode == 0, done.stderr
        path = project / "dist" / f"small-1.0-linux-64.{form}"
        first[path.read_bytes()] = path
    assert len(first) == 1
    path.with_name(f"{path.name}.sha256").unlink()
    assert verify(path, QuietProgress()).form == form


def test_a_lockfile_with_it_is_fresh_and_conda_lock_installs_nothing_of_it(
    project: Path, channel: Path, compiled: dict[str, bytes]
) -> None:
    whole(compiled, channel)
    index(channel)
    assert command("lock", project, channel).returncode == 0
    assert command("lock", project, channel, "--check").returncode == 0
    conda_lock = [sys.executable, "-m", "conda_lock", "render", "--kind", "explicit", "--platform", "linux-64"]
    subprocess.run([*conda_lock, project / "conda-lock.yml"], cwd=project, check=True, capture_output=True)
    explicit = (project / "conda-linux-64.lock").read_text()
    assert "/tool-1.0-0.conda" in explicit
    assert "zstd" not in explicit


def test_an_update_keeps_it_unless_it_is_named(project: Path, channel: Path, compiled: dict[str, bytes]) -> None:
    whole(compiled, channel)
    index(channel)
    aarch64 = ("--platform", "linux-64", "--platform", "linux-aarch64")
    (project / "bundle.toml").write_text(
        CONFIG.replace("version", 'platforms = ["linux-64", "linux-aarch64"]\nversion')
    )
    make_package(channel, "zstd", "1.0", subdir="linux-aarch64", depends=[GLIBC])
    index(channel)
    assert command("lock", project, channel, *aarch64).returncode == 0
    whole(compiled, channel, version="1.6")
    make_package(channel, "tool", "2.0", subdir="linux-64", files={"bin/tool": TOOL}, depends=[GLIBC])
    index(channel)

    def locked(platform: str) -> dict[str, str]:
        lock = read_lock(project / "conda-lock.yml", platform, tools=True)
        return {package.name: package.version for package in lock.packages}

    done = command("lock", project, channel, "--update", "tool", "--platform", "linux-64")
    assert done.returncode == 0, done.stderr
    assert locked("linux-64") == {"tool": "2.0", "inner": "1.0", "zstd": "1.5"}
    assert locked("linux-aarch64") == {"tool": "1.0", "zstd": "1.0"}
    done = command("lock", project, channel, "--update", "zstd", "--platform", "linux-64")
    assert done.returncode == 0, done.stderr
    assert locked("linux-64") == {"tool": "2.0", "inner": "1.0", "zstd": "1.6"}


def test_what_both_need_is_the_environments(project: Path, channel: Path, compiled: dict[str, bytes]) -> None:
    """conda-lock has one entry for a name: zstd 1.6, which wants a newer library, is not taken."""
    whole(compiled, channel)
    files = {"lib/libinner.so.1": compiled["libinner.so.1"]}
    make_package(channel, "inner", "2.0", subdir="linux-64", files=files, depends=[GLIBC])
    add_zstd(channel, {"bin/zstd": b"newer"}, version="1.6", depends=["inner >=2"])
    index(channel)
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [tool, inner <2]\n")
    bundle, _ = built(project, channel)
    lock = read_lock(project / "conda-lock.yml", "linux-64", tools=True)
    assert {package.name: package.version for package in lock.packages} == {
        "tool": "1.0",
        "inner": "1.0",
        "zstd": "1.5",
    }
    assert "lib/libinner.so.1.gz" in tools(bundle)


def test_an_environments_own_is_brought(project: Path, channel: Path, compiled: dict[str, bytes]) -> None:
    whole(compiled, channel)
    index(channel)
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [tool, zstd]\n")
    bundle, _ = built(project, channel)
    assert TOOLS not in (project / "conda-lock.yml").read_text()
    assert manifest(bundle)["payload"]["codec"] == "zstd"
    assert "bin/zstd.gz" in tools(bundle)


def test_a_channel_without_it_means_gzip(project: Path, channel: Path) -> None:
    index(channel)
    bundle, said = built(project, channel)
    assert f"the lockfile has no zstd package (`conda-bundler lock` adds it if a channel has one); {NOTE}" in said
    assert manifest(bundle)["payload"]["codec"] == "gzip"
    bundle, said = built(project, channel, "--compression", "zstd")
    assert "servers must have zstd installed" in said
    assert (manifest(bundle)["payload"]["codec"], manifest(bundle)["decompressor"]) == ("zstd", None)


def test_a_server_is_asked_for_no_more_than_the_environment_does(
    project: Path, channel: Path, compiled: dict[str, bytes]
) -> None:
    whole(compiled, channel, build="newer")
    add_zstd(channel, {"bin/zstd": compiled["static"]}, depends=["__glibc >=2.28"], version="1.6")
    index(channel)
    bundle, said = built(project, channel)
    assert f"the locked zstd package has stricter server requirements than the environment; {NOTE}" in said
    assert manifest(bundle)["payload"]["codec"] == "gzip"
    bundle, _ = built(project, channel, "--compression", "zstd")
    assert set(tools(bundle)) == {"bin/zstd.gz"}
    assert "\nDECOMPRESSOR_GLIBC=2.28 " in (bundle / "install.sh").read_text()
    assert "\nDECOMPRESSOR_LOADER='' " in (bundle / "install.sh").read_text()  # it is linked statically


def elsewhere(content: bytes, *arguments: str, room: Path) -> bytes:
    path = room / "changed"
    path.write_bytes(content)
    patchelf(*arguments, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("script", "bin/zstd of package zstd is not a program or library for linux-64"),
        ("machine", "bin/zstd of package zstd is not a program or library for linux-64"),
        ("nothing", "package zstd has no bin/zstd"),
        ("dangling", "package zstd has no bin/zstd"),
        ("no-library", "bin/zstd of package zstd does not find libouter.so.2 through its own search path"),
        ("inner", "lib/libouter.so.2 of package zstd does not find libinner.so.1 through its own search path"),
        ("absolute", "searches for libraries in '/srv/lib', outside the included files"),
        ("above", "searches for libraries in '$ORIGIN/../../lib', outside the included files"),
        ("relative", "searches for libraries in 'lib', outside the included files"),
        ("loader", "uses the loader '/lib/ld-musl-x86_64.so.1', not glibc's"),
        ("path", "bin/zstd of package zstd does not find ../lib/libouter.so.2 through its own search path"),
    ],
)
def test_one_that_could_not_run_elsewhere_is_not_brought(
    compiled: dict[str, bytes], tmp_path: Path, case: str, reason: str
) -> None:
    program, outer = compiled["zstd"], compiled["libouter.so.2"]
    files: dict[str, bytes | File | Link] = {"bin/zstd": program, "lib/libouter.so.2": outer}
    files["lib/libinner.so.1"] = compiled["libinner.so.1"]
    foreign = bytearray(program)
    foreign[18:20] = b"\xb7\x00"
    paths = {"absolute": "$ORIGIN/../lib:/srv/lib", "above": "$ORIGIN/../../lib", "relative": "lib"}
    if case in paths:
        files["bin/zstd"] = elsewhere(program, "--set-rpath", paths[case], room=tmp_path)
    elif case == "loader":
        files["bin/zstd"] = elsewhere(program, "--set-interpreter", "/lib/ld-musl-x86_64.so.1", room=tmp_path)
    elif case == "path":
        slash = ("--replace-needed", "libouter.so.2", "../lib/libouter.so.2")
        files["bin/zstd"] = elsewhere(program, *slash, room=tmp_path)
    elif case == "inner":
        files["lib/libouter.so.2"] = elsewhere(outer, "--remove-rpath", room=tmp_path)
    elif case == "no-library":
        del files["lib/libouter.so.2"]
    else:
        del files["bin/zstd"]
        files |= {"script": {"bin/zstd": b"#!/bin/sh\n"}, "machine": {"bin/zstd": bytes(foreign)}}.get(case, {})
        files |= {"dangling": {"bin/zstd": Link("zstd-real")}}.get(case, {})
    archive = make_package(tmp_path, "zstd", "1.5", subdir="linux-64", build=case.replace("-", "_"), files=files)
    linked = make_prefix(lock_of(locked(archive)), "/opt/small", QuietProgress())
    with linked as prefix, pytest.raises(UnusableError) as refused:
        take_decompressor(prefix)
    assert reason in str(refused.value)


def test_a_damaged_copy_in_the_package_cache_is_unpacked_anew(
    project: Path, channel: Path, compiled: dict[str, bytes]
) -> None:
    add_zstd(channel, {"bin/zstd": compiled["static"]}, version="7.7")
    index(channel)
    first, _ = built(project, channel)
    good = tools(first)
    (copy,) = cache_dir("pkgs").glob("zstd-7.7-0/bin/zstd")
    os.truncate(copy, 100)
    again, said = built(project, channel)
    assert "unpacking it again" in said
    assert tools(again) == good


def test_its_category_is_nobody_elses(project: Path, channel: Path) -> None:
    (project / "environment.yml").write_text(f"channels: [x]\ncategory: {TOOLS}\ndependencies: [tool]\n")
    done = command("lock", project, channel)
    assert done.returncode == 2
    assert f"`category: {TOOLS}` is reserved" in done.stderr
