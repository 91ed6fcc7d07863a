"""What archives say of themselves: conda packages and wheels, and what is no such thing."""

from __future__ import annotations

import hashlib
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from pypikit import make_wheel
from tinychannel import make_package

from bundler.about.conda import conda_facts
from bundler.about.facts import Facts, Inner, Library, Source, Text
from bundler.about.read import facts_of
from bundler.about.wheel import NotAWheel, wheel_facts
from bundler.digests import file_sha256
from bundler.errors import PrefixError
from bundler.fetch.archives import keep
from bundler.fetch.condafile import NotAPackage
from bundler.locked import LockedPackage

if TYPE_CHECKING:
    from pathlib import Path

META = b"""
source:
  - url: [https://pypi.io/packages/source/w/words/words-1.0.tar.gz]
    sha256: 11a1
  - path: patches
  - url: https://user:secret@files.example/x.tar.gz
"""


@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_a_conda_package(tmp_path: Path, extension: Any) -> None:
    info = {
        "about.json": json.dumps({"home": ["https://words.example"], "summary": "some\n words"}).encode(),
        "licenses/LICENSE": b"Do as you like.",
        "licenses/vendored/COPYING": b"\xff",
        "licenses/huge": b"x" * ((1 << 20) + 1),
        "recipe/meta.yaml": META,
    }
    files = {"site-packages/words-1.0.dist-info/METADATA": b"Name: words\n", "bin/x": b""}
    path = make_package(
        tmp_path, "words", "1.0", files=files, license="BSD 3-Clause", timestamp=1_700_000_000_123,
        depends=["python"], info=info, extension=extension,
    )  # fmt: skip
    assert conda_facts(path) == Facts(
        license="BSD 3-Clause",
        texts=(Text("LICENSE", "Do as you like."), Text("huge", ""), Text("vendored/COPYING", "ÿ")),
        homepage="https://words.example",
        summary="some words",
        timestamp=1_700_000_000,
        depends=("python",),
        sources=(Source("https://pypi.io/packages/source/w/words/words-1.0.tar.gz", "11a1"),),
        inner=(Inner("words", "1.0", "site-packages/words-1.0.dist-info"),),
    )


@pytest.mark.parametrize(
    "info",
    [
        {"about.json": b"[", "recipe/meta.yaml": b"{{ jinja }}", "index.json": b'{"timestamp": "x", "depends": 3}'},
        {"about.json": b"[]", "recipe/meta.yaml": b"source: [1, {url: 3}, {url: []}]", "index.json": b"null"},
        {"recipe/meta.yaml": b"- 1", "paths.json": b"{}", "index.json": b"\xff"},
        {"recipe/rendered_recipe.yaml": b"recipe: 3", "recipe/meta.yaml": b"source: 1"},
    ],
)
def test_a_conda_package_that_says_odd_things_says_nothing(tmp_path: Path, info: dict[str, bytes]) -> None:
    facts = conda_facts(make_package(tmp_path, "odd", "1.0", info=info))
    assert (facts.license, facts.sources, facts.inner, facts.timestamp) == ("", (), (), 0)


def test_the_recipe_of_rattler_build(tmp_path: Path) -> None:
    recipe = b"recipe: {source: [{url: 'https://a.example/a.tar.gz', sha256: '22'}]}"
    facts = conda_facts(make_package(tmp_path, "a", "1.0", info={"recipe/rendered_recipe.yaml": recipe}))
    assert facts.sources == (Source("https://a.example/a.tar.gz", "22"),)


def wheel(tmp_path: Path, lines: str, **files: bytes) -> Facts:
    metadata = {"METADATA": f"Metadata-Version: 2.4\nName: w\nVersion: 1\n{lines}".encode()}
    more = {name.replace("__", "/"): content for name, content in files.items()}
    return wheel_facts(make_wheel(tmp_path, "w", "1", metadata=metadata | more))


def test_a_wheel(tmp_path: Path) -> None:
    lines = (
        "License-Expression: MIT\nAuthor-email: Ann Other <ann@example.org>\nSummary: words\n"
        "Project-URL: Homepage, https://w.example/\n"
    )
    facts = wheel(tmp_path, lines, licenses__LICENSE=b"text", sboms__a=b"{}", COPYING=b"older")
    assert facts == Facts(
        license="MIT",
        texts=(Text("LICENSE", "text"),),
        maker="Ann Other",
        homepage="https://w.example/",
        summary="words",
        sboms=(Text("a", "{}"),),
    )
    assert wheel(tmp_path / "old", "", COPYING=b"older").texts == (Text("COPYING", "older"),)


def test_the_libraries_that_a_wheel_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["w.libs/libz-1a2b3c4d.so.1.3", "w/.libs/libold.so", "w-1.data/platlib/w.libs/libmore.so", "w/core.so",
             "w.libs/README", "w.libsy/libno.so"]  # fmt: skip
    path = make_wheel(tmp_path, "w", "1", files={name: name.encode() for name in names})
    found = wheel_facts(path).libraries
    assert found == tuple(Library(name, hashlib.sha256(name.encode()).hexdigest()) for name in sorted(names[:3]))
    assert Facts.of(json.loads(json.dumps(wheel_facts(path).document()))).libraries == found
    monkeypatch.setattr("bundler.about.wheel._READ", len(found[0].path))
    assert [bool(one.sha256) for one in wheel_facts(path).libraries] == [True, False, False]


@pytest.mark.parametrize(
    ("lines", "license_"),
    [
        ("License: Apache 2.0\n", "Apache 2.0"),
        ("License: Copyright (c) 2020\n    All rights\nClassifier: License :: OSI Approved :: MIT License\n", "MIT"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: BSD License\n", "BSD License"),
        ("License: Custom\nClassifier: License :: OSI Approved :: BSD License\n", "Custom"),
        ("Classifier: License :: OSI Approved\n", ""),
        ("", ""),
    ],
)
def test_an_older_wheels_license(tmp_path: Path, lines: str, license_: str) -> None:
    assert wheel(tmp_path, lines).license == license_


def test_what_is_neither(tmp_path: Path) -> None:
    bad = tmp_path / "x-1-0.conda"
    bad.write_bytes(b"PK no zip")
    with pytest.raises(NotAPackage):
        conda_facts(bad)
    with pytest.raises(NotAWheel):
        wheel_facts(bad)
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("other/METADATA", "")
    with pytest.raises(NotAWheel, match="METADATA"):
        wheel_facts(bad)


def locked(path: Path, sha256: str) -> LockedPackage:
    return LockedPackage(
        name="words", version="1.0", manager="conda", platform="linux-64", url=f"https://c.example/noarch/{path.name}",
        sha256=sha256, md5=None, depends=(),
    )  # fmt: skip


def test_what_the_store_has_is_read_once_and_what_is_damaged_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))
    path = make_package(tmp_path, "words", "1.0", license="MIT")
    package = locked(path, file_sha256(path))
    assert facts_of(package) is None
    keep(path, path.name)
    first = facts_of(package)
    assert first is not None
    assert first.license == "MIT"
    (kept,) = (tmp_path / "cache" / "archives").glob("*/words*")
    kept.write_bytes(bytes(kept.stat().st_size))
    assert facts_of(package) == first  # by its note: the archive was verified when that was written
    kept.with_name(f".{kept.name}.about").unlink()
    assert facts_of(package) is None
    other = tmp_path / "none-1.0-0.conda"
    other.write_bytes(b"no package")
    keep(other, other.name)
    with pytest.raises(PrefixError, match="cannot be read for its license"):
        facts_of(locked(other, file_sha256(other)))
