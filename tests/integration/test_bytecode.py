"""Bytecode in real builds: each module has its own, once, whatever packages ship; free-threaded Pythons, too."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import marshal
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from lockkit import lock_of, locked
from pypikit import make_wheel
from realpython import VERSION, real_python
from smallbundle import command
from tinychannel import PLACEHOLDER, File, Link, index, make_package

from bundler.pack.collect import collect
from bundler.pack.compiling import BytecodePlan
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("own_cache")

BAKED = "/opt/small/releases/1.0-0123456789ab/env"
TAG = sys.implementation.cache_tag
assert TAG is not None
SITE = f"lib/python{VERSION}/site-packages"
CONFIG = """
[bundle]
name = "small"
version = "1.0"
bytecode = "{mode}"
inject = {wheels}
[services.small]
command = ["python"]
profile = "generic"
"""


def pyc(source: bytes, name: str) -> bytes:
    """What this Python makes of it, with a timestamp."""
    code = marshal.dumps(compile(source, name, "exec"))
    return importlib.util.MAGIC_NUMBER + bytes(4) + (1_000_000_000).to_bytes(4, "little") + bytes(4) + code


def python_package(
    channel: Path, files: Mapping[str, bytes | File | Link] | None = None, *, site_packages: str | None = None
) -> None:
    """A Python that can be run here: the one that runs the tests."""
    contents = {**real_python(), **(files or {})}
    make_package(channel, "python", f"{VERSION}.0", subdir="linux-64", files=contents, site_packages=site_packages)


def bundle_of(room: Path, channel: Path, *packages: str, mode: str = "build", wheels: Sequence[Path] = ()) -> Path:
    """The bundle of these packages: built, verified and unpacked."""
    index(channel)
    (room / "project").mkdir()
    (room / "project" / "environment.yml").write_text(json.dumps({"channels": ["x"], "dependencies": list(packages)}))
    (room / "project" / "bundle.toml").write_text(CONFIG.format(mode=mode, wheels=[str(wheel) for wheel in wheels]))
    words = ("--channel", channel.as_uri(), "--format", "dir", "--output-dir", room / "dist")
    done = command("build", room / "project", *words)
    assert done.returncode == 0, done.stderr
    bundle = room / "dist" / "small-1.0-linux-64"
    verified = command("verify", bundle)
    assert verified.returncode == 0, verified.stderr
    return bundle


def members(bundle: Path) -> dict[str, bytes]:
    """Every file of the payload, each path once."""
    with tarfile.open(bundle / "payload.tar.gz") as tar:
        names = tar.getnames()
        assert len(set(names)) == len(names)
        return {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]


def bytecode_in(files: Mapping[str, bytes], below: str) -> set[str]:
    return {path.removeprefix(below) for path in files if path.startswith(below) and path.endswith(".pyc")}


DOTTED: dict[str, bytes] = {
    f"lib/python{VERSION}/__phello__.foo.py": b"FOO = 1\n",
    f"lib/python{VERSION}/__pycache__/__phello__.foo.{TAG}.pyc": pyc(b"FOO = 1\n", "__phello__.foo"),
    f"{SITE}/m/a.py": b"A = 1\n",
    f"{SITE}/m/a.b.py": b"AB = 1\n",
    f"{SITE}/m/v1.2.py": b"V = 1\n",
    f"{SITE}/m/later.py": b"L = 1\n",
    f"{SITE}/m/other.py": b"O = 1\n",
    f"{SITE}/m/linked.py": b"K = 1\n",
    f"{SITE}/m/__pycache__/a.{TAG}.pyc": pyc(b"A = 1\n", "a"),
    f"{SITE}/m/__pycache__/a.b.{TAG}.pyc": pyc(b"AB = 1\n", "a.b"),
    f"{SITE}/m/__pycache__/a.b.{TAG}.opt-1.pyc": pyc(b"AB = 1\n", "a.b"),
    f"{SITE}/m/__pycache__/later.{TAG}.opt-1.pyc": pyc(b"L = 1\n", "later"),
    f"{SITE}/m/__pycache__/later.{TAG}.opt-2.pyc": pyc(b"L = 1\n", "later"),
    f"{SITE}/m/__pycache__/other.cpython-27.pyc": b"old, and of another form",
    f"{SITE}/m/__pycache__/other.pypy39.pyc": pyc(b"O = 1\n", "other"),
    f"{SITE}/m/__pycache__/gone.{TAG}.pyc": pyc(b"G = 1\n", "gone"),
    f"{SITE}/m/sourceless.pyc": pyc(b"S = 1\n", "sourceless"),
}


@pytest.fixture(scope="module", params=["build", "install"])
def dotted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, bytes]]:
    room = tmp_path_factory.mktemp("dotted")
    linked = f"{SITE}/m/__pycache__/linked.{TAG}.pyc"
    files: dict[str, bytes | File | Link] = {**DOTTED, linked: Link(f"a.{TAG}.pyc")}
    python_package(room / "channel", files)
    return str(request.param), members(bundle_of(room, room / "channel", "python", mode=str(request.param)))


def test_each_path_is_packed_once_and_each_module_has_its_bytecode(dotted: tuple[str, dict[str, bytes]]) -> None:
    mode, files = dotted
    shipped = {path.removeprefix(f"{SITE}/m/") for path in DOTTED if path.startswith(SITE) and path.endswith(".pyc")}
    made = {f"__pycache__/{name}.{TAG}.pyc" for name in ("v1.2", "later", "other")}
    assert bytecode_in(files, f"env/{SITE}/m/") == shipped | (made if mode == "build" else set())
    listed = files.get("share/bytecode", b"").decode().splitlines()
    names = ("later", "other", "v1.2")
    assert listed == ([] if mode == "build" else [f"env/{SITE}/m/{name}.py" for name in names])


def test_headers_are_those_of_the_right_module(dotted: tuple[str, dict[str, bytes]]) -> None:
    _, files = dotted
    for path, source in (
        (f"m/__pycache__/a.{TAG}.pyc", "m/a.py"),
        (f"m/__pycache__/a.b.{TAG}.pyc", "m/a.b.py"),
        (f"m/__pycache__/a.b.{TAG}.opt-1.pyc", "m/a.b.py"),
        (f"m/__pycache__/later.{TAG}.opt-2.pyc", "m/later.py"),
        (f"../__pycache__/__phello__.foo.{TAG}.pyc", "../__phello__.foo.py"),
    ):
        where = [f"env/{SITE}/{name}".replace("/site-packages/..", "") for name in (path, source)]
        content, digest = files[where[0]], hashlib.sha256(files[where[1]]).digest()
        assert content[4:16] == b"\1\0\0\0" + digest[:8], path
        assert content[16:] == DOTTED[where[0].removeprefix("env/")][16:]
    for alone in (f"m/__pycache__/gone.{TAG}.pyc", "m/sourceless.pyc"):
        assert files[f"env/{SITE}/{alone}"] == DOTTED[f"{SITE}/{alone}"]


def test_what_was_compiled_here_is_loaded_by_python(dotted: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    mode, files = dotted
    for name in ("a.b", "v1.2", "later") if mode == "build" else ("a.b",):
        content = files[f"env/{SITE}/m/__pycache__/{name}.{TAG}.pyc"]
        (tmp_path / f"{name}.pyc").write_bytes(content)
        spec = importlib.util.spec_from_file_location("module", tmp_path / f"{name}.pyc")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert 1 in vars(module).values()


def test_bytecode_of_another_packages_module_is_not_taken(tmp_path: Path) -> None:
    """Nobody knows what it was compiled from; and both packages' segments would have it."""
    channel = tmp_path / "channel"
    python_package(channel)
    theirs = {
        f"{SITE}/m/__pycache__/a.b.{TAG}.pyc": pyc(b"A = 'another'\n", "a.b"),
        f"{SITE}/m/__pycache__/c.{TAG}.pyc": pyc(b"C = 'another'\n", "c"),
    }
    ours = {f"{SITE}/m/a.b.py": b"A = 1\n", f"{SITE}/m/c.py": b"C = 1\n"}
    twice = {f"{SITE}/m/__pycache__/c.{TAG}.pyc": pyc(b"C = 1\n", "c")}
    make_package(channel, "ours", "1.0", files=ours | twice, depends=["python"])
    make_package(channel, "theirs", "1.0", files=theirs, depends=["python"])
    files = members(bundle_of(tmp_path, channel, "ours", "theirs"))
    assert bytecode_in(files, f"env/{SITE}/m/__pycache__/") == {f"a.b.{TAG}.pyc", f"c.{TAG}.pyc"}
    assert not any(b"another" in content for path, content in files.items() if path.endswith(".pyc"))


def test_a_directory_of_bytecode_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    link = Link("../cache")
    python_package(channel, {f"{SITE}/m/a.py": b"A = 1\n", f"{SITE}/m/__pycache__": link, f"{SITE}/cache/x": b"x"})
    packed = members(bundle_of(tmp_path, channel, "python"))
    assert bytecode_in(packed, "env/") == set()


@pytest.mark.parametrize("mode", ["build", "install"])
def test_a_wheels_modules_have_bytecode_of_our_own(tmp_path: Path, mode: str) -> None:
    channel = tmp_path / "channel"
    python_package(channel)
    theirs = {f"app/__pycache__/{name}.{TAG}.pyc": b"from another time" for name in ("a", "a.b", "__init__")}
    contents = {
        "app/__init__.py": b"",
        "app/a.py": b"A = 1\n",
        "app/a.b.py": b"AB = 1\n",
        "app/data/v1.2.py": b"V = 1\n",
    }
    wheel = make_wheel(tmp_path / "wheels", "app", "1.0", files=contents | theirs)
    files = members(bundle_of(tmp_path, channel, "python", mode=mode, wheels=[wheel]))
    made = {f"__pycache__/{name}.{TAG}.pyc" for name in ("__init__", "a", "a.b")} | {f"data/__pycache__/v1.2.{TAG}.pyc"}
    assert bytecode_in(files, f"env/{SITE}/app/") == (made if mode == "build" else set())
    assert not any(content == b"from another time" for content in files.values())


# --- free-threaded


@pytest.mark.parametrize("mode", ["build", "install"])
def test_a_python_that_has_its_packages_elsewhere(tmp_path: Path, mode: str) -> None:
    """A free-threaded one says so in its index.json (CEP 17)."""
    channel, library = tmp_path / "channel", f"lib/python{VERSION}t"
    standard = {f"{library}/os.py": b"OS = 1\n", f"{library}/__pycache__/os.{TAG}.pyc": pyc(b"OS = 1\n", "os")}
    python_package(channel, standard, site_packages=f"{library}/site-packages")
    make_package(
        channel,
        "command",
        "1.0",
        files={
            "site-packages/command/__init__.py": b"def main(): pass\n",
            "python-scripts/old": b"#!/bin/sh\n",
            "etc/x": b"x",
        },
        python=True,
        entry_points=("command = command:main",),
        depends=["python"],
    )
    make_package(channel, "plain", "1.0", files={"share/plain": b"plain"})
    files = members(bundle_of(tmp_path, channel, "command", "plain", mode=mode))
    package = f"env/{library}/site-packages/command"
    assert files[f"{package}/__init__.py"] == b"def main(): pass\n"
    assert {"env/bin/command", "env/bin/old", "env/etc/x", "env/share/plain"} <= files.keys()
    assert not any(path.startswith(f"env/lib/python{VERSION}/") for path in files)
    compiled = f"{package}/__pycache__/__init__.{TAG}.pyc"
    assert (compiled in files) == (mode == "build")
    assert files.get("share/bytecode") == (None if mode == "build" else f"{package}/__init__.py\n".encode())
    record = json.loads(files["env/conda-meta/command-1.0-0.json"])
    assert f"{library}/site-packages/command/__init__.py" in record["files"]
    assert record["link"] == {"source": "", "type": 1}


def test_a_record_is_the_same_in_every_release(tmp_path: Path) -> None:
    """Also of a package whose program the linker writes, with the release's path in it."""
    channel = tmp_path / "channel"
    python_package(channel, {f"lib/python{VERSION}/x.py": File(content=PLACEHOLDER.encode(), prefix="text")})
    make_package(channel, "command", "1.0", python=True, entry_points=("command = command:main",), depends=["python"])
    packages = [locked(path) for path in sorted(channel.rglob("*.conda"))]
    found = []
    for baked in (BAKED, BAKED.replace("0123456789ab", "ba9876543210")):
        with make_prefix(lock_of(*packages), baked, QuietProgress()) as prefix:
            collected = collect(prefix)
            found.append({member.path: member.read() for member in collected if "/conda-meta/" in member.path})
            assert any(baked.encode() in member.read() for member in collected if member.path == "env/bin/command")
    assert {"env/conda-meta/command-1.0-0.json"} < found[0].keys()
    assert found[0] == found[1]


def test_what_cannot_be_packed_is_found_there_too(tmp_path: Path) -> None:
    channel, library = tmp_path / "channel", f"lib/python{VERSION}t"
    python_package(channel, site_packages=f"{library}/site-packages")
    editable = json.dumps({"dir_info": {"editable": True}, "url": "file:///home"}).encode()
    files = {"site-packages/late-1.0.dist-info/direct_url.json": editable}
    make_package(channel, "late", "1.0", files=files, python=True, depends=["python"])
    with pytest.raises(AssertionError, match="editable packages"):
        bundle_of(tmp_path, channel, "late")


def test_what_is_compiled_waits_on_disk_and_leaves_nothing(tmp_path: Path) -> None:
    python_package(tmp_path / "channel", {f"{SITE}/module.py": b"X = 1\n"})
    package = locked(next((tmp_path / "channel" / "linux-64").glob("*.conda")))
    with make_prefix(lock_of(package), BAKED, QuietProgress()) as prefix:
        before = set(prefix.path.parent.iterdir())
        module = next(member for member in collect(prefix) if member.path == f"env/{SITE}/module.py")
        with BytecodePlan(prefix, "build", jobs=1) as plan:
            more = plan.more((module,))
            assert more is not None
            (made,) = more()
            assert (made.path, made.content) == (f"env/{SITE}/__pycache__/module.{TAG}.pyc", None)
            assert made.source is not None
            assert made.read()[:4] == importlib.util.MAGIC_NUMBER
            assert made.length == len(made.read())
        assert set(prefix.path.parent.iterdir()) == before
