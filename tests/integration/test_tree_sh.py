"""The list of a release's files: the same whoever makes it, under shells and tools, whatever their names; what differs
from it is told by name."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from shellkit import BUSYBOX, GNU, SHELLS_WITH_TOOLS, Script, with_functions

from bundler.pack.members import TreeEntry, digest_list

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TOOLS = ("cat", "find", "ls", "readlink", "sed", "sha256sum", "sort", "tr", "uniq", "sh")
BUILT = 315532800  # the payload's one mtime
FILES = {
    "env/bin/tool": b"#!/opt/x/bin/sh\n",
    "env/lib/a name with spaces": b"a",
    "env/lib/caf\u00e9 'q' \"d\" $x": b"b",
    "app/empty": b"",
}


@dataclass(frozen=True)
class Release:
    """A directory like a freshly unpacked release, and the shell and tools that look at it."""

    room: Path
    shell: str

    @property
    def path(self) -> Path:
        return self.room / "release"

    def write(self, name: str, content: bytes, *, mtime: int | None = None) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if mtime is not None:
            os.utime(path, (mtime, mtime))

    def ask(self, function: str) -> list[str]:
        done = self.run(function)
        assert (done.returncode, done.stderr) == (0, b"")
        return (self.room / "list").read_bytes().decode("utf-8", "surrogateescape").splitlines()

    def run(self, function: str) -> subprocess.CompletedProcess[bytes]:
        return self.script(f"list_tree '{self.path}' {function}")

    def told(self, then: list[str]) -> set[tuple[str, bytes]]:
        """What is told of the differences between what was listed ``then`` and what is there now."""
        (self.room / "then").write_bytes("".join(f"{line}\n" for line in then).encode("utf-8", "surrogateescape"))
        self.ask("tree_lines")
        done = self.script(f"tell_differences '{self.room}/then' '{self.room}/list'", of="manage")
        assert (done.returncode, done.stderr) == (0, b"")
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]", done.stdout)
        lines = [line.split(b" ", 1) for line in done.stdout.splitlines()]
        assert len({tuple(line) for line in lines}) == len(lines)
        return {(kind.decode(), read_back(path)) for kind, path in lines}

    def script(self, command: str, *, of: Script = "install") -> subprocess.CompletedProcess[bytes]:
        text = with_functions(f"PROGRAM=install.sh\nWORK='{self.room}'\n{command}\n", of=of)
        (self.room / "script").write_text(text)
        words = [*self.shell.split(), str(self.room / "script")]
        env = {"PATH": str(self.room / "bin"), "LC_ALL": "C"}
        return subprocess.run(words, capture_output=True, check=False, env=env)


def read_back(path: bytes) -> bytes:
    """A path as the list has it, as ``printf %b`` reads it."""
    return re.sub(
        rb"\\(\\|0[0-3][0-7]{2})", lambda found: found[1] if found[1] == b"\\" else bytes([int(found[1], 8)]), path
    )


def make_release(room: Path, shell: str, tools: str) -> Release:
    (room / "bin").mkdir()
    for name in (*_TOOLS, shell.split(maxsplit=1)[0]):
        found = shutil.which("busybox" if tools == BUSYBOX and name in _TOOLS else name)
        assert found is not None
        (room / "bin" / name).symlink_to(found)
    release = Release(room, shell)
    for name, content in FILES.items():
        release.write(name, content, mtime=BUILT)
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  ./{name}\n" for name, content in sorted(FILES.items()))
    release.write("share/digests", lines.encode(), mtime=BUILT)
    (release.path / "env" / "bin" / "link").symlink_to("tool")
    return release


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_the_list_of_a_fresh_release_is_what_reading_it_all_gives(tmp_path: Path, shell: str, tools: str) -> None:
    release = make_release(tmp_path, shell, tools)
    assert release.ask("fresh_tree_lines") == release.ask("tree_lines")
    release.write("env/bin/tool", b"#!/srv/elsewhere/bin/sh\n")  # relocated
    release.write("env/lib/__pycache__/made.pyc", b"compiled here")
    release.write("units/hello.service", b"[Unit]\n")
    listed = release.ask("tree_lines")
    assert release.ask("fresh_tree_lines") == listed
    assert len([line for line in listed if "env/bin/tool" in line and not line.startswith("l")]) == 2


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_what_was_unpacked_is_not_read_again(tmp_path: Path, shell: str, tools: str) -> None:
    release = make_release(tmp_path, shell, tools)
    release.write("env/lib/a name with spaces", b"other bytes", mtime=BUILT)
    digest = hashlib.sha256(b"a").hexdigest()
    assert f"{digest}  ./env/lib/a name with spaces" in release.ask("fresh_tree_lines")
    assert f"{digest}  ./env/lib/a name with spaces" not in release.ask("tree_lines")


def test_the_list_is_the_same_whoever_made_it(tmp_path: Path) -> None:
    lists = []
    for number, (shell, tools) in enumerate((("dash", GNU), ("busybox sh", BUSYBOX))):
        (tmp_path / str(number)).mkdir()
        release = make_release(tmp_path / str(number), shell, tools)
        (release.path / "env" / "lib").chmod(0o700)
        lists.append(release.ask("tree_lines"))
    assert lists[0] == lists[1]
    assert len([line for line in lists[0] if "caf\u00e9" in line]) == 2
    assert "lrwxrwxrwx 0 0 ./env/bin/link -> tool" in lists[0]
    assert "drwx------ 0 0 ./env/lib" in lists[0]


@pytest.mark.parametrize("reason", ["the clock is behind", "no list", "an empty list"])
def test_else_everything_is_read(tmp_path: Path, reason: str) -> None:
    release = make_release(tmp_path, "dash", GNU)
    if reason == "the clock is behind":
        for path in release.path.rglob("*"):
            os.utime(path, (4e9, 4e9), follow_symlinks=False)
    elif reason == "no list":
        (release.path / "share" / "digests").unlink()
    else:
        release.write("share/digests", b"", mtime=BUILT)
    release.write("env/bin/tool", b"changed")
    assert release.ask("fresh_tree_lines") == release.ask("tree_lines")


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS[:3])  # busybox sh runs its own
@pytest.mark.parametrize(
    ("function", "tool"),
    [
        *(("tree_lines", tool) for tool in ("find", "sort")),
        *(("fresh_tree_lines", tool) for tool in ("find", "sha256sum", "sort", "cat", "uniq")),
    ],
)
def test_a_tool_that_fails_half_way_makes_no_shorter_list(
    tmp_path: Path, shell: str, tools: str, function: str, tool: str
) -> None:
    release = make_release(tmp_path, shell, tools)
    (tmp_path / "real").mkdir()
    (tmp_path / "bin" / tool).rename(tmp_path / "real" / tool)
    half = f'#!/bin/sh\n{tmp_path}/real/{tool} "$@" >{tmp_path}/whole\nsed \\$d {tmp_path}/whole\nexit 1\n'
    (tmp_path / "bin" / tool).write_text(half)
    (tmp_path / "bin" / tool).chmod(0o755)
    done = release.run(function)
    assert (done.returncode, b"install.sh: error: cannot" in done.stderr) == (12, True)


# --- names that tools write each in a way of its own

NASTY = (
    b" before",
    b"behind ",
    b"two  blanks",
    b"tab\tin it",
    b"new\nline",
    b"ends in a line break\n",
    b"-rw-r--r-- 0 0 .",
    b"a\n-rw-r--r-- 0 0 .",
    b"return\rin it",
    b"back\\slash",
    b"ends in a backslash\\",
    b"back\\nslash",
    b"back\\0012slash",
    b"\\" + b"0" * 64 + b"  name",
    b"0" * 64 + b"  name",
    b"-dash",
    b"--help",
    b"'quoted' \"twice\" $(x) `y` ;&|<>!#~",
    b"[bracket]*?",
    b"?",
    b"% %s {} +",
    b"l -> m",
    b" -> ",
    "caf\u00e9".encode(),
    b"latin-1 \xe9\xff",
    b"c1 \xc2\x9b31m",
    b"dash's own \x81\x88 bytes",
    b"bash's own \x01\x7f bytes",
    b"colour \x1b[31m",
    b"all " + bytes(range(1, 47)) + bytes(range(48, 160)),
    b"long " + b"x" * 250,
    b"a",
    b"a.b",
    b"a b",
)


def make_nasty(room: Path, shell: str, tools: str, *, seed: int | None = None) -> Release:
    """A release of files, directories and links with such names, and the digests that a bundle brings of them."""
    names = NASTY if seed is None else random_names(random.Random(seed))
    release = make_release(room, shell, tools)
    entries = []
    for number, name in enumerate(names):
        for path in (b"env/" + name, b"env/directories/" + name + b"/inside"):
            place = os.fsencode(release.path) + b"/" + path
            os.makedirs(os.path.dirname(place), exist_ok=True)  # noqa: PTH103, PTH120 -- names that are no text
            content = b"%d" % number
            with open(place, "wb") as file:  # noqa: PTH123
                file.write(content)
            os.utime(place, (BUILT, BUILT))
            digest = hashlib.sha256(content).hexdigest()
            entries.append(TreeEntry(path=os.fsdecode(path), mode=0o644, digest=digest, size=len(content)))
        (release.path / "links").mkdir(exist_ok=True)
        os.symlink(b"../env/" + name, os.fsencode(release.path) + b"/links/" + name)  # noqa: PTH211
        os.symlink(name, os.fsencode(release.path) + b"/links/%d" % number)  # noqa: PTH211
    for plain, content in FILES.items():
        digest = hashlib.sha256(content).hexdigest()
        entries.append(TreeEntry(path=plain, mode=0o644, digest=digest, size=len(content)))
    release.write("share/digests", digest_list(entries), mtime=BUILT)
    return release


def random_names(random: random.Random) -> tuple[bytes, ...]:
    """Of all bytes that a name may have, and many of those that matter."""
    some = b"\n\r\t\\ ->.x\x1b\x7f\xc3\xa9\xc2\x9b" * 12 + bytes(range(1, 47)) + bytes(range(48, 256))
    names = {bytes(random.choices(some, k=random.randint(1, 40))) for _ in range(60)}
    return tuple(sorted(names - {b".", b".."}))


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_whatever_the_names_the_list_of_a_fresh_release_is_what_reading_it_all_gives(
    tmp_path: Path, shell: str, tools: str, seed: int | None
) -> None:
    release = make_nasty(tmp_path, shell, tools, seed=seed)
    listed = release.ask("tree_lines")
    assert release.ask("fresh_tree_lines") == listed
    changed = os.fsencode(release.path) + b"/env/" + (NASTY if seed is None else random_names(random.Random(seed)))[7]
    with open(changed, "ab") as file:  # noqa: PTH123
        file.write(b"relocated")
    again = release.ask("tree_lines")
    assert len(set(again) - set(listed)) == 1
    assert release.ask("fresh_tree_lines") == again


def test_whatever_the_names_the_list_is_the_same_whoever_made_it(tmp_path: Path) -> None:
    lists = []
    for number, target in enumerate(SHELLS_WITH_TOOLS):
        (tmp_path / str(number)).mkdir()
        shell, tools = target.values
        lists.append(make_nasty(tmp_path / str(number), str(shell), str(tools)).ask("tree_lines"))
    assert lists[0] == lists[1] == lists[2] == lists[3]
    # Beside files, directories and links with these names there are share/digests, env/bin/link and what FILES has.
    files = 2 * len(NASTY) + len(FILES) + 1
    assert len([line for line in lists[0] if re.match("[0-9a-f]{64}  ", line)]) == files
    assert len([line for line in lists[0] if line[0] == "-"]) == files
    assert len([line for line in lists[0] if line[0] == "l"]) == 2 * len(NASTY) + 1
    assert not re.search(r"[\x00-\x1f\x7f]", "".join(lists[0]))


def test_a_path_twice_among_the_digests_makes_no_shorter_list(tmp_path: Path) -> None:
    release = make_release(tmp_path, "dash", GNU)
    digests = (release.path / "share/digests").read_bytes()
    release.write("share/digests", digests + digests.splitlines(keepends=True)[1], mtime=BUILT)
    assert release.ask("fresh_tree_lines") == release.ask("tree_lines")


@pytest.mark.parametrize("reason", ["a file that is not listed", "a listed file that is not there"])
def test_a_list_of_other_files_does_not_count(tmp_path: Path, reason: str) -> None:
    release = make_release(tmp_path, "dash", GNU)
    if reason == "a file that is not listed":
        release.write("app/more", b"more", mtime=BUILT)
    else:
        (release.path / "app/empty").unlink()
    assert release.ask("fresh_tree_lines") == release.ask("tree_lines")


# --- what is told of differences


def _write(path: bytes) -> None:
    with open(path, "ab") as file:  # noqa: PTH123
        file.write(b"more")


def _replace(path: bytes, make: Callable[[bytes], None]) -> None:
    os.unlink(path)  # noqa: PTH108
    make(path)


FILE_CHANGES: dict[str, tuple[Callable[[bytes], None], str]] = {
    "content": (_write, "changed"),
    "missing": (os.unlink, "missing"),
    "mode": (lambda path: os.chmod(path, 0o755), "mode"),  # noqa: PTH101
    "by a link": (lambda path: _replace(path, lambda place: os.symlink(b"nowhere", place)), "changed"),  # noqa: PTH211
    "by a directory": (lambda path: _replace(path, os.mkdir), "changed"),
    "by a FIFO": (lambda path: _replace(path, os.mkfifo), "changed"),
}
LINK_CHANGES: dict[str, tuple[Callable[[bytes], None], str]] = {
    "target": (lambda path: _replace(path, lambda place: os.symlink(b"other", place)), "changed"),  # noqa: PTH211
    "arrow": (lambda path: _replace(path, lambda place: os.symlink(b"x -> y", place)), "changed"),  # noqa: PTH211
    "missing": (os.unlink, "missing"),
    "by a file": (lambda path: _replace(path, _write), "changed"),
}


# Each change to each name, twice, by another shell each time.
@pytest.mark.parametrize("number", range(2 * len(FILE_CHANGES)))
def test_each_difference_is_told_by_the_path_that_has_it(tmp_path: Path, number: int) -> None:
    shell, tools = SHELLS_WITH_TOOLS[(number + number // len(FILE_CHANGES)) % len(SHELLS_WITH_TOOLS)].values
    release = make_nasty(tmp_path, str(shell), str(tools))
    then = release.ask("fresh_tree_lines")
    assert release.told(then) == set()
    expected = set()
    for directory, changes in ((b"env/", FILE_CHANGES), (b"links/", LINK_CHANGES)):
        for position, name in enumerate(NASTY):
            change, kind = list(changes.values())[(position + number) % len(changes)]
            change(os.fsencode(release.path) + b"/" + directory + name)
            expected.add((kind, directory + name))
    assert release.told(then) == expected


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_what_is_more_or_less_is_told(tmp_path: Path, shell: str, tools: str) -> None:
    release = make_nasty(tmp_path, shell, tools)
    then = release.ask("fresh_tree_lines")
    top = os.fsencode(release.path)
    expected = set()
    for name in NASTY:
        shutil.rmtree(top + b"/env/directories/" + name)
        os.makedirs(top + b"/app/" + name)  # noqa: PTH103
        _write(top + b"/app/" + name + b"/file")
        expected |= {("missing", b"env/directories/" + name), ("missing", b"env/directories/" + name + b"/inside")}
        expected |= {("extra", b"app/" + name), ("extra", b"app/" + name + b"/file")}
    assert release.told(then) == expected


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_another_owner_and_two_differences_of_one_file(tmp_path: Path, shell: str, tools: str) -> None:
    release = make_nasty(tmp_path, shell, tools)
    then = release.ask("fresh_tree_lines")
    theirs = re.compile(r"^(-\S+) \d+ (\d+ \./env/bin/tool|\d+ \./env/new\\0012line)$")
    then = [theirs.sub(r"\1 4711 \2", line) for line in then]
    _write(os.fsencode(release.path) + b"/env/new\nline")
    assert release.told(then) == {("mode", b"env/bin/tool"), ("mode", b"env/new\nline"), ("changed", b"env/new\nline")}
