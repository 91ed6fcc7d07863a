"""What SBOMs, licenses and audits are made of: what archives and wheels say of themselves, and OSV's dumps."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import zipfile
from typing import TYPE_CHECKING, Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from fuzzkit import Target, bytes_like, texts_like, twisted
from hypothesis import strategies as st
from tinychannel import make_package

from bundler.about.conda import conda_facts
from bundler.about.facts import Facts, Text, decoded
from bundler.about.wheel import NotAWheel, wheel_facts
from bundler.audit.osv import read_database
from bundler.audit.run import audit
from bundler.audit.sarif import sarif
from bundler.audit.statements import read_statements
from bundler.fetch.condafile import NotAPackage
from bundler.licenses.expression import licensing, normalize
from bundler.licenses.policy import Policy
from bundler.locked import LockedPackage
from bundler.sbom.document import _make_sbom
from bundler.sbom.read import read_sbom
from bundler.sbom.subject import Subject

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TARGETS"]

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.timezone.utc)
VALID = JsonStrictValidator(SchemaVersion.V1_7)
POLICY = Policy(deny=("AGPL-3.0-only",), allow=("MIT",))
LICENSES = ("GPL-2.0+ OR (MIT AND BSD 3-Clause)", "GPL (>= 2)", "LicenseRef-x WITH y", "Apache-2.0 | ISC, MIT & zlib")
INNER: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "components": [
        {"name": "z", "version": "1", "purl": "pkg:rpm/z@1?arch=x", "cpe": "cpe:2.3:a:z:z:1:*:*:*:*:*:*:*",
         "licenses": [{"license": {"id": "MIT"}}], "hashes": [{"alg": "SHA-256", "content": "a" * 64}],
         "components": [{"name": "y"}]},
    ],
}  # fmt: skip
SPDX: dict[str, Any] = {
    "spdxVersion": "SPDX-2.3",
    "documentDescribes": ["SPDXRef-a"],
    "packages": [
        {"SPDXID": "SPDXRef-b", "name": "z", "versionInfo": "1", "licenseConcluded": "MIT",
         "checksums": [{"algorithm": "SHA256", "checksumValue": "b" * 64}],
         "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:generic/z@1"}]},
    ],
}  # fmt: skip
ENTRY: dict[str, Any] = {
    "schema_version": "1.6.0",
    "id": "GHSA-1",
    "aliases": ["CVE-1"],
    "modified": "2026-01-01T00:00:00Z",
    "withdrawn": None,
    "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}],
    "database_specific": {"severity": "HIGH"},
    "affected": [
        {"package": {"ecosystem": "PyPI", "name": "app"}, "versions": ["1.0", "1!2.0+x"],
         "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}, {"limit": "*"}]}]},
    ],
}  # fmt: skip
OURS: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.7",
    "components": [
        {"bom-ref": "pkg:conda/app@1", "name": "app", "version": "1", "purl": "pkg:conda/app@1?build=0",
         "properties": [{"name": "conda-bundler:role", "value": "package"}, {"name": "x", "value": "y"}]},
        {"bom-ref": "pkg:pypi/app@1", "name": "app", "version": "1", "purl": "pkg:pypi/app@1",
         "properties": [{"name": "conda-bundler:role", "value": "inside"}]},
    ],
    "dependencies": [{"ref": "pkg:conda/app@1", "dependsOn": ["pkg:pypi/app@1"]}, {"ref": "pkg:pypi/app@1"}],
}  # fmt: skip
RECIPE = "source:\n  - url: https://pypi.io/packages/source/w/words/words-1.0.tar.gz\n    sha256: 11a1\n"


def _wheel(version: str = "1.0") -> LockedPackage:
    return LockedPackage(
        name="app", version=version, manager="pip", platform="linux-64", sha256="a" * 64, md5=None, depends=(),
        url=f"https://files.pythonhosted.org/app-{version}-py3-none-any.whl",
    )  # fmt: skip


def _sbom(facts: Facts) -> bytes:
    package = _wheel()
    subject = Subject(
        name="x", version="1", platform="linux-64", phase="build", packages=(package,), facts={package: facts}
    )
    return _make_sbom(subject)


def _check(facts: Facts) -> None:
    """Whatever a package says, the SBOM is a valid one."""
    error = VALID.validate_str(_sbom(facts).decode())
    assert error is None, error


def _license(data: bytes, _room: Path) -> None:
    found = normalize(data.decode("utf-8", "replace"))
    assert not found.expression or licensing().parse(found.expression) is not None
    POLICY.judge(found, ("x",))
    _check(Facts(license=found.said))


def _inner_sbom(data: bytes, _room: Path) -> None:
    _check(Facts(sboms=(Text("a.json", decoded(data)),)))


def _info(data: tuple[bytes, bytes, bytes], room: Path) -> None:
    about, recipe, index = data
    info = {"about.json": about, "recipe/meta.yaml": recipe, "index.json": index, "licenses/L": about}
    _check(conda_facts(make_package(room, "mine", "1.0", info=info)))


def _archive(data: bytes, room: Path) -> None:
    path = room / "x-1.0-py3-none-any.whl"
    path.write_bytes(data)
    for read, wrong in ((wheel_facts, NotAWheel), (conda_facts, NotAPackage)):
        with contextlib.suppress(wrong):
            _check(read(path))


def _metadata(data: bytes, room: Path) -> None:
    path = room / "x.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("app-1.0.dist-info/METADATA", data)
        archive.writestr("app-1.0.dist-info/licenses/L", data)
    _check(wheel_facts(path))


def _dump(data: bytes, room: Path) -> None:
    (room / "a.json").write_bytes(data)
    found = audit(
        read_sbom(_sbom(Facts()), where="x"), read_database(room / "a.json", NOW), (), NOW.date(), subject="x"
    )
    json.loads(sarif(found, ""))
    found.lines()


def _bundles_sbom(data: bytes, room: Path) -> None:
    """The SBOM of a bundle that came by mail."""
    (room / "a.json").write_text(json.dumps(ENTRY))
    found = audit(read_sbom(data, where="x"), read_database(room / "a.json", NOW), (), NOW.date(), subject="x")
    json.dumps(found.document("any", require_coverage=True))
    sarif(found, "").encode()
    "\n".join(found.lines()).encode()


def _statements(data: bytes, room: Path) -> None:
    (room / "audit.toml").write_bytes(data)
    read_statements(room / "audit.toml")


def _json(document: Any) -> st.SearchStrategy[bytes]:
    return st.one_of(twisted(document).map(lambda it: json.dumps(it).encode()), texts_like(json.dumps(document)))


METADATA = (
    "Metadata-Version: 2.4\nName: app\nVersion: 1\nLicense: MIT\nAuthor: A <a@b>\nProject-URL: Homepage, https://x/\n"
)
INDEX = {"name": "mine", "version": "1.0", "license": "MIT", "timestamp": 1700000000000, "depends": ["python"]}
STATEMENTS = "[[ignore]]\nid = 'X'\nreason = 'y'\nuntil = 2026-01-01\n"
TARGETS = (
    Target(name="license", inputs=texts_like(*LICENSES), run=_license),
    Target(name="sbom of a wheel", inputs=st.one_of(_json(INNER), _json(SPDX)), run=_inner_sbom),
    Target(
        name="about.json and recipe",
        inputs=st.tuples(_json({"home": "https://x", "license": "MIT"}), texts_like(RECIPE), _json(INDEX)),
        run=_info,
    ),
    Target(name="archive, for its license", inputs=bytes_like(b"PK\3\4" + bytes(60)), run=_archive),
    Target(name="METADATA, for its license", inputs=texts_like(METADATA), run=_metadata),
    Target(name="OSV entry", inputs=_json(ENTRY), run=_dump),
    Target(name="SBOM of a bundle", inputs=_json(OURS), run=_bundles_sbom),
    Target(name="audit.toml", inputs=texts_like(STATEMENTS), run=_statements),
)
