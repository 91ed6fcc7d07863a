"""SBOMs: what packages are called elsewhere, what is merged, who needs whom, and that the whole is valid CycloneDX."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bundler.about.conda import projects_in
from bundler.about.facts import Facts, Inner, Library, Source, Text, decoded
from bundler.locked import LockedPackage
from bundler.sbom.cpe import cpe_of
from bundler.sbom.document import make_sbom
from bundler.sbom.graph import needs, roots
from bundler.sbom.identify import package_purl, projects_of
from bundler.sbom.merge import UnreadSbom, parts_in
from bundler.sbom.subject import Subject

if TYPE_CHECKING:
    from pathlib import Path

FORGE = "https://conda.anaconda.org/conda-forge"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


def conda(name: str, version: str = "1.0", *depends: str, channel: str = FORGE, build: str = "h1_0") -> LockedPackage:
    return LockedPackage(
        name=name, version=version, manager="conda", platform="linux-64",
        url=f"{channel}/linux-64/{name}-{version}-{build}.conda", sha256="a" * 64, md5="b" * 32, depends=depends,
    )  # fmt: skip


def wheel(name: str, version: str = "1.0", *depends: str) -> LockedPackage:
    return LockedPackage(
        name=name, version=version, manager="pip", platform="linux-64",
        url=f"https://files.pythonhosted.org/{name}-{version}-py3-none-any.whl", sha256="c" * 64, md5=None,
        depends=depends,
    )  # fmt: skip


def subject(facts: dict[LockedPackage, Facts | None], **others: Any) -> Subject:
    known: dict[str, Any] = {"name": "hello", "version": "1.0", "platform": "linux-64", "phase": "build"}
    return Subject(**known | {"packages": tuple(facts), "facts": facts} | others)


def document(facts: dict[LockedPackage, Facts | None], **others: Any) -> dict[str, Any]:
    text = make_sbom(subject(facts, **others)).decode()
    assert JsonStrictValidator(SchemaVersion.V1_7).validate_str(text) is None
    found: dict[str, Any] = json.loads(text)
    return found


def by_purl(sbom: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["purl"]: one for one in sbom["components"] if "purl" in one}


def needed_by(sbom: dict[str, Any], reference: str) -> set[str]:
    return next(set(one.get("dependsOn", ())) for one in sbom["dependencies"] if one["ref"] == reference)


def test_a_conda_package_has_the_url_of_the_purl_specification() -> None:
    purl = "pkg:conda/numpy@1.26?build=h1_0&channel=conda-forge&subdir=linux-64&type=conda"
    assert package_purl(conda("numpy", "1.26")).to_string() == purl


def test_a_channel_on_this_machine_is_called_without_its_path() -> None:
    local = package_purl(conda("x", channel="file:///home/somebody/channel")).to_string()
    assert "channel=channel&" in local
    assert "somebody" not in local
    secret = package_purl(conda("x", channel="https://user:${TOKEN}@repo.example/c")).to_string()
    assert "TOKEN" not in secret
    assert "repo.example" in secret


def test_a_wheel_is_called_as_pypi_normalises_it() -> None:
    assert package_purl(wheel("Flask_Login", "0.6.3")).to_string() == "pkg:pypi/flask-login@0.6.3"


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["site-packages/Flask_Login-0.6.3.dist-info/METADATA"], [("flask-login", "0.6.3")]),
        (["lib/python3.11/site-packages/PyYAML-6.0.1.dist-info/RECORD"], []),
        (["lib/python3.11/site-packages/old-1.2-py3.11.egg-info/PKG-INFO"], [("old", "1.2")]),
        (["lib/python3.11/site-packages/flat-1.2-py3.11.egg-info"], [("flat", "1.2")]),
        (["lib/python3.11/site-packages/bare.egg-info/PKG-INFO"], [("bare", "9")]),
        (["site-packages/setuptools/_vendor/wheel-0.45.1.dist-info/METADATA"], [("wheel", "0.45.1")]),
        (["site-packages/a-1_post1.dist-info/METADATA"], [("a", "1-post1")]),
        (["share/a-1.dist-info/METADATA", "site-packages/-1.dist-info/METADATA"], []),
    ],
)
def test_projects_are_found_by_their_metadata(paths: list[str], found: list[tuple[str, str]]) -> None:
    assert [(one.name, one.version) for one in projects_in(paths, "9")] == found


def test_what_a_conda_package_repackages_by_the_best_witness_there_is() -> None:
    sdist = Source("https://pypi.io/packages/source/m/msgpack/msgpack-1.0.7.tar.gz", "d" * 64)
    python = conda("msgpack-python", "1.0.7", "python >=3.11")
    metadata = Facts(inner=(Inner("msgpack", "1.0.7", "site-packages/msgpack-1.0.7.dist-info"),), sources=(sdist,))
    (by_metadata,) = projects_of(python, metadata)
    assert (by_metadata.purl.to_string(), by_metadata.evidence) == ("pkg:pypi/msgpack@1.0.7", "metadata")
    assert by_metadata.sha256 == "d" * 64
    (by_recipe,) = projects_of(python, Facts(sources=(sdist,)))
    assert (by_recipe.name, by_recipe.evidence) == ("msgpack", "recipe")
    (by_name,) = projects_of(python, None)
    assert (by_name.name, by_name.evidence) == ("msgpack", "name")
    assert projects_of(conda("libzlib"), None) == ()
    assert projects_of(conda("six", "1.16", "python"), Facts())[0].purl.to_string() == "pkg:pypi/six@1.16"


def test_a_cpe_is_quoted_as_nist_has_it() -> None:
    assert cpe_of("openssl", "3.0.13") == "cpe:2.3:a:openssl:openssl:3.0.13:*:*:*:*:*:*:*"
    assert cpe_of("zlib", "1!1.3+x") == r"cpe:2.3:a:zlib:zlib:1\!1.3\+x:*:*:*:*:*:*:*"
    assert cpe_of("nobody-knows", "1") == ""


def test_everything_cisa_asks_for_is_there() -> None:
    about = Facts(license="Apache 2.0", homepage="https://flask.example/", timestamp=1_700_000_000, maker="Pallets")
    sbom = document({conda("flask", "3.0", "python"): about, conda("python", "3.11.7"): None}, author="ACME")
    assert sbom["specVersion"] == "1.7"
    metadata = sbom["metadata"]
    assert metadata["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert metadata["manufacturer"]["name"] == metadata["authors"][0]["name"] == "ACME"
    assert metadata["lifecycles"] == [{"phase": "build"}]
    assert metadata["tools"]["components"][0]["name"] == "conda-bundler"
    assert metadata["component"]["name"] == "hello"
    flask = by_purl(sbom)["pkg:conda/flask@3.0?build=h1_0&channel=conda-forge&subdir=linux-64&type=conda"]
    assert flask["supplier"]["name"] == "conda-forge"
    assert flask["publisher"] == "Pallets"
    assert {one["alg"]: one["content"] for one in flask["hashes"]} == {"SHA-256": "a" * 64, "MD5": "b" * 32}
    assert flask["licenses"] == [{"expression": "Apache-2.0"}]
    python = next(ref for ref in by_purl(sbom) if ref.startswith("pkg:conda/python@"))
    assert needed_by(sbom, flask["bom-ref"]) == {"pkg:pypi/flask@3.0", python}
    assert needed_by(sbom, metadata["component"]["bom-ref"]) == {flask["bom-ref"]}
    assert by_purl(sbom)[python]["cpe"].startswith("cpe:2.3:a:python:python:3.11.7:")
    assert {"name": "conda-bundler:archive", "value": "not at hand: licenses and contents are not known"} in by_purl(
        sbom
    )[python]["properties"]


def test_texts_of_licenses_and_an_unknown_license() -> None:
    texts = (Text("LICENSE", "Do as you like.\n"), Text("HUGE", ""))
    sbom = document({conda("x"): Facts(license="Weird", texts=texts)})
    (only,) = sbom["components"]
    assert only["licenses"] == [{"expression": "LicenseRef-Weird"}]
    told = {
        one["license"]["name"]: one["license"].get("text", {}).get("content") for one in only["evidence"]["licenses"]
    }
    assert told == {"LICENSE": "Do as you like.\n", "HUGE": None}
    assert {"name": "conda-bundler:license-as-said", "value": "Weird"} in only["properties"]


def test_a_library_has_a_generic_url_with_its_source() -> None:
    source = Source("https://www.openssl.org/source/openssl-3.0.13.tar.gz", "e" * 64)
    sbom = document({conda("openssl", "3.0.13"): Facts(sources=(source,))})
    generic = next(one for one in by_purl(sbom) if one.startswith("pkg:generic/openssl@3.0.13?"))
    assert f"checksum=sha256:{'e' * 64}" in generic
    assert "download_url=https" in generic


AUDITWHEEL = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.4",
    "components": [
        {
            "type": "library",
            "name": "libgfortran",
            "version": "4.8.5",
            "purl": "pkg:rpm/almalinux/libgfortran@4.8.5-44.el7",
            "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "GPLv3"}}],
            "hashes": [{"alg": "SHA-256", "content": "f" * 64}, {"alg": "SHA-256", "content": "short"}],
            "components": [{"name": "nested"}],
        },
        {"name": "libgfortran", "purl": "no purl"},
        "nothing",
    ],
}
SPDX = {
    "spdxVersion": "SPDX-2.3",
    "documentDescribes": ["SPDXRef-wheel"],
    "packages": [
        {"SPDXID": "SPDXRef-wheel", "name": "itself"},
        {
            "SPDXID": "SPDXRef-z",
            "name": "zlib",
            "versionInfo": "1.3",
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "Zlib",
            "checksums": [{"algorithm": "SHA256", "checksumValue": "F" * 64}],
            "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:generic/zlib@1.3"}],
        },
    ],
}


def test_what_a_wheel_says_it_bundles_is_merged() -> None:
    texts = (Text("auditwheel.cdx.json", json.dumps(AUDITWHEEL)), Text("z.spdx.json", json.dumps(SPDX)), Text("x", "?"))
    package = wheel("scipy", "1.11")
    sbom = document({package: Facts(sboms=texts)})
    inside = needed_by(sbom, "pkg:pypi/scipy@1.11")
    assert inside == {
        "pkg:pypi/scipy@1.11#pkg:rpm/almalinux/libgfortran@4.8.5-44.el7",
        "inside:pkg:pypi/scipy@1.11#libgfortran@",
        "inside:pkg:pypi/scipy@1.11#nested@",
        "pkg:pypi/scipy@1.11#pkg:generic/zlib@1.3",
    }
    fortran = by_purl(sbom)["pkg:rpm/almalinux/libgfortran@4.8.5-44.el7"]
    assert fortran["licenses"] == [{"expression": "MIT AND GPL-3.0-only"}]
    assert fortran["hashes"] == [{"alg": "SHA-256", "content": "f" * 64}]
    assert by_purl(sbom)["pkg:generic/zlib@1.3"]["licenses"] == [{"expression": "Zlib"}]
    assert {"name": "conda-bundler:sbom-not-read", "value": "x"} in by_purl(sbom)["pkg:pypi/scipy@1.11"]["properties"]


def test_a_library_that_no_sbom_of_the_wheel_names_is_listed() -> None:
    libraries = (Library("scipy.libs/libgfortran-040039e1.so.5.0.0", "f" * 64), Library("scipy.libs/libopenblas.so"))
    texts = (Text("auditwheel.cdx.json", json.dumps(AUDITWHEEL)), Text("x", "?"))
    alone = document({wheel("scipy", "1.11"): Facts(libraries=libraries)})
    assert needed_by(alone, "pkg:pypi/scipy@1.11") == {
        "inside:pkg:pypi/scipy@1.11#scipy.libs/libgfortran-040039e1.so.5.0.0",
        "inside:pkg:pypi/scipy@1.11#scipy.libs/libopenblas.so",
    }
    fortran = next(one for one in alone["components"] if one["name"] == "libgfortran")
    assert fortran["hashes"] == [{"alg": "SHA-256", "content": "f" * 64}]
    merged = document({wheel("scipy", "1.11"): Facts(libraries=libraries, sboms=texts)})
    assert sorted(one["name"] for one in merged["components"]) == [
        "libgfortran", "libgfortran", "libopenblas", "nested", "scipy",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"bomFormat": "x"}', "[" * 100_000, '{"spdxVersion": 3}'])
def test_what_is_no_sbom_is_not_read(text: str) -> None:
    with pytest.raises(UnreadSbom):
        parts_in(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"bomFormat": "CycloneDX", "components": {"a": 1}}',
        '{"bomFormat": "CycloneDX", "components": [{"name": 3}, {"name": "a", "licenses": [{"license": 3}]}]}',
        '{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a", "externalRefs": [3]}], "documentDescribes": [[]]}',
    ],
)
def test_an_odd_sbom_gives_what_can_be_read(text: str) -> None:
    assert {part.name for part in parts_in(text)} <= {"a"}


def test_a_wheel_may_need_what_is_a_conda_package() -> None:
    python, yaml, app = conda("python"), conda("pyyaml", "6.0", "python"), wheel("app", "1.0", "PyYAML >=5", "absent")
    graph = needs((python, yaml, app), {}, {"pyyaml": yaml})
    assert graph[app] == (yaml, python)
    assert roots(graph) == (app,)


def test_packages_that_need_each_other_are_reached_as_well() -> None:
    one, other, alone = conda("one", "1.0", "other"), conda("other", "1.0", "one"), conda("alone")
    assert roots(needs((one, other, alone), {}, {})) == (alone, one)


def test_the_same_subject_gives_the_same_bytes_and_another_one_another_number(monkeypatch: pytest.MonkeyPatch) -> None:
    facts: dict[LockedPackage, Facts | None] = {conda("b"): Facts(license="MIT"), wheel("a"): None, conda("c"): None}
    from bundler.sbom.document import _make_sbom

    first = make_sbom(subject(facts))
    assert first == make_sbom(subject(facts)) == _make_sbom(subject(facts))
    assert json.loads(first)["metadata"]["timestamp"] == "1980-01-01T00:00:00+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    other = json.loads(make_sbom(subject(facts)))
    assert other["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"
    assert other["serialNumber"] != json.loads(first)["serialNumber"]
    assert other["components"] == json.loads(first)["components"]


def test_texts_are_made_readable() -> None:
    assert decoded(b"\xef\xbb\xbfa\r\nb\x00\x1b[0m\xe9") == "ï»¿a\nb[0mé"
    assert decoded("ﬀ \x0c".encode()) == "ﬀ \n"
