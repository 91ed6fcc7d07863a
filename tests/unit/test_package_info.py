"""What a package may say of itself: each thing that it may not is refused with a sentence, before anyone acts on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bundler.package.copy import BadCopy, check_copy
from bundler.package.info import BadInfo, Entry, read_entries, read_index

if TYPE_CHECKING:
    from pathlib import Path

GOOD: dict[str, Any] = {"name": "a", "version": "1.0", "build": "0"}
ZEROS = "0" * 64


def entries(*listed: object, **more: object) -> tuple[Entry, ...]:
    return read_entries({"info/paths.json": json.dumps({"paths": listed, "paths_version": 1, **more}).encode()})


def path(name: object, **more: object) -> dict[str, object]:
    return {"_path": name, "path_type": "hardlink", **more}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../a", "contains '..'"),
        ("share/../share/d", "contains '..'"),
        ("a/..", "contains '..'"),
        ("a\\..\\..\\b", "contains '..'"),
        ("/etc/passwd", "is absolute"),
        ("./a", "is not normalized"),
        ("share//d", "is not normalized"),
        ("share/./d", "is not normalized"),
        ("share/d/", "is not normalized"),
        ("a\0b", "contains a NUL character"),
        ("", "is empty"),
        ("\ud800", "is not UTF-8"),
        (None, "is not a string"),
        (["a"], "is not a string"),
        ("conda-meta/history", "is reserved for the linker"),
        ("conda-meta", "is reserved for the linker"),
        ("__clobbers__/b/x", "is reserved for the linker"),
        ("CACHEDIR.TAG", "is reserved for the linker"),
        ("d/" * 200 + "x", "is too long, or in too many directories"),
        ("n" * 256, "is too long"),
        ("é" * 128, "is too long"),
        (("d" * 200 + "/") * 11 + "x", "is too long"),
    ],
)
def test_paths_that_no_package_may_name(name: object, why: str) -> None:
    for kind in ("hardlink", "softlink", "directory"):
        if (name, kind) != ("share/d/", "directory"):
            with pytest.raises(BadInfo, match=f"paths.json names .*, which {why}"):
                entries(path(name, path_type=kind))


@pytest.mark.parametrize(
    "name",
    [
        "lib/systemd/dev-disk-by\\x2duuid.mount",
        "..a/b..",
        "a b/\n",
        "naïve",
        "a/.hidden",
        "conda-metadata",
        "d/" * 199 + "n" * 255,
    ],
)
def test_paths_that_are_unusual_and_fine(name: str) -> None:
    assert entries(path(name)) == (Entry(name),)


def test_an_empty_directory_may_end_in_a_slash() -> None:
    assert entries(path("var/log/", path_type="directory")) == (Entry("var/log", "directory"),)


def test_nothing_is_below_what_is_no_directory() -> None:
    for above in ("hardlink", "softlink"):
        for below in ("hardlink", "softlink", "directory"):
            with pytest.raises(BadInfo, match="names 'share/d/x/y' below 'share/d', which is not a directory"):
                entries(path("share/d/x/y", path_type=below), path("share/d", path_type=above))
    assert len(entries(path("share/d/x"), path("share/d", path_type="directory"))) == 2


def test_a_path_twice() -> None:
    assert len(entries(path("a"), path("a"))) == 1
    with pytest.raises(BadInfo, match="names 'a' twice"):
        entries(path("a"), path("a", path_type="softlink"))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (path("a", path_type="weird"), "path_type of 'a' is 'weird'"),
        (path("a", path_type=["hardlink"]), "path_type of 'a'"),
        (path("a", sha256="abc"), "not 64 hex digits"),
        (path("a", sha256=1), "not 64 hex digits"),
        (path("a", prefix_placeholder="", file_mode="text"), "prefix placeholder of 'a' is ''"),
        (path("a", prefix_placeholder="e", file_mode="text"), "prefix placeholder"),
        (path("a", prefix_placeholder="/x\n", file_mode="text"), "prefix placeholder"),
        (path("a", prefix_placeholder="/x/y", file_mode="weird"), "file_mode 'weird'"),
        (
            path("a", path_type="softlink", prefix_placeholder="/x/y", file_mode="text"),
            "cannot have a prefix placeholder",
        ),
        ("a", "is not a JSON object"),
    ],
)
def test_entries_that_nobody_can_act_upon(entry: object, why: str) -> None:
    with pytest.raises(BadInfo, match=why):
        entries(entry)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "cannot be read"),
        (b"[]", "is not a JSON object"),
        (b'{"paths": {}}', "paths is not a list"),
        (b'{"paths": [], "paths_version": 99}', "only 1 is known"),
        (b'{"paths": [{"_path": "a", "_path": "../b"}]}', "duplicate key"),
        (b"[" * 100_000, "cannot be read"),
        ("{}".encode("utf-16"), "cannot be read"),
    ],
)
def test_documents_that_two_readers_could_read_in_two_ways(text: bytes, why: str) -> None:
    with pytest.raises(BadInfo, match=why):
        read_entries({"info/paths.json": text})


def test_old_packages_are_held_to_the_same() -> None:
    info = {"info/files": b"bin/a\nlib/b\nlib/c\n", "info/has_prefix": b'/old/place text bin/a\n"/o" binary "lib/b"\n'}
    assert read_entries(info) == (
        Entry("bin/a", "hardlink", "", "/old/place", "text"),
        Entry("lib/b", "hardlink", "", "/o", "binary"),
        Entry("lib/c", "either"),
    )
    assert read_entries({"info/files": b"a\n", "info/has_prefix": b"a\n"})[0].placeholder is not None
    for name in ("files", "has_prefix", "no_link", "no_softlink"):
        with pytest.raises(BadInfo, match=rf"info/{name} names '\.\./a'"):
            read_entries({"info/files": b"b\n", f"info/{name}": b"../a\n"})


def index(info: dict[str, object], *points: object) -> object:
    link = json.dumps({"noarch": {"type": "python", "entry_points": points}}).encode()
    return read_index({"info/index.json": json.dumps({**GOOD, **info}).encode(), "info/link.json": link})


@pytest.mark.parametrize("key", ["name", "version", "build"])
@pytest.mark.parametrize("text", ["../x", "a/b", "a b", "a\nb", "a\0", 1, None, ["a"]])
def test_names_that_would_be_paths(key: str, text: object) -> None:
    with pytest.raises(BadInfo, match=f"info/index.json: {key} is "):
        index({key: text})


@pytest.mark.parametrize(
    "place",
    [
        "../../..",
        "/usr/lib/python3/site-packages",
        "lib/python3.11/../site-packages",
        "lib/site-packages",
        "lib/a/b",
        "site-packages",
        7,
    ],
)
def test_where_a_python_cannot_have_its_packages(place: object) -> None:
    with pytest.raises(BadInfo, match="python_site_packages_path"):
        index({"python_site_packages_path": place})


@pytest.mark.parametrize(
    "point",
    [
        "../x = a:b",
        "/x = a:b",
        "a/b = a:b",
        "x\ny = a:b",
        " = a:b",
        ".. = a:b",
        "x",
        "x = a",
        "x = a:b\nimport os",
        "x = a;b:c",
        3,
    ],
)
def test_commands_that_would_be_written_elsewhere(point: object) -> None:
    with pytest.raises(BadInfo, match="entry point"):
        index({"noarch": "python"}, point)


def test_commands_that_are_fine() -> None:
    found = read_index(
        {
            "info/index.json": json.dumps({**GOOD, "noarch": "python"}).encode(),
            "info/link.json": b'{"noarch": {"entry_points": ["x=a.b:c.d", " y-z.1 = m : f [extra]"]}}',
        }
    )
    assert found.entry_points == (("x", "a.b:c.d"), ("y-z.1", "m:f[extra]"))


# --- the copy

INFO = {"info/index.json": b"{}", "info/paths.json": b"{}"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "copy"
    for name, content in {**INFO, "share/d/file": b"content", "share/text": b"/x"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (tmp_path / "secret").write_text("of the machine")
    (root / "share/out").symlink_to(tmp_path)
    (root / "share/link").symlink_to("text")
    return root


FINE = (
    Entry("share/d/file"),
    Entry("share/link", "softlink"),
    Entry("share/d", "directory"),
    Entry("var", "directory"),
)


def test_a_copy_that_is_what_it_should_be(copy: Path) -> None:
    check_copy(copy, INFO, FINE)
    check_copy(copy, INFO, (Entry("share/link", "either"), Entry("share/text", "either")))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Entry("share/link"), "declared as a file, but is a link"),
        (Entry("share/out/secret"), "missing or behind a symbolic link"),
        (Entry("share/out/secret", "hardlink", "", "/x", "text"), "missing or behind a symbolic link"),
        (Entry("share/out/secret", "either"), "missing or behind a symbolic link"),
        (Entry("share/d"), "but is a directory"),
        (Entry("share/out", "directory"), "but is a link"),
        (Entry("share/text", "softlink"), "declared as a link, but is a file"),
        (Entry("share/gone"), "missing"),
        (Entry("share/text", "hardlink", ZEROS, "/x", "text"), "does not match the package's sha256"),
    ],
)
def test_a_copy_whose_files_are_others(copy: Path, entry: Entry, why: str) -> None:
    with pytest.raises(BadCopy, match=why):
        check_copy(copy, INFO, (*FINE, entry))


def test_a_copy_whose_metadata_is_not_the_archives(copy: Path) -> None:
    (copy / "info/link.json").write_text("{}")
    with pytest.raises(BadCopy, match=r"info/link\.json is not in the metadata part"):
        check_copy(copy, INFO, ())
    check_copy(copy, {**INFO, "info/link.json": b"{}"}, ())
    (copy / "info/paths.json").write_text('{"paths": []}')
    with pytest.raises(BadCopy, match=r"info/paths\.json differs from"):
        check_copy(copy, INFO, ())
    with pytest.raises(BadCopy, match=r"info/paths\.json is not in the metadata part"):
        check_copy(copy, {"info/index.json": b"{}"}, ())
