"""What was hashed before is known again at its place, and nothing else is taken for it."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.pack.known import Checks, Known
from bundler.sealed import write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = b"as it was built"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """Of :data:`CONTENT`."""
    known = Known(tmp_path / "note")
    assert found(known, CONTENT, SHA256) == SHA256
    known.keep()
    return tmp_path / "note"


def found(known: Known, content: bytes, *declared: str, place: str = "env/x") -> str | None:
    digest = known.digest(place, declared)
    for start in range(0, len(content), 4):
        digest.update(memoryview(content)[start : start + 4])
    return digest.sha256()


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_only_the_same_content_is_the_same(first: bytes, second: bytes) -> None:
    known, sha256 = Known(), hashlib.sha256(first).hexdigest()
    for _ in range(2):  # taken, and then known
        assert found(known, first, sha256) == sha256
        assert found(known, second, sha256) == (sha256 if first == second else None)


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_changed_bit_is_seen(content: bytes, data: st.DataObject) -> None:
    known, sha256 = Known(), hashlib.sha256(content).hexdigest()
    found(known, content, sha256)
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    assert found(known, bytes(changed), sha256) is None


@given(st.lists(st.binary(max_size=20)))
def test_pieces_come_to_the_whole(pieces: list[bytes]) -> None:
    whole, parts = Checks(), Checks()
    whole.update(b"".join(pieces))
    for piece in pieces:
        parts.update(piece)
    assert parts.value == whole.value


def test_what_is_known_is_not_hashed_again(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(note)
    monkeypatch.delattr(hashlib, "sha256")
    assert found(known, CONTENT, SHA256) == SHA256
    assert found(known, b"something else", SHA256) is None


def test_one_of_several_may_be_unknown(note: Path) -> None:
    """Of a file that two packages have."""
    assert found(Known(note), CONTENT, OTHER, SHA256) == SHA256
    assert found(Known(note), b"another", OTHER, SHA256) == OTHER
    assert found(Known(note), b"neither", OTHER, SHA256) is None


def test_without_a_declaration_it_is_taken() -> None:
    assert found(Known(), CONTENT) == SHA256


@given(st.lists(st.sampled_from([CONTENT, b"another", b"", b"as it was bent_"])))
def test_what_nobody_declares_is_hashed_once(contents: list[bytes]) -> None:
    known = Known()
    for number, content in enumerate(contents):
        assert known.sha256(f"{number}", content) == hashlib.sha256(content).hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(hashlib, "sha256")
        again = [known.sha256(f"{number}", content) for number, content in enumerate(contents)]
    assert again == [hashlib.sha256(content).hexdigest() for content in contents]


def test_what_nobody_declares_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(tmp_path / "note")
    assert known.sha256("env/x", CONTENT) == SHA256
    known.keep()
    read = Known(tmp_path / "note")
    monkeypatch.delattr(hashlib, "sha256")
    assert read.sha256("env/x", CONTENT) == SHA256


def test_other_content_is_not_noted(tmp_path: Path) -> None:
    known = Known(tmp_path / "note")
    assert found(known, b"other", SHA256) is None
    known.keep()
    assert not (tmp_path / "note").exists()


def knows(known: Known) -> bool:
    """Whether the content need not be hashed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(hashlib, "sha256")
        try:
            return found(known, CONTENT, SHA256) == SHA256
        except AttributeError:
            return False


@pytest.mark.parametrize("rows", [struct.pack(">32sQII", bytes(32), 1, 2, 3) * 4, b"by place" + bytes(65), b""])
def test_a_note_of_another_form_is_none(tmp_path: Path, rows: bytes) -> None:
    write_sealed(tmp_path / "note", rows)
    assert not knows(Known(tmp_path / "note"))


def colliding() -> tuple[bytes, bytes]:
    """Two contents of the same length, CRC-32 and Adler-32.

    Bits that are CRC-32's polynomial change no CRC. Here they are set at two places and cleared at two, in such
    an order that neither the sum of the bytes changes nor that of the sums.
    """
    bits = f"{0x104C11DB7:033b}"
    set_ = int(bits[::-1], 2).to_bytes(5, "little")
    clear = bytes(5)
    return b"".join((clear, set_, set_, clear)), b"".join((set_, clear, clear, set_))


def test_no_content_is_taken_for_another_with_the_same_checks(note: Path) -> None:
    """One package's author makes two files of the same checks, and declares the digest of the one for both."""
    first, second = colliding()
    sha256 = [hashlib.sha256(content).hexdigest() for content in (first, second)]
    checks = Checks(), Checks()
    checks[0].update(first)
    checks[1].update(second)
    assert (checks[0].value, first) != (checks[1].value, second)
    assert checks[0].value == checks[1].value
    known = Known(note)
    for _ in range(2):
        assert found(known, first, sha256[0], place="env/first") == sha256[0]
        assert found(known, second, sha256[0], place="env/second") is None
        assert known.sha256("env/first.pyc", first) == sha256[0]
        assert known.sha256("env/second.pyc", second) == sha256[1]
        known.keep()
        known = Known(note)


def test_a_modules_bytecode_has_two_digests_at_one_place(tmp_path: Path) -> None:
    """That of what its package declares, and that of what is packed, which differs in its header."""
    first, second = colliding()
    known = Known(tmp_path / "note")
    sha256 = hashlib.sha256(first).hexdigest()
    assert found(known, first, sha256) == sha256
    assert known.sha256("env/x", second) == hashlib.sha256(second).hexdigest()


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: b"\1" + text[1:], lambda _: b""])
def test_a_damaged_note_is_none(note: Path, damage: Callable[[bytes], bytes]) -> None:
    content = note.read_bytes()
    note.write_bytes(damage(content))
    known = Known(note)
    assert not knows(known)
    assert found(known, CONTENT, SHA256) == SHA256
    known.keep()
    assert note.read_bytes() == content


def test_a_note_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    known = Known(tmp_path / "no such room" / "note")
    assert found(known, CONTENT, SHA256) == SHA256
    known.keep()
