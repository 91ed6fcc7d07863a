"""Foreign bytes for every parser of them: what a file may be at its worst, and what a parser may do then.

It returns, or raises a :class:`~bundler.errors.BundlerError`. Anything else, an exception of another kind, a crash of a
library in C or Rust, more than :data:`PATIENCE` seconds, or a file outside of its room, is a mistake of ours.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from bundler.errors import BundlerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Target", "bytes_like", "fuzz", "texts_like", "twisted"]

PATIENCE = 10
"""Seconds that one input may take: many times what it takes."""

_WORDS = (
    *("..", "../../x", "/etc/x", "%2F", "%2e%2e", "\\", "\0", "\x1b[31m", "\n", "\r\n", "\u2028", "\ufeff", "\udc80"),
    *("$HOME", "${TOKEN}", "%h", "{app}", "'", '"', "`id`", "$(id)", ";", "#", "&a", "*a", "!!python/none", "<<"),
    *("-1", "0", "1e999", "NaN", "9" * 30, "9" * 5000, "0x", "0b", "1_", "2024-99-99", "true", "null", "~", "[", "{"),
    *("[" * 3000, "{" * 3000, "a.b." * 100, "é", "\U0001f600", " ", "", "a" * 300),
    *("https://[::1/", "https://h:99999/x", "http://u@h/?a=b", "file://h/x", "git+https://h", "data:,x"),
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    float("inf"),
    [],
    {},
    [[]],
    {"": None},
    [None],
    [0],
    {"a": {"b": []}},
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """``inputs`` are given to ``run`` one by one, each with an empty directory."""

    name: str
    inputs: st.SearchStrategy[Any]
    run: Callable[[Any, Path], object]

    def __str__(self) -> str:
        return self.name


class _HangError(BaseException):
    """It took too long."""


def fuzz(target: Target, *, seconds: float, examples: int = 100, number: int | None = None) -> int:
    """Run ``target`` for ``seconds``, or on ``examples`` inputs if that is less and ``number`` is given; how many."""
    end, count, failed = time.monotonic() + seconds, 0, False
    round_ = number or int.from_bytes(os.urandom(4), "big")

    def once(value: Any) -> None:
        nonlocal count, failed
        if not failed and time.monotonic() > end:
            return
        count += 1
        try:
            _survive(target, value)
        except BaseException:
            failed = True  # from here on hypothesis looks for a smaller one
            raise

    while time.monotonic() < end:
        checked = given(target.inputs)(once)
        checked = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            print_blob=False,
            phases=[Phase.generate] if number is not None else [Phase.generate, Phase.shrink],
            suppress_health_check=[*HealthCheck],
        )(checked)
        seed(round_)(checked)()
        round_ += 1
        if number is not None:
            break
    return count


def _survive(target: Target, value: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="conda-bundler-fuzz-") as name:
        outer = Path(name)
        room = outer / "a" / "b" / "room"
        room.mkdir(parents=True)
        here = Path.cwd()
        os.chdir(room)
        try:
            with _in_time():
                target.run(value, room)
        except BundlerError as error:
            _check_sentence(error)
        except Exception as error:
            raise AssertionError(f"{target}: {type(error).__name__}: {error}") from error
        finally:
            os.chdir(here)
            left = sorted(path.relative_to(outer).as_posix() for path in _all_below(outer) if room not in path.parents)
            shutil.rmtree(room, ignore_errors=True)
        assert left == ["a", "a/b", "a/b/room"], f"{target} has written outside: {left}"


def _check_sentence(error: BundlerError) -> None:
    text = error.format_message()
    assert error.message.strip(), "it says nothing"
    assert text.replace("\n", "").isprintable(), f"it is not printable: {text!r}"
    json.dumps(error.document())


def _all_below(directory: Path) -> Iterator[Path]:
    for parent, directories, files in os.walk(directory):
        yield from (Path(parent, child) for child in (*directories, *files))


@contextmanager
def _in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise _HangError(f"it takes more than {PATIENCE} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@st.composite
def bytes_like(draw: st.DrawFn, *seeds: bytes) -> bytes:
    """One of ``seeds`` with a few changes, which may be none, or of another kind altogether."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 5))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.sampled_from([0, 1, 1, 2, 4, 8, 16, 100, 512, 10_000])))
        kind = draw(st.sampled_from(["word", "bytes", "cut", "again", "flip", "number"]))
        if kind == "word":
            data[begin:end] = draw(st.sampled_from(_WORDS)).encode("utf-8", "surrogatepass")
        elif kind == "bytes":
            data[begin:end] = draw(st.binary(max_size=20))
        elif kind == "cut":
            del data[begin:end]
        elif kind == "again":
            data[begin:begin] = data[begin:end]
        elif kind == "flip" and begin < len(data):
            data[begin] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            width = draw(st.sampled_from([2, 4, 8]))
            data[begin : begin + width] = draw(st.sampled_from([0, 1, 2 ** (8 * width) - 1])).to_bytes(width, "little")
    return bytes(data)


def texts_like(*seeds: str) -> st.SearchStrategy[bytes]:
    """The same of texts, as the bytes of a file."""
    return bytes_like(*(text.encode() for text in seeds))


@st.composite
def twisted(draw: st.DrawFn, document: Any) -> Any:
    """``document`` (JSON's types) with a few values that are not what they should be, that are missing or too many."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 4))):
        places = [*_places(document)]
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["value", "value", "word", "within", "gone", "more"]))
        if kind == "gone":
            del holder[key]
        elif kind == "more" and isinstance(holder, dict):
            holder[draw(st.sampled_from(_WORDS))] = copy.deepcopy(holder[key])
        elif kind == "more":
            holder.append(copy.deepcopy(holder[key]))
        elif kind == "within" and isinstance(holder[key], str):
            text = holder[key]
            cut = draw(st.integers(0, len(text)))
            holder[key] = text[:cut] + draw(st.sampled_from(_WORDS)) + text[cut:]
        else:
            holder[key] = copy.deepcopy(draw(st.sampled_from(_WORDS if kind == "word" else _VALUES)))
    return document


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key
        yield from _places(value)
