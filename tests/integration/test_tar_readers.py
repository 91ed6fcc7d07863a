"""Whatever `verify` accepts, GNU tar and busybox tar unpack to the very tree that it saw: some thousands of headers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from bundlekit import LEAST

from bundler.errors import VerificationError
from bundler.pack.members import LINK_MODE
from bundler.reader.open import open_bundle
from bundler.reader.tree import read_tree
from bundler.tar.write import DIRECTORY, END, HEADER, LINK, tar_header, tar_padding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.reader.open import OpenBundle

TARS = ("tar", "busybox")
MUTATED = 4000
_LISTED = b"0" * 64 + b"  ./x\n"
FIELDS = {
    "name": (0, 100), "mode": (100, 108), "uid": (108, 116), "gid": (116, 124), "size": (124, 136), "mtime": (136, 148),
    "kind": (156, 157), "link": (157, 257), "magic": (257, 265), "owner": (265, 297), "group": (297, 329),
    "device": (329, 345), "prefix": (345, 500), "rest": (500, 512),
}  # fmt: skip
KINDS = b"\x000123456789ADKLMNSVXgx"
NUMBERS = (b"0", b"644", b"+1", b"-1", b" 5", b"0x5", b"5", b"700", b"1000", b"9", b"00000000005\0", b"005 5")
MAGICS = (b"ustar  \0", b"ustar\x0000", b"ustar\0  ", bytes(8), b"ustar\x0011", b"Ustar\x0000", b"tar\0")
Found = dict[str, tuple[str, str]]
"""Path -> kind with mode, and content's digest or link's target."""


@dataclass(frozen=True)
class Payload:
    """An uncompressed tar as conda-bundler writes it, and where each of its headers begins."""

    content: bytes
    headers: tuple[int, ...]

    @classmethod
    def make(cls) -> Payload:
        long, odd = "env/" + "d" * 120 + "/" + "f" * 60, "env/caf\u00e9"
        tops = ("app", "env", "env/" + "d" * 120, "share")
        pieces = [(tar_header(path, 0o755, kind=DIRECTORY), b"") for path in tops]
        for path, size in (("env/a", 5), ("env/b", 0), (long, 700), (odd, 512), ("app/" + "p" * 200, 3)):
            pieces.append((tar_header(path, 0o644, size=size), random.Random(path).randbytes(size)))
        pieces += [(tar_header(f"app/{to[:9]}", 0o777, kind=LINK, link=to), b"") for to in ("a", "l" * 150)]
        pieces.append((tar_header("share/digests", 0o644, size=len(_LISTED)), _LISTED))
        content = b""
        headers: list[int] = []
        for header, inside in pieces:
            headers += range(len(content), len(content) + len(header), HEADER)
            content += header + inside + tar_padding(len(inside))
        return cls(content + END, tuple(headers))


def mutated(payload: Payload, chance: random.Random) -> bytes:
    """With one header changed, whose checksum is right again; now and then the data of a pax header."""
    content = bytearray(payload.content)
    at = chance.choice(payload.headers)
    block = content[at : at + HEADER]
    if block[257:262] != b"ustar":  # records
        for _ in range(chance.randint(1, 2)):
            block[chance.randrange(block.find(0) + 1)] = chance.choice(b"az/. =\n\0019\xe9")
        content[at : at + HEADER] = block
        return bytes(content)
    for _ in range(chance.choice((1, 1, 1, 2))):
        name = chance.choice(("name", "name", "mode", "link", *FIELDS))
        begin, end = FIELDS[name]
        value = field(name, bytes(block[begin:end]), chance)
        block[begin:end] = value[: end - begin].ljust(end - begin, chance.choice((b"\0", b"\0", b" ")))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    content[at : at + HEADER] = block
    return bytes(content)


def field(name: str, old: bytes, chance: random.Random) -> bytes:
    """What may stand there instead."""
    if name == "kind":
        return bytes([chance.choice(KINDS)])
    if name == "magic":
        return chance.choice(MAGICS)
    if name in ("mode", "uid", "gid", "size", "mtime", "device") and chance.random() < 0.8:
        return number(name, len(old), chance)
    value = bytearray(old)
    if name in ("name", "link", "prefix") and chance.random() < 0.7:
        used = max(1, len(old.rstrip(b"\0")))
        value[chance.randrange(min(used + 1, len(old)))] = chance.choice(b"abcxyz/.~ \0\\\n\xe9")
        return bytes(value)
    value[chance.randrange(len(value))] = chance.randrange(256)
    return bytes(value)


def number(name: str, length: int, chance: random.Random) -> bytes:
    if name == "mode" and chance.random() < 0.4:
        return b"%07o\0" % chance.choice((0o644, 0o755, 0o4755, 0o600))
    if chance.random() < 0.3:  # GNU's base 256
        return b"\x80" + chance.choice((0, 5, 512, 700)).to_bytes(length - 1, "big")
    digits = chance.choice(NUMBERS)
    return chance.choice((digits, digits.rjust(length - 1, b"0") + b"\0", digits.rjust(length), digits + b" "))


def seen(bundle: OpenBundle) -> Found | None:
    """The tree that `verify` reads; None if it refuses it."""
    try:
        tree = read_tree(bundle)
    except VerificationError:
        return None
    found = dict.fromkeys(tree.directories, ("d755", ""))
    for entry in tree.entries:
        found[entry.path] = ("l" if entry.mode == LINK_MODE else f"f{entry.mode:o}", entry.digest)
    return found


def made(top: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    for path in top.rglob("*"):
        name = path.relative_to(top).as_posix()
        if path.is_symlink():
            yield name, ("l", os.readlink(path))  # noqa: PTH115 -- a Path has no empty target
        elif path.is_dir():
            yield name, (f"d{path.stat().st_mode & 0o7777:o}", "")
        else:
            yield name, (f"f{path.stat().st_mode & 0o7777:o}", hashlib.sha256(path.read_bytes()).hexdigest())


def unpacked(tar: str, file: Path, room: Path) -> Found:
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    words = [*(["busybox"] if tar == "busybox" else []), "tar", "-xpof", str(file), "-C", str(room)]
    subprocess.run(words, capture_output=True, check=False, umask=0o022)
    return dict(made(room))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    payload = Payload.make().content
    said = LEAST["payload"] | {"path": "payload.tar", "codec": "none", "size": len(payload), "unpacked_size": 1 << 20}
    said |= {"segments": [{"name": "all", "offset": 0, "length": len(payload), "sha256": "0" * 64}]}
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle/manifest.json").write_text(json.dumps(LEAST | {"payload": said}))
    (tmp_path / "bundle/payload.tar").write_bytes(payload)
    return tmp_path / "bundle"


@pytest.mark.parametrize("seed", range(2))
def test_what_verify_accepts_every_tar_unpacks_to_what_it_saw(bundle: Path, tmp_path: Path, seed: int) -> None:
    chance, payload, opened = random.Random(seed), Payload.make(), open_bundle(bundle)
    accepted, otherwise = 0, []
    for count in range(MUTATED // 2):
        (bundle / "payload.tar").write_bytes(mutated(payload, chance) if count else payload.content)
        found = seen(opened)
        if found is None:
            continue
        accepted += 1
        for tar in TARS:
            if unpacked(tar, bundle / "payload.tar", tmp_path / "room") != found:
                otherwise.append((count, tar))
    assert otherwise == []
    assert accepted > MUTATED // 40
