"""``bundle.owners`` from the refusal that proposes it to the bundle: what is built, told and kept."""

from __future__ import annotations

import json
import re
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from pypikit import make_wheel
from smallbundle import CONFIG, build, command, make_channel, make_project
from tinychannel import index, make_package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_cache")

SHARED = "lib/python3.11/site-packages/cv2/shared.py"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    channel = make_channel(tmp_path_factory.mktemp("owners") / "channel")
    make_package(channel, "python", "3.11.7", subdir="linux-64", build="h1_0_cpython")
    index(channel)
    return channel


@pytest.fixture
def project(tmp_path: Path) -> Path:
    config = CONFIG.replace("exclude =", 'inject = ["dist/*.whl"]\nexclude =')
    project = make_project(tmp_path / "project", environment="tool <2, twin, python", config=config)
    for name in ("cv-full", "cv-headless"):
        files = {"cv2/shared.py": f"WHO = {name!r}\n".encode(), "cv2/same.py": b"", f"{name}.py": b""}
        make_wheel(project / "dist", name, "1.0", files=files)
    return project


def own(project: Path, line: str) -> None:
    config = project / "bundle.toml"
    config.write_text(re.sub(r"\[bundle\]\n(owners = .*\n)?", f"[bundle]\n{line}\n", config.read_text()))


def refusal(project: Path, channel: Path) -> Mapping[str, Any]:
    done = command("build", project, "--channel", channel.as_uri(), "--json")
    said: Mapping[str, Any] = json.loads(done.stdout)["error"]
    assert done.returncode == said["exit_code"], done.stderr
    assert "Traceback" not in done.stderr
    return said


def content(bundle: Path, path: str) -> bytes:
    with tarfile.open(bundle / "payload.tar.gz") as payload:
        file = payload.extractfile(f"env/{path}")
        assert file is not None
        return file.read()


def test_a_clash_is_settled_by_the_line_that_is_proposed(
    project: Path, channel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = refusal(project, channel)
    assert said["exit_code"] == 5
    assert f"{SHARED}: cv-full (wheel) and cv-headless (wheel)" in said["message"]
    (line,) = (line.strip() for line in said["remedy"].splitlines() if "owners =" in line)
    own(project, line)
    first = build(project, channel, "dir")
    manifest = json.loads((first / "manifest.json").read_text())
    assert content(first, SHARED) == b"WHO = 'cv-full'\n"
    told = json.loads(command("inspect", first, "--json").stdout)["shared"]
    assert told == manifest["shared"]
    assert [(one["path"], one["owner"], one["others"], one["same"], one["chosen"]) for one in told] == [
        ("lib/python3.11/site-packages/cv2/same.py", "pip:cv-full", ["pip:cv-headless"], True, False),
        (SHARED, "pip:cv-full", ["pip:cv-headless"], False, True),
        ("share/both", "library", ["twin"], False, False),  # conda links twin first: nothing needs it
    ]
    for_people = command("inspect", first).stdout
    assert "cv-full (wheel), chosen by bundle.owners; a different file in cv-headless (wheel)" in for_people
    assert "cv-full (wheel); the same file in cv-headless (wheel)" in for_people
    assert "library's copy is used instead of twin's" in for_people

    bundle = first.rename(tmp_path / "first")
    own(project, line.replace('"cv-full"', '"cv_HEADLESS"'))
    second = build(project, channel, "dir")  # what the other build has kept is at hand
    assert content(second, SHARED) == b"WHO = 'cv-headless'\n"
    assert manifest["build_id"] != json.loads((second / "manifest.json").read_text())["build_id"]
    (moved,) = json.loads(command("diff", bundle, second, "--json").stdout)["shared"]
    assert (moved["name"], moved["old"], moved["new"]) == (SHARED, "of cv-full (wheel)", "of cv-headless (wheel)")
    assert f"~ {SHARED}" in " ".join(command("diff", bundle, second).stdout.split())
    assert command("verify", second).returncode == 0
    warm = (second / "payload.tar.gz").read_bytes()
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cold"))
    assert (build(project, channel, "dir") / "payload.tar.gz").read_bytes() == warm
    own(project, line)
    again = build(project, channel, "dir")
    for name in ("payload.tar.gz", "manifest.json", "install.sh"):
        assert (again / name).read_bytes() == (bundle / name).read_bytes()


def test_a_package_that_is_nowhere_is_a_mistake(project: Path, channel: Path) -> None:
    own(project, f'owners = {{ "{SHARED}" = "cv-ful" }}')
    said = refusal(project, channel)
    assert (said["exit_code"], said["where"]) == (2, "bundle.toml: bundle.owners")
    assert said["message"].endswith("no package cv-ful in the environment; did you mean cv-full?")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('owners = { "/bin/x" = "tool" }', "bundle.owners./bin/x: must be a relative path without '..'"),
        ('owners = { "bin/../x" = "tool" }', "must be a relative path without '..'"),
        ('owners = { "bin/x" = "" }', "bundle.owners.bin/x: '' does not match"),
        ('owners = { "bin/x" = "npm:tool" }', "'npm:tool' does not match"),
        ('owners = ["bin/x"]', "bundle.owners: is a list; it must be a table"),
    ],
)
def test_a_table_that_is_none(project: Path, channel: Path, line: str, said: str) -> None:
    own(project, line)
    error = refusal(project, channel)
    assert error["exit_code"] == 2
    assert said in error["message"]
