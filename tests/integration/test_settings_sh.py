"""What install.sh and ``manage status`` say of lines in the operator's settings, and which places they take."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import THREE_SHELLS, shell_id, with_functions

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "set -eu\nLC_ALL=C\nPROGRAM=test\nNAME=hello\nRELEASE=1.0\nETC=$1\n"
TELL = 'tell() { printf "%s %s\\n" "$1" "$2"; }; each_odd_setting "$1/hello.env" tell'

CASES: dict[bytes, str] = {
    b"export A=1\n": "1 systemd ignores a line with export",
    b"A = 1\n": "1 there are spaces around the =",
    b"A=1\nnonsense\n": "2 it is not of the form NAME=value",
    b"1A=x\n": "1 the text before the = is not a variable name",
    b"A-B=x\n": "1 the text before the = is not a variable name",
    b"A=/x/$HOME\n": "1 systemd expands no $",
    b'\n\nA="$B"\n': "3 systemd expands no $",
    b'A="x\n$B"\n': "2 systemd expands no $",
    b"A=x # y\n": "1 the # does not begin a comment",
    b"A=x\\\nB=2\n": "1 the backslash at the end continues",
    b"# x\\\nA=1\n": "1 a comment that ends with a backslash",
    b'B=1\nA="x\nC=2\n': "2 the quote is not closed",
    b"A=1\r\nB=2\r\n": "1 it ends with CR LF",
    b"\xef\xbb\xbfA=1\n": "1 the file begins with a byte order mark",
    b'A="x" # y\n': "1 the text after the closing quote is part of the value",
    b"A='x' B=2\n": "1 the text after the closing quote is part of the value",
    b"A='x'\"y\" # z\n": "1 the text after the closing quote is part of the value",
    b'A="x\ny" # z\n': "2 the text after the closing quote is part of the value",
    b"A=1; B=2\n": "1 the ; or && and the text after it are part of the value",
    b"A=1;\n": "1 the ; or && and the text after it are part of the value",
    b"A=1 && B=2\n": "1 the ; or && and the text after it are part of the value",
    b"A=$'x'\n": "1 systemd expands no $",
    b"A=\xe2\x80\x9cx y\xe2\x80\x9d\n": "1 typographic quotes are part of the value",
    b"A=1\nB=x\0y\n": "1 there is a NUL byte in the file; systemd ignores all of it",
    b"A=1\nB=\xff\xfe\n": "2 it is not UTF-8",
}
QUIET = (
    b'A=two words\nB=\'$C \\\'\nC="a\\$b"\nD=caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\x89\n  E=1\nF=\nG=a#b\nH="a\nb=c"\n',
    b"# ends without one\nA=1",
    b'A=\'x\'"y"\nB="a"b\nC=\'x\'  \nD={"k": "v w"}\nE=it\'s\nF=host=db port=5\nG=a;b=c\nH=x?a=1&b=2\nI=(1 2)\n',
    b"A=x\\\\\nB=5$\n",
    b"",
)


@pytest.fixture(params=THREE_SHELLS, ids=shell_id)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def run(shell: tuple[str, ...], script: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    text = with_functions(HEAD + script)
    return subprocess.run([*shell, "-c", text, "test", *words], capture_output=True, text=True, check=False)


def test_a_line_that_systemd_reads_otherwise_is_told(shell: tuple[str, ...], tmp_path: Path) -> None:
    for content, said in CASES.items():
        (tmp_path / "hello.env").write_bytes(content)
        done = run(shell, TELL, tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), content
        assert done.stdout.startswith(said), content
        assert len(done.stdout.splitlines()) == 1, (content, done.stdout)


def test_other_lines_are_not(shell: tuple[str, ...], tmp_path: Path) -> None:
    for content in QUIET:
        (tmp_path / "hello.env").write_bytes(content)
        done = run(shell, TELL, tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), content


def test_a_value_is_never_told(shell: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "hello.env").write_text('export TOKEN=hunter2\nhunter2\nA="hunter2 $x\nhunter2')
    assert "hunter2" not in run(shell, TELL, tmp_path).stdout


def test_places_that_the_operator_has_prepared(shell: tuple[str, ...], tmp_path: Path) -> None:
    """An empty directory or volume, and one's own settings; nothing that holds, or may get, somebody else's."""
    etc, state, full, open_to_all = (tmp_path / name for name in ("etc", "state", "full", "open"))
    for place in (etc, state, full, open_to_all):
        place.mkdir(mode=0o755)
    (etc / "hello.env").write_text("PORT=1\n")
    (state / "lost+found").mkdir()
    (full / "data").touch()
    open_to_all.chmod(0o777)
    (tmp_path / "link").symlink_to(state)
    test = 'etc=$1; shift; for d in "$@"; do if is_prepared "$d"; then echo yes; else echo no; fi; done'
    places = (etc, state, full, open_to_all, tmp_path / "link", tmp_path / "missing")
    assert run(shell, test, etc, *places).stdout.split() == ["yes", "yes", "no", "no", "no", "no"]
    (etc / "hello.env").chmod(0o666)
    assert run(shell, test, etc, etc).stdout.split() == ["no"]
    (etc / "hello.env").chmod(0o640)
    (etc / "other").touch()
    assert run(shell, test, etc, etc).stdout.split() == ["no"]


def test_what_is_to_be_done_with_a_place_that_is_not_taken(shell: tuple[str, ...], tmp_path: Path) -> None:
    """An empty volume stays where it is: it cannot be moved away, and only its rights are wrong."""
    etc, mine, volume = (tmp_path / name for name in ("etc", "mine", "volume"))
    for place in (etc, mine, volume):
        place.mkdir(mode=0o755)
    (etc / "hello.env").touch()
    (etc / "tls.pem").touch()
    (mine / "data").touch()
    (volume / "lost+found").mkdir()
    volume.chmod(0o1777)  # what a tmpfs has
    script = "SECRETS=$1/none RECORD=$1/none; owns() { return 1; }; other_records() { :; }; DIRECTORIES=$2; "
    for place, said in (
        (
            volume,
            f"{volume} is empty, but writable by non-root users\n  Correct it: chown root {volume}; chmod 7",
        ),
        (
            etc,
            f"{etc} was not created by this installer, and contains more than a hello.env owned by root\n  Move",
        ),
        (
            mine,
            f"{mine} exists and was not created by this installer\n  Move it away, or give the bundle another name.",
        ),
    ):
        done = run(shell, f"{script} check_directories", etc, place)
        assert said in done.stderr
        assert done.stderr.count("error:") == 1
