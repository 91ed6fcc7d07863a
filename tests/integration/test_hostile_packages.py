"""Packages that want more than a place in the prefix: nothing of the build machine is written, read or run by them."""

from __future__ import annotations

import json
import stat
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hostilekit import entry, member, package, package_of
from lockkit import locked
from prefixkit import SITE, conda, install, python_package, refused, wheel
from tinychannel import File, Link, write_archive

from bundler.errors import PrefixError
from bundler.linking import run as linking
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("own_cache")

LIBRARY = "lib/python3.11"
PLACEHOLDER = "/placeholder/of/enough/length/placeholder/of/enough/length"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What is not to be written to."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "victim").write_text("mine")
    return path


@pytest.mark.parametrize("spelling", ["share/../share/d", "share//d", "share/./d", "share/d/."])
def test_a_link_under_another_spelling_and_a_file_below_it(tmp_path: Path, outside: Path, spelling: str) -> None:
    one = package(tmp_path, "aaa", {"share/d": Link(str(outside))}, entry(spelling, None, path_type="softlink"))
    two = package(
        tmp_path, "bbb", {"share/d/victim": File(content=b"evil")}, entry("share/d/victim", b"evil"), depends=("aaa",)
    )
    said = refused(one, two)
    assert said.startswith("aaa (aaa-1.0-0.conda): ")
    assert repr(spelling) in said
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("victim", "mine")]


@pytest.mark.parametrize(
    "path", ["{outside}/new", "../../../../outside/new", "lib/../../../../outside/new", "conda-meta/x-1.0-0.json"]
)
@pytest.mark.parametrize("kind", ["hardlink", "softlink", "directory"])
def test_a_path_that_is_elsewhere(tmp_path: Path, outside: Path, path: str, kind: str) -> None:
    path = path.format(outside=outside)
    said = refused(package(tmp_path, "aaa", {"x": File(content=b"")}, entry(path, path_type=kind)))
    assert f"info/paths.json names {path!r}, which" in said
    assert [one.name for one in outside.iterdir()] == ["victim"]


def test_an_empty_directory_below_another_packages_link(tmp_path: Path, outside: Path) -> None:
    one = package(tmp_path, "aaa", {"share/d": Link(str(outside))}, entry("share/d", None, path_type="softlink"))
    two = package(tmp_path, "bbb", {}, entry("share/d/new", None, path_type="directory"), depends=("aaa",))
    assert "share/d is a file in aaa, a directory in bbb" in refused(one, two)
    assert [path.name for path in outside.iterdir()] == ["victim"]


def test_a_noarch_packages_link_where_site_packages_are(tmp_path: Path, outside: Path) -> None:
    python = python_package(tmp_path)
    noarch = {"site-packages": Link(str(outside))}
    other = conda(tmp_path, "other", files={"site-packages/victim": b"evil"}, python=True, depends=["python"])
    said = refused(python, conda(tmp_path, "linked", files=noarch, python=True, depends=["python"]), other)
    assert f"{SITE}: linked (conda)" in said
    assert (outside / "victim").read_text() == "mine"


@pytest.mark.parametrize(
    ("link", "place", "file"),
    [
        ("bin/tool", "bin/tool", None),
        ("python-scripts/tool", "bin/tool", None),
        ("bin/tool", "bin/tool", "python-scripts/tool"),
        (f"{SITE}/x.py", f"{SITE}/x.py", "site-packages/x.py"),
    ],
)
def test_two_files_of_a_package_at_one_place(
    tmp_path: Path, outside: Path, link: str, place: str, file: str | None
) -> None:
    """The linker writes an entry point's script through a link that is there, and over what that leads to."""
    index = {"name": "linked", "version": "1.0", "build": "0", "build_number": 0, "depends": ["python"]}
    points = [] if file else ["tool = app:main"]
    info = {
        "info/index.json": json.dumps(index | {"subdir": "noarch", "noarch": "python"}).encode(),
        "info/link.json": json.dumps({"noarch": {"type": "python", "entry_points": points}}).encode(),
    }
    members: dict[str, File | Link] = {link: Link(str(outside / "victim"))}
    paths = [entry(link, None, path_type="softlink")]
    if file:
        members[file] = File(content=b"x = 1\n")
        paths.append(entry(file, b"x = 1\n"))
    said = refused(python_package(tmp_path), package(tmp_path, "linked", members, *paths, info=info))
    assert f"linked (linked-1.0-0.conda): the package has two files that would both be installed as {place}" in said
    assert (outside / "victim").read_text() == "mine"


def test_metadata_that_the_other_part_of_the_archive_brings(tmp_path: Path, outside: Path) -> None:
    """The linker reads what was unpacked last."""
    evil = json.dumps({"paths": [entry(f"{outside}/new", b"evil")], "paths_version": 1}).encode()
    archive = tmp_path / "channel" / "linux-64" / "aaa-1.0-0.tar.bz2"
    package(tmp_path, "aaa", {})
    about = b'{"name": "aaa", "version": "1.0", "build": "0", "build_number": 0, "subdir": "linux-64", "depends": []}'
    good = {"info/index.json": about, "info/paths.json": b'{"paths": []}', "info/link.json": b"{}"}
    write_archive(archive, {path: File(content=text) for path, text in (good | {"./info/paths.json": evil}).items()})
    assert "info/paths.json differs from the package's archive" in refused(locked(archive))
    assert [path.name for path in outside.iterdir()] == ["victim"]


@pytest.mark.parametrize("digest", [b"", None])
@pytest.mark.parametrize("prefix", [None, "text", "binary"])
@pytest.mark.parametrize("below", [False, True])
def test_a_file_of_the_machine_is_not_packed(
    tmp_path: Path, digest: bytes | None, prefix: str | None, *, below: bool
) -> None:
    (tmp_path / "secret").write_text("password")
    more = {"prefix_placeholder": PLACEHOLDER, "file_mode": prefix} if prefix else {}
    if below:
        evil = package(tmp_path, "evil", {"share/d": Link(str(tmp_path))}, entry("share/d/secret", digest, **more))
    else:
        evil = package(tmp_path, "evil", {"doc": Link(str(tmp_path / "secret"))}, entry("doc", digest, **more))
    for _ in range(2):
        said = refused(evil)
        assert said.startswith("evil (evil-1.0-0.conda): the archive does not match its metadata: ")
        assert "declared as a file, but is " in said


def test_a_file_that_gets_the_prefix_has_its_declared_digest_before(tmp_path: Path) -> None:
    more = {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}
    members = {"doc": File(content=f"evil {PLACEHOLDER}".encode())}
    said = refused(package(tmp_path, "evil", members, entry("doc", b"good", **more)))
    assert "doc does not match the package's sha256" in said


UP = "../" * 40
LINK = {"kind": tarfile.SYMTYPE}
HARD = {"kind": tarfile.LNKTYPE}
DIRECTORY = {"kind": tarfile.DIRTYPE, "mode": 0o777}


@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
@pytest.mark.parametrize(
    "members",
    [
        [("{outside}/new", b"evil", {})],
        [("{outside}/victim", b"evil", {})],
        [(UP + "{outside}/victim", b"evil", {})],
        [("{outside}", b"", DIRECTORY)],
        [("..", b"", DIRECTORY)],
        [("l", b"", LINK | {"to": "{outside}"}), ("l/new", b"evil", {})],
        [("l", b"", LINK | {"to": "{outside}"}), ("l/new", b"", DIRECTORY)],
        [("l", b"", LINK | {"to": "{outside}"}), ("l", b"", DIRECTORY)],
        [("l", b"", LINK | {"to": "{outside}/victim"}), ("l", b"evil", {"mode": 0o777})],
        [("h", b"", HARD | {"to": "{outside}/victim"}), ("h", b"evil", {"mode": 0o777})],
        [("h", b"", HARD | {"to": UP + "{outside}/victim"})],
        [("l", b"", LINK | {"to": "{outside}"}), ("h", b"", HARD | {"to": "l/victim"})],
        [("l", b"", LINK | {"to": "{outside}/victim"}), ("h", b"", HARD | {"to": "l"}), ("h", b"evil", {})],
        [("x", b"evil", {"pax_headers": {"path": "{outside}/victim"}})],
        [("h", b"", HARD | {"to": "x", "pax_headers": {"linkpath": "{outside}/victim"}})],
        [("x", b"evil", {"pax_headers": {"GNU.sparse.name": "{outside}/victim", "GNU.sparse.map": "0,4"}})],
        [("x", b"evil", {"mode": 0o6755}), ("d", b"", DIRECTORY | {"mode": 0o7777})],
        [("d", b"", {"kind": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}), ("f", b"", {"kind": tarfile.FIFOTYPE})],
    ],
)
def test_a_tar_that_would_be_unpacked_elsewhere(
    tmp_path: Path, outside: Path, extension: str, members: list[tuple[str, bytes, dict[str, Any]]]
) -> None:
    """rattler's own affair: whether it refuses such a member or passes it over, nothing comes of it."""

    def placed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: placed(one) for key, one in value.items()}
        return value.replace("{outside}", str(outside)) if isinstance(value, str) else value

    (outside / "victim").chmod(0o600)
    made = [member("fine", b"fine"), *(member(placed(name), text, **placed(more)) for name, text, more in members)]
    with suppress(PrefixError):
        assert install(package_of(tmp_path, extension, made, entry("fine", b"fine")))["fine"][1] == b"fine"
    (victim,) = outside.iterdir()
    assert (victim.name, victim.read_text(), victim.stat().st_nlink) == ("victim", "mine", 1)
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
    for path in cache_dir("pkgs").rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode), path
        assert stat.S_ISLNK(mode) or not mode & 0o7000, path


@pytest.mark.parametrize(
    ("extension", "sentence"),
    [(".conda", "failed to unpack `aaaa"), (".tar.bz2", "not a conda package: a header is too large")],
)
def test_a_name_of_a_million_characters_is_not_told_whole(tmp_path: Path, extension: str, sentence: str) -> None:
    said = refused(package_of(tmp_path, extension, [member("a" * 1_000_000)]))
    assert "evil" in said
    assert sentence in said
    assert len(said) < 4000


def test_a_crash_of_the_linker_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fine = package(tmp_path, "fine", {"x": File(content=b"x")}, entry("x", b"x"))
    install(fine)
    monkeypatch.setattr(linking, "_START", "import os, sys; sys.stderr.write('panicked at\\n'); os.abort()")
    said = refused(fine)
    assert "linux-64: 1 package could not be linked: the linker crashed (SIGABRT)\n    panicked at" in said
    assert "use another build" in said
    with pytest.raises(PrefixError) as caught:
        install(package(tmp_path, "other", {"x": File(content=b"x")}, entry("x", b"x")))
    assert caught.value.exit_code == 5
    assert "could not be unpacked: the linker crashed" in caught.value.message


def test_another_archives_copy_is_not_used(tmp_path: Path) -> None:
    """Of packages that declare no digests, too."""
    for text in (b"one", b"two", b"one"):
        one = package(tmp_path / text.decode(), "same", {"x": File(content=text)}, entry("x", None))
        assert install(one)["x"][1] == text


# --- what is Python's alone

SHADOWS = (
    f"{LIBRARY}/argparse/__init__.py",
    f"{LIBRARY}/sitecustomize.py",
    f"{LIBRARY}/lib-dynload/zlib.cpython-311-x86_64-linux-gnu.so",
    f"{LIBRARY}/__pycache__/os.cpython-311.pyc",
    "lib/python311.zip",
    "bin/python",
    "bin/python3.11",
    "bin/python3.11._pth",
    "bin/pybuilddir.txt",
    "bin/pyvenv.cfg",
    "pyvenv.cfg",
    "lib/libpython3.11.so.1.0",
)


@pytest.mark.parametrize("path", SHADOWS)
def test_only_python_has_files_where_python_looks_first(tmp_path: Path, path: str) -> None:
    python = python_package(tmp_path)
    said = refused(python, conda(tmp_path, "evil", files={path: b"evil"}))
    assert f"reserved for Python itself:\n    {path}: evil (conda)\n" in said
    assert "Use other builds of these packages, or remove them" in said
    where = f"app-1.0.data/data/{path}"
    if "__pycache__" not in path:  # a wheel's is not installed
        assert f"    {path}: app (wheel)\n" in refused(python, wheel(tmp_path, files={"app.py": b"", where: b"evil"}))


def test_commands_that_would_be_python(tmp_path: Path) -> None:
    python = python_package(tmp_path)
    evil = conda(tmp_path, "evil", python=True, entry_points=("python3 = evil:main",), depends=["python"])
    assert "    bin/python3: evil (conda)\n" in refused(python, evil)
    assert "    bin/python: app (wheel)\n" in refused(python, wheel(tmp_path, scripts={"python": "app:main"}))
    script = wheel(tmp_path, files={"app-1.0.data/scripts/python3.11": b"#!/bin/sh\n"})
    assert "    bin/python3.11: app (wheel)\n" in refused(python, script)


def test_what_honest_packages_have_near_python_is_theirs(tmp_path: Path) -> None:
    python = conda(
        tmp_path, "python", "3.11.7", subdir="linux-64", build="h1_0_cpython", files={f"{LIBRARY}/argparse.py": b"own"}
    )
    honest = {
        f"{SITE}/distutils-precedence.pth": b"",
        f"{SITE}/sitecustomize.py": b"",
        f"{LIBRARY}/config-3.11-x86_64-linux-gnu/libpython3.11.a": b"",
        "lib/libpython3.11.a": b"",
        "bin/python-argcomplete-check-easy-install-script": b"",
        "lib/python3.9/other.py": b"",
        "lib/pkgconfig/python-3.11.pc": b"",
        "share/pyvenv.cfg": b"",
    }
    found = install(python, conda(tmp_path, "honest", files=dict(honest)))
    assert found.keys() >= {*honest, f"{LIBRARY}/argparse.py"}


def test_another_implementations_package_is_python(tmp_path: Path) -> None:
    files = {"lib/python3.9/os.py": b"own", "bin/python3.9": b"own"}
    meta = conda(tmp_path, "python", "3.9.18", subdir="linux-64", build="0_73_pypy")
    assert install(meta, conda(tmp_path, "pypy3.9", files=dict(files))).keys() >= files.keys()
    ordinary = conda(tmp_path, "python", "3.9.18", subdir="linux-64", build="h1_0_cpython")
    assert "    lib/python3.9/os.py: pypy3.9 (conda)\n" in refused(
        ordinary, conda(tmp_path, "pypy3.9", files=dict(files))
    )
