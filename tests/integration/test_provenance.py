"""`provenance`: what a bundle was built from, the same wherever it was built, and what `verify` makes of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from slsakit import STATEMENT
from smallbundle import TOP, as_user, command, give, make_channel, make_project, reseal
from smallbundle import build as build_small

from bundler.bundle.provenance import WITHOUT_SUBJECT

pytestmark = pytest.mark.usefixtures("own_cache")

SOMEBODY = 1987654


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel, a project and its bundle as a directory."""
    room = tmp_path_factory.mktemp("provenance")
    make_channel(room / "channel")
    make_project(room / "project")
    assert build_small(room / "project", room / "channel", "dir") == room / "dist" / TOP
    return room


@pytest.fixture
def bundle(room: Path, tmp_path: Path) -> Path:
    """A directory of one's own to damage."""
    return Path(shutil.copytree(room / "dist" / TOP, tmp_path / TOP))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def statement_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((bundle / "provenance.json").read_text())
    return found


def inputs_of(bundle: Path) -> dict[str, dict[str, Any]]:
    found = statement_of(bundle)["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert len({one["name"] for one in found}) == len(found)
    return {one["name"]: one for one in found}


def test_its_shape_is_the_published_one(room: Path) -> None:
    statement = statement_of(room / "dist" / TOP)
    validator = jsonschema.Draft202012Validator(STATEMENT)
    validator.check_schema(STATEMENT)
    assert list(validator.iter_errors(statement)) == []
    del statement["predicate"]["runDetails"]["builder"]["id"]
    assert list(validator.iter_errors(statement)) != []


def test_it_is_covered_as_every_other_file_is(room: Path) -> None:
    bundle = room / "dist" / TOP
    digest = sha256(bundle / "provenance.json")
    assert json.loads((bundle / "manifest.json").read_text())["provenance"] == {
        "path": "provenance.json",
        "sha256": digest,
    }
    assert f"{digest}  provenance.json\n" in (bundle / "SHA256SUMS").read_text()
    assert f"{digest} provenance.json\n" in (bundle / "install.sh").read_text()


def test_its_subjects_are_the_files_of_the_bundle(room: Path) -> None:
    bundle = room / "dist" / TOP
    there = {path.relative_to(bundle).as_posix(): sha256(path) for path in bundle.rglob("*") if path.is_file()}
    said = {one["name"]: one["digest"]["sha256"] for one in statement_of(bundle)["subject"]}
    assert said == {name: digest for name, digest in there.items() if name not in WITHOUT_SUBJECT}
    assert {"payload.tar.gz", "sbom.cdx.json", "units/small.service", "conda-lock.yml", "launch/small"} < said.keys()


def test_every_input_is_named_by_its_digest(room: Path) -> None:
    inputs, project = inputs_of(room / "dist" / TOP), room / "project"
    for name in ("bundle.toml", "environment.yml", "conda-lock.yml"):
        assert inputs[name]["digest"] == {"sha256": sha256(project / name)}
    assert inputs["app/"]["annotations"] == {"role": "files", "files": 2, "bytes": 1}
    text = f"644 {hashlib.sha256(b'x').hexdigest()} app/data/text\0"
    digest = hashlib.sha256(f"777 text app/data/link\0{text}".encode()).hexdigest()
    assert inputs["app/"]["digest"] == {"tree_sha256": digest}
    assert inputs["conda-bundler"]["uri"].startswith("pkg:pypi/conda-bundler@")
    assert inputs["py-rattler"]["uri"].startswith("pkg:pypi/py-rattler@")
    definition = statement_of(room / "dist" / TOP)["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "platform": "linux-64", "source": "bundle.toml", "name": "small", "compression": "gzip",
    }  # fmt: skip


def test_other_inputs_are_other_digests(room: Path, tmp_path: Path) -> None:
    """Of each input what is its own, also where the release is the same."""
    project = Path(shutil.copytree(room / "project", tmp_path / "project", symlinks=True))
    (project / "environment.yml").write_text((project / "environment.yml").read_text() + "# a comment\n")
    (project / "data" / "text").write_text("y")
    with (project / "bundle.toml").open("a") as file:
        file.write("# the end\n")
    builder = "https://ci.example.org/release"
    bundle = build_small(project, room / "channel", "dir", "--builder", builder, "--bundle-version", "1.0")
    before, after = inputs_of(room / "dist" / TOP), inputs_of(bundle)
    assert {name for name in before if before[name] != after[name]} == {"bundle.toml", "environment.yml", "app/"}
    predicate = statement_of(bundle)["predicate"]
    assert predicate["runDetails"]["builder"]["id"] == builder
    assert predicate["buildDefinition"]["externalParameters"]["version"] == "1.0"
    done = command("build", project, "--builder", "somebody")
    assert (done.returncode, "is not a URI" in done.stderr) == (2, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_directory_user_umask_locale_and_time_zone_are_the_same_bytes(room: Path, users_room: Path) -> None:
    there = users_room / "deeper" / "elsewhere"
    shutil.copytree(room / "project", there / "project", symlinks=True)
    give(users_room, SOMEBODY)
    words = [sys.executable, "-m", "bundler", "build", "project", "--channel", (room / "channel").as_uri()]
    words += ["--format", "dir", "--output-dir", str(there / "dist")]
    env = {"PATH": os.environ["PATH"], "HOME": str(users_room), "TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8"}
    env |= {"CONDA_BUNDLER_CACHE": str(users_room / "cache"), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [*as_user(SOMEBODY), *words], cwd=there, env=env, umask=0o077, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    here = room / "dist" / TOP
    names = sorted(path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file())
    for name in names:
        assert (there / "dist" / TOP / name).read_bytes() == (here / name).read_bytes(), name
    assert str(there) not in (here / "provenance.json").read_text()


def test_the_command(room: Path, tmp_path: Path) -> None:
    bundle, goal = room / "dist" / TOP, tmp_path / "out.json"
    assert command("provenance", bundle).stdout == (bundle / "provenance.json").read_text()
    done = command("provenance", bundle, "-o", goal)
    assert done.returncode == 0, done.stderr
    assert goal.read_bytes() == (bundle / "provenance.json").read_bytes()


def refused(bundle: Path) -> str:
    done = command("verify", bundle)
    assert done.returncode == 7
    return done.stderr


def test_a_forger_who_forgets_the_provenance(bundle: Path) -> None:
    """All other digests are made anew."""
    (bundle / "config" / "small.env").write_text("PORT=9000\n")
    seal_as_it_is(bundle)
    assert "config/small.env does not match its checksum in provenance.json" in refused(bundle)


def seal_as_it_is(bundle: Path) -> None:
    """Every digest anew; the provenance stays as it lies there."""
    said = {"path": "provenance.json", "sha256": sha256(bundle / "provenance.json")}
    reseal(bundle, keep_provenance=True, provenance=said)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda it: it["subject"].pop(), "its provenance does not name it"),
        (lambda it: it["subject"].append(it["subject"][0] | {"name": "x"}), "names it, but it is missing"),
        (lambda it: it["subject"].append(it["subject"][0]), "twice"),
        (lambda it: it.update(_type="x"), "provenance.json is invalid: _type"),
        (lambda it: it.update(subject=[]), "provenance.json is invalid: subject"),
        (
            lambda it: it["predicate"]["buildDefinition"]["externalParameters"].update(name="other"),
            "its provenance is of another bundle",
        ),
        (
            lambda it: it["predicate"]["buildDefinition"]["resolvedDependencies"][2]["digest"].update(sha256="0" * 64),
            "conda-lock.yml is not the one that the bundle was built from",
        ),
    ],
)
def test_a_provenance_of_something_else_is_refused(bundle: Path, change: Any, sentence: str) -> None:
    statement = statement_of(bundle)
    change(statement)
    (bundle / "provenance.json").write_text(json.dumps(statement))
    seal_as_it_is(bundle)
    assert sentence in refused(bundle)


def test_a_bundle_of_ours_without_one_is_refused(bundle: Path) -> None:
    (bundle / "provenance.json").unlink()
    text = (bundle / "install.sh").read_text()
    kept = [line for line in text.splitlines(keepends=True) if not line.endswith(" provenance.json\n")]
    (bundle / "install.sh").write_text("".join(kept))
    reseal(bundle, provenance=None)
    assert "provenance" in refused(bundle)
    done = command("provenance", bundle)
    assert (done.returncode, "has no provenance" in done.stderr) == (7, True)


def test_a_tar_has_it_near_its_head(room: Path) -> None:
    with tarfile.open(build_small(room / "project", room / "channel", "tar")) as tar:
        assert f"{TOP}/provenance.json" in tar.getnames()
