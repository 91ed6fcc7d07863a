"""Nothing that differs from the lockfile is ever linked: file://, http, cold and warm caches."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from lockkit import lock_of, locked
from tinychannel import PLACEHOLDER, File, Link, make_package, write_archive
from zipkit import empty, full, rewrite, short

from bundler.errors import PackError, PrefixError
from bundler.fetch.condafile import read_members
from bundler.pack.codecs import CODECS
from bundler.pack.collect import Filters, collect, find_notes
from bundler.pack.members import Member
from bundler.pack.payload import PackOptions, make_payload
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zipkit import Extra

    from bundler.locked import LockedPackage

BAKED = "/opt/hello/releases/1.0-0123456789ab/env"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def alpha(tmp_path: Path) -> Path:
    return make_package(
        tmp_path / "channel",
        "alpha",
        "1.0",
        files={
            "bin/alpha": File(content=f"#!{PLACEHOLDER}/bin/sh\n".encode(), mode=0o755, prefix="text"),
            "lib/alpha.bin": File(content=f"\x7fELF{PLACEHOLDER}/share\0tail".encode(), prefix="binary"),
            "lib/absolute": Link(f"{PLACEHOLDER}/bin/alpha"),
            "both": b"alpha's",
        },
    )


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "channel").mkdir(exist_ok=True)
    handler = functools.partial(_Silent, directory=str(tmp_path / "channel"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def link(*packages: LockedPackage, baked: str = BAKED) -> dict[str, bytes | str]:
    """Everything that would be packed, by path: contents and link targets."""
    with make_prefix(lock_of(*packages), baked, QuietProgress()) as prefix:
        return {member.path: member.link or member.read() for member in collect(prefix)}


def test_files_carry_the_baked_prefix_and_nothing_of_the_build_machine(alpha: Path, tmp_path: Path) -> None:
    tree = link(locked(alpha))
    assert tree["env/bin/alpha"] == f"#!{BAKED}/bin/sh\n".encode()
    room = len(PLACEHOLDER) - len(BAKED)
    assert tree["env/lib/alpha.bin"] == f"\x7fELF{BAKED}/share".encode() + bytes(room + 1) + b"tail"
    assert tree["env/lib/absolute"] == "../bin/alpha"
    assert "env/CACHEDIR.TAG" not in tree
    record = json.loads(tree.pop("env/conda-meta/alpha-1.0-0.json"))
    assert record["url"] == alpha.as_uri()
    assert str(tmp_path / "cache") not in json.dumps(record)
    rest = b"".join(value if isinstance(value, bytes) else value.encode() for value in tree.values())
    assert PLACEHOLDER.encode() not in rest
    assert str(tmp_path).encode() not in rest


def test_two_links_are_the_same_tree(alpha: Path) -> None:
    assert link(locked(alpha)) == link(locked(alpha))


def test_a_wrong_sha256_is_refused_over_file(alpha: Path) -> None:
    with pytest.raises(PrefixError, match="the lockfile says 0000") as caught:
        link(replace(locked(alpha), sha256="0" * 64))
    assert caught.value.exit_code == 5
    assert caught.value.where == "alpha"


def test_a_wrong_sha256_is_refused_over_http(alpha: Path, served: str) -> None:
    url = f"{served}/noarch/{alpha.name}"
    with pytest.raises(PrefixError, match="the lockfile says 0000"):
        link(replace(locked(alpha, url=url), sha256="0" * 64))
    assert "env/bin/alpha" in link(locked(alpha, url=url))


def test_a_wrong_sha256_is_refused_with_a_warm_cache(alpha: Path) -> None:
    link(locked(alpha))
    with pytest.raises(PrefixError, match="the lockfile says 0000"):
        link(replace(locked(alpha), sha256="0" * 64))


def test_an_archive_that_was_changed_after_locking_is_refused(alpha: Path) -> None:
    package = locked(alpha)
    data = bytearray(alpha.read_bytes())
    data[len(data) // 2] ^= 1
    alpha.write_bytes(data)
    with pytest.raises(PrefixError, match="the lockfile says"):
        link(package)


def test_a_damaged_archive_in_our_store_is_fetched_again(alpha: Path) -> None:
    package = locked(alpha)
    tree = link(package)
    assert package.sha256 is not None
    kept = cache_dir("archives") / package.sha256 / alpha.name
    kept.write_bytes(b"damaged")
    assert link(package) == tree
    assert kept.read_bytes() == alpha.read_bytes()


def test_another_package_of_the_same_name_does_not_come_from_the_cache(alpha: Path, tmp_path: Path) -> None:
    link(locked(alpha))
    other = make_package(tmp_path / "other", "alpha", "1.0", files={"both": b"another's"})
    assert link(locked(other))["env/both"] == b"another's"


def test_an_entry_without_sha256_is_refused(alpha: Path) -> None:
    with pytest.raises(PrefixError, match="no sha256 for alpha"):
        link(replace(locked(alpha), sha256=None))


def test_an_archive_that_is_gone(alpha: Path) -> None:
    package = locked(alpha)
    alpha.unlink()
    with pytest.raises(PrefixError, match="No such file"):
        link(package)


def test_a_server_that_does_not_have_it(alpha: Path, served: str) -> None:
    with pytest.raises(PrefixError, match="404"):
        link(locked(alpha, url=f"{served}/noarch/gone-1.0-0.conda"))


def test_credentials_are_not_told(alpha: Path, served: str) -> None:
    url = served.replace("//", "//user:pa55word@") + "/t/tok3n/noarch/gone-1.0-0.conda"
    with pytest.raises(PrefixError) as caught:
        link(locked(alpha, url=url))
    assert "pa55word" not in caught.value.format_message()
    assert "tok3n" not in caught.value.format_message()


def test_the_file_of_a_clobber_is_the_one_that_the_prefix_has(alpha: Path, tmp_path: Path) -> None:
    beta = make_package(tmp_path / "channel", "beta", "1.0", files={"both": b"beta's"})
    with make_prefix(lock_of(locked(alpha), locked(beta)), BAKED, QuietProgress()) as prefix:
        linked = (prefix.path / "both").read_bytes()
        collected = collect(prefix)
        members = [member for member in collected if member.path == "env/both"]
        notes = find_notes(prefix)
    assert [member.path for member in members] == ["env/both"]
    assert [(note.kind, note.path) for note in notes] == [("clobber", "both")]
    # Nor do the records name it: where the linker lists what it has moved aside depends on chance.
    records = [json.loads(member.read()) for member in collected if member.path.startswith("env/conda-meta/")]
    listed = [entry["_path"] for record in records for entry in record["paths_data"]["paths"]]
    assert not [path for record in records for path in record["files"] if "__clobbers__" in path]
    assert listed.count("both") == 1
    assert notes[0].package in {"alpha", "beta"}
    assert link(locked(alpha), locked(beta))["env/both"] == linked


def test_a_prefix_that_does_not_fit_is_refused_before_linking(tmp_path: Path) -> None:
    short = "/placehold"
    file = File(content=f"\0{short}/x\0".encode(), prefix="binary", placeholder=short)
    package = make_package(tmp_path / "channel", "short", "1.0", files={"bin/x": file})
    with pytest.raises(PackError, match="prefix too long for bin/x: 10 bytes available") as caught:
        link(locked(package))
    assert caught.value.where == "short"


def test_post_link_scripts_are_not_run_but_told(tmp_path: Path) -> None:
    script = File(content=b"#!/bin/sh\ntouch $PREFIX/ran\n", mode=0o755)
    package = make_package(tmp_path / "channel", "eager", "1.0", files={"bin/.eager-post-link.sh": script})
    with make_prefix(lock_of(locked(package)), BAKED, QuietProgress()) as prefix:
        assert not (prefix.path / "ran").exists()
        assert [(note.kind, note.package) for note in find_notes(prefix)] == [("post-link", "eager")]


def test_patterns_leave_out_and_take_back_in(tmp_path: Path) -> None:
    files = {"lib/a.a": b"a", "lib/b.a": b"b", "lib/c.so": b"c"}
    package = make_package(tmp_path / "channel", "many", "1.0", files=files)
    filters = Filters(exclude=("*.a",), include=("lib/b.a",))
    with make_prefix(lock_of(locked(package)), BAKED, QuietProgress()) as prefix:
        kept = {member.path for member in collect(prefix, filters)}
    assert {"env/lib/b.a", "env/lib/c.so"} <= kept
    assert "env/lib/a.a" not in kept


def test_bytecode_of_a_source_that_carries_the_prefix_is_left_out(tmp_path: Path) -> None:
    """It holds the placeholder, and an unchecked header would make Python trust it."""
    files: dict[str, bytes | File | Link] = {
        "lib/python3.11/baked.py": File(content=f"WHERE = '{PLACEHOLDER}'\n".encode(), prefix="text"),
        "lib/python3.11/__pycache__/baked.cpython-311.pyc": b"\xa7\r\r\n" + bytes(12) + PLACEHOLDER.encode(),
        "lib/python3.11/plain.py": b"WHERE = 1\n",
        "lib/python3.11/__pycache__/plain.cpython-311.pyc": b"\xa7\r\r\n" + bytes(12) + b"code",
    }
    tree = link(locked(make_package(tmp_path / "channel", "python", "3.11.0", files=files)))
    assert "env/lib/python3.11/__pycache__/baked.cpython-311.pyc" not in tree
    rewritten = tree["env/lib/python3.11/__pycache__/plain.cpython-311.pyc"]
    assert isinstance(rewritten, bytes)
    assert rewritten[4:8] == b"\1\0\0\0"


def test_something_that_is_no_package(tmp_path: Path) -> None:
    path = tmp_path / "fake-1.0-0.conda"
    path.write_bytes(b"not a zip")
    with pytest.raises(PrefixError, match="not a conda package"):
        link(locked(path))


@pytest.mark.parametrize(
    ("header", "directory", "large"),
    [
        (empty, empty, ""),  # as a rattler-build of 2024 wrote them
        (full, full, ""),
        (short, short, "header"),  # rattler cannot unpack what only conda reads
        (full, short, "header directory"),  # and conda not what only rattler does
    ],
)
def test_archives_whose_zip64_fields_are_wrong(alpha: Path, header: Extra, directory: Extra, large: str) -> None:
    good = link(locked(alpha))
    rewrite(alpha, header, directory, large=large)
    shutil.rmtree(cache_dir("pkgs"))
    tree = link(locked(alpha))
    record = "env/conda-meta/alpha-1.0-0.json"  # has the archive's digest
    assert tree | {record: b""} == good | {record: b""}


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_a_package_whose_index_says_no_subdir(tmp_path: Path, subdir: str) -> None:
    package = make_package(tmp_path / "channel", "old", "1.0", subdir=subdir, files={"share/old": b"old"})
    members = read_members(package, ("info/index.json", "info/paths.json"))
    index = {key: value for key, value in json.loads(members["info/index.json"]).items() if key != "subdir"}
    members["info/index.json"] = json.dumps(index).encode()
    write_archive(package, {path: File(content=text) for path, text in (members | {"share/old": b"old"}).items()})
    tree = link(locked(package))
    assert tree["env/share/old"] == b"old"
    record = tree["env/conda-meta/old-1.0-0.json"]
    assert isinstance(record, bytes)
    assert json.loads(record)["subdir"] == subdir


@pytest.mark.parametrize("key", ["name", "version", "subdir"])
def test_what_an_archive_says_cannot_steer_the_terminal(tmp_path: Path, key: str) -> None:
    evil = "x\0\x1b[2J\r\nerror: \x9b1m\u202e"
    about = {"name": "odd", "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch"} | {key: evil}
    path = tmp_path / "noarch" / "odd-1.0-0.conda"
    content = {"info/index.json": json.dumps(about).encode(), "info/paths.json": b'{"paths": []}'}
    write_archive(path, {file: File(content=text) for file, text in content.items()})
    with pytest.raises(PrefixError) as caught:
        link(locked(path))
    said = caught.value.format_message()
    assert "x\\x00\\x1b[2J\\r\\nerror: \\x9b1m\\u202e" in said
    assert all(line.isprintable() for line in said.splitlines())
    assert len(said.splitlines()) == 2


def test_nothing_is_left_of_a_prefix(alpha: Path) -> None:
    link(locked(alpha))
    assert list(cache_dir("prefix").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"), [("info/index.json", b"{"), ("info/index.json", b"[]"), ("info/paths.json", b'{"paths": 1}')]
)
def test_a_package_whose_metadata_is_broken(tmp_path: Path, name: str, content: bytes) -> None:
    good = {"info/index.json": b'{"name": "odd", "version": "1.0"}', "info/paths.json": b'{"paths": []}'}
    path = tmp_path / "odd-1.0-0.conda"
    write_archive(path, {file: File(content=text) for file, text in (good | {name: content}).items()})
    with pytest.raises(PrefixError, match="not a conda package: invalid metadata"):
        link(locked(path))


def test_a_damaged_copy_that_cannot_be_removed(alpha: Path) -> None:
    copy = cache_dir("pkgs") / "alpha-1.0-0"
    copy.write_text("no directory, as a copy is one")
    with pytest.raises(PrefixError, match="a corrupted copy") as caught:
        link(locked(alpha))
    assert (caught.value.where, bool(caught.value.remedy)) == (str(copy), True)


def test_a_payload_that_verify_would_refuse_is_not_built(alpha: Path, tmp_path: Path) -> None:
    app = (Member(path="app/x", mode=0o644, content=b"a file"), Member(path="app/x/y", mode=0o644, content=b"below it"))
    options = PackOptions(codec=CODECS["gzip"]())
    with make_prefix(lock_of(locked(alpha)), BAKED, QuietProgress()) as prefix:
        make_payload(prefix, app[:1], tmp_path, options, QuietProgress())
        with pytest.raises(PackError, match="the payload holds app/x twice") as caught:
            make_payload(prefix, app, tmp_path, options, QuietProgress())
    assert caught.value.where == "app/"
    assert caught.value.exit_code == 6
