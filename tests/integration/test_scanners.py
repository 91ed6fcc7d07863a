"""What scanners make of the SBOMs of the examples, by the rules that they publish: each project of PyPI, and no other.

Their own programs come with databases of gigabytes; what they read of a CycloneDX document is these few lines.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
import zstandard
from examplekit import CHECKOUT, examples_channel
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from bundler.about.conda import conda_facts
from bundler.about.facts import Facts, Library, Text
from bundler.locked import LockedPackage
from bundler.sbom.document import make_sbom
from bundler.sbom.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("own_cache")

EXAMPLES = ("celery", "elixir", "flask", "hello", "inference/v1", "inference/v2", "jupyter")
WELL_KNOWN = {"erlang", "python", "zstd"}
_PURL = re.compile(r"pkg:(?P<type>[a-z]+)/((?P<namespace>[^@?#]+)/)?(?P<name>[^/@?#]+)(@(?P<version>[^?#]+))?([?#].*)?")
_DIST_INFO = re.compile(r".*site-packages/.*?([^/]+)-([^/-]+)\.dist-info/METADATA")
_Project = tuple[str, str]


class Archive(NamedTuple):
    name: str
    version: str
    path: Path


def normal(name: str) -> str:
    """As PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def grype(component: dict[str, Any]) -> _Project | None:
    """syft's ``cyclonedxutil/helpers/component.go``: without a purl the bom-ref is taken, if it is one. Name and
    version are the component's; grype's ``resolver/python`` compares names as PEP 503 has it.
    """
    reference = component.get("bom-ref", "")
    found = _PURL.fullmatch(component.get("purl") or (reference if reference.startswith("pkg:") else ""))
    if found is None or found["type"] != "pypi":
        return None
    group = component.get("group", "")
    return normal(f"{group}/{component['name']}" if group else component["name"]), component.get("version", "")


def trivy(component: dict[str, Any]) -> _Project | None:
    """``pkg/sbom/io/decode.go``: a component without a purl is passed over; the name is the component's, the version
    the purl's.
    """
    found = _PURL.fullmatch(component.get("purl", ""))
    if found is None or found["type"] != "pypi":
        return None
    group = component.get("group", "")
    name = f"{group}/{component['name']}" if group else component["name"]
    return name.lower().replace("_", "-"), found["version"] or ""


def osv_scanner(component: dict[str, Any]) -> _Project | None:
    """``purl_to_package.go``: namespace, name and version of the purl, and nothing of the component's own."""
    found = _PURL.fullmatch(component.get("purl", ""))
    if found is None or found["type"] != "pypi":
        return None
    return (f"{found['namespace']}/{found['name']}" if found["namespace"] else found["name"]), found["version"] or ""


SCANNERS: tuple[Callable[[dict[str, Any]], _Project | None], ...] = (grype, trivy, osv_scanner)


def found_by(scanner: Callable[[dict[str, Any]], _Project | None], sbom: dict[str, Any]) -> list[_Project]:
    return sorted(filter(None, map(scanner, sbom["components"])))


@cache
def channel() -> dict[str, list[Archive]]:
    """All that the examples' channel has for this platform, by name."""
    found: dict[str, list[Archive]] = {}
    for path in sorted(
        one for subdir in ("noarch", "linux-64") for one in (examples_channel() / subdir).glob("*-*-*.*")
    ):
        name, version, _ = path.name.removesuffix(".conda").removesuffix(".tar.bz2").rsplit("-", 2)
        found.setdefault(name, []).append(Archive(name, version, path))
    return found


@cache
def facts(path: Path) -> Facts:
    return conda_facts(path)


def chosen(name: str, wanted: str) -> Archive:
    """The newest that fits what environment.yml or another package wants of it."""
    specifiers = SpecifierSet(re.sub(r"^=([\d.]+)$", r"==\1.*", wanted)) if re.match(r"[<>=!]", wanted) else None
    fits = [one for one in channel()[name] if specifiers is None or specifiers.contains(one.version)]
    return max(fits, key=lambda one: Version(one.version))


def packages_of(example: str) -> dict[LockedPackage, Facts | None]:
    """What environment.yml names, and all that this needs."""
    text = (CHECKOUT / "examples" / example / "environment.yml").read_text()
    pending = [str(spec) for spec in yaml.safe_load(text)["dependencies"]]
    found: dict[str, Archive] = {}
    while pending:
        name, _, wanted = pending.pop(0).partition(" ")
        if name in channel() and name not in found:
            found[name] = chosen(name, wanted.split(" ")[0])
            pending += facts(found[name].path).depends
    return {
        LockedPackage(
            name=one.name, version=one.version, manager="conda", platform="linux-64", url=one.path.as_uri(),
            sha256="0" * 64, md5=None, depends=(),
        ): facts(one.path)
        for one in found.values()
    }  # fmt: skip


def files_in(path: Path) -> Iterator[str]:
    """The paths in a package, as it lists them itself."""
    if path.name.endswith(".conda"):
        with zipfile.ZipFile(path) as archive:
            (member,) = (name for name in archive.namelist() if name.startswith("info-"))
            with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(archive.read(member))) as stream:
                content = io.BytesIO(stream.read())
    else:
        content = io.BytesIO(path.read_bytes())
    with tarfile.open(fileobj=content) as tar:
        listed = tar.extractfile("info/paths.json")
        assert listed is not None
        yield from (one["_path"] for one in json.load(listed)["paths"])


def projects_in(path: Path) -> list[_Project]:
    """The projects whose metadata lies in a package, its own and those that it brings along."""
    found = filter(None, map(_DIST_INFO.fullmatch, files_in(path)))
    return [(normal(one[1]), one[2]) for one in found]


def sbom_of(packages: dict[LockedPackage, Facts | None]) -> dict[str, Any]:
    subject = Subject(
        name="x", version="1", platform="linux-64", phase="build", packages=tuple(packages), facts=packages
    )
    found: dict[str, Any] = json.loads(make_sbom(subject))
    return found


@pytest.mark.parametrize("example", EXAMPLES)
def test_scanners_find_each_project_of_an_example_and_no_other(example: str) -> None:
    packages = packages_of(example)
    sbom = sbom_of(packages)
    projects = sorted({one for package in packages for one in projects_in(Path(package.url.removeprefix("file://")))})
    assert bool(projects) == (example != "elixir")
    for scanner in SCANNERS:
        assert found_by(scanner, sbom) == projects, scanner.__name__
    for one in sbom["components"]:
        if one.get("purl", "").startswith("pkg:pypi/"):
            assert re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[^?#/]+", one["purl"]), "normalised, and nothing besides"


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_is_not_of_pypi_has_a_generic_purl_and_a_cpe_beside(example: str) -> None:
    packages = packages_of(example)
    sbom = sbom_of(packages)
    components = {one["bom-ref"]: one for one in sbom["components"]}
    graph = {one["ref"]: one.get("dependsOn", []) for one in sbom["dependencies"]}
    there = [package for package in packages if package.name in WELL_KNOWN]
    assert {one.name for one in there} >= ({"erlang"} if example == "elixir" else {"python"})
    for package in there:
        (reference,) = (ref for ref in graph if ref.startswith(f"pkg:conda/{package.name}@{package.version}?"))
        beside = [components[ref] for ref in graph[reference] if ref.startswith("pkg:generic/")]
        (cpe,) = {one["cpe"] for one in beside}
        assert re.fullmatch(rf"cpe:2\.3:a:[a-z]+:[^:]+:{re.escape(package.version)}(:\*){{7}}", cpe)
        assert components[reference]["cpe"] == cpe


def test_a_wheel_is_found_by_whatever_name_a_lockfile_has_it() -> None:
    wheel = LockedPackage(
        name="Flask_Login", version="0.6.3", manager="pip", platform="linux-64", sha256="0" * 64, md5=None, depends=(),
        url="https://files.pythonhosted.org/packages/Flask_Login-0.6.3-py3-none-any.whl",
    )  # fmt: skip
    for scanner in SCANNERS:
        assert found_by(scanner, sbom_of({wheel: Facts()})) == [("flask-login", "0.6.3")], scanner.__name__


def test_what_a_wheel_bundles_is_no_project_of_pypi() -> None:
    """A library that it has copied in, and a part of its SBOM that has no purl."""
    inner = {"bomFormat": "CycloneDX", "components": [{"name": "zlib", "version": "1.3"}]}
    bundled = Facts(
        libraries=(Library("scipy.libs/libgfortran-040039e1.so.5", "0" * 64),),
        sboms=(Text("auditwheel.cdx.json", json.dumps(inner)),),
    )
    wheel = LockedPackage(
        name="scipy", version="1.14.1", manager="pip", platform="linux-64", sha256="0" * 64, md5=None, depends=(),
        url="https://files.pythonhosted.org/packages/scipy-1.14.1-cp311-cp311-manylinux_2_17_x86_64.whl",
    )  # fmt: skip
    sbom = sbom_of({wheel: bundled})
    assert {"scipy", "libgfortran", "zlib"} == {one["name"] for one in sbom["components"]}
    for scanner in SCANNERS:
        assert found_by(scanner, sbom) == [("scipy", "1.14.1")], scanner.__name__
