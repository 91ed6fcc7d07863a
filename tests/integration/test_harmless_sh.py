"""What services and packages say never steers an administrator's terminal; under each shell, with each one's tools."""

from __future__ import annotations

import subprocess

import pytest
from shellkit import SHELL_IDS, SHELLS, with_functions

STARTS = (
    "set -eu\nLC_ALL=C\nexport LC_ALL\nNAME=hello RELEASE=1.0 PROGRAM=install.sh SECRETS=/none RECORD=/none ETC=/none\n"
)
EVIL = (
    (b"\x1b]0;title\x07", rb"\0033]0;title\0007"),
    (b"a\x1b[1A\x1b[2K\rb", rb"a\0033[1A\0033[2K\0015b"),
    (b"a\x00b\x7f", rb"ab\0177"),
    ("größer 😀".encode(), "größer 😀".encode()),
    (b"\xc2\x9b2J \xc3\xa9", rb"\0302\02332J \0303\0251"),  # U+009B begins a sequence, too
    (b"\x9b2J", rb"\02332J"),
    ("\u202eabc".encode(), rb"\0342\0200\0256abc"),  # from right to left
    ("\u2066abc".encode(), rb"\0342\0201\0246abc"),
    ("\u2013 \u201cabc\u201d \u20ac".encode(), "\u2013 \u201cabc\u201d \u20ac".encode()),
)


def run(shell: tuple[str, ...], script: str, *, stdin: bytes = b"", words: tuple[bytes, ...] = ()) -> bytes:
    text = with_functions(STARTS + script)
    done = subprocess.run([*shell, "-c", text, "sh", *words], input=stdin, capture_output=True, check=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_every_control_character_is_written_out(shell: tuple[str, ...]) -> None:
    lines = b"".join(line + b"\n" for line, _ in EVIL)
    assert run(shell, "harmless", stdin=lines + b"a\tb\n").splitlines() == [*(told for _, told in EVIL), rb"a\0011b"]
    every = bytes(range(256)).replace(b"\n", b"")
    told = run(shell, "harmless", stdin=every)
    assert set(told) <= set(range(0x20, 0x7F)), told


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_sentences(shell: tuple[str, ...]) -> None:
    for line, told in EVIL:
        if b"\0" not in line:
            assert run(shell, 'say "$1"; warn "$1" "$1"', words=(line,)).splitlines() == [
                b"hello 1.0: " + told,
                b"install.sh: warning: " + told,
                b"  " + told,
            ]


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
def test_the_end_of_a_journal(shell: tuple[str, ...]) -> None:
    """Of a service that has failed, by its own words."""
    script = "unlocked() { cat; }; masked() { cat; }; journal_tail hello.service 2>&1"
    told = run(shell, script, stdin=b"one\ttwo\n\x1b]52;c;cm0=\x07line\n").splitlines()
    assert told == [b"  the last lines of hello.service:", b"    one\ttwo", rb"    \0033]52;c;cm0=\0007line"]
