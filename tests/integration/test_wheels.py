"""Wheels in a prefix: what is written where, what is refused before anything is, and that pip would write the same."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from lockkit import locked
from prefixkit import BAKED, SITE, Steps, conda, install, lock_of, python_package, refused, wheel
from pypikit import ZipEntry, serve_index
from tinychannel import File

from bundler.errors import LockError
from bundler.pack.collect import collect
from bundler.pack.segments import Segment
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress
from bundler.wheels import install as installing
from bundler.wheels import read as reading
from bundler.wheels.python import glibc_of

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.locked import LockedPackage


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def python(tmp_path: Path) -> LockedPackage:
    return python_package(tmp_path)


def test_each_part_goes_to_its_place(python: LockedPackage, tmp_path: Path) -> None:
    data = "app-1.0.data"
    app = wheel(
        tmp_path,
        files={
            "app/__init__.py": b"",
            "app/__pycache__/__init__.cpython-311.pyc": b"from another time",
            f"{data}/platlib/app/fast.so": b"\x7fELF",
            f"{data}/scripts/tool": ZipEntry(content=b"#!python -u\nimport app\n", mode=0o100755),
            f"{data}/scripts/shell": ZipEntry(content=b"#!/bin/sh\n:\n", mode=0o100755),
            f"{data}/headers/app.h": b"int app;",
            f"{data}/data/share/app/data": b"data",
        },
        scripts={"app": "app.cli:main.run"},
    )
    found = install(python, app)
    assert found[f"{SITE}/app/__init__.py"] == (0o644, b"", "pip:app")
    assert found[f"{SITE}/app/fast.so"] == (0o644, b"\x7fELF", "pip:app")
    assert found["include/python3.11/app/app.h"] == (0o644, b"int app;", "pip:app")
    assert found["share/app/data"] == (0o644, b"data", "pip:app")
    assert found["bin/shell"] == (0o755, b"#!/bin/sh\n:\n", "pip:app")
    assert found["bin/tool"] == (0o755, f"#!{BAKED}/bin/python\nimport app\n".encode(), None)
    mode, script, package = found["bin/app"]
    assert (mode, package) == (0o755, None)
    assert isinstance(script, bytes)
    assert script.startswith(f"#!{BAKED}/bin/python\n".encode())
    assert b"from app.cli import main\n" in script
    assert b"sys.exit(main.run())" in script
    assert not [path for path in found if "__pycache__" in path]


def test_what_a_wheel_needs_and_the_lockfile_has_not_is_told(python: LockedPackage, tmp_path: Path) -> None:
    """An index may have said something else of it (PEP 658)."""
    requires = ["absent >=1", "lib >=2", "tzdata", "extra; extra == 'more'", "win; sys_platform == 'win32'"]
    packages = (wheel(tmp_path, requires=requires), wheel(tmp_path, "lib"), conda(tmp_path, "python-tzdata"))
    steps = Steps()
    install(python, *packages, progress=steps)
    assert [text.partition(";")[0] for text in steps.told if text.startswith("note: the wheel")] == [
        "note: the wheel app 1.0 needs absent>=1, which the lockfile does not have",
        "note: the wheel app 1.0 needs lib>=2",
    ]
    assert any("needs lib>=2; the lockfile has lib 1.0; if" in text for text in steps.told)


def test_the_installation_is_recorded(python: LockedPackage, tmp_path: Path) -> None:
    scripts = {"app-1.0.data/scripts/tool": b"#!python\n", "app/__init__.py": b""}
    found = install(python, wheel(tmp_path, files=scripts, scripts={"app": "app:main"}))
    about = f"{SITE}/app-1.0.dist-info"
    assert found[f"{about}/INSTALLER"][1] == b"conda-bundler\n"
    assert found[f"{about}/REQUESTED"][1] == b""
    assert f"{about}/direct_url.json" not in found
    record = found[f"{about}/RECORD"][1]
    assert isinstance(record, bytes)
    assert BAKED.encode() not in record
    rows = {row[0]: row[1:] for row in csv.reader(record.decode().splitlines())}
    assert {os.path.normpath(f"{SITE}/{path}") for path in rows} == {
        path for path in found if not path.startswith("conda-meta/")
    }
    assert rows["../../../bin/app"] == rows["../../../bin/tool"] == ["", ""], "relocation changes them"
    empty = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    assert rows["app/__init__.py"] == [empty, "0"]
    assert rows["app-1.0.dist-info/REQUESTED"] == [empty, "0"]
    assert rows["app-1.0.dist-info/RECORD"] == ["", ""]


def test_a_kept_segment_is_not_taken_for_one_that_another_installer_wrote(
    python: LockedPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel's digest says nothing of what is written beside its files."""

    def segment() -> str:
        with make_prefix(lock_of(python, wheel(tmp_path)), BAKED, QuietProgress()) as prefix:
            members = tuple(member for member in collect(prefix) if member.package == "pip:app")
        return Segment(name="pip:app", members=members).digest

    before = segment()
    assert segment() == before
    monkeypatch.setitem(installing._ADDED, "INSTALLER", b"another\n")
    assert segment() != before


def test_two_installations_are_the_same(python: LockedPackage, tmp_path: Path) -> None:
    packages = [python, *(wheel(tmp_path, name, scripts={name: f"{name}:main"}) for name in ("one", "two"))]
    before = os.umask(0o077)
    try:
        first = install(*packages)
    finally:
        os.umask(before)
    assert install(*packages) == first


def test_pip_would_write_the_same(python: LockedPackage, tmp_path: Path) -> None:
    """The oracle: pip, with the same wheel, for the Python that runs this."""
    name = "odd.name"
    app = wheel(
        tmp_path,
        name,
        files={
            "odd/name/__init__.py": b"import this\n",
            "odd_name-1.0.data/purelib/odd/more.py": b"",
            "odd_name-1.0.data/scripts/tool": ZipEntry(content=b"#!python\n1\n", mode=0o100755),
            "odd_name-1.0.data/data/etc/odd": b"",
        },
        scripts={"odd": "odd.name:main"},
    )
    oracle = tmp_path / "oracle"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--no-index"]
    subprocess.run([*pip, "--prefix", oracle, tmp_path / "wheels" / app.filename], check=True, timeout=120)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    theirs = {
        path.relative_to(oracle).as_posix().replace(version, "python3.11"): path
        for path in oracle.rglob("*")
        if path.is_file()
    }
    ours = {path: found for path, found in install(python, app).items() if not path.startswith("conda-meta/")}
    about = f"{SITE}/odd_name-1.0.dist-info"
    assert ours.keys() == theirs.keys() - {f"{about}/direct_url.json"}
    for path in ours.keys() - {f"{about}/RECORD", f"{about}/INSTALLER", "bin/odd", "bin/tool"}:
        assert ours[path][1] == theirs[path].read_bytes(), path
    assert all(mode & 0o111 == theirs[path].stat().st_mode & 0o111 for path, (mode, _, _) in ours.items())


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"../evil.py": b""}, "contains a name that is empty or points outside"),
        ({"/etc/evil": b""}, "contains a name that is empty or points outside"),
        ({"a/./b.py": b""}, "contains a name that is empty or points outside"),
        ({"a\\b.py": b""}, "contains a name that is empty or points outside"),
        ({"a\nb.py": b""}, "control characters"),
        ({"link": ZipEntry(content=b"/etc", mode=0o120777)}, "neither a file nor a directory"),
        ({"fifo": ZipEntry(content=b"", mode=0o010644)}, "neither a file nor a directory"),
        ({"app-1.0.data/scripts/su": ZipEntry(content=b"", mode=0o104755)}, "setuid, setgid or sticky bit"),
        ({"app-1.0.data/data/conda-meta/evil.json": b"{}"}, "where nothing of a wheel belongs"),
        ({"app-1.0.data/elsewhere/x": b""}, "cannot be installed: app-1.0.data/elsewhere/x is not contained"),
        (
            {"app-1.0.data": b""},
            "contains app-1.0.data as a file, but it must be a directory",
        ),  # it never came to an end
        ({"app-1.0.data/scripts": b""}, "contains app-1.0.data/scripts as a file, but it must be a directory"),
        ({"app.py": b"", "app-1.0.data/purelib/app.py": b""}, "would write lib/python3.11/site-packages/app.py twice"),
        ({"x": b"", "app-1.0.data/purelib/x/y": b""}, "site-packages/x as a file and as a directory"),
    ],
)
def test_what_is_not_plain_is_refused(
    python: LockedPackage, tmp_path: Path, files: dict[str, bytes | ZipEntry], reason: str
) -> None:
    said = refused(python, wheel(tmp_path, files=files))
    assert reason in said
    assert "app-1.0-py3-none-any.whl" in said


@pytest.mark.parametrize("name", ["METADATA", "RECORD", "WHEEL", "entry_points.txt"])
def test_metadata_that_unpacks_to_more_than_memory_holds_is_refused(
    python: LockedPackage, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_MOST_READ", 1 << 20)
    path = tmp_path / "wheels" / wheel(tmp_path, files={"data": bytes(1 << 21)}).filename
    with zipfile.ZipFile(path) as whole:
        members = {one: whole.read(one) for one in whole.namelist()}
    install(python, locked(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        for one, content in ({f"app-1.0.dist-info/{name}": b""} | members).items():
            whole.writestr(one, content + bytes((1 << 20) + 1) if one.endswith(f"/{name}") else content)
    assert f"contains app-1.0.dist-info/{name}, which is larger than 1 MiB" in refused(python, locked(path))


def test_a_name_that_is_there_twice_is_refused(python: LockedPackage, tmp_path: Path) -> None:
    path = tmp_path / "wheels" / wheel(tmp_path).filename
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("app/__init__.py", b"what is it now?")
    assert "contains app/__init__.py twice" in refused(python, locked(path))


def test_entry_points_stay_in_bin(python: LockedPackage, tmp_path: Path) -> None:
    said = refused(python, wheel(tmp_path, scripts={"../../evil": "app:main"}))
    assert "with `../../evil = app:main`, which is not `command = module:function`" in said


NUMBER = b"9" * 5000
"""Python reads none of more than 4300 digits."""


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"WHEEL": b"Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"}, "only support version 1.x"),
        ({"METADATA": b"Name: other\nVersion: 1.0\n"}, "not what it is called: its metadata says other 1.0"),
        ({"METADATA": b"Name: app\nVersion: 1.0\nRequires-Dist: ((\n"}, "not a wheel"),
        ({"METADATA": b"Name: app\nVersion: 1.0\nRequires-Python: >>3\n"}, "not a wheel"),
        ({"METADATA": b"Name: app\nVersion: 1.0\nRequires-Python: >=" + NUMBER}, "a number of more than 40 digits"),
        ({"METADATA": b"Name: app\nVersion: 1.0\nRequires-Dist: x>=" + NUMBER}, "a number of more than 40 digits"),
        ({"METADATA": b"Name: app\nVersion: 1.0\nRequires-Dist: x; python_version > '" + NUMBER + b"'"}, "40 digits"),
        ({"METADATA": b"Name: app\nVersion: " + NUMBER}, "not a wheel"),
        ({"WHEEL": b"\xff"}, "cannot be installed: invalid start byte"),
        ({"RECORD": b"a,b,c,d\n"}, "cannot be installed: its RECORD is wrong: Row Index 0: expected 3 elements, got 4"),
        ({"entry_points.txt": b"[console_scripts]\nx = no entry point\n"}, "with `x = no entry point`, which is not"),
        ({"entry_points.txt": b"[console_scripts]\nx = app\n"}, "with `x = app`, which is not `command = module:f"),
        ({"entry_points.txt": b"[gui_scripts]\nx = \n"}, "with `x = `, which is not `command = module:function`"),
        ({"entry_points.txt": b"[console_scripts]\nx\x1b[2J = app:main\n"}, "[2J = app:main`, which is not"),
        ({"entry_points.txt": b"[console_scripts]\nx = app:main\n y:z\n"}, "which is not `command"),
        ({"entry_points.txt": b"no section"}, "entry_points.txt, which cannot be read: File contains no section"),
        ({"entry_points.txt": b"[console_scripts]\nx = \xff:main\n"}, "entry_points.txt, which cannot be read: "),
    ],
)
def test_metadata_that_is_wrong(python: LockedPackage, tmp_path: Path, metadata: dict[str, bytes], reason: str) -> None:
    assert reason in refused(python, wheel(tmp_path, metadata=metadata))


def test_what_is_no_wheel(python: LockedPackage, tmp_path: Path) -> None:
    path = tmp_path / "app-1.0-py3-none-any.whl"
    path.write_bytes(b"PK no zip")
    assert "not a wheel: it cannot be read" in refused(python, locked(path))
    whole = tmp_path / "wheels" / wheel(tmp_path).filename
    data = bytearray(whole.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"  # in the first file's content
    path.write_bytes(data)
    assert "app-1.0-py3-none-any.whl" in refused(python, locked(path))


@pytest.mark.parametrize(
    "tag",
    [
        "py3-none-any",
        "py2.py3-none-any",
        "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp38-abi3-manylinux1_x86_64",
        "cp311-none-linux_x86_64",
        "cp311-cp311-manylinux_2_99_x86_64",
    ],
)
def test_wheels_that_fit(python: LockedPackage, tmp_path: Path, tag: str) -> None:
    assert f"{SITE}/app/__init__.py" in install(python, wheel(tmp_path, tag=tag))


@pytest.mark.parametrize(
    "tag",
    [
        "cp312-cp312-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_17_aarch64",
        "cp311-cp311-musllinux_1_1_x86_64",
        "cp312-abi3-manylinux_2_17_x86_64",
        "cp311-cp311t-manylinux_2_17_x86_64",
        "cp311-cp311-macosx_11_0_x86_64",
        "py2-none-any",
    ],
)
def test_wheels_for_another_python_or_platform(python: LockedPackage, tmp_path: Path, tag: str) -> None:
    said = refused(python, wheel(tmp_path, tag=tag))
    assert f"is for {tag}; the environment has Python 3.11.7 on linux-64" in said


def test_a_wheel_that_needs_another_python(python: LockedPackage, tmp_path: Path) -> None:
    assert "needs Python >=3.12" in refused(python, wheel(tmp_path, requires_python=">=3.12"))


def test_wheels_for_another_machine_than_this(tmp_path: Path) -> None:
    """Nothing of it is run, so it does not matter."""
    python = conda(tmp_path, "python", "3.11.7", subdir="linux-aarch64", build="h1_0_cpython")
    native = wheel(tmp_path, tag="cp311-cp311-manylinux_2_28_aarch64", scripts={"app": "app:main"})
    found = install(python, native, platform="linux-aarch64")
    script = found["bin/app"][1]
    assert isinstance(script, bytes)
    assert script.startswith(f"#!{BAKED}/bin/python\n".encode())
    assert glibc_of(native.filename, "linux-aarch64") == (2, 28)
    assert glibc_of(wheel(tmp_path).filename, "linux-64") == (0, 0)
    either = wheel(tmp_path, tag="cp311-cp311-manylinux2014_x86_64.manylinux_2_28_x86_64")
    assert glibc_of(either.filename, "linux-64") == (2, 17)


@pytest.mark.network
def test_a_wheel_from_a_closed_index(
    python: LockedPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Credentials with all that a URL wants quoted; and none of them in what is said when they are wrong."""
    caplog.set_level("DEBUG")
    app = wheel(tmp_path)
    with serve_index(tmp_path / "wheels") as index:
        index.password = "p/w@o:r%d+ "
        url = index.url("me:${INDEX_PASSWORD}@", closed=True).replace("/simple", f"/files/{app.filename}")
        app = replace(app, url=url)
        monkeypatch.setenv("INDEX_PASSWORD", "p/w@o:wrong")
        said = refused(python, app)
        assert "127.0.0.1" in said
        assert not re.search("wrong|p/w|p%2[Ff]w", said + caplog.text)
        monkeypatch.setenv("INDEX_PASSWORD", index.password)
        assert f"{SITE}/app/__init__.py" in install(python, app)
    assert f"{SITE}/app/__init__.py" in install(python, app), "what was fetched is kept"


def test_free_threaded_pythons_have_their_own_place(tmp_path: Path) -> None:
    python = conda(tmp_path, "python", "3.13.1", subdir="linux-64", build="h1_0_cp313t")
    said = refused(python, wheel(tmp_path, tag="cp313-cp313-manylinux_2_17_x86_64"))
    assert "Python 3.13.1 (free-threaded)" in said
    assert install(python, wheel(tmp_path, tag="cp313-cp313t-manylinux_2_17_x86_64"))


def test_wheels_need_a_cpython(tmp_path: Path) -> None:
    assert "no Python for the wheels" in refused(wheel(tmp_path))
    python = conda(tmp_path, "python", "3.9.18", subdir="linux-64", build="0_73_pypy")
    assert "wheels require CPython" in refused(python, wheel(tmp_path))


def test_a_wheel_that_is_not_the_locked_one(python: LockedPackage, tmp_path: Path) -> None:
    app = wheel(tmp_path)
    assert "the lockfile says 0000" in refused(python, replace(app, sha256="0" * 64))
    assert "the archive contains app 1.0, but the lockfile says app 1.1" in refused(python, replace(app, version="1.1"))
    source = replace(app, url="https://127.0.0.1/app-1.0.tar.gz")
    with pytest.raises(LockError, match="no wheel available, only source"):
        install(python, source)


def test_a_wheel_and_a_conda_package_of_one_name(python: LockedPackage, tmp_path: Path) -> None:
    library = conda(tmp_path, "xxhash", "0.8", subdir="linux-64", files={"lib/libxxhash.so": File(content=b"c")})
    found = install(library, python, wheel(tmp_path, "xxhash", "3.0"))
    assert found["lib/libxxhash.so"][2] == "xxhash"
    assert found[f"{SITE}/xxhash/__init__.py"][2] == "pip:xxhash"
