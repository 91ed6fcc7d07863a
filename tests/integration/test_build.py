"""`conda-bundler build` on a small real channel: what is in the bundle, and that it is the same bytes every time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from tinychannel import PLACEHOLDER, File, index, make_package

from bundler.pack.segments import KeptEntry

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_cache")

CONFIG = """
[bundle]
name = "small"
version = "1.0"
[files]
"start" = "start"
"data" = "data"
[config]
PORT = "8000"
[services.small]
command = ["tool", "{app}/data"]
profile = "generic"
health = { http = "http://127.0.0.1:${PORT}/" }
"""


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    channel = tmp_path_factory.mktemp("channel")
    script = File(content=f"#!{PLACEHOLDER}/bin/sh\nexec true\n".encode(), mode=0o755, prefix="text")
    make_package(channel, "tool", "1.0", files={"bin/tool": script}, depends=["library", "__glibc >=2.17,<3.0.a0"])
    make_package(channel, "library", "2.0", subdir="linux-64", files={"lib/big": os.urandom(3_000_000)})
    make_package(channel, "library", "2.0", subdir="linux-aarch64", files={"lib/big": b"other"})
    index(channel)
    return channel


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def make_project(project: Path) -> Path:
    (project / "data" / "__pycache__").mkdir(parents=True)
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [tool]\n")
    (project / "bundle.toml").write_text(CONFIG)
    (project / "start").write_text("#!/bin/sh\n")
    (project / "data" / "a b'c").write_text("x")
    (project / "data" / "link").symlink_to("a b'c")
    (project / "data" / "__pycache__" / "x.pyc").write_text("x")
    return project


def run_build(
    project: Path, channel: Path, *options: str, env: dict[str, str] | None = None, umask: int = 0o022
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "bundler", "build", str(project), "--channel", channel.as_uri(), *options]
    return subprocess.run(
        words, capture_output=True, text=True, check=False, env=os.environ | (env or {}), umask=umask, cwd=project
    )


def built(project: Path, channel: Path, *options: str, env: dict[str, str] | None = None, umask: int = 0o022) -> Path:
    done = run_build(project, channel, "--json", *options, env=env, umask=umask)
    assert done.returncode == 0, done.stderr
    bundles = json.loads(done.stdout)["bundles"]
    return project / "dist" / str(bundles[0]["path"]).rpartition("/")[2]


def test_the_tar_is_what_the_contract_says(project: Path, channel: Path) -> None:
    bundle = built(project, channel)
    assert bundle.name == "small-1.0-linux-64.tar"
    top = "small-1.0-linux-64"
    with tarfile.open(bundle, "r:") as tar:
        members = {info.name: info for info in tar}
    files = {name.removeprefix(f"{top}/") for name, info in members.items() if info.isfile()}
    assert files == {
        "install.sh", "manage", "manifest.json", "SHA256SUMS", "payload.tar.gz", "conda-lock.yml", "config/small.env",
        "config/small.service.env", "config/activation.env", "config/activation.list", "units/small.service",
        "units/small-health.service", "units/small-health.timer", "units/small-watch.service",
        "launch/small", "sbom.cdx.json", "provenance.json", "segments",
    }  # fmt: skip
    programs = {members[f"{top}/{name}"] for name in ("install.sh", "manage")}
    assert {info.mode for info in programs} == {0o755}
    assert {info.mode for info in members.values() if info.isfile() and info not in programs} == {0o644}
    assert {(info.uid, info.gid, info.mtime) for info in members.values()} == {(0, 0, 315532800)}


def test_the_digests_agree_with_the_files(project: Path, channel: Path) -> None:
    bundle = built(project, channel)
    sums = bundle.with_name(bundle.name + ".sha256")
    subprocess.run(["sha256sum", "--strict", "-c", sums.name], cwd=bundle.parent, check=True, capture_output=True)
    subprocess.run(["tar", "-xf", bundle, "-C", project], check=True)
    top = project / "small-1.0-linux-64"
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=top, check=True, capture_output=True)
    listed = {line.split("  ", 1)[1] for line in (top / "SHA256SUMS").read_text().splitlines()}
    assert listed == {p.relative_to(top).as_posix() for p in top.rglob("*") if p.is_file()} - {"SHA256SUMS"}


def test_the_manifest_is_an_index_without_the_build_machine(project: Path, channel: Path) -> None:
    bundle = built(project, channel, "--format", "dir")
    text = (bundle / "manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["schema"] == 1
    assert manifest["release"] == f"1.0-{manifest['build_id']}"
    assert manifest["baked_prefix"] == f"/opt/small/releases/{manifest['release']}/env"
    assert manifest["requires"] == {
        "machine": "x86_64", "glibc": "2.17", "linux": "", "archspec": "", "cuda": "", "cuda_arch": "",
        "gpu": False, "systemd": 239,
        "libraries": [],
    }  # fmt: skip
    assert [package["name"] for package in manifest["packages"]] == ["library", "tool"]
    assert manifest["payload"]["sha256"] == hashlib.sha256((bundle / "payload.tar.gz").read_bytes()).hexdigest()
    assert str(project) not in text


def test_the_payload_holds_env_app_and_share(project: Path, channel: Path) -> None:
    bundle = built(project, channel, "--format", "dir")
    with tarfile.open(bundle / "payload.tar.gz") as tar:
        names = {info.name for info in tar}
        script = tar.extractfile("env/bin/tool")
        assert script is not None
        baked = json.loads((bundle / "manifest.json").read_text())["baked_prefix"]
        assert script.read().startswith(f"#!{baked}/bin/sh".encode())
        assert tar.getmember("app/data/link").linkname == "a b'c"
        frozen = tar.extractfile("env/conda-meta/frozen")
        assert frozen is not None
        assert "belongs to the bundle small" in json.loads(frozen.read())["message"]
        assert tar.getmember("env/conda-meta/frozen").mode == 0o644
        listed = tar.extractfile("share/digests")
        assert listed is not None
        assert b"  ./env/conda-meta/frozen\n" in listed.read()
    assert {"app/start", "app/data/a b'c", "share/probe", "env/lib/big"} <= names
    assert not any("__pycache__" in name for name in names)


def test_names_of_any_bytes_are_packed_and_listed(project: Path, channel: Path) -> None:
    names = ("new\nline", "back\\slash", "return\r", " blanks ", "l -> m", "latin \udce9", "esc\x1b[31m", "-x")
    for name in names:
        (project / "data" / name).write_text("some bytes", "utf-8")
    bundle = built(project, channel, "--format", "dir")
    largest = [entry["path"] for entry in json.loads((bundle / "manifest.json").read_bytes())["payload"]["largest"]]
    with tarfile.open(bundle / "payload.tar.gz") as tar:
        assert {f"app/data/{name}" for name in names} <= set(tar.getnames())
        listed = tar.extractfile("share/digests")
        assert listed is not None
        lines = listed.read().splitlines()
    assert "app/data/latin \udce9" in largest
    digest = hashlib.sha256(b"some bytes").hexdigest().encode()
    for path in (b"new\\0012line", b"back\\\\slash", b"return\\0015", b" blanks ", b"l -\\0076 m", b"latin \xe9"):
        assert digest + b"  ./app/data/" + path in lines
    for command in ("verify", "inspect"):
        words = [sys.executable, "-m", "bundler", command, str(bundle)]
        done = subprocess.run(words, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stdout


def test_the_same_inputs_are_the_same_bytes(tmp_path: Path, channel: Path) -> None:
    """Whatever the directory, umask, home, time zone and the caches' state."""
    first = built(make_project(tmp_path / "one"), channel)
    other = make_project(tmp_path / "deeper" / "two")
    shutil.copy(tmp_path / "one" / "conda-lock.yml", other)
    (other / "data" / "a b'c").touch()
    env = {"CONDA_BUNDLER_CACHE": str(tmp_path / "cache"), "TZ": "Asia/Tokyo", "HOME": str(tmp_path), "LC_ALL": "C"}
    second = built(other, channel, "--jobs", "1", env=env, umask=0o077)
    assert first.read_bytes() == second.read_bytes()
    assert second.stat().st_mode & 0o777 == 0o600  # the umask's: the bundle is the user's file


def test_another_codec_is_the_same_tree_and_the_same_release(project: Path, channel: Path) -> None:
    seen = set()
    for codec in ("gzip", "zstd", "xz", "none"):
        bundle = built(project, channel, "--compression", codec, "--format", "dir")
        manifest = json.loads((bundle / "manifest.json").read_text())
        assert manifest["payload"]["codec"] == codec
        seen.add((manifest["tree_digest"], manifest["release"]))
    assert len(seen) == 1


def test_a_segment_has_one_id_in_every_release(tmp_path: Path, channel: Path) -> None:
    """Whatever the path that is written into the package's files; what carries it is in no segment that is linked."""
    project = make_project(tmp_path / "project")
    one = built(project, channel, "--format", "dir")
    (project / "bundle.toml").write_text(CONFIG.replace('"1.0"', '"1.0.1-longer"'))
    (project / "data" / "a b'c").write_text("y")
    other = built(project, channel, "--format", "dir", "--compression", "zstd")
    segments = [manifest_of(path)["payload"]["segments"] for path in (one, other)]
    ids = [{segment["name"]: segment["id"] for segment in found} for found in segments]
    assert {name for name in ids[0] if ids[0][name] == ids[1][name] != "-"} == {"library", "tool"}
    assert {name for name in ids[0] if ids[0][name] == "-"} == {"directories", "baked", "list"}
    assert ids[0].keys() == ids[1].keys()


def content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def manifest_of(bundle: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return manifest


def test_where_the_segments_lie_is_there_for_a_shell(project: Path, channel: Path) -> None:
    bundle = built(project, channel, "--format", "dir")
    payload = (bundle / "payload.tar.gz").read_bytes()
    said = {segment["name"]: segment for segment in manifest_of(bundle)["payload"]["segments"]}
    end, whole = 0, b""
    for line in (bundle / "segments").read_text().splitlines():
        offset, length, sha256, said_id, files, kib, name = line.split(" ", 6)
        piece = payload[int(offset) : int(offset) + int(length)]
        assert (int(offset), hashlib.sha256(piece).hexdigest()) == (end, sha256)
        assert (said_id, int(files), int(kib)) == (said[name]["id"], said[name]["files"], said[name]["kib"])
        end, whole = end + int(length), whole + gzip.decompress(piece)
    assert end == len(payload)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        lists = {name: content(tar, f"share/{name}").splitlines() for name in ("contents", "digests", "links")}
        links = [f"./{info.name}".encode() for info in tar if info.issym()]
    assert lists["links"] == links
    rows = [line.split(b" ", 3) for line in lists["contents"]]
    assert sum(int(row[1]) for row in rows) == len(lists["digests"])
    assert sum(int(row[2]) for row in rows) == len(links)
    assert [row[3] for row in rows] == [name.encode() for name in said if said[name]["files"]]


def test_every_input_changes_the_build_id(tmp_path: Path, channel: Path) -> None:
    project = make_project(tmp_path / "p")

    def build_id() -> str:
        return str(json.loads((built(project, channel, "--format", "dir") / "manifest.json").read_text())["build_id"])

    seen = [build_id(), build_id()]
    assert seen[0] == seen[1]
    (project / "data" / "a b'c").write_text("y")
    seen.append(build_id())
    (project / "start").chmod(0o755)
    seen.append(build_id())
    (project / "bundle.toml").write_text(CONFIG.replace("8000", "8001"))
    seen.append(build_id())
    assert len(set(seen)) == 4


def test_a_lone_environment_yml(tmp_path: Path, channel: Path) -> None:
    (tmp_path / "environment.yml").write_text("channels: [nowhere]\ndependencies: [tool]\n")
    options = ("--environment", "environment.yml", "--name", "lone", "--bundle-version", "2", "--command", "tool 'a b'")
    bundle = built(tmp_path, channel, *options, "--format", "dir")
    unit = (bundle / "units" / "lone.service").read_text()
    assert '/env/bin/tool "a b"\n' in unit


def test_another_platform_from_this_machine(project: Path, channel: Path) -> None:
    bundle = built(project, channel, "--platform", "linux-aarch64", "--format", "dir")
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["requires"]["machine"] == "aarch64"
    with tarfile.open(bundle / "payload.tar.gz") as tar:
        big = tar.extractfile("env/lib/big")
        assert big is not None
        assert big.read() == b"other"


def test_a_stale_lockfile_is_refused_unless_told(project: Path, channel: Path) -> None:
    built(project, channel)
    before = sorted((project / "dist").iterdir())
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [library]\n")
    done = run_build(project, channel, "--bundle-version", "2")
    assert done.returncode == 4
    assert "--relock" in done.stderr
    assert sorted((project / "dist").iterdir()) == before
    (project / "bundle.toml").write_text(CONFIG.replace('"tool"', '"/bin/true"'))
    assert run_build(project, channel, "--bundle-version", "2", "--relock").returncode == 0


AS_A_USER = """
import sys, types
from bundler import cli
from bundler.reader import summary

uid = int(sys.argv.pop(1))
summary.os = types.SimpleNamespace(geteuid=lambda: uid)
cli.main()
"""


@pytest.mark.parametrize(("uid", "program"), [("0", "conda-bundler"), ("1000", 'sudo "$(command -v conda-bundler)"')])
def test_what_to_run_next_works_for_who_runs_it(project: Path, channel: Path, uid: str, program: str) -> None:
    words = [sys.executable, "-c", AS_A_USER, uid, "build", str(project), "--channel", channel.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=project)
    assert done.returncode == 0, done.stderr
    told = dict(line.strip().split("  ", 1) for line in done.stdout.splitlines()[1:])
    assert told["try it here"].strip() == f"{program} smoke {next((project / 'dist').glob('*.tar'))}"


def test_a_directory_is_replaced_as_a_whole(project: Path, channel: Path) -> None:
    bundle = built(project, channel, "--format", "dir")
    (bundle / "stray").write_text("x")
    assert built(project, channel, "--format", "dir") == bundle
    assert not (bundle / "stray").exists()
    assert [path.name for path in (project / "dist").iterdir()] == [bundle.name]


def test_a_killed_build_leaves_nothing_under_a_final_name(
    project: Path, channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a broken entry in a cache."""
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    run_build(project, channel)
    shutil.rmtree(project / "dist")
    words = [sys.executable, "-m", "bundler", "build", str(project), "--channel", channel.as_uri()]
    for delay in (0.3, 0.8, 1.2, 1.6, 2.0, 2.4):
        shutil.rmtree(tmp_path / "cache" / "segments", ignore_errors=True)
        process = subprocess.Popen(words, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for entry in (tmp_path / "cache" / "segments").glob("[0-9a-f]*"):
            assert list(KeptEntry.open(entry).frames())
        found = [path for path in (project / "dist").glob("*") if not path.name.startswith(".")]
        if found:
            assert {path.name for path in found} <= {"small-1.0-linux-64.tar", "small-1.0-linux-64.tar.sha256"}
            with tarfile.open(project / "dist" / "small-1.0-linux-64.tar") as tar:
                assert "small-1.0-linux-64/payload.tar.gz" in tar.getnames()
    built(project, channel)
