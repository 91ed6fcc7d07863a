"""How install.sh unpacks, under several shells and tools: who decompresses, what is noticed, when the disk is asked."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard
from shellkit import BUSYBOX, GNU, SHELLS_WITH_TOOLS, with_functions
from waiting import until

# busybox sh runs its own tar and sync, whatever is in PATH.
WITH_OTHER_PROGRAMS = SHELLS_WITH_TOOLS[:3]
_TOOLS = "cat dd df find grep gzip head mkdir mv rm rmdir sed sha256sum sh sleep sync tail tar tee tr"
# A zstd that was built without zlib cannot be had; this is how such a one answers to a gzip member.
_ZSTD_WITHOUT_ZLIB = "#!/bin/sh\necho 'zstd: /*stdin*\\: gzip file cannot be uncompressed -- ignored' >&2\nexit 1\n"

FILES = {
    "env/bin/tool": b"#!/bin/sh\n",
    "env/lib/big": os.urandom(300_000) * 4,
    "app/empty": b"",
    "share/x": b"x\n" * 9,
}


def archive() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


TAR = archive()
BLOCKS = tuple(TAR[start : start + 100_000] for start in range(0, len(TAR), 100_000))
GZIP = b"".join(gzip.compress(block, mtime=0) for block in BLOCKS)
PAYLOADS = {
    "gzip": GZIP,
    "zstd": b"".join(zstandard.compress(block) for block in BLOCKS),
    "xz": b"".join(lzma.compress(block) for block in BLOCKS),
    "none": TAR,
}


@dataclass(frozen=True)
class Target:
    """A directory as install.sh finds it, with the only tools that there are."""

    room: Path
    shell: str

    @property
    def stage(self) -> Path:
        return self.room / "stage"

    def tool(self, name: str, script: str) -> None:
        """Put a script in the place of a tool, or where none was."""
        path = self.room / "bin" / name
        path.unlink(missing_ok=True)
        path.write_text(script)
        path.chmod(0o755)

    def argv(self, payload: bytes, codec: str, steps: str, parts: str = "") -> list[str]:
        (self.room / "payload").write_bytes(payload)
        values = {
            "RELEASE": "1.0-0123456789ab",
            "NAME": "hello",
            "PROGRAM": "install.sh",
            "PAYLOAD": "payload",
            "PAYLOAD_CODEC": codec,
            "DECOMPRESSOR": "",
            "PAYLOAD_SHA256": hashlib.sha256(payload).hexdigest(),
            "PAYLOAD_PARTS": parts,
            "UPDATE": "",
            "WORK": f"{self.room}/work",
            "ROOT": f"{self.room}",
            "PATH": f"{self.room}/bin",
        }
        header = "".join(f"{name}='{value}'\n" for name, value in values.items())
        here = f"BUNDLE='{self.room}' STAGE='{self.stage}'\n"
        script = self.room / "script"
        script.write_text(with_functions(f"{header}{here}{steps}\n", header=header))
        return [*self.shell.split(), str(script)]

    def run(
        self, payload: bytes, codec: str, steps: str = "unpack", parts: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv(payload, codec, steps, parts), capture_output=True, text=True, check=False)

    def tree(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.stage).as_posix(): path.read_bytes()
            for path in self.stage.rglob("*")
            if path.is_file()
        }


def make_target(room: Path, shell: str, tools: str, *more: str) -> Target:
    for name in ("bin", "stage", "work"):
        (room / name).mkdir()
    busybox = Path(shutil.which("busybox") or "/missing")
    for tool in _TOOLS.split():
        (room / "bin" / tool).symlink_to(busybox if tools == BUSYBOX else shutil.which(tool) or "/missing")
    for tool in {*more, shell.split(maxsplit=1)[0]}:
        (room / "bin" / tool).symlink_to(shutil.which(tool) or "/missing")
    return Target(room, shell)


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
@pytest.mark.parametrize("codec", PAYLOADS)
def test_every_codec_is_unpacked(tmp_path: Path, shell: str, tools: str, codec: str) -> None:
    target = make_target(tmp_path, shell, tools, *({codec} & {"zstd", "xz"}))
    done = target.run(PAYLOADS[codec], codec)
    assert (done.returncode, done.stderr) == (0, "")
    assert target.tree() == FILES


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_openssl_takes_the_digest_where_it_can(tmp_path: Path, shell: str, tools: str) -> None:
    target = make_target(tmp_path, shell, tools, "openssl")
    target.tool("sha256sum", "#!/bin/sh\nexit 1\n")
    done = target.run(GZIP, "gzip", "unpack; verify_payload")
    assert done.returncode == 0, done.stderr
    assert target.tree() == FILES
    changed = target.run(GZIP, "gzip", "PAYLOAD_SHA256=other; verify_payload")
    assert changed.returncode == 11


@pytest.mark.parametrize(
    "answer", ["echo 12; cat >/dev/null", "exit 1", "cat", "echo SHA256'(stdin)'= 6b86b273ff34fce1"]
)
def test_an_openssl_that_is_none_is_not_asked(tmp_path: Path, answer: str) -> None:
    target = make_target(tmp_path, "dash", GNU)
    target.tool("openssl", f"#!/bin/sh\n{answer}\n")
    done = target.run(GZIP, "gzip", "unpack; verify_payload")
    assert done.returncode == 0, done.stderr
    assert target.tree() == FILES


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_zstd_reads_gzip_where_it_can(tmp_path: Path, shell: str, tools: str) -> None:
    target = make_target(tmp_path, shell, tools, "zstd")
    assert target.run(GZIP, "gzip", "gzip_reader").stdout == "zstd\n"
    target.tool("gzip", '#!/bin/sh\n[ "$1" != -dc ] && exec /bin/gzip "$@"\n')  # which only compresses now
    done = target.run(GZIP, "gzip")
    assert (done.returncode, done.stderr) == (0, "")
    assert target.tree() == FILES


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_gzip_reads_it_where_zstd_cannot(tmp_path: Path, shell: str, tools: str) -> None:
    target = make_target(tmp_path, shell, tools)
    assert target.run(GZIP, "gzip", "gzip_reader").stdout == "gzip\n"
    target.tool("zstd", _ZSTD_WITHOUT_ZLIB)
    assert target.run(GZIP, "gzip", "gzip_reader").stdout == "gzip\n"
    target.tool("zstd", f"#!/bin/sh\nhead -c {len(gzip.compress(b'1'))} | {shutil.which('gzip')} -dc\n")
    assert target.run(GZIP, "gzip", "gzip_reader").stdout == "gzip\n"  # it reads the first member only
    done = target.run(GZIP, "gzip")
    assert (done.returncode, done.stderr) == (0, "")
    assert target.tree() == FILES


def packed(files: dict[str, bytes | str], codec: str, *, end: bool) -> bytes:
    """A part: directories end with a slash, text is a link's target; only the last part has a tar's end."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
        size = tar.offset
    compress = {"gzip": gzip.compress, "zstd": zstandard.compress, "xz": lzma.compress, "none": bytes}[codec]
    return compress(raw.getvalue() if end else raw.getvalue()[:size])  # type: ignore[operator, no-any-return]


def in_parts(*parts: bytes) -> str:
    """What install.sh is told of them."""
    words, offset = [], 0
    for part in parts:
        words.append(f"{hashlib.sha256(part).hexdigest()} {offset} {len(part)}")
        offset += len(part)
    return " ".join(words)


_SECOND: dict[str, bytes | str] = {
    "env/lib/two/": b"",
    "env/lib/two/.hidden": b"h",
    "env/lib/two/*": b"*",
    "env/lib/two/deep/": b"",
    "env/lib/two/deep/x": b"x" * 99_999,
    "env/lib/..2": b"2",
    "env/lib/out": "../bin",
    "env/bin/.two": b"2",
    "env/bin/link": "many 1",
    **{f"env/bin/many {number}": b"%d" % number for number in range(1201)},
}
PARTS: tuple[dict[str, bytes | str], ...] = (
    {"env/": b"", "env/bin/": b"", "env/lib/": b"", "env/bin/one": b"1", "env/lib/one/": b"", "env/lib/one/x": b"x"},
    _SECOND,
    {
        "env/lib/three/": b"",
        "env/lib/three/-x": b"3",
        "env/bin/-three": b"3",
        "app/": b"",
        "app/x": b"x",
        "share/s": b"",
    },
)


def all_parts(codec: str) -> list[bytes]:
    return [packed(files, codec, end=files is PARTS[-1]) for files in PARTS]


def is_put_together(target: Target) -> bool:
    """Whether all parts are in the stage, and nothing of them is beside it."""
    found: dict[str, bytes | str] = {}
    for path in target.stage.rglob("*"):
        name = path.relative_to(target.stage).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        else:
            found[name] = b"" if path.is_dir() else path.read_bytes()
    expected = {name.rstrip("/"): content for part in PARTS for name, content in part.items()}
    beside = {path.name for path in target.room.iterdir()}
    return found == {"share": b""} | expected and not any("partial" in name or "stage." in name for name in beside)


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
@pytest.mark.parametrize("codec", PAYLOADS)
def test_parts_are_unpacked_and_put_together(tmp_path: Path, shell: str, tools: str, codec: str) -> None:
    target = make_target(tmp_path, shell, tools, *({codec} & {"zstd", "xz"}))
    parts = all_parts(codec)
    done = target.run(b"".join(parts), codec, parts=in_parts(*parts))
    assert (done.returncode, done.stderr, is_put_together(target)) == (0, "", True)


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_parts_are_read_from_where_they_lie_in_a_run(tmp_path: Path, shell: str, tools: str) -> None:
    target = make_target(tmp_path, shell, tools)
    parts = all_parts("gzip")
    (tmp_path / "self.run").write_bytes(b"#" * 777 + b"".join(parts) + b"behind it")
    steps = f"RUN='{tmp_path}/self.run' RUN_OFFSET=777 RUN_LENGTH={sum(map(len, parts))}; unpack"
    done = target.run(b"", "gzip", steps, parts=in_parts(*parts))
    assert (done.returncode, done.stderr, is_put_together(target)) == (0, "", True)


@pytest.mark.parametrize(("shell", "tools"), WITH_OTHER_PROGRAMS)
def test_parts_are_unpacked_at_the_same_time(tmp_path: Path, shell: str, tools: str) -> None:
    """Each tar waits until there are three of them."""
    target = make_target(tmp_path, shell, tools)
    (tmp_path / "running").mkdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "tar").symlink_to((target.room / "bin" / "tar").readlink())
    all_run = f'[ "$(echo {tmp_path}/running/* | wc -w)" = 3 ]'
    waiting = f"n=0; until {all_run}; do n=$((n + 1)); [ $n -lt 99 ] || exit 1; sleep 0.1; done"
    target.tool("tar", f'#!/bin/sh\n: >{tmp_path}/running/$$\n{waiting}\nexec {tmp_path}/real/tar "$@"\n')
    (target.room / "bin" / "wc").symlink_to(shutil.which("wc") or "/missing")
    parts = all_parts("gzip")
    done = target.run(b"".join(parts), "gzip", parts=in_parts(*parts))
    assert (done.returncode, is_put_together(target)) == (0, True), done.stderr


def test_each_part_is_a_whole_tar_to_who_unpacks_it(tmp_path: Path) -> None:
    """Neither GNU tar nor today's busybox minds an archive without its end; others need not be so kind."""
    target = make_target(tmp_path, "dash", GNU)
    real = (target.room / "bin" / "tar").readlink()
    target.tool("tar", f'#!/bin/sh\ntee {tmp_path}/read.$$ | {real} "$@"\n')
    parts = all_parts("gzip")
    assert target.run(b"".join(parts), "gzip", parts=in_parts(*parts)).returncode == 0
    read = [path.read_bytes() for path in tmp_path.glob("read.*")]
    assert [content[-1024:] for content in read] == [bytes(1024)] * 3


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
@pytest.mark.parametrize("number", range(3))
def test_a_damaged_part_is_noticed_before_they_are_put_together(
    tmp_path: Path, shell: str, tools: str, number: int
) -> None:
    target = make_target(tmp_path, shell, tools)
    parts = all_parts("none")
    said = in_parts(*parts)
    parts[number] = flipped(parts[number], len(parts[number]) - 1100)
    done = target.run(b"".join(parts), "none", parts=said)
    assert (done.returncode, "payload does not match its checksum" in done.stderr) == (11, True), done.stderr
    assert not (target.stage / "env/lib/two").exists()


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
@pytest.mark.parametrize("number", range(3))
def test_a_part_that_cannot_be_read_is_refused(tmp_path: Path, shell: str, tools: str, number: int) -> None:
    """The digest is right: only the decompressor of that part can tell."""
    target = make_target(tmp_path, shell, tools)
    parts = all_parts("gzip")
    parts[number] = flipped(parts[number], len(parts[number]) - 6)  # in the member's CRC
    done = target.run(b"".join(parts), "gzip", parts=in_parts(*parts))
    assert (done.returncode, "payload cannot be unpacked" in done.stderr) == (12, True), done.stderr


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
@pytest.mark.parametrize("kind", ["directory", "file"])
@pytest.mark.parametrize("linked", [0, 1])
def test_no_part_writes_through_a_link_of_another(
    tmp_path: Path, shell: str, tools: str, kind: str, linked: int
) -> None:
    """Each would be harmless alone."""
    target = make_target(tmp_path, shell, tools)
    (tmp_path / "victim").mkdir()
    link: dict[str, bytes | str] = {"env/": b"", "env/x": f"{tmp_path}/victim"}
    through: dict[str, bytes | str] = {"env/x/": b"", "env/x/file": b"!"} if kind == "directory" else {"env/x": b"!"}
    both = [link, through] if linked == 0 else [through, link]
    parts = [packed(both[0], "gzip", end=False), packed(both[1], "gzip", end=True)]
    done = target.run(b"".join(parts), "gzip", parts=in_parts(*parts))
    assert done.returncode == 11, done.stderr
    assert "a name twice: env/x" in done.stderr
    assert list((tmp_path / "victim").iterdir()) == []


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


# With the digest that belongs to it: only the decompressor can tell.
BROKEN = {
    "truncated": GZIP[: len(GZIP) // 2],
    "in a member": flipped(GZIP, 50_000),
    "a checksum": flipped(GZIP, len(gzip.compress(BLOCKS[0], mtime=0)) - 8),
    "not gzip at all": TAR,
}


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
@pytest.mark.parametrize("reader", ["gzip", "zstd"])
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_what_the_decompressor_refuses_is_not_installed(
    tmp_path: Path, shell: str, tools: str, reader: str, broken: bytes
) -> None:
    target = make_target(tmp_path, shell, tools, *({reader} & {"zstd"}))
    done = target.run(broken, "gzip")
    assert (done.returncode, "payload cannot be unpacked" in done.stderr) == (12, True), done.stderr


@pytest.mark.parametrize(("shell", "tools"), SHELLS_WITH_TOOLS)
def test_a_damaged_payload_is_named(tmp_path: Path, shell: str, tools: str) -> None:
    """The digest says who is to blame, whatever the decompressor and tar have said about it."""
    target = make_target(tmp_path, shell, tools, "zstd")
    for damaged in (flipped(GZIP, 50_000), GZIP[:-9], GZIP + b"\0"):
        done = target.run(damaged, "gzip", f"PAYLOAD_SHA256={hashlib.sha256(GZIP).hexdigest()}; unpack")
        assert (done.returncode, "payload does not match its checksum" in done.stderr) == (11, True), done.stderr


def slow(target: Target) -> Path:
    """Make tar slow and sync write down what it was asked for; where."""
    log = target.room / "synced"
    log.touch()
    tar, sync = ((target.room / "bin" / tool).readlink() for tool in ("tar", "sync"))
    (target.room / "real").mkdir()
    (target.room / "real" / "tar").symlink_to(tar)
    (target.room / "real" / "sync").symlink_to(sync)
    target.tool("tar", f'#!/bin/sh\ntouch {target.room}/unpacking\nsleep 3\nexec {target.room}/real/tar "$@"\n')
    target.tool("sync", f'#!/bin/sh\necho "$@" >>{log}\nexec {target.room}/real/sync "$@"\n')
    (target.room / "bin" / "touch").symlink_to(shutil.which("touch") or "/missing")
    return log


@pytest.mark.parametrize(("shell", "tools"), WITH_OTHER_PROGRAMS)
def test_the_disk_is_asked_meanwhile_and_not_after(tmp_path: Path, shell: str, tools: str) -> None:
    target = make_target(tmp_path, shell, tools)
    log = slow(target)
    done = target.run(GZIP, "gzip", f"unpack; sleep 0.5; cat '{log}' >'{log}.then'; sleep 2")
    assert (done.returncode, done.stderr) == (0, "")
    meanwhile = log.with_name("synced.then").read_text()
    assert set(meanwhile.splitlines()) == {f"-f {target.stage}"}
    assert log.read_text() == meanwhile


@pytest.mark.parametrize(("shell", "tools"), WITH_OTHER_PROGRAMS)
def test_nothing_asks_the_disk_for_an_install_that_was_killed(tmp_path: Path, shell: str, tools: str) -> None:
    target = make_target(tmp_path, shell, tools)
    log = slow(target)
    with subprocess.Popen(target.argv(GZIP, "gzip", "unpack")) as process:
        began = until((target.room / "unpacking").exists)
        process.kill()
    assert began
    time.sleep(1.5)
    said = log.read_text()
    assert (target.room / "work" / "unpacking").exists()  # so it was not this that ended it
    time.sleep(1.5)
    assert log.read_text() == said
