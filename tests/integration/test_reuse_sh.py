"""What an earlier release has of the new one is linked, not unpacked, if it is as it was; under shells and tools."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from shellkit import BUSYBOX, SHELLS_WITH_TOOLS, with_functions

from bundler.pack.contents import CONTENTS, LINKS, NEVER_LINKED, Content, lists
from bundler.pack.members import DIGESTS, LINK_MODE, TreeEntry

_TOOLS = "cat chmod cp cut date dd df find grep gzip head ls mkdir mv nproc readlink rm rmdir sed sha256sum sh sleep"
_TOOLS += " sort sync tail tar tee touch tr true uniq xargs"
OLD, NEW = "1.0-aaaaaaaaaaaa", "1.1-bbbbbbbbbbbb"
Files = dict[str, "bytes | str"]  # text is a link's target
DIRECTORIES: Files = {"env/": b"", "env/lib/": b"", "env/lib/one/": b"", "app/": b"", "share/": b""}
ONE: Files = {"env/lib/one/a": b"a", "env/lib/one/b c'\"$x": b"b" * 5000, "env/lib/one/link": "a", "env/lib/-x": b""}
TWO: Files = {"env/lib/two": b"two"}
THREE: Files = {"env/lib/three": b"three", "env/lib/to-three": "three"}
NEWER_TWO: Files = {"env/lib/two": b"newer"}
BAKED: Files = {"share/baked": b"/opt/hello/releases/1.1"}


def entries(files: Files) -> list[TreeEntry]:
    return [
        TreeEntry(path=path, mode=LINK_MODE, digest=content, size=0)
        if isinstance(content, str)
        else TreeEntry(path=path, mode=0o644, digest=hashlib.sha256(content).hexdigest(), size=len(content))
        for path, content in files.items()
        if not path.endswith("/")
    ]


def contents_of(**segments: Files) -> list[Content]:
    never = {"directories", "baked"}
    return [
        Content.of(name, entries(files), id=NEVER_LINKED if name in never else None) for name, files in segments.items()
    ]


def packed(files: Files, *, end: bool) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            info.mtime = 315532800
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
        size = tar.offset
    return gzip.compress(raw.getvalue() if end else raw.getvalue()[:size], mtime=0)


def parts_of(known: list[Content], without: tuple[str, ...]) -> Files:
    """What an update's closing segment has: of two lists the lines of what it carries."""
    whole = lists(known)
    left = {path for one in known if one.name in without for path in (f"./{entry.path}" for entry in one.entries)}
    kept = {
        f"{name}.part": b"".join(
            line
            for line in whole[name].splitlines(keepends=True)
            if line.decode().rstrip("\n").split("  ")[-1] not in left
        )
        for name in (DIGESTS, LINKS)
    }
    return {CONTENTS: whole[CONTENTS], **kept}


def parts_from(payload: bytes, *starts: int) -> str:
    ends = (*starts[1:], len(payload))
    pairs = zip(starts, ends, strict=True)
    return " ".join(f"{hashlib.sha256(payload[start:end]).hexdigest()} {start} {end - start}" for start, end in pairs)


@dataclass(frozen=True)
class Target:
    """A root with an old release, a bundle of a new one, and the only tools that there are."""

    room: Path
    shell: str

    @property
    def old(self) -> Path:
        return self.room / "root/releases" / OLD

    @property
    def stage(self) -> Path:
        return self.room / "root/releases" / f".{NEW}.partial"

    def run(self, *, trust: bool = False, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Install's steps up to the links; ``without``: segments that the payload has not."""
        segments = {
            "directories": DIRECTORIES,
            "baked": BAKED,
            "empty": {},
            "one": ONE,
            "two": NEWER_TWO,
            "three": THREE,
        }
        known = contents_of(**segments)
        segments["list"] = dict(lists(known).items())
        if without:
            segments["list"] = parts_of(known, without)
        known.append(Content(name="list", id=NEVER_LINKED, entries=()))
        payload, lines, starts = b"", [], {}
        for one, (name, files) in zip(known, segments.items(), strict=True):
            place = "- - -"
            starts[name] = len(payload)
            if name not in without:
                piece = packed(files, end=name == "list") if files else b""
                place = f"{len(payload)} {len(piece)} {hashlib.sha256(piece).hexdigest()}"
                payload += piece
            lines.append(f"{place} {one.id} {len(one.entries)} {one.kib} {name}\n")
        (self.room / "payload").write_bytes(payload)
        (self.room / "segments").write_text("".join(lines))
        values = {
            "RELEASE": NEW,
            "PAYLOAD": "payload",
            "PAYLOAD_CODEC": "gzip",
            "DECOMPRESSOR": "",
            "PAYLOAD_SHA256": hashlib.sha256(payload).hexdigest(),
            "PAYLOAD_PARTS": "" if without else parts_from(payload, 0, starts["one"], starts["two"]),
            "PAYLOAD_KIB": "100",
            "PAYLOAD_FILES": "20",
            "UPDATE": OLD if without else "",
            "WORK": f"{self.room}/work",
            "ROOT": f"{self.room}/root",
            "RECORD": f"{self.room}/record",
            "BUNDLE": f"{self.room}",
            "STAGE": f"{self.stage}",
            "PATH": f"{self.room}/bin",
        }
        header = "".join(f"{name}='{value}'\n" for name, value in values.items())
        digest = hashlib.sha256((self.room / "segments").read_bytes()).hexdigest()
        steps = f'TRUST_DISK={"yes" * trust}\nmkdir "$STAGE"\nverify_segments {digest}\nfind_what_is_here\nunpack\n'
        steps += "link_reused\ncompose_lists\n"
        (self.room / "script").write_text(with_functions(f"{header}PLACE=$ROOT\n{steps}", header=header))
        words = [*self.shell.split(), str(self.room / "script")]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    def record(self) -> None:
        """What is in the old release is what was installed."""
        made = f"WORK='{self.room}/work'\nRECORD='{self.room}/record'\nIMAGE=\nDIR='{self.old}'\n"
        made += 'list_tree "$DIR" tree_lines\n: >"$RECORD/owned"\nclaim() { printf "%s\\n" "$@" >"$RECORD/owned"; }\n'
        made += f'put_tree_list "$DIR" {OLD} tree\n'
        subprocess.run(["sh", "-c", with_functions(made)], check=True)

    def linked(self) -> set[str]:
        """The files and links of the stage that are the old release's as well."""
        both = (path.relative_to(self.stage).as_posix() for path in self.stage.rglob("*") if not path.is_dir())
        return {path for path in both if (self.stage / path).lstat().st_nlink > 1}


def write_old(root: Path) -> None:
    release = root / "root/releases" / OLD
    segments = {"three": THREE, "two": TWO, "one": ONE, "baked": BAKED}  # in another order than the new one's
    files = DIRECTORIES | THREE | TWO | ONE | BAKED | dict(lists(contents_of(**segments)).items())
    for name, content in files.items():
        path = release / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
            path.chmod(0o644)
            os.utime(path, (315532800, 315532800))
    (release / ".complete").touch()


@pytest.fixture(params=[pytest.param(one.values, id=one.id) for one in SHELLS_WITH_TOOLS])
def target(tmp_path: Path, request: pytest.FixtureRequest) -> Target:
    shell, tools = request.param
    for name in ("bin", "work", "root/releases", "record"):
        (tmp_path / name).mkdir(parents=True)
    for tool in {*_TOOLS.split(), shell.split(maxsplit=1)[0]}:
        found = shutil.which("busybox" if tools == BUSYBOX and tool != shell.split(maxsplit=1)[0] else tool)
        (tmp_path / "bin" / tool).symlink_to(found or "/missing")
    write_old(tmp_path)
    target = Target(tmp_path, shell)
    target.record()
    return target


def test_what_is_there_is_linked_and_the_rest_unpacked(target: Target) -> None:
    done = target.run()
    assert done.returncode == 0, done.stderr
    assert target.linked() == set(ONE | THREE)
    assert (target.stage / "env/lib/two").read_bytes() == NEWER_TWO["env/lib/two"]
    assert (target.stage / "env/lib/one/link").readlink() == Path("a")
    assert (target.stage / CONTENTS).is_file()
    assert (target.stage / DIGESTS).is_file()


@pytest.mark.parametrize("damage", ["content", "mode", "link", "missing"])
def test_what_was_changed_since_is_not_taken(target: Target, damage: str) -> None:
    path = target.old / "env/lib/one" / ("link" if damage == "link" else "a")
    if damage == "content":
        path.write_bytes(b"A")
        os.utime(path, (315532800, 315532800))
    elif damage == "mode":
        path.chmod(0o600)
    else:
        path.unlink()
        if damage == "link":
            path.symlink_to("b")
    done = target.run()
    assert done.returncode == 0, done.stderr
    assert f"release {OLD}: {path.relative_to(target.old)} was changed since it was installed" in done.stderr
    assert target.linked() == set(THREE)
    assert (target.stage / "env/lib/one/a").read_bytes() == b"a"


def test_an_update_leaves_what_the_whole_bundle_does(target: Target) -> None:
    assert target.run().returncode == 0
    whole = {path: (target.stage / path).read_bytes() for path in (CONTENTS, DIGESTS, LINKS)}
    shutil.rmtree(target.stage)
    done = target.run(without=("one",))
    assert done.returncode == 0, done.stderr
    assert {path: (target.stage / path).read_bytes() for path in whole} == whole
    assert not list((target.stage / "share").glob("*.part"))
    assert target.linked() == set(ONE | THREE)
    assert (target.stage / DIGESTS).stat().st_mtime == (target.stage / CONTENTS).stat().st_mtime


def test_an_update_needs_what_it_does_not_carry(target: Target) -> None:
    (target.old / "env/lib/one/a").write_bytes(b"A")
    done = target.run(without=("one",))
    assert done.returncode == 10, done.stderr
    assert f"this update needs one as it is in {OLD}" in done.stderr


def test_lists_that_are_not_those_of_our_record_count_for_nothing(target: Target) -> None:
    (target.old / "list").write_bytes((target.old / "list").read_bytes() + b"\n")
    assert target.run().returncode == 0
    assert target.linked() == set()


def test_a_release_that_lists_other_files_than_it_has_is_refused(target: Target) -> None:
    """It was installed so: its maker has said that its files are the new release's."""
    listed = target.old / CONTENTS
    lie = Content.of("two", entries(NEWER_TWO)).id
    listed.write_text(listed.read_text().replace(Content.of("two", entries(TWO)).id, lie))
    text = (target.old / DIGESTS).read_text().splitlines(keepends=True)
    digest = hashlib.sha256(listed.read_bytes()).hexdigest()
    (target.old / DIGESTS).write_text(
        "".join(f"{digest}  ./{CONTENTS}\n" if line.endswith(f"./{CONTENTS}\n") else line for line in text)
    )
    target.record()
    done = target.run()
    assert done.returncode == 11, done.stderr
    assert f"env/lib/two has another checksum in {NEW} than in the release {OLD}" in done.stderr


@pytest.mark.parametrize("younger", [True, False])
def test_trusting_the_disk_reads_what_is_younger(target: Target, younger: bool) -> None:
    (target.old / "env/lib/one/a").write_bytes(b"A")
    if not younger:
        os.utime(target.old / "env/lib/one/a", (315532800, 315532800))
    done = target.run(trust=True)
    assert done.returncode == 0, done.stderr
    assert target.linked() == set(THREE if younger else ONE | THREE)
    assert "--trust-disk" in done.stderr
