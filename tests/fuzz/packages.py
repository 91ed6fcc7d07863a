"""What channels and package indexes give: archives, what is in them, and what they say of them."""

from __future__ import annotations

import asyncio
import atexit
import functools
import io
import json
import shutil
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from fuzzkit import Target, bytes_like, texts_like, twisted
from hypothesis import strategies as st
from lockkit import locked
from pypikit import make_wheel
from tinychannel import File, Link, index, make_package

from bundler.errors import LockError
from bundler.fetch.archives import Archive, index_of
from bundler.fetch.channels import Access
from bundler.fetch.condafile import NotAPackage, unpackable
from bundler.wheels.install import contents, install_wheels, plan_wheel
from bundler.wheels.python import Python
from bundler.wheels.read import metadata_of, read_wheel

__all__ = ["TARGETS"]

PYTHON = Python.of({"version": "3.11.7", "build": "h1_0_cpython"}, "linux-64")
DIST_INFO = "app-1.0.dist-info"
PATHS: dict[str, Any] = {
    "paths": [
        {"_path": "bin/x", "path_type": "hardlink", "sha256": "ab" * 32, "size_in_bytes": 3},
        {
            "_path": "lib/y",
            "path_type": "hardlink",
            "sha256": "cd" * 32,
            "size_in_bytes": 3,
            "prefix_placeholder": "/p" * 50,
            "file_mode": "binary",
        },
        {"_path": "lib/z", "path_type": "softlink", "sha256": "cd" * 32, "size_in_bytes": 3},
    ],
    "paths_version": 1,
}
INDEX: dict[str, Any] = {
    "name": "mine",
    "version": "1.0",
    "build": "0",
    "build_number": 0,
    "subdir": "noarch",
    "noarch": "python",
    "depends": ["python >=3"],
    "timestamp": 1700000000000,
}
LINK: dict[str, Any] = {
    "package_metadata_version": 1,
    "noarch": {"type": "python", "entry_points": ["x = y:z", "a=b"]},
}


@functools.cache
def _made() -> Path:
    """Real packages, made once a process."""
    room = Path(tempfile.mkdtemp(prefix="conda-bundler-fuzzed-"))
    atexit.register(shutil.rmtree, room, ignore_errors=True)
    files: dict[str, bytes | File | Link] = {"share/x": b"x\n", "bin/y": File(content=b"#!/bin/sh\n", mode=0o755)}
    make_package(room / "channel", "mine", "1.0", files=files | {"share/l": Link("x")})
    make_package(room / "channel", "old", "1.0", files=files, extension=".tar.bz2")
    make_package(room / "channel", "user", "1.0", depends=["mine >=1"])
    index(room / "channel")
    make_wheel(
        room,
        "app",
        "1.0",
        files={"app/__init__.py": b"x = 1\n", "app-1.0.data/scripts/run": b"#!python\n", "app-1.0.data/data/d": b""},
        requires=["h11 >=0.14; python_version > '3'"],
        requires_python=">=3.8",
        scripts={"app": "app:main"},
    )
    return room


def _archive(extension: str) -> bytes:
    name = "mine-1.0-0.conda" if extension == ".conda" else "old-1.0-0.tar.bz2"
    return (_made() / "channel" / "noarch" / name).read_bytes()


def _conda(extension: str) -> Any:
    def run(data: bytes, room: Path) -> None:
        path = room / f"mine-1.0-0{extension}"
        path.write_bytes(data)
        copies = room / "copies"
        copies.mkdir()
        with suppress(NotAPackage):
            unpackable(path, copies)
        index_of(path, where="mine")

    return run


def _info(data: tuple[bytes, bytes, bytes], room: Path) -> None:
    """What decides how a conda package is linked."""
    from bundler.prefix import _check_room, _checked

    info = dict(zip(("info/index.json", "info/paths.json", "info/link.json"), data, strict=True))
    path = room / "mine-1.0-0.conda"
    path.write_bytes(b"")
    archive = Archive(package=locked(path), path=path, size=0, info=info)
    _check_room(archive, _checked(archive), "/opt/hello/releases/1.0-0123456789ab/env")


def _json(document: Any) -> st.SearchStrategy[bytes]:
    plain = json.dumps(document)
    return st.one_of(
        st.just(plain.encode()), twisted(document).map(lambda it: json.dumps(it).encode()), texts_like(plain)
    )


def _wheel(data: bytes, room: Path) -> None:
    path = room / "app-1.0-py3-none-any.whl"
    path.write_bytes(data)
    wheel = read_wheel(path)
    package = locked(path)
    plan = plan_wheel(package, wheel, PYTHON)
    prefix = room / "prefix"
    prefix.mkdir()
    contents(plan, set(plan.files))
    install_wheels([plan], prefix, "/opt/hello/env")
    written = {found.relative_to(prefix).as_posix() for found in prefix.rglob("*") if not found.is_dir()}
    assert written <= set(plan.files), written ^ set(plan.files)


def _piece_of_wheel(data: bytes, room: Path) -> None:
    """What is read of a wheel that lies on a server."""
    metadata_of(io.BytesIO(data))


def _wheel_with(data: dict[str, bytes], room: Path) -> None:
    """A whole zip file with changes to what it says of itself."""
    path = room / "made.whl"
    with zipfile.ZipFile(next(_made().glob("*.whl"))) as source, zipfile.ZipFile(path, "w") as goal:
        for name in source.namelist():
            goal.writestr(name, data.get(name, source.read(name)))
        for name in data.keys() - {*source.namelist()}:
            goal.writestr(name, data[name])
    content = path.read_bytes()
    path.unlink()
    _wheel(content, room)


def _said() -> st.SearchStrategy[dict[str, bytes]]:
    with zipfile.ZipFile(next(_made().glob("*.whl"))) as source:
        about = {name: source.read(name) for name in source.namelist() if name.startswith(DIST_INFO)}
    changed = st.fixed_dictionaries({}, optional={name: bytes_like(content) for name, content in about.items()})
    names = texts_like("app/more.py", "app-1.0.data/scripts/more", "app-1.0.data/purelib/more", f"{DIST_INFO}/more")
    more = st.dictionaries(
        names.map(lambda name: name.decode("utf-8", "replace").partition("\0")[0] or "x"), st.just(b""), max_size=2
    )
    return st.builds(lambda one, other: {**other, **one}, changed, more)


def _repodata(data: bytes, room: Path) -> None:
    """By our solver, from a directory."""
    from rattler import MatchSpec

    from bundler.lock.shim.conda import _action
    from bundler.lock.solver.solving import Question, SolveError, find_packages
    from bundler.lock.solver.sources import find_source

    (room / "channel" / "noarch").mkdir(parents=True)
    (room / "channel" / "noarch" / "repodata.json").write_bytes(data)
    access = Access(retries=0, read_timeout=1)
    source = find_source((room / "channel").as_uri(), {}, access)
    question = Question(
        platform="linux-64",
        access=access,
        sources=(source,),
        virtual=(),
        specs=(MatchSpec("user"),),
        keep=frozenset(),
        update=frozenset(),
    )
    try:
        for record in asyncio.run(find_packages(question)):
            action = _action(record, [], (source,))
            assert "$" not in action["url"]
    except SolveError as failed:
        raise LockError(str(failed)) from failed
    except BaseException as panic:  # one of Rust's is no Exception
        if type(panic).__name__ == "PanicException":
            raise AssertionError(str(panic)) from panic
        raise


def _repodata_seed() -> Any:
    return json.loads((_made() / "channel" / "noarch" / "repodata.json").read_bytes())


TARGETS = (
    Target(name=".conda", inputs=st.deferred(lambda: bytes_like(_archive(".conda"))), run=_conda(".conda")),
    Target(name=".tar.bz2", inputs=st.deferred(lambda: bytes_like(_archive(".tar.bz2"))), run=_conda(".tar.bz2")),
    Target(name="info", inputs=st.tuples(_json(INDEX), _json(PATHS), _json(LINK)), run=_info),
    Target(name="wheel", inputs=st.deferred(lambda: bytes_like(next(_made().glob("*.whl")).read_bytes())), run=_wheel),
    Target(
        name="a wheel on a server",
        inputs=st.deferred(lambda: bytes_like(next(_made().glob("*.whl")).read_bytes())),
        run=_piece_of_wheel,
    ),
    Target(name="METADATA and RECORD", inputs=st.deferred(_said), run=_wheel_with),
    Target(name="repodata.json", inputs=st.deferred(lambda: _json(_repodata_seed())), run=_repodata),
)
