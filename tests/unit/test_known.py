"""What was hashed before is known again, and nothing else is taken for it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.pack.known import Checks, Known

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


def found(known: Known, content: bytes, *declared: str) -> str | None:
    digest = known.digest(declared)
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
    for content in contents:
        assert known.sha256(content) == hashlib.sha256(content).hexdigest()
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(hashlib, "sha256")
        again = [known.sha256(content) for content in contents]
    assert again == [hashlib.sha256(content).hexdigest() for content in contents]


def test_what_nobody_declares_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(tmp_path / "note")
    assert known.sha256(CONTENT) == SHA256
    known.keep()
    read = Known(tmp_path / "note")
    monkeypatch.delattr(hashlib, "sha256")
    assert read.sha256(CONTENT) == SHA256


def test_other_content_is_not_noted(tmp_path: Path) -> None:
    known = Known(tmp_path / "note")
    assert found(known, b"other", SHA256) is None
    known.keep()
    assert not (tmp_path / "note").exists()


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: b"\1" + text[1:], lambda _: b""])
def test_a_damaged_note_is_none(note: Path, damage: Callable[[bytes], bytes]) -> None:
    content = note.read_bytes()
    note.write_bytes(damage(content))
    known = Known(note)
    assert known.of(SHA256) is None
    assert found(known, CONTENT, SHA256) == SHA256
    known.keep()
    assert note.read_bytes() == content


def test_a_note_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    known = Known(tmp_path / "no such room" / "note")
    assert found(known, CONTENT, SHA256) == SHA256
    known.keep()
