"""Libraries that a bundle does not bring: objects of the real compiler in a conda package, a wheel and app/."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pypikit import make_wheel
from smallbundle import build, command, reseal
from tinychannel import PLACEHOLDER, File, Link, index, make_package

from bundler.elf import read_elf

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("own_cache")

CONFIG = """
[bundle]
name = "small"
version = "1.0"
inject = ["wheels/*.whl"]
libraries = { LIBRARIES }
[files]
"lib" = "lib"
[services.small]
command = ["tool"]
profile = "generic"
"""
AARCH64 = 183


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Makes a shared object, or a program, that needs the named libraries."""
    room = tmp_path_factory.mktemp("compiled")

    def cc(*words: str) -> None:
        subprocess.run(["cc", *words], cwd=room, check=True)

    def make(*needed: str, soname: str = "", program: bool = False) -> bytes:
        for name in needed:
            (room / "empty.c").write_text("")
            cc("-shared", "-nostdlib", f"-Wl,-soname,{name}", "empty.c", "-o", name)
        (room / "source.c").write_text(f'const char *where = "{PLACEHOLDER}"; int main(void) {{ return !where; }}\n')
        shape = () if program else ("-shared", "-fPIC", *([f"-Wl,-soname,{soname}"] if soname else []))
        cc(*shape, "source.c", "-Wl,--no-as-needed", *(f"./{name}" for name in needed), "-o", "made")
        return (room / "made").read_bytes()

    return make


@pytest.fixture(scope="module")
def project(compiled: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conda package, a wheel and a file of the user's, each with a need that nothing meets and one that is met."""
    room = tmp_path_factory.mktemp("room")
    channel, project = room / "channel", room / "project"
    foreign = bytearray(compiled("libforeign.so.1"))
    foreign[18:20] = AARCH64.to_bytes(2, "little")
    program = File(content=compiled("libnobody.so.1", "libbrought.so.1", program=True), mode=0o755)
    tool: dict[str, bytes | File | Link] = {
        "bin/tool": program,
        "lib/baked.so": File(content=compiled("libbaked.so.1"), prefix="binary"),
        "lib/large.so": compiled("liblarge.so.1") + bytes(9 << 20),  # more than a block
        "lib/foreign.so": bytes(foreign),
        "lib/tried.so": compiled("libcuda.so.1"),
    }
    brings: dict[str, bytes | File | Link] = {
        "lib/x/some-name": compiled(soname="libbrought.so.1"),
        "lib/libreal.so.1.2": compiled(),
        "lib/liblink.so.1": Link("libreal.so.1.2"),
    }
    make_package(channel, "python", "3.11.7", subdir="linux-64", build="h1_0_cpython")
    make_package(channel, "tool", "1.0", subdir="linux-64", depends=["python", "brings"], files=tool)
    make_package(channel, "brings", "1.0", subdir="linux-64", files=brings)
    index(channel)
    make_wheel(
        project / "wheels", "extension", "1.0", files={"extension/e.so": compiled("libwheel.so.1", "liblink.so.1")}
    )
    (project / "lib").mkdir()
    (project / "lib" / "mine.so").write_bytes(compiled("libmine.so.1", "libreal.so.1.2"))
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [tool]\n")
    (project / "bundle.toml").write_text(CONFIG.replace("LIBRARIES", ""))
    return project


@pytest.fixture(scope="module")
def bundle(project: Path) -> Path:
    return build(project, project.parent / "channel", "dir")


def again(project: Path, libraries: str = "") -> tuple[Path, str]:
    """A further build, from kept segments, with ``libraries`` in bundle.toml; and what it says."""
    (project / "bundle.toml").write_text(CONFIG.replace("LIBRARIES", libraries))
    channel = (project.parent / "channel").as_uri()
    output = project.parent / "again"
    done = command("build", project, "--channel", channel, "--format", "dir", "--output-dir", output)
    assert done.returncode == 0, done.stderr
    return output / "small-1.0-linux-64", done.stderr


def libraries(bundle: Path) -> dict[str, dict[str, Any]]:
    requires = json.loads((bundle / "manifest.json").read_text())["requires"]
    return {one["soname"]: one for one in requires["libraries"]}


EXPECTED = {
    "libbaked.so.1": ("required", "tool", "env/lib/baked.so"),
    "liblarge.so.1": ("required", "tool", "env/lib/large.so"),
    "libcuda.so.1": ("optional", "tool", "env/lib/tried.so"),
    "libmine.so.1": ("required", "", "app/lib/mine.so"),
    "libnobody.so.1": ("required", "tool", "env/bin/tool"),
    "libwheel.so.1": ("required", "extension", "env/lib/python3.11/site-packages/extension/e.so"),
}


def said(bundle: Path) -> dict[str, tuple[str, str, str]]:
    found = libraries(bundle).items()
    return {name: (one["need"], one["needed_by"][0]["package"], one["needed_by"][0]["path"]) for name, one in found}


def test_the_manifest_names_library_package_and_file(bundle: Path) -> None:
    assert said(bundle) == EXPECTED


def test_inspect_shows_them(bundle: Path) -> None:
    text = command("inspect", bundle)
    assert text.returncode == 0, text.stderr
    lines = [line.split() for line in text.stdout.splitlines()]
    assert ["libnobody.so.1", "required", "tool:", "env/bin/tool"] in lines
    assert "libcuda.so.1    optional, NVIDIA's driver provides it  tool: env/lib/tried.so" in text.stdout
    document = json.loads(command("inspect", "--json", bundle).stdout)
    assert {one["soname"]: one for one in document["requires"]["libraries"]} == libraries(bundle)


def test_another_build_says_the_same_and_what_to_do(bundle: Path, project: Path) -> None:
    """Nothing of a package is read again when its segment is copied."""
    other, told = again(project)
    assert (other / "manifest.json").read_bytes() == (bundle / "manifest.json").read_bytes()
    assert "note: tool needs libbaked.so.1, liblarge.so.1, libnobody.so.1, which neither the bundle nor glibc" in told
    line = ", ".join(f'"lib{name}.so.1" = "optional"' for name in ("baked", "large", "nobody"))
    assert f"[bundle] libraries = {{ {line} }}" in told
    assert "note: tool has files that need libcuda.so.1" in told
    assert "note: app/lib/mine.so needs libmine.so.1" in told


def test_bundle_toml_has_the_last_word(bundle: Path, project: Path) -> None:
    wanted = {
        "libnobody.so.1": "optional",
        "libcuda.so.*": "required",
        "libopened.so.1": "required",
        "libreal.so.1.2": "optional",
    }
    other, told = again(project, ", ".join(f'"{name}" = "{need}"' for name, need in wanted.items()))
    needs = {name: one["need"] for name, one in libraries(other).items()}
    assert (needs["libnobody.so.1"], needs["libcuda.so.1"], needs["libmine.so.1"]) == (
        "optional",
        "required",
        "required",
    )
    assert libraries(other)["libopened.so.1"]["needed_by"] == []
    assert 'bundle.libraries: the bundle does not need "libreal.so.1.2" from the server' in told
    ids = [json.loads((one / "manifest.json").read_text())["build_id"] for one in (bundle, other)]
    assert ids[0] != ids[1]


def test_a_wrong_value_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "lib").mkdir()
    (tmp_path / "bundle.toml").write_text(CONFIG.replace("LIBRARIES", '"libGL.so.1" = "maybe"'))
    done = command("build", tmp_path)
    assert done.returncode == 2
    assert "bundle.libraries.libGL.so.1: is the text" in done.stderr


def test_verify_holds_install_sh_to_the_manifest(bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(bundle, tmp_path / bundle.name))
    assert command("verify", bundle).returncode == 0
    script = bundle / "install.sh"
    good = script.read_text()
    assert '"$1" libnobody.so.1 required' in good
    for change in (
        ("libnobody.so.1 required", "libnobody.so.1 optional"),
        ("LIBRARY_BYTES='127", "LIBRARY_BYTES='126"),
    ):
        script.write_text(good.replace(*change))
        reseal(bundle)
        done = command("verify", bundle)
        assert done.returncode == 7, change
        assert "install.sh differs from the one that" in done.stderr


def test_separate_debug_information_needs_nothing(compiled: Callable[..., bytes], tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(compiled("libnobody.so.1", soname="libmade.so.1"))
    subprocess.run(["objcopy", "--only-keep-debug", "made", "made.debug"], cwd=tmp_path, check=True)
    debug = read_elf((tmp_path / "made.debug").read_bytes())
    assert debug is None or (debug.dynamic, debug.needed, debug.soname) == (False, (), "")
    (tmp_path / "x.c").write_text("int x;\n")
    subprocess.run(["cc", "-c", "x.c"], cwd=tmp_path, check=True)
    plain = read_elf((tmp_path / "x.o").read_bytes())
    assert plain is not None
    assert (plain.dynamic, plain.needed) == (False, ())
