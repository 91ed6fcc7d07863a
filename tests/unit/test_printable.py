"""Nothing that archives, servers or other programs say steers the terminal that it is shown on."""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest
from click.testing import CliRunner

from bundler import cli
from bundler.commandline import group
from bundler.errors import BundlerError, DamagedCacheError, VerificationError
from bundler.pack.collect import Note
from bundler.printable import counted, printable, printable_lines
from bundler.progress import PlainProgress, RichProgress
from bundler.smoke.report import Install, ServiceReport, SmokeReport

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "a\0b\x1b[31mc\x7fd\x85e\x9b2Jf\u202eg\u2066h\u2028i\udc80j\rk"
HARMLESS = r"a\x00b\x1b[31mc\x7fd\x85e\x9b2Jf\u202eg\u2066h\u2028i\udc80j\rk"


def test_everything_that_is_not_printable_is_written_out() -> None:
    assert printable(EVIL) == HARMLESS
    assert printable("a\tb\nc") == r"a\tb\nc"
    assert printable("größer 😀 [b]") == "größer 😀 [b]"
    assert printable_lines(f"a\tb\n{EVIL}\n") == f"a\tb\n{HARMLESS}\n"


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    error = BundlerError(f"{EVIL}\n  - second", where=f"{EVIL}\nx", remedy=EVIL)
    error.show()
    assert capsys.readouterr().err == f"error: {HARMLESS}\\nx: {HARMLESS}\n  - second\n  {HARMLESS}\n"
    file = io.StringIO()
    error.show(file)
    assert HARMLESS in file.getvalue()
    assert error.document()["message"].startswith(EVIL)  # JSON has its own way to write it
    assert r"lib/\nx in the package cache" in DamagedCacheError("lib/\nx", packages=("a-1-0",)).format_message()
    note = str(Note(kind="clobber", package="p\n", path="lib/\x1b", owner="q"))
    assert note == r"lib/\x1b: q's copy is used instead of p\n's"


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    for progress in (PlainProgress(), RichProgress()):
        progress.step(f"note: {EVIL}")
        assert "".join(capsys.readouterr().err.split("\n")) == f"note: {HARMLESS}"
    with PlainProgress().task(EVIL, 1):
        assert capsys.readouterr().err == f"{HARMLESS}\n"
    with RichProgress().task(f"[b]{EVIL}", 1), RichProgress().transfer(f"[b]{EVIL}", 1):
        pass
    assert not {"\0", "\x9b", "\u202e"} & set(capsys.readouterr().err)


def test_what_other_programs_say_under_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "argv", ["conda-bundler"])
    group._set_up_output(lines=False, level=logging.DEBUG)
    logging.getLogger("bundler.process").debug("  %s", EVIL)
    assert capsys.readouterr().err == f"  {HARMLESS}\n"


def test_what_a_bundle_and_its_machine_have_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    service = ServiceReport(
        unit="hello.service",
        load_state="loaded",
        active_state="failed",
        sub_state="failed",
        kind="exec",
        result="exit-code",
        main_pid=0,
        restarts=0,
        journal=(EVIL,),
    )
    report = SmokeReport(
        bundle="hello.tar",
        name="hello",
        release="1.0",
        system="bookworm",
        systemd=252,
        boot_seconds=1,
        install=Install(status=15, seconds=1, output=EVIL.replace("\u2028", "").replace("\r", "")),
        services=(service,),
    )

    def refuse(*_arguments: object) -> NoReturn:
        raise VerificationError(f"{EVIL} is not part of the bundle", where=EVIL)

    monkeypatch.setattr("bundler.smoke.run.smoke", lambda *_: report)
    monkeypatch.setattr("bundler.reader.verify.verify", refuse)
    (tmp_path / "hello.tar").touch()
    for command in ("smoke", "verify"):
        said = CliRunner().invoke(cli.cli, [command, str(tmp_path / "hello.tar")])
        assert HARMLESS in said.output
        assert not {"\x1b", "\x9b", "\x7f", "\0", "\u202e"} & set(said.output + said.stderr)


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1.0, "1 file"), (1.5, "1.5 files"), (12345678, "12345678 files")],
)
def test_one_is_not_several(number: float, told: str) -> None:
    assert counted(number, "file") == told


def test_a_plural_of_its_own() -> None:
    assert [counted(number, "entry", "entries") for number in (1, 2)] == ["1 entry", "2 entries"]
