"""``[files]``: what is shipped of a directory as people have it, what is told, and what is refused with a way out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundler.config.project import load_config
from bundler.errors import ConfigError, PackError
from bundler.pack.app import app_members, refuse_dangling
from bundler.pack.members import Member, link_member
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.config.project import BundleConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LARGE = 6 << 20


class Heard(QuietProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.lines.append(text)


def make(place: Path, tree: Mapping[str, str | None]) -> None:
    """``"-> x"`` is a link to x, None a directory, anything else a file's text."""
    for name, content in tree.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        elif content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
        else:
            path.write_text(content)


def configured(place: Path, *entries: str) -> BundleConfig:
    (place / "environment.yml").write_text("dependencies: []\n")
    head = '[bundle]\nname = "small"\nversion = "1"\n[services.small]\ncommand = ["x"]\n[files]\n'
    (place / "bundle.toml").write_text(head + "\n".join(entries) + "\n")
    return load_config(place)


def packed(place: Path, *entries: str) -> dict[str, str]:
    """What is shipped below app/, links as ``-> x``."""
    members = app_members(configured(place, *entries).files)
    return {
        one.path.removeprefix("app/"): f"-> {one.link}"
        if one.link
        else ("" if one.is_directory else one.read().decode())
        for one in members
    }


def refused(place: Path, *entries: str) -> PackError:
    with pytest.raises(PackError) as caught:
        app_members(configured(place, *entries).files)
    assert caught.value.exit_code == 6
    return caught.value


def ways_out(error: PackError) -> list[str]:
    """The lines for bundle.toml that the remedy gives."""
    assert error.remedy is not None
    lines = [line.partition("under [files]: ")[2] for line in error.remedy.splitlines()]
    for line in lines:
        tomllib.loads(line)
    return lines


HUB: dict[str, str | None] = {"hub/snapshots/abc/config.json": "-> ../../blobs/5678", "hub/blobs/5678": "{}"}


def test_a_snapshot_of_links_is_refused_and_the_remedy_ships_the_files(tmp_path: Path) -> None:
    make(tmp_path, HUB)
    (tmp_path / "hub/blobs/5678").chmod(0o755)
    error = refused(tmp_path, '"model" = "hub/snapshots/abc"')
    assert error.where == "files.model"
    assert error.message == (
        "hub/snapshots/abc/config.json is a symbolic link to ../../blobs/5678, which is not in the bundle"
    )
    assert ways_out(error) == ['"model" = { source = "hub/snapshots/abc", links = "follow" }']
    assert packed(tmp_path, *ways_out(error)) == {"model/config.json": "{}"}
    (member,) = app_members(configured(tmp_path, *ways_out(error)).files)
    assert (member.mode, member.size) == (0o755, 2)


@pytest.mark.parametrize(
    ("source", "shipped"),
    [
        ("one", {"x": "text"}),  # a link to a file
        ("two", {"x": "text"}),  # to a link
        ("all", {"x/a": "text", "x/b/c": "deep"}),  # to a directory
    ],
)
def test_a_source_that_is_itself_a_link(tmp_path: Path, source: str, shipped: dict[str, str]) -> None:
    make(tmp_path, {"real/a": "text", "real/b/c": "deep", "one": "-> real/a", "two": "-> one", "all": "-> real"})
    error = refused(tmp_path, f'"x" = "{source}"')
    assert f"{source} is a symbolic link to " in error.message
    assert packed(tmp_path, *ways_out(error)) == shipped


@pytest.mark.parametrize(
    ("tree", "kept"),
    [
        ({"a": "x", "l": "-> a"}, {"a": "x", "l": "-> a"}),
        ({"a": "x", "l": "-> m", "m": "-> a"}, {"a": "x", "l": "-> m", "m": "-> a"}),
        ({"d/a": "x", "l": "-> d", "e/m": "-> ../l/a"}, {"d/a": "x", "l": "-> d", "e/m": "-> ../l/a"}),
        ({"d": None, "l": "-> d"}, {"d": "", "l": "-> d"}),
        ({"d/a": "x", "d/self": "-> ."}, {"d/a": "x", "d/self": "-> ."}),
        ({"d/a": "x", "l": "-> ./d/../d//a"}, {"d/a": "x", "l": "-> ./d/../d//a"}),
    ],
)
def test_links_within_a_source_are_kept(tmp_path: Path, tree: dict[str, str | None], kept: dict[str, str]) -> None:
    make(tmp_path / "src", tree)
    assert packed(tmp_path, '"s" = "src"') == {f"s/{path}": content for path, content in kept.items()}


def test_an_absolute_link_into_a_source_becomes_a_relative_one(tmp_path: Path) -> None:
    make(tmp_path, {"src/a/b": "x", "src/l/m": f"-> {tmp_path}/src/a/b", "src/n": f"-> {tmp_path}/lib", "lib/c": "y"})
    assert packed(tmp_path, '"s" = "src"', '"far/lib" = "lib"') == {
        "s/a/b": "x",
        "s/l/m": "-> ../a/b",
        "s/n": "-> ../far/lib",
        "far/lib/c": "y",
    }


def test_a_link_from_one_entry_to_another_counts_by_where_it_points_in_the_release(tmp_path: Path) -> None:
    """Here ``../lib`` leads to nothing; on the server it is beside."""
    make(tmp_path, {"tree/bin/run": "-> ../lib/run.sh", "parts/run.sh": "x"})
    entries = '"bin" = "tree/bin"', '"lib" = "parts"'
    assert packed(tmp_path, *entries) == {"bin/run": "-> ../lib/run.sh", "lib/run.sh": "x"}
    make(tmp_path, {"tree/lib/run.sh": "another"})
    error = refused(tmp_path, *entries)
    assert "which is app/lib/run.sh on the server, but a different file here" in error.message
    assert packed(tmp_path, *ways_out(error), entries[1])["bin/run"] == "another"


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"l": "-> ../secret"}, "which is not in the bundle"),
        ({"l": "-> /etc/hostname"}, "is a symbolic link to /etc/hostname, which is not in the bundle"),
        ({"d/l": "-> ../../secret"}, "which is not in the bundle"),
        ({"d/l": "-> ../m", "m": "-> ../secret"}, "2 problems:"),
        ({"l": "-> .git/HEAD", ".git/HEAD": "x"}, "which is excluded"),
        ({"l": "-> ../sib", "../sib/x": "x"}, "which is not in the bundle"),
    ],
)
def test_a_link_that_leads_out_can_be_followed(tmp_path: Path, tree: dict[str, str | None], sentence: str) -> None:
    make(tmp_path, {"secret": "shh", "src/a": "x"})
    make(tmp_path / "src", tree)
    error = refused(tmp_path, '"s" = "src"')
    assert sentence in error.message
    shipped = packed(tmp_path, *ways_out(error))
    assert shipped.keys() > {"s/a"}
    assert not any(content.startswith("->") for content in shipped.values())


@pytest.mark.parametrize("links", ["keep", "follow"])
@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"l": "-> nothing"}, "src/l is a broken symbolic link (l -> nothing)"),
        ({"l": "-> m", "m": "-> /no/where"}, "(l -> m -> /no/where)"),
        ({"l": "-> m", "m": "-> l"}, "src/l is a loop of symbolic links (l -> m -> l)"),
        ({"d/l": "-> l"}, "src/d/l is a loop of symbolic links (l -> l)"),
        ({"[x]*": "-> nothing"}, "src/[x]* is a broken symbolic link"),
    ],
)
def test_a_link_to_nothing_can_only_be_left_out(
    tmp_path: Path, links: str, tree: dict[str, str | None], sentence: str
) -> None:
    make(tmp_path / "src", {"a": "x", "xx": "y", **tree})
    error = refused(tmp_path, f'"s" = {{ source = "src", links = "{links}" }}')
    assert sentence in error.message
    assert packed(tmp_path, *ways_out(error)) == {"s/a": "x", "s/xx": "y"}


@pytest.mark.parametrize("tree", [{"d/up": "-> .."}, {"d/up": "-> ../../.."}, {"d/e/l": "-> ../../m", "m": "-> d"}])
def test_a_directory_that_is_in_itself_is_not_followed_for_ever(tmp_path: Path, tree: dict[str, str | None]) -> None:
    make(tmp_path / "src", {"d/a": "x", **tree})
    entry = '"s" = { source = "src", links = "follow" }'
    error = refused(tmp_path, entry)
    assert "is a symbolic link to one of its parent directories (" in error.message
    assert packed(tmp_path, *ways_out(error))["s/d/a"] == "x"


def test_what_would_never_end_is_left_out_of_what_is_followed(tmp_path: Path) -> None:
    """As links both are well, and to follow them is the way out for another."""
    make(tmp_path, {"blob": "x", "src/m": "-> ../blob", "src/d/self": "-> .", "src/d/a": "y", "src/up": "-> .."})
    error = refused(tmp_path, '"s" = "src"')
    assert "2 problems:" in error.message
    assert packed(tmp_path, *ways_out(error)) == {"s/m": "x", "s/d/a": "y"}
    (tmp_path / "src/m").unlink()
    error = refused(tmp_path, '"s" = "src"')
    assert ways_out(error) == ['"s" = { source = "src", exclude = ["up"] }']
    assert packed(tmp_path, *ways_out(error)) == {"s/d/self": "-> .", "s/d/a": "y"}


def test_a_source_that_is_a_loop_or_leads_to_nothing(tmp_path: Path) -> None:
    make(tmp_path, {"loop": "-> loop", "gone": "-> nothing"})
    for links in ("keep", "follow"):
        error = refused(tmp_path, f'"a" = {{ source = "loop", links = "{links}" }}', '"b" = "gone"')
        assert "files.a: loop is a loop of symbolic links (loop -> loop)" in error.message
        assert "files.b: gone is a broken symbolic link (gone -> nothing)" in error.message
        assert error.remedy == "Fix files.a, or remove it.\n  Fix files.b, or remove it."


def test_what_is_followed_has_its_own_path_and_is_excluded_by_that(tmp_path: Path) -> None:
    make(tmp_path, {"hub/s/f": "-> ../blobs/1", "hub/s/g.tmp": "-> ../blobs/2", "hub/d": "-> blobs"})
    make(tmp_path, {"hub/blobs/1": "x", "hub/blobs/2": "y"})
    entry = '"m" = { source = "hub", links = "follow", exclude = ["blobs/", "*.tmp"] }'
    assert packed(tmp_path, entry) == {"m/s/f": "x", "m/d/1": "x", "m/d/2": "y"}


def test_patterns_leave_out_files_and_whole_directories(tmp_path: Path) -> None:
    make(tmp_path / "src", {"a.py": "x", "t/a.py": "x", "t/u/b": "x", "n/t": "x", "T/x": "x", "__pycache__/z": "x"})
    entry = '"s" = { source = "src", exclude = ["t", "*.md"] }'
    assert packed(tmp_path, entry).keys() == {"s/a.py", "s/n/t", "s/T/x"}
    assert packed(tmp_path, '"s" = { source = "src", exclude = ["./t/u/", "a.*"] }').keys() == {
        *("s/t/a.py", "s/n/t", "s/T/x")
    }


@pytest.mark.parametrize("pattern", ["/etc", "!x", "", "./", "a\\nb"])
def test_a_pattern_that_would_match_nothing_is_a_mistake(tmp_path: Path, pattern: str) -> None:
    make(tmp_path, {"src/a": "x"})
    with pytest.raises(ConfigError, match=r"files\.s\.exclude\.0: "):
        configured(tmp_path, f'"s" = {{ source = "src", exclude = ["{pattern}"] }}')


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ('{ source = "src", links = "copy" }', "files.s.links: is the text 'copy'; it must be"),
        ('{ links = "follow" }', "files.s.source: is missing"),
        ('{ source = "src", excludes = [] }', "files.s.excludes: unknown key"),
        ('{ source = "../src" }', "files.s.source: must be a relative path without '..'"),
        ('"/src"', "files.s: must be a relative path without '..'"),
        ("7", "files.s: is the number 7; it must be text in quotes"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told_by_its_key(tmp_path: Path, entry: str, sentence: str) -> None:
    make(tmp_path, {"src/a": "x"})
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, f'"s" = {entry}')
    assert sentence in caught.value.format_message()


def test_one_path_twice_in_two_spellings(tmp_path: Path) -> None:
    make(tmp_path, {"a": "x", "b": "y"})
    with pytest.raises(ConfigError, match=r"files: 'web' and './web' are the same path"):
        configured(tmp_path, '"web" = "a"', '"./web" = "b"')


@pytest.mark.parametrize(
    ("tree", "entries", "sentence", "rest"),
    [
        (
            {"a/f": "1", "b": "2"},
            ('"x" = "a"', '"x/f" = "b"'),
            "a/f would be app/x/f: files.x/f provides it as well",
            {"x/f"},
        ),
        ({"a": "1", "b/f": "2"}, ('"x" = "a"', '"x/y" = "b"'), "is not a directory: files.x provides it as well", None),
        ({"a/y": "1", "b/f": "2"}, ('"x" = "a"', '"x/y" = "b"'), "b/f would be below app/x/y, which is no", {"x/y"}),
        (
            {"a/y": "-> z", "a/z/g": "1", "b/f": "2"},
            ('"x" = "a"', '"x/y" = "b"'),
            "would be below app/x/y",
            {"x/z/g", "x/y"},
        ),
    ],
)
def test_two_entries_that_make_the_same(
    tmp_path: Path, tree: dict[str, str | None], entries: tuple[str, ...], sentence: str, rest: set[str] | None
) -> None:
    make(tmp_path, tree)
    error = refused(tmp_path, *entries)
    assert sentence in error.message
    if rest is not None:
        (way,) = ways_out(error)
        other = [entry for entry in entries if entry.partition(" ")[0] != way.partition(" ")[0]]
        assert packed(tmp_path, way, *other).keys() == rest


def test_two_entries_may_share_directories(tmp_path: Path) -> None:
    make(tmp_path, {"a/d/f": "1", "a/e": None, "b/g": "2", "c": None})
    assert packed(tmp_path, '"x" = "a"', '"x/d" = "b"', '"x/e" = "c"').keys() == {"x/d/f", "x/d/g", "x/e"}


def test_what_is_no_file_and_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "src", {"a": "x", "secret": "x", "suid": "x", "gone": "x"})
    os.mkfifo(tmp_path / "src/pipe")
    (tmp_path / "src/suid").chmod(0o4755)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "secret" and access(path, mode))  # root may
    listed = Path.iterdir

    def while_gone_goes(self: Path) -> list[Path]:
        found = list(listed(self))
        if self.name == "src":
            (self / "gone").unlink(missing_ok=True)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", while_gone_goes)
        error = refused(tmp_path, '"s" = "src"')
    assert error.message.splitlines() == [
        "4 problems:",
        "  - src/gone disappeared while [files] was being read",
        "  - src/pipe is a device, a FIFO or a socket",
        "  - src/secret cannot be read: Permission denied",
        "  - src/suid has a setuid, setgid or sticky bit (mode 4755)",
    ]
    assert packed(tmp_path, *ways_out(error)) == {"s/a": "x"}


def test_at_most_ten_are_shown(tmp_path: Path) -> None:
    make(tmp_path / "src", {f"l{n:02}": "-> nothing" for n in range(25)})
    error = refused(tmp_path, '"s" = "src"')
    lines = error.message.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (12, "25 problems:", "  - and 15 more")
    assert error.remedy is not None
    assert error.remedy.endswith("and 15 more to exclude")


def test_each_entry_has_its_own_remedy(tmp_path: Path) -> None:
    make(tmp_path, {**HUB, "web/x": "-> nothing", "web/y": "1"})
    error = refused(tmp_path, '"model" = "hub/snapshots/abc"', '"w" = "web"')
    assert error.where == "files"
    assert packed(tmp_path, *ways_out(error)) == {"model/config.json": "{}", "w/y": "1"}


def test_what_is_rarely_meant_for_a_server_is_told_and_shipped(tmp_path: Path) -> None:
    make(
        tmp_path / "web",
        dict.fromkeys(
            (
                *("app.py", ".env", "sub/.env.local", ".env.example", "[x]/.env", ".app.py.swp", "b.py~", "#x#"),
                *(".idea/a", "d/.DS_Store", ".venv/pyvenv.cfg", ".venv/lib/id_rsa", "tools/pyvenv.cfg"),
                *("node_modules/.cache/b", "node_modules/m", ".cache/keep", "ssh/id_ed25519"),
            ),
            "x",
        )
        | {"tls/server.pem": "-----BEGIN PRIVATE KEY-----", "tls/ca.pem": "-----BEGIN CERTIFICATE-----"},
    )
    heard = Heard()
    members = app_members(configured(tmp_path, '"w" = "web"').files, heard)
    assert len(members) == 19
    (note,) = heard.lines
    assert note.startswith("note: files.w contains ")
    assert ".venv/lib" not in note
    line = note.partition("under [files]: ")[2]
    assert packed(tmp_path, line).keys() == {
        *("w/app.py", "w/.env.example", "w/node_modules/m", "w/.cache/keep", "w/tls/ca.pem")
    }


def test_many_of_a_kind_are_told_by_pattern(tmp_path: Path) -> None:
    make(
        tmp_path / "web",
        {"a": "x", **{f"d{n}/.f.swp": "x" for n in range(9)}, **{f"d{n}/.idea/x": "x" for n in range(9)}},
    )
    heard = Heard()
    app_members(configured(tmp_path, '"w" = { source = "web", exclude = ["d0/*"] }').files, heard)
    (note,) = heard.lines
    assert "and 11 more" in note
    line = note.partition("under [files]: ")[2]
    assert line == '"w" = { source = "web", exclude = ["d0/*", "*.swp", ".idea", "*/.idea"] }'
    assert packed(tmp_path, line) == {"w/a": "x"}


def test_a_virtual_environment_is_left_out_rather_than_followed(tmp_path: Path) -> None:
    make(tmp_path / "web", {"a": "x", ".venv/pyvenv.cfg": "x", ".venv/bin/python": f"-> {sys.executable}"})
    error = refused(tmp_path, '"w" = "web"')
    assert ways_out(error) == ['"w" = { source = "web", exclude = [".venv"] }']


def test_bytes_that_are_shipped_twice_are_told(tmp_path: Path) -> None:
    make(tmp_path, {"blobs/1": "x" * LARGE, **{f"s/{n}": "-> ../blobs/1" for n in range(3)}})
    heard = Heard()
    app_members(configured(tmp_path, '"s" = { source = "s", links = "follow" }').files, heard)
    assert heard.lines == [
        "note: files.s contains some files more than once, because several links lead to them: 13 MB more"
    ]


def test_a_link_into_the_environment_has_to_be_there(tmp_path: Path) -> None:
    make(tmp_path / "src", {"python": "-> ../../env/bin/python", "lib": "-> ../../env/lib"})
    app = app_members(configured(tmp_path, '"s" = "src"').files)
    env = [
        Member(path="env/bin/python3", mode=0o755, content=b""),
        link_member("env/bin/python", "python3"),
        Member(path="env/lib/x", mode=0o644, content=b""),
    ]
    refuse_dangling(app, (*app, *env))
    with pytest.raises(PackError, match=r"app/s/python -> ../../env/bin/python$") as caught:
        refuse_dangling(app, (*app, *env[1:]))
    assert caught.value.where == "files"
