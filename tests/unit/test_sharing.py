"""In which order conda links, how owners are named, and what is said of shared files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundler.config.project import load_config
from bundler.config.schema import make_schema
from bundler.errors import ConfigError
from bundler.fetch.archives import Archive
from bundler.locked import LockedPackage
from bundler.lockfiles.condalock import read_lock
from bundler.sharing.conda import CondaFiles, conda_packages, link_order
from bundler.sharing.owners import Owner, Owners, check_names, owners_line
from bundler.sharing.places import Places

if TYPE_CHECKING:
    from typing import Any


def package(name: str, index: dict[str, Any], **info: Any) -> Archive:
    locked = LockedPackage(
        name=name,
        version="1",
        manager="conda",
        platform="linux-64",
        url=f"file:///channel/noarch/{name}-1-0.conda",
        sha256="",
        md5=None,
        depends=(),
    )
    index = {"name": name, "version": "1", "build": "0"} | index
    content = {"info/index.json": json.dumps(index).encode()}
    content |= {f"info/{file}.json": json.dumps(text).encode() for file, text in info.items()}
    return Archive(package=locked, path=Path(name), size=0, info=content)


@pytest.mark.parametrize(
    ("needs", "order"),
    [
        ({"a": "", "b": ""}, "a b"),
        ({"a": "b", "b": ""}, "b a"),
        ({"a": "b", "b": "", "c": ""}, "c b a"),  # nothing binds c: it is first
        ({"a": "d", "b": "c", "c": "", "d": "c"}, "c b d a"),  # by generations
        ({"a": "c", "b": "a", "c": "b", "d": ""}, "d a b c"),  # a circle: the first of those with the fewest needs
        ({"a": "b,c", "b": "a", "c": ""}, "c a b"),  # as is met is not counted
        ({"a": "a", "b": ""}, "a b"),
        ({"a": "nowhere", "b": "__glibc >=2.17"}, "a b"),
        ({"a": "other::b >=1", "b": "", "c": "b[version='1']"}, "b a c"),
        ({"a": "B >=1", "b": "", "c": "b==1"}, "b a c"),
        ({"pip": "python", "python": "pip", "setuptools": "python"}, "python pip setuptools"),
        ({"a": "python", "menuinst": "python", "python": ""}, "python menuinst a"),
    ],
)
def test_the_order_in_which_conda_links(needs: dict[str, str], order: str) -> None:
    """Compared with conda's own code on 20,000 random graphs when it was written."""
    packages = [
        CondaFiles(archive=package(name, {"depends": text.split(",") if text else []}), site_packages="")
        for name, text in needs.items()
    ]
    assert " ".join(link_order(packages)) == order
    assert " ".join(link_order(reversed(packages))) == order


def test_where_the_files_of_a_noarch_python_package_go() -> None:
    files = ("site-packages/x.py", "python-scripts/run", "share/x", "site-packages-not/y")
    pure = package(
        "pure",
        {"noarch": "python"},
        paths={"paths": [{"_path": path} for path in files] + [{"_path": "empty", "path_type": "directory"}]},
        link={"noarch": {"type": "python", "entry_points": ["go = pure.cli : main"]}},
    )
    python = package("python", {"version": "3.13.1", "python_site_packages_path": "lib/python3.13t/site-packages"})
    found = conda_packages([pure, python])[0].files()
    assert [(file.path, file.script) for file in found] == [
        ("lib/python3.13t/site-packages/x.py", ""),
        ("bin/run", ""),
        ("share/x", ""),
        ("site-packages-not/y", ""),
        ("bin/go", "pure.cli:main"),
    ]
    usual = conda_packages([pure, package("python", {"version": "3.9.18"})])[0]
    assert next(usual.files()).path == "lib/python3.9/site-packages/x.py"


@pytest.mark.parametrize(
    ("table", "path", "owner"),
    [
        ({"x/y": "one"}, "x/y", "one"),
        ({"x/*": "one", "x/y": "pip:Two.x"}, "x/y", "pip:two-x"),  # exact goes first
        ({"x/*": "two_x", "*": "one"}, "x/y/z", "pip:two-x"),  # then the first
        ({"x/*": "three", "*": "one"}, "x/y", "one"),  # three has none
        ({"x/[y]": "one"}, "x/[y]", "one"),  # a path, whatever else it may mean
        ({"x/?": "conda:two-x"}, "x/y", None),  # that one is a wheel
        ({"y": "one"}, "x/y", None),
    ],
)
def test_whose_file_is_used(table: dict[str, str], path: str, owner: str | None) -> None:
    assert Owners.of(table.items()).choose(path, ("one", "pip:two-x")) == owner


def test_a_line_is_valid_toml_whatever_the_path() -> None:
    added = [Owner(pattern='a"b\\c', package="one"), Owner(pattern="\x7f", package="two")]
    line = owners_line(Owners.of([("x", "y")]), added)
    assert line == 'owners = { "x" = "y", "a\\"b\\\\c" = "one", "\\u007f" = "two" }'


LOCKED = """
version: 1
metadata: {platforms: [linux-64, linux-aarch64]}
package:
"""
ENTRY = """
- {name: %s, version: "1", manager: %s, platform: %s, category: %s, hash: {}, url: "https://x.example/noarch/%s",
   optional: false}
"""


def test_a_package_of_another_platform_or_category_is_no_mistake(tmp_path: Path) -> None:
    """bundle.toml is for all of them."""
    entries = [
        ("a", "conda", "linux-64", "main", "a-1-0.conda"),
        ("b.c", "pip", "linux-aarch64", "main", "b_c-1-py3-none-any.whl"),
        ("d", "conda", "linux-64", "dev", "d-1-0.conda"),
    ]
    (tmp_path / "conda-lock.yml").write_text(LOCKED + "".join(ENTRY % entry for entry in entries))
    (tmp_path / "environment.yml").write_text("dependencies: [a]\n")
    config = '[bundle]\nname = "x"\nversion = "1"\nplatforms = ["linux-64", "linux-aarch64"]\nowners = {{ {} }}\n'

    def check(*names: str) -> None:
        table = ", ".join(f'"bin/{number}" = "{name}"' for number, name in enumerate(names))
        (tmp_path / "bundle.toml").write_text(config.format(table) + '[services.x]\ncommand = ["a"]\n')
        found = load_config(tmp_path)
        check_names(found, found.lockfiles, [read_lock(found.lockfile, "linux-64", found.categories)])

    check("a", "B_c", "d")
    with pytest.raises(ConfigError, match='"bin/1" = "pip:a": no package pip:a in the environment') as caught:
        check("a", "pip:a", "e")
    assert '"bin/2" = "e"' in caught.value.message
    assert caught.value.where == "bundle.toml: bundle.owners"


def test_editors_are_told_what_owners_are() -> None:
    said = make_schema()["$defs"]["BundleTable"]["properties"]["owners"]
    assert said["type"] == "object"
    assert "An exact" in said["description"]


def test_places() -> None:
    places = Places()
    places.add("one", ("a/b", "c", "d/e"))
    places.add("two", ("a/b", "c/x", "f", "f"))
    places.add("three", ("a/b", "d"))
    assert places.shared() == {"a/b": ("one", "two", "three")}
    assert [*places.crossed()] == [("c", "one", "c/x", "two"), ("d", "three", "d/e", "one")]
