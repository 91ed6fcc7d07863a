"""`audit`: which versions an advisory is about, what is the same vulnerability, how bad it is, what is not covered."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from bundler.about.facts import Facts, Inner, Text
from bundler.audit import osv
from bundler.audit.osv import BadAdvisory, parse_advisory, read_database
from bundler.audit.run import audit
from bundler.audit.severity import severity_of
from bundler.audit.statements import read_statements
from bundler.audit.versions import is_affected
from bundler.errors import ConfigError, VerificationError
from bundler.locked import LockedPackage
from bundler.sbom.document import make_sbom
from bundler.sbom.read import read_sbom
from bundler.sbom.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundler.audit.report import Audit

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.timezone.utc)
HIGH = {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}  # 7.5


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))


def events(*pairs: tuple[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"type": kind, "events": [{name: version} for name, version in pairs]}


def advisory(name: str, project: str, **affected: Any) -> dict[str, Any]:
    top = {key: affected.pop(key) for key in ("aliases", "withdrawn", "severity", "summary", "database_specific")
           if key in affected}  # fmt: skip
    entry = {"package": {"ecosystem": "PyPI", "name": project}} | affected
    return {"schema_version": "1.6.0", "id": name, "modified": "2026-01-02T00:00:00Z", "affected": [entry]} | top


BELOW_2 = [events(("introduced", "0"), ("fixed", "2.0"))]


@pytest.mark.parametrize(
    ("version", "ranges", "versions", "expected"),
    [
        ("1.9", BELOW_2, [], True),
        ("2.0", BELOW_2, [], False),
        ("2.0rc1", BELOW_2, [], True),
        ("2.0.post1", BELOW_2, [], False),
        ("0.0.dev1", BELOW_2, [], True),
        ("1!0.1", BELOW_2, [], False),
        ("1.9+cpu", BELOW_2, [], True),
        ("2.0+cpu", BELOW_2, [], False),
        ("1.0", [events(("introduced", "1.0"), ("last_affected", "1.5"))], [], True),
        ("1.5", [events(("introduced", "1.0"), ("last_affected", "1.5"))], [], True),
        ("1.5+cu118", [events(("introduced", "1.0"), ("last_affected", "1.5"))], [], True),
        ("1.5.1", [events(("introduced", "1.0"), ("last_affected", "1.5"))], [], False),
        ("0.9", [events(("introduced", "1.0"))], [], False),
        ("99", [events(("introduced", "1.0"))], [], True),
        ("1.0", [events(("fixed", "2.0"), ("introduced", "0"))], [], True),
        ("2.5", [events(("introduced", "0"), ("fixed", "2.0"), ("introduced", "2.4"), ("fixed", "2.6"))], [], True),
        ("2.2", [events(("introduced", "0"), ("fixed", "2.0"), ("introduced", "2.4"), ("fixed", "2.6"))], [], False),
        ("2.2", [events(("introduced", "0"), ("fixed", "2.0")), events(("introduced", "2.1"))], [], True),
        ("1!1.0", [events(("introduced", "1!0.5"), ("fixed", "1!2"))], [], True),
        ("1.0", [events(("introduced", "1!0.5"), ("fixed", "1!2"))], [], False),
        ("1.5", [events(("introduced", "0"), ("limit", "1.4"))], [], False),
        ("1.3", [events(("introduced", "0"), ("limit", "1.4"), ("limit", "1.2"))], [], True),
        ("1.3", [events(("introduced", "0"), ("limit", "*"))], [], True),
        ("1.0", [events(("introduced", "0"), ("fixed", "1.0+security1"))], [], True),
        ("1.0+security1", [events(("introduced", "0"), ("fixed", "1.0+security1"))], [], False),
        ("1.0", [], ["1.0.0"], True),
        ("1.0+cpu", [], ["1.0"], True),
        ("1.1", [], ["1.0"], False),
        ("3.0", BELOW_2, ["3.0"], True),
        ("odd one", [], ["odd one"], True),
        ("odd one", BELOW_2, [], None),
        ("1.0", [], [], None),
        ("1.0", [events(("introduced", "0"), ("fixed", "abc"), kind="GIT")], [], None),
        ("1.0", [events(("introduced", "0"), kind="GIT")], ["2.0"], False),
        ("1.0", [events(("introduced", "0"), ("fixed", "odd one"))], [], None),
        ("1.0", [events(("introduced", "0"), ("unheard-of", "1"))], [], None),
        ("1.0", [events(("fixed", "2.0"))], [], None),
        ("1.0", [events(("fixed", "odd one")), *BELOW_2], [], True),
        ("1.0", [events(("introduced", "0"), ("fixed", "9" * 5000))], [], None),
        ("1.0", BELOW_2, ["9" * 5000], True),
        ("9" * 5000, BELOW_2, [], None),
    ],
)
def test_which_versions_an_advisory_is_about(
    version: str, ranges: list[Any], versions: list[str], expected: bool | None
) -> None:
    (affected,) = parse_advisory(advisory("X-1", "p", ranges=ranges, versions=versions)).affected
    assert is_affected(version, affected) is expected


def test_a_project_is_known_by_its_normalised_name_and_others_ecosystems_do_not_count() -> None:
    document = advisory("X-1", "Flask_Login", versions=["1"])
    document["affected"] += [{"package": {"ecosystem": "npm", "name": "flask"}}, {"ranges": [events(kind="GIT")]}]
    assert [one.project for one in parse_advisory(document).affected] == ["flask-login"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": 3},
        {"schema_version": "2.0"},
        {"aliases": "CVE-1"},
        {"affected": {}},
        {"affected": [3]},
        {"affected": [{"package": 3}]},
        {"affected": [{"package": {"ecosystem": "PyPI"}}]},
        {"affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "versions": [1]}]},
        {"affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "ranges": [{}]}]},
        {"affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "ranges": [events(("introduced", 0))]}]},  # type: ignore[arg-type]
    ],
)
def test_an_advisory_that_cannot_be_read_is_not_passed_over(tmp_path: Path, change: dict[str, Any]) -> None:
    document = advisory("X-1", "p", versions=["1"]) | change
    with pytest.raises(BadAdvisory):
        parse_advisory(document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"entry cannot be read") as error:
        read_database(tmp_path, NOW)
    assert error.value.exit_code == 2
    assert str(tmp_path / "a.json") in str(error.value.where)


HUGE = b'{"id": "X", "n": ' + b"9" * 5000 + b"}"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b'{"id": NaN}', HUGE])
def test_what_is_no_advisory_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ConfigError):
        read_database(tmp_path, NOW)


SBOM: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.7",
    "components": [{"bom-ref": "a", "name": "p", "version": "1", "purl": "pkg:pypi/p@1"}],
    "dependencies": [{"ref": "a"}],
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bomFormat": "SPDX"}, "bomFormat"),
        ({"specVersion": None}, "specVersion"),
        ({"components": None}, "components"),
        ({"components": {}}, "components"),
        ({"components": [3]}, r"components\.0"),
        ({"components": [{"name": "p"}]}, r"components\.0\.bom-ref"),
        ({"components": [{"bom-ref": "a"}]}, r"components\.0\.name"),
        ({"components": [{"bom-ref": "a", "name": "\ud800"}]}, r"components\.0\.name"),
        ({"components": [{"bom-ref": "a", "name": "p", "version": 1}]}, r"components\.0\.version"),
        ({"components": [{"bom-ref": "a", "name": "p", "purl": []}]}, r"components\.0\.purl"),
        ({"components": [{"bom-ref": "a", "name": "p", "properties": {"x": 1}}]}, r"components\.0\.properties"),
        ({"components": [{"bom-ref": "a", "name": "p", "properties": [3]}]}, r"components\.0\.properties\.0"),
        ({"components": SBOM["components"] * 2}, "two components have the bom-ref a"),
        ({"components": [{"bom-ref": "a", "name": "p", "description": 1}]}, r"components\.0\.description"),
        (
            {"components": [{"bom-ref": "a", "name": "p", "licenses": [{"expression": 1}]}]},
            r"0\.licenses\.0\.expression",
        ),
        ({"components": [{"bom-ref": "a", "name": "p", "evidence": {"licenses": 1}}]}, r"0\.evidence\.licenses"),
        ({"dependencies": [{"dependsOn": []}]}, r"dependencies\.0\.ref"),
        ({"dependencies": [{"ref": "a", "dependsOn": "b"}]}, r"dependencies\.0\.dependsOn"),
        ({"dependencies": [{"ref": "a", "dependsOn": [{}]}]}, r"dependencies\.0\.dependsOn\.0"),
    ],
)
def test_an_sbom_of_another_shape_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(advisory("X-1", "p", versions=["1"])))
    database = read_database(tmp_path, NOW)
    sound = audit(read_sbom(json.dumps(SBOM).encode(), where="x"), database, (), NOW.date(), subject="x")
    assert [one.id for one in sound.findings] == ["X-1"]
    with pytest.raises(VerificationError, match=f"the SBOM is invalid: .*{reason}") as error:
        read_sbom(json.dumps(SBOM | change).encode(), where="x.tar")
    assert (error.value.exit_code, error.value.where) == (7, "x.tar")


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"])
def test_what_is_no_sbom_at_all(content: bytes) -> None:
    with pytest.raises(VerificationError, match="the SBOM is invalid"):
        read_sbom(content, where="x")


def test_a_dump_without_advisories_for_pypi_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps({"id": "X", "affected": [{"package": {"ecosystem": "npm", "name": "x"}}]})
    )
    with pytest.raises(ConfigError, match="no advisory for PyPI"):
        read_database(tmp_path, NOW)
    damaged = tmp_path / "all.zip"
    with zipfile.ZipFile(damaged, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps(advisory("X-1", "p", versions=["1"])) * 50)
    content = bytearray(damaged.read_bytes())
    content[40] ^= 255
    damaged.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged zip"):
        read_database(damaged, NOW)


@pytest.mark.parametrize(
    ("vectors", "word", "level", "score"),
    [
        ([HIGH], "LOW", "high", 7.5),
        ([{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:C/I:C/A:C"}, HIGH], None, "critical", 10.0),
        ([{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H"}], None,
         "critical", 10.0),
        ([{"type": "CVSS_V3", "score": "nonsense"}], "MODERATE", "medium", None),
        ([{"type": "Ubuntu", "score": "high"}], None, "unknown", None),
        ([], "odd", "unknown", None),
        ([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}], None, "none", 0.0),
    ],
)  # fmt: skip
def test_how_bad_it_is(vectors: list[dict[str, Any]], word: Any, level: str, score: float | None) -> None:
    found = severity_of(vectors, word)
    assert (found.level, found.score) == (level, score)


def test_a_dump_of_more_than_memory_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on each entry is none on a million of them."""
    documents = [advisory(f"X-{number}", "p", versions=["1"]) for number in range(20)]
    database = dump(tmp_path / "dump", *documents, zipped=True)
    size = sum(len(json.dumps(document)) for document in documents)
    monkeypatch.setattr(osv, "_MOST", size)
    assert read_database(database, NOW).advisories == 20
    monkeypatch.setattr(osv, "_MOST", size - 1)
    with pytest.raises(ConfigError, match="its entries unpack to more than"):
        read_database(database, NOW)


def conda(name: str, version: str, *depends: str, injected: bool = False) -> LockedPackage:
    return LockedPackage(
        injected=injected,
        name=name, version=version, manager="conda", platform="linux-64", sha256="a" * 64, md5=None, depends=depends,
        url=f"https://conda.anaconda.org/conda-forge/noarch/{name}-{version}-0.conda",
    )  # fmt: skip


def wheel(name: str, version: str) -> LockedPackage:
    return LockedPackage(
        name=name, version=version, manager="pip", platform="linux-64", sha256="b" * 64, md5=None, depends=(),
        url=f"https://files.pythonhosted.org/{name}-{version}-py3-none-any.whl",
    )  # fmt: skip


def inner(name: str, version: str) -> Facts:
    return Facts(inner=(Inner(name, version, f"site-packages/{name}-{version}.dist-info"),))


ENVIRONMENT: dict[LockedPackage, Facts | None] = {
    conda("msgpack-python", "1.0.7", "python"): inner("msgpack", "1.0.7"),
    conda("jinja2", "3.1.2", "python"): inner("jinja2", "3.1.2"),
    conda("guessed", "1.0", "python"): None,
    conda("openssl", "3.0.13"): Facts(),
    conda("odd", "1.0", "python"): inner("odd", "not.a.version"),
    wheel("scipy", "1.11"): Facts(
        sboms=(Text("a", json.dumps({"bomFormat": "CycloneDX", "components": [{"name": "libgfortran"}]})),)
    ),
}


def dump(directory: Path, *documents: dict[str, Any], zipped: bool = False) -> Path:
    directory.mkdir(exist_ok=True)
    if zipped:
        with zipfile.ZipFile(directory / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for document in documents:
                archive.writestr(f"{document['id']}.json", json.dumps(document))
        return directory / "all.zip"
    for document in documents:
        (directory / f"{document['id']}.json").write_text(json.dumps(document))
    return directory


def audited(
    database: Path,
    statements: Sequence[Any] = (),
    environment: dict[LockedPackage, Facts | None] = ENVIRONMENT,
) -> Audit:
    subject = Subject(
        name="x", version="1", platform="linux-64", phase="build", packages=tuple(environment), facts=environment
    )
    sbom = read_sbom(make_sbom(subject), where="x.tar")
    return audit(sbom, read_database(database, NOW), statements, NOW.date(), subject="x.tar")


@pytest.mark.parametrize("zipped", [False, True])
def test_an_audit_finds_what_it_should_and_no_more(tmp_path: Path, zipped: bool) -> None:
    found = audited(
        dump(
            tmp_path / "db",
            advisory("GHSA-a", "jinja2", ranges=BELOW_2, versions=["3.1.2"], aliases=["CVE-2024-1"], severity=[HIGH],
                     summary="it renders"),
            advisory("PYSEC-a", "Jinja2", ranges=[events(("introduced", "0"), ("fixed", "3.1.3"))],
                     aliases=["CVE-2024-1"]),
            advisory("GHSA-gone", "jinja2", ranges=[events(("introduced", "0"))], withdrawn="2024-01-01T00:00:00Z"),
            advisory("GHSA-later", "jinja2", versions=["3.1.2"], withdrawn="2099-01-01T00:00:00Z",
                     database_specific={"severity": "LOW"}),
            advisory("GHSA-fixed", "jinja2", ranges=BELOW_2),
            advisory("GHSA-m", "msgpack", ranges=[events(("introduced", "0"))]),
            advisory("GHSA-conda", "msgpack-python", ranges=[events(("introduced", "0"))]),
            advisory("GHSA-git", "scipy", ranges=[events(("introduced", "0"), kind="GIT")]),
            advisory("GHSA-odd", "odd", ranges=BELOW_2),
            zipped=zipped,
        )
    )  # fmt: skip
    told = {one.id: (one.component, one.status, one.severity) for one in found.findings}
    assert told == {
        "CVE-2024-1": ("jinja2", "affected", "high"),
        "GHSA-later": ("jinja2", "affected", "low"),
        "GHSA-m": ("msgpack", "affected", "unknown"),
        "GHSA-git": ("scipy", "undecided", "unknown"),
        "GHSA-odd": ("odd", "undecided", "unknown"),
    }
    by_id = {one.id: one for one in found.findings}
    assert by_id["CVE-2024-1"].names == ("CVE-2024-1", "GHSA-a", "PYSEC-a")
    assert by_id["CVE-2024-1"].fixed == ("3.1.3",)
    assert by_id["GHSA-m"].packages == ("msgpack-python 1.0.7",)
    assert (found.withdrawn, found.advisories, found.covered) == (1, 8, 4)
    assert found.by_name == ("guessed",)


def test_what_no_advisory_could_be_found_of_is_not_called_well(tmp_path: Path) -> None:
    found = audited(dump(tmp_path / "db", advisory("X-1", "nobody", versions=["1"])))
    assert found.findings == ()
    assert {(one.component, one.within) for one in found.uncovered} == {
        ("openssl", ""),
        ("odd", ""),
        ("libgfortran", "scipy 1.11"),
    }
    text = "\n".join(found.lines())
    assert "no known vulnerability in the 4 components that were compared" in text
    assert "NOT COVERED, so nothing is known about them: 3 components" in text
    assert "PyPI projects identified only by name: guessed" in text
    assert not found.fails("any")
    assert found.fails("any", require_coverage=True)


def test_what_is_injected_is_not_covered_though_what_is_found_of_it_is_told(tmp_path: Path) -> None:
    own: dict[LockedPackage, Facts | None] = {
        conda("ours", "1.0", "python", injected=True): inner("ours", "1.0"),
        conda("jinja2", "3.1.2", "python", injected=True): inner("jinja2", "3.1.2"),
        conda("unread", "1.0", "python", injected=True): None,
    }
    found = audited(dump(tmp_path / "db", advisory("X-1", "jinja2", versions=["3.1.2"])), environment=own)
    assert [one.component for one in found.findings] == ["jinja2"]
    assert (found.covered, found.by_name) == (0, ())
    assert [(one.component, one.reason.partition(":")[0]) for one in found.uncovered] == [
        ("jinja2", "injected"), ("ours", "injected"), ("unread", "injected"),
    ]  # fmt: skip
    assert found.fails("never", require_coverage=True)


def test_what_is_known_by_its_name_only_is_not_surely_covered(tmp_path: Path) -> None:
    database = dump(tmp_path / "db", advisory("X-1", "nobody", versions=["1"]))
    sure = audited(database, environment={conda("jinja2", "3.1.2", "python"): inner("jinja2", "3.1.2")})
    assert not sure.fails("any", require_coverage=True)
    guessed = audited(database, environment={conda("guessed", "1.0", "python"): None})
    assert (guessed.uncovered, guessed.by_name, guessed.covered) == ((), ("guessed",), 1)
    assert not guessed.fails("any")
    assert guessed.fails("any", require_coverage=True)


@pytest.mark.parametrize(
    ("gate", "severities", "fails"),
    [
        ("any", ["unknown"], True),
        ("high", ["unknown"], True),
        ("high", ["MODERATE"], False),
        ("high", ["MODERATE", "CRITICAL"], True),
        ("medium", ["MODERATE"], True),
        ("critical", ["HIGH"], False),
        ("never", ["CRITICAL"], False),
    ],
)
def test_a_gate(tmp_path: Path, gate: str, severities: list[str], fails: bool) -> None:
    entries = [
        advisory(f"X-{number}", "jinja2", versions=["3.1.2"], database_specific={"severity": one})
        for number, one in enumerate(severities)
    ]
    assert audited(dump(tmp_path / "db", *entries)).fails(gate) is fails


def test_our_own_statements(tmp_path: Path) -> None:
    file = tmp_path / "audit.toml"
    file.write_text(
        '[[ignore]]\nid = "CVE-1"\nreason = "no strangers"\npackage = "Jinja2"\nuntil = 2026-11-29\n'
        '[[ignore]]\nid = "GHSA-2"\nreason = "past"\nuntil = 2026-11-28\n'
        '[[ignore]]\nid = "GHSA-3"\nreason = "other"\npackage = "flask"\n'
        '[[ignore]]\nid = "GHSA-4"\nreason = "by conda\'s name"\npackage = "msgpack-python"\n'
    )
    found = audited(
        dump(
            tmp_path / "db",
            advisory("GHSA-1", "jinja2", versions=["3.1.2"], aliases=["CVE-1"]),
            advisory("GHSA-2", "jinja2", versions=["3.1.2"]),
            advisory("GHSA-3", "jinja2", versions=["3.1.2"]),
            advisory("GHSA-4", "msgpack", versions=["1.0.7"]),
        ),
        read_statements(file),
    )
    assert {one.names[-1]: (one.status, one.reason) for one in found.findings} == {
        "GHSA-1": ("ignored", "no strangers"),
        "GHSA-2": ("affected", ""),
        "GHSA-3": ("affected", ""),
        "GHSA-4": ("ignored", "by conda's name"),
    }
    assert (found.expired, found.unused) == (("GHSA-2",), ("GHSA-3 in flask",))
    text = "\n".join(found.lines())
    assert "2 known vulnerabilities" in text
    assert "ignored: no strangers" in text
    assert "expired statement, not used: GHSA-2" in text


@pytest.mark.parametrize(
    "text",
    [
        "[[ignore]]\nid = 'X'\n",
        "[[ignore]]\nid = 'X'\nreason = ''\n",
        "[[ignore]]\nid = 'X'\nreason = 'y'\nuntill = 2026-01-01\n",
        "[[ignore]]\nid = 'X'\nreason = 'y'\nuntil = 'soon'\n",
        "[ignored]\n",
        "ignore = 3",
        "[[",
    ],
)
def test_statements_that_mean_nothing_are_a_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.toml").write_text(text)
    with pytest.raises(ConfigError):
        read_statements(tmp_path / "audit.toml")
