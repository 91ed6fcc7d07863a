"""Reading conda-lock.yml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from bundler.errors import BundlerError, ConfigError, LockError
from bundler.locked import LockedPackage
from bundler.lockfiles.condalock import locked_categories, locked_platforms, read_lock

if TYPE_CHECKING:
    from pathlib import Path

SHA256, MD5 = "ab" * 32, "cd" * 16


def filled(text: str) -> str:
    """``text`` with a digest where its kind stands."""
    return text.replace("md5: MD5", f"md5: {MD5}").replace("sha256: SHA256", f"sha256: {SHA256}")


LOCKFILE = """\
version: 1
metadata:
  content_hash: {linux-64: abc, linux-aarch64: def}
  channels: [{url: conda-forge, used_env_vars: []}]
  platforms: [linux-64, linux-aarch64]
  sources: [environment.yml]
package:
- name: zlib
  version: '1.10'
  manager: conda
  platform: linux-64
  dependencies: {libgcc: '>=12', __glibc: '>=2.17,<3.0.a0', python: ''}
  url: https://127.0.0.1/conda-forge/linux-64/zlib-1.10-hb9d3cd8_0.conda
  hash: {md5: MD5, sha256: SHA256}
  category: main
  optional: false
- &twice
  name: ca-certificates
  version: '2024.1.1'
  manager: conda
  platform: linux-64
  dependencies: {}
  url: https://${USER_1}:${PASSWORD_1}@127.0.0.1/c/noarch/ca-certificates-2024.1.1-0.tar.bz2
  hash: {md5: '', sha256: null}
  category: main
  optional: false
- <<: *twice
  category: dev
- name: zlib
  version: '1.11'
  manager: conda
  platform: linux-aarch64
  dependencies: {}
  url: https://127.0.0.1/conda-forge/linux-aarch64/zlib-1.11-0.conda
  hash: {md5: MD5, sha256: SHA256}
  category: main
  optional: false
- name: app
  version: '2.0'
  manager: pip
  platform: linux-64
  dependencies: {flask: '>=3'}
  url: https://127.0.0.1/files/app-2.0-py3-none-any.whl
  hash: {sha256: SHA256}
  category: main
  optional: false
"""


@pytest.fixture
def lockfile(tmp_path: Path) -> Path:
    path = tmp_path / "conda-lock.yml"
    path.write_text(filled(LOCKFILE))
    return path


def test_the_platforms_packages_sorted_and_each_once(lockfile: Path) -> None:
    lock = read_lock(lockfile, "linux-64")
    assert lock.path == lockfile
    assert lock.platform == "linux-64"
    assert [package.name for package in lock.packages] == ["app", "ca-certificates", "zlib"]
    assert [package.version for package in read_lock(lockfile, "linux-aarch64").packages] == ["1.11"]


def test_what_a_package_is(lockfile: Path) -> None:
    wheel, certificates, zlib = read_lock(lockfile, "linux-64").packages
    assert zlib == LockedPackage(
        name="zlib",
        version="1.10",
        manager="conda",
        platform="linux-64",
        url="https://127.0.0.1/conda-forge/linux-64/zlib-1.10-hb9d3cd8_0.conda",
        sha256=SHA256,
        md5=MD5,
        depends=("__glibc >=2.17,<3.0.a0", "libgcc >=12", "python"),
    )
    assert (certificates.md5, certificates.sha256) == (None, None)
    assert (wheel.manager, wheel.build) == ("pip", "")


def test_what_a_packages_url_tells(lockfile: Path) -> None:
    certificates = read_lock(lockfile, "linux-64").packages[1]
    assert certificates.filename == "ca-certificates-2024.1.1-0.tar.bz2"
    assert certificates.build == "0"
    assert certificates.subdir == "noarch"
    assert certificates.channel == "https://${USER_1}:${PASSWORD_1}@127.0.0.1/c"


def test_a_build_string_is_what_follows_the_last_hyphen() -> None:
    package = LockedPackage(
        name="r-base",
        version="4.3.1",
        manager="conda",
        platform="linux-64",
        url="https://127.0.0.1/c/linux-64/r-base-4.3.1-h29c4799_4.conda",
        sha256=None,
        md5=None,
        depends=(),
    )
    assert package.build == "h29c4799_4"


def test_there_is_no_lockfile(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such lockfile") as raised:
        read_lock(tmp_path / "conda-lock.yml", "linux-64")
    assert raised.value.where == str(tmp_path / "conda-lock.yml")


def test_another_platform_is_refused_with_those_that_there_are(lockfile: Path) -> None:
    with pytest.raises(ConfigError, match="not locked for osx-64, only for linux-64, linux-aarch64"):
        read_lock(lockfile, "osx-64")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [", "not YAML"),
        ("- 1", "not a conda-lock lockfile"),
        ("", "not a conda-lock lockfile"),
        ("@EXPLICIT", "not YAML"),
        ("name: env\ndependencies: [python]", "not a conda-lock lockfile"),
        (LOCKFILE.replace("version: 1\n", "version: 2\n"), "of version 2; this conda-bundler reads version 1"),
        ("version: 1\npackage: []", "no `metadata.platforms`"),
        (LOCKFILE[: LOCKFILE.index("package:")], "no list `package`"),
        (LOCKFILE.replace("  hash: {md5: MD5, sha256: SHA256}\n", ""), "package zlib is invalid: it has no `hash`"),
        (LOCKFILE.replace("  version: '1.10'\n", ""), "package zlib is invalid: it has no `version`"),
        (LOCKFILE.replace("version: '1.10'", "version: 1.10"), r"zlib is invalid: `version` is 1\.1, not a string"),
        (LOCKFILE.replace("  platform: linux-64\n", "", 1), "zlib is invalid: it has no `platform`"),
        (
            LOCKFILE.replace("platform: linux-64", "platform: [linux-64]", 1),
            "zlib is invalid: `platform` is .*, not a string",
        ),
        (LOCKFILE.replace("manager: conda", "manager: npm", 1), "`manager` is 'npm', neither conda nor pip"),
        (LOCKFILE.replace("{md5: MD5, sha256: SHA256}", "bbbb"), "zlib is invalid: `hash` is 'bbbb', not a table"),
        (LOCKFILE.replace("{md5: MD5, sha256: SHA256}", ""), "zlib is invalid: `hash` is None, not a table"),
        (LOCKFILE.replace("sha256: SHA256", "sha256: 12"), "zlib is invalid: `sha256` is 12, not a string"),
        (LOCKFILE.replace("md5: MD5", "md5: [a]"), "zlib is invalid: `md5` is .*, not a string"),
        (
            LOCKFILE.replace("{libgcc: '>=12', __glibc: '>=2.17,<3.0.a0', python: ''}", "[a]"),
            "`dependencies` is .*, not a table",
        ),
        (LOCKFILE.replace("version: 1\n", "version: '1'\n", 1), "of version '1'; this conda-bundler reads version 1"),
        (LOCKFILE + "- text\n", r"package \? is invalid"),
        (LOCKFILE.replace("https://127.0.0.1/files/app-2.0-py3-none-any.whl", "a/../b.whl"), "app: .* is not the URL"),
        (LOCKFILE.replace("https://127.0.0.1/files/app-2.0-py3-none-any.whl", "[1]"), "package app"),
    ],
)
def test_what_is_no_lockfile_is_said_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "conda-lock.yml"
    path.write_text(filled(text))
    with pytest.raises(LockError, match=sentence) as raised:
        read_lock(path, "linux-64")
    assert raised.value.where == str(path)
    assert raised.value.remedy == "Lock again: conda-bundler lock"
    assert "\n" not in raised.value.message


def test_a_directory_is_no_lockfile(tmp_path: Path) -> None:
    with pytest.raises(BundlerError, match="cannot be read: Is a directory"):
        read_lock(tmp_path, "linux-64")


def test_categories(tmp_path: Path) -> None:
    path = tmp_path / "conda-lock.yml"
    path.write_text(filled(LOCKFILE.replace("category: main", "category: gpu", 1)))

    def names(*categories: str) -> list[str]:
        return [package.name for package in read_lock(path, "linux-64", categories).packages]

    assert names() == ["app", "ca-certificates"]
    assert names("main", "dev") == ["app", "ca-certificates"]
    assert names("gpu") == ["app", "ca-certificates", "zlib"]
    assert [package.name for package in read_lock(path, "linux-64").packages] == ["app", "ca-certificates", "zlib"]
    with pytest.raises(ConfigError, match="no package is locked in category cuda; locked categories: dev, gpu, main"):
        names("cuda", "gpu")


def test_what_conda_lock_1_to_4_have_in_different_places(tmp_path: Path) -> None:
    """Keys in any order, and metadata, sources and builds that some of them write and others do not."""
    path = tmp_path / "conda-lock.yml"
    path.write_text(
        filled("""\
metadata:
  channels: [{url: conda-forge, used_env_vars: []}]
  content_hash: {linux-64: abc}
  platforms: [linux-64]
  sources: [environment.yml]
  time_metadata: {created_at: '2022-01-01T00:00:00Z'}
  git_metadata: {git_sha: abc}
package:
- category: main
  dependencies: {}
  hash: {md5: MD5}
  manager: conda
  name: zlib
  optional: false
  platform: linux-64
  url: https://127.0.0.1/conda-forge/linux-64/zlib-1.3-0.tar.bz2
  version: '1.3'
- category: main
  hash: {sha256: SHA256}
  manager: pip
  name: app
  optional: true
  platform: linux-64
  source: {type: url, url: 'https://127.0.0.1/app-1.0-py3-none-any.whl'}
  url: https://127.0.0.1/app-1.0-py3-none-any.whl
  version: '1.0'
  build: null
version: 1
""")
    )
    wheel, zlib = read_lock(path, "linux-64").packages
    assert (wheel.key, wheel.sha256, wheel.depends) == ("pip:app", SHA256, ())
    assert (zlib.md5, zlib.sha256, zlib.depends) == (MD5, None, ())


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """As when a merge leaves both sides: neither may be taken silently. In several categories it is the same one."""
    path = tmp_path / "conda-lock.yml"
    entry = {
        "name": "zlib",
        "version": "1.3",
        "manager": "conda",
        "platform": "linux-64",
        "url": "https://127.0.0.1/c/linux-64/zlib-1.3-0.conda",
        "hash": {"sha256": SHA256},
        "optional": False,
    }
    newer = {**entry, "version": "1.4", "url": str(entry["url"]).replace("1.3", "1.4")}

    def locked(*entries: dict[str, Any]) -> list[str]:
        metadata = {"platforms": ["linux-64", "osx-64"]}
        path.write_text(yaml.safe_dump({"version": 1, "metadata": metadata, "package": list(entries)}))
        return [package.version for package in read_lock(path, "linux-64").packages]

    assert locked(entry, {**entry, "category": "dev"}) == ["1.3"]
    for_mac = {**newer, "platform": "osx-64", "url": str(newer["url"]).replace("linux-64", "osx-64")}
    assert locked(entry, for_mac) == ["1.3"]
    with pytest.raises(LockError, match=r"zlib twice for linux-64, as zlib-1\.3-0\.conda and as zlib-1\.4-0\.conda"):
        locked(entry, newer)
    with pytest.raises(LockError, match=r"and as zlib-1\.3-0\.conda with another sha256"):
        locked(entry, {**entry, "hash": {"sha256": "0" * 64}})
    with pytest.raises(LockError, match=r"osx-64/zlib-1\.4-0\.conda is not for linux-64"):
        locked({**for_mac, "platform": "linux-64"})


def test_a_lockfile_of_before_conda_lock_1_is_to_be_locked_again(tmp_path: Path) -> None:
    path = tmp_path / "conda-lock.yml"
    path.write_text(filled(LOCKFILE.replace("  optional: false\n", "", 1)))
    for ask in (locked_platforms, lambda path: read_lock(path, "linux-64")):
        with pytest.raises(
            LockError, match=r"written by conda-lock before 1.0, which did not record optional"
        ) as raised:
            ask(path)
        assert raised.value.remedy == "Lock again: conda-bundler lock"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "files/app-2.0-py3-none-any.whl",
            "..%2F..%2Fapp-2.0-py3-none-any.whl",
            "points outside its directory",
        ),
        ("files/app-2.0-py3-none-any.whl", "%2Ftmp%2Fapp-2.0-py3-none-any.whl", "points outside its directory"),
        ("files/app-2.0-py3-none-any.whl", "%2e%2e/app-2.0-py3-none-any.whl", "points outside its directory"),
        ("files/app-2.0-py3-none-any.whl", "files/app-2.0-py3%1b-none-any.whl", "is not a file .whl"),
        ("files/app-2.0-py3-none-any.whl", f"files/app-2.0-{'p' * 200}-none-any.whl", "is too long for the name of a"),
        ("zlib-1.10-hb9d3cd8_0.conda", f"zlib-1.10-{'h' * 200}_0.conda", "is too long for the name of a file"),
        ("files/app-2.0-py3-none-any.whl", "files/app-2.1-py3-none-any.whl", "is not a file of app 2.0"),
        ("files/app-2.0-py3-none-any.whl", "files/other-2.0-py3-none-any.whl", "is not a file of app 2.0"),
        ("files/app-2.0-py3-none-any.whl", "files/app-2.0-py3-none-any.whl?sig=word", "has a query"),
        ("https://127.0.0.1/files", "https://word@127.0.0.1/files", "contains a password or token"),
        ("https://127.0.0.1/files", "https://word:@127.0.0.1/files", "contains a password or token"),
        ("https://127.0.0.1/files", "ftp://127.0.0.1/files", "not an http, https or file"),
        ("https://127.0.0.1/files", "file://127.0.0.1/files", "is not the URL of a file"),
        ("https://127.0.0.1/files", "https://127.0.0.1:70000/files", "is not the URL of a file"),
        ("files/app-2.0-py3-none-any.whl", "files/app-2.0-py3-none-any.whl#sha256=x", "is not the URL of a file"),
        ("linux-64/zlib-1.10-hb9d3cd8_0.conda", "noarch/...conda", r"is not a file \.conda"),
        ("linux-64/zlib-1.10-hb9d3cd8_0.conda", "noarch/..", "points outside its directory"),
        ("linux-64/zlib-1.10-hb9d3cd8_0.conda", "linux-64/zlib-1.10-$TOKEN.conda", r"is not a file \.conda"),
        ("linux-64/zlib-1.10-hb9d3cd8_0.conda", "linux-64/zlib-1.11-0.conda", "is not a file of zlib 1.10"),
        ("conda-forge/linux-64/zlib-1.10-hb9d3cd8_0.conda", "zlib-1.10-0.conda", "not in a platform directory"),
        ("sha256: SHA256", "sha256: ../../OUTSIDE/dir", "is not a sha256"),
        ("sha256: SHA256", "sha256: /tmp/dir", "is not a sha256"),
        ("sha256: SHA256", "sha256: abcdef", "is not a sha256"),
        ("md5: MD5", "md5: abc", "is not an md5"),
        ("platform: linux-64", "platform: ../linux-64", "is not a platform"),
        ("category: main", "category: ../main", "`category` is '../main', not a name"),
        ("name: zlib", "name: ../zlib", "is not a package name"),
        ("'1.10'", "'1/10'", "is not a version"),
        ("python: ''", '"a\\e": b', "is not a dependency"),
    ],
)
def test_the_lockfile_is_a_boundary(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    """Names and digests become paths in the cache, and whoever sends a pull request writes them."""
    assert old in LOCKFILE
    path = tmp_path / "conda-lock.yml"
    path.write_text(filled(LOCKFILE.replace(old, new, 1)))
    with pytest.raises(LockError, match=sentence) as raised:
        read_lock(path, "linux-64")
    assert "word" not in raised.value.format_message().replace("password", "")


def test_source_that_something_else_replaces_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "conda-lock.yml"
    for url in ("git+https://127.0.0.1/app@abc", "https://127.0.0.1/app-2.0.tar.gz"):
        path.write_text(filled(LOCKFILE.replace("https://127.0.0.1/files/app-2.0-py3-none-any.whl", url)))
        assert read_lock(path, "linux-64").packages[0].url == url
    path.write_text(filled(LOCKFILE.replace("https://127.0.0.1/files/app-2.0-py3-none-any.whl", "git+https://w@h/app")))
    with pytest.raises(LockError, match="is not a URL that a lockfile may contain"):
        read_lock(path, "linux-64")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("libgcc: '>=12'", "on: '>=12'", "`dependencies` has True: '>=12', which are not strings"),
        ("libgcc: '>=12'", "libgcc: 1.10", "`dependencies` has 'libgcc': 1.1, which are not strings"),
        ("libgcc: '>=12'", "libgcc: no", "`dependencies` has 'libgcc': False, which are not strings"),
        ("name: zlib", "name: yes", "`name` is True, not a string"),
        ("category: main", "category: off", "`category` is False, not a string"),
    ],
)
def test_words_that_yaml_takes_for_something_else(lockfile: Path, before: str, after: str, said: str) -> None:
    """As a person would write them; conda-lock puts them in quotes."""
    lockfile.write_text(filled(LOCKFILE.replace(before, after, 1)))
    with pytest.raises(LockError) as raised:
        read_lock(lockfile, "linux-64")
    assert said in raised.value.format_message()
    quoted = after.replace(": ", ": '").replace("''", "'").rstrip("'") + "'"
    text = filled(LOCKFILE.replace(before, quoted.replace("on:", "'on':"), 1))
    lockfile.write_text(text.replace("/zlib-1.10", "/yes-1.10") if after == "name: yes" else text)
    assert read_lock(lockfile, "linux-64").packages


def test_a_lockfile_of_no_package(lockfile: Path) -> None:
    """As conda-lock writes it for an environment of virtual packages alone; the build says that it is empty."""
    lockfile.write_text(LOCKFILE[: LOCKFILE.index("package:")] + "package: []\n")
    assert read_lock(lockfile, "linux-64").packages == ()
    assert locked_categories(lockfile, "linux-64") == {}
    lockfile.write_text(LOCKFILE[: LOCKFILE.index("package:")] + "package: [1]\n")
    assert locked_categories(lockfile, "linux-64") == {}
    with pytest.raises(LockError, match="its entry for package \\? is invalid: it is 1"):
        read_lock(lockfile, "linux-64")
