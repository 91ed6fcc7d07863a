"""Bundles for other machines: everything is right in them, and nothing of theirs is run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from examplekit import CHECKOUT
from foreignkit import ARM, EVERY, FOREIGN, PYTHON, TAIL, TEXT, Foreign, build, elf, make_channel, make_project, run
from tinychannel import PLACEHOLDER, index, make_package

if TYPE_CHECKING:
    from pathlib import Path

NATIVE = "env/lib/libnative.so"
SITE = f"env/lib/{PYTHON}/site-packages"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_channel(tmp_path_factory.mktemp("channels") / "foreign")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, channel: Path) -> dict[str, Path]:
    """All of one project's, as directories."""
    project = make_project(tmp_path_factory.mktemp("project") / "all")
    return build(project, (channel,), "--platform", "all", "--format", "dir")


def manifest_of(bundle: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return document


def payload_of(bundle: Path) -> dict[str, bytes]:
    """Every file's content."""
    with tarfile.open(bundle / "payload.tar.gz") as tar:
        return {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]


def header(bundle: Path, name: str) -> str:
    found = re.search(rf"^{name}='?(.*?)'?( #.*)?$", (bundle / "install.sh").read_text(), re.MULTILINE)
    assert found is not None, name
    return found[1]


def test_one_command_makes_a_bundle_for_each(bundles: dict[str, Path]) -> None:
    assert list(bundles) == [foreign.platform for foreign in FOREIGN]
    names = {platform: set(payload_of(bundle)) for platform, bundle in bundles.items()}
    assert names["linux-aarch64"] == names["linux-s390x"]
    aarch64 = {name for name in names["linux-aarch64"] if not name.startswith(("share/", "env/conda-meta/"))}
    assert aarch64 == {
        "app/job.py", f"env/bin/{PYTHON}", "env/bin/words", NATIVE, f"env/lib/{PYTHON}/os.py",
        f"{SITE}/words/__init__.py", f"{SITE}/words/place.py",
    }  # fmt: skip


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda foreign: foreign.platform)
def test_the_relocation_table_of_a_file_of_either_byte_order(bundles: dict[str, Path], foreign: Foreign) -> None:
    bundle = bundles[foreign.platform]
    baked = manifest_of(bundle)["baked_prefix"].encode()
    files = payload_of(bundle)
    file, string = files["share/relocation/binary"].decode().splitlines()
    assert file == f"file {len(elf(foreign))} {NATIVE}"
    assert string == f"string 65 {len(PLACEHOLDER) + len(TEXT)} {len(TEXT)} 1 @{TEXT.decode()}"
    room = len(PLACEHOLDER) + len(TEXT)
    assert files[NATIVE] == elf(foreign)[:65] + (baked + TEXT).ljust(room, b"\0") + b"\0" + TAIL + b"\0"
    text = set(files["share/relocation/text"].decode().split("\0"))
    assert {"env/bin/words", f"{SITE}/words/place.py"} <= text
    assert files["env/bin/words"].startswith(b"#!" + baked + b"/bin/python")


def test_what_the_servers_need_is_each_platforms_own(bundles: dict[str, Path]) -> None:
    none: dict[str, Any] = {
        "glibc": "2.17",
        "linux": "",
        "archspec": "",
        "cuda": "",
        "cuda_arch": "",
        "gpu": False,
        "systemd": 239,
    }
    none |= {"libraries": []}
    assert {platform: manifest_of(bundle)["requires"] for platform, bundle in bundles.items()} == {
        "linux-64": none | {"machine": "x86_64", "archspec": "x86_64_v2"},
        "linux-aarch64": none | {"machine": "aarch64", "linux": "5.15", "cuda": "12.1", "gpu": True},
        "linux-s390x": none | {"machine": "s390x"},
    }
    arm, intel = bundles["linux-aarch64"], bundles["linux-64"]
    names = ("PLATFORM", "MACHINE", "MACHINES", "GLIBC", "KERNEL", "CPU", "CUDA", "CUDA_DRIVER", "GPU")
    assert [header(arm, name) for name in names] == [
        "linux-aarch64", "aarch64", "aarch64", "2.17", "5.15", "", "12.1", "530", "needed",
    ]  # fmt: skip
    assert header(intel, "CPU") == "x86_64_v2"
    assert header(intel, "CPU_FEATURES").split() == ["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"]
    done = run("inspect", arm)
    assert "aarch64, glibc 2.17 or later, Linux 5.15 or later, an NVIDIA driver with CUDA 12.1 or later," in done.stdout
    assert run("verify", arm).returncode == 0


def test_no_python_of_another_machine_is_run(bundles: dict[str, Path], channel: Path) -> None:
    """Each would run here, being a shell script, as it would where an emulator is registered with the kernel."""
    assert list(channel.parent.glob("ran-*")) == []
    said = bundles["linux-64"].parent.with_suffix(".stderr").read_text()
    # What is said of one that was tried; such a script is no Python.
    assert said.count("it does not run") == (os.uname().machine in ("x86_64", "aarch64", "s390x"))
    for platform in ("linux-aarch64", "linux-s390x"):
        assert manifest_of(bundles[platform])["payload"]["bytecode"] == "install"
        files = payload_of(bundles[platform])
        listed = files["share/bytecode"].decode().splitlines()
        assert listed == sorted(name for name in files if name.endswith(".py"))
        assert len(listed) == 4
        assert int(header(bundles[platform], "PAYLOAD_FILES")) == manifest_of(bundles[platform])["payload"]["files"] + 4


def test_the_same_bytes_each_time_and_whatever_else_is_built(
    bundles: dict[str, Path], channel: Path, tmp_path: Path
) -> None:
    other = make_project(tmp_path / "other")
    (other / "conda-lock.yml").write_bytes((bundles["linux-64"] / "conda-lock.yml").read_bytes())
    env = {"CONDA_BUNDLER_CACHE": str(tmp_path / "cache"), "TZ": "Asia/Tokyo"}
    for platform in ("linux-aarch64", "linux-64"):
        again = build(other, (channel,), f"--platform={platform}", "--format=dir", env=env)
        assert list(again) == [platform]
        for path in sorted(bundles[platform].rglob("*")):
            if path.is_file():
                assert (again[platform] / path.relative_to(bundles[platform])).read_bytes() == path.read_bytes(), path


def test_an_own_bundle_differs_from_one_whose_bytecode_is_left_to_the_target(
    bundles: dict[str, Path], channel: Path, tmp_path: Path
) -> None:
    """The same build id on two trees would be refused by the second server that sees both."""
    project = make_project(tmp_path / "p", tables='bytecode = "install"' + EVERY)
    ids = {
        platform: manifest_of(bundle)["build_id"]
        for platform, bundle in build(project, (channel,), "--format=dir").items()
    }
    assert ids["linux-aarch64"] == manifest_of(bundles["linux-aarch64"])["build_id"]
    assert ids["linux-64"] != manifest_of(bundles["linux-64"])["build_id"]


def test_a_lockfile_is_for_the_whole_project(channel: Path, tmp_path: Path) -> None:
    given = f"--channel={channel.as_uri()}"
    project = make_project(tmp_path / "p")
    done = run("lock", project, given, "--platform=linux-64", "--json")
    assert set(json.loads(done.stdout)["packages"]) == {foreign.platform for foreign in FOREIGN}
    text = (project / "bundle.toml").read_text()
    (project / "bundle.toml").write_text(text.replace("[platforms.linux-s390x]\n", ""))
    assert run("lock", project, given).returncode == 0
    done = run("build", project, given, "--platform=linux-s390x")
    assert (done.returncode, "not locked for linux-s390x, only for linux-64, linux-aarch64" in done.stderr) == (4, True)
    build(project, (channel,), "--platform=linux-s390x", "--relock")
    assert run("lock", project, given, "--check", "--platform=all").returncode == 0


def test_a_package_of_another_machine_in_the_channel(tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    made = make_package(channel, "native", "1.0", subdir="linux-64", files={"bin/python": b""})
    (channel / "linux-aarch64").mkdir()
    made.rename(channel / "linux-aarch64" / made.name)
    index(channel)
    repodata = channel / "linux-aarch64" / "repodata.json"
    document = json.loads(repodata.read_text())
    for entry in document["packages.conda"].values():
        entry["subdir"] = "linux-aarch64"
    for path in channel.glob("linux-aarch64/repodata*"):
        path.unlink()
    repodata.write_text(json.dumps(document))
    project = make_project(tmp_path / "p", tables=ARM, dependencies="native")
    done = run("build", project, f"--channel={channel.as_uri()}")
    assert (done.returncode, "was built for linux-64, but the lockfile says linux-aarch64" in done.stderr) == (5, True)


@pytest.mark.network
def test_real_wheels_of_another_machine(channel: Path, tmp_path: Path) -> None:
    """examples/channel makes packages of PyPI's wheels for aarch64, with compiled code in them."""
    wheels = CHECKOUT / "build" / "channel-aarch64"
    words: list[str | Path] = [sys.executable, CHECKOUT / "examples" / "channel", wheels, "--machine", "aarch64"]
    subprocess.run(words, check=True, capture_output=True, timeout=300)
    project = make_project(tmp_path / "p", tables=ARM, dependencies="python, uvicorn, httptools")
    bundle = build(project, (channel, wheels), "--format=dir")["linux-aarch64"]
    files = payload_of(bundle)
    objects = {name: content for name, content in files.items() if content.startswith(b"\x7fELF")}
    assert len(objects) >= 2
    assert all(name.startswith(f"{SITE}/httptools/") for name in objects)
    assert all("aarch64-linux-gnu.so" in name for name in objects)
    assert {content[4:6] + content[18:20] for content in objects.values()} == {b"\2\1" + (183).to_bytes(2, "little")}
    assert f"{SITE}/uvicorn/main.py" in files["share/bytecode"].decode().splitlines()
    assert manifest_of(bundle)["requires"]["glibc"] == "2.17"
    assert not (channel.parent / "ran-linux-aarch64").exists()
