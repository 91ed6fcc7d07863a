from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundler.errors import SmokeError
from bundler.machine import Answer, Disk
from bundler.smoke.read import expand, mask, parse_answer, parse_exposure, parse_os, parse_secrets, parse_show
from bundler.smoke.report import Health, HttpAnswer, Install, ServiceReport, SmokeReport
from bundler.smoke.run import disk_for

if TYPE_CHECKING:
    from pathlib import Path

SHOWN = """\
Type=exec
MainPID=213
NRestarts=0
Result=success
LoadState=loaded
ActiveState=active
SubState=running
"""
RUNNING = ServiceReport(
    unit="hello.service",
    load_state="loaded",
    active_state="active",
    sub_state="running",
    kind="exec",
    result="success",
    main_pid=213,
    restarts=0,
)
GOOD = Health(unit="hello-health.service", status=0, seconds=0.25)


def report_of(*services: ServiceReport, status: int = 0) -> SmokeReport:
    return SmokeReport(
        bundle="hello-1.2.0-linux-64.tar",
        name="hello",
        release="1.2.0-3f2a9c1d8e4b",
        system="Debian bookworm",
        systemd=252,
        boot_seconds=0.5,
        install=Install(status=status, seconds=3.25, output="unpacking\nno space\n"),
        services=services,
    )


def test_show_is_read() -> None:
    assert parse_show("hello.service", SHOWN) == RUNNING


def test_show_of_nothing_is_not_healthy() -> None:
    report = parse_show("hello.service", "")
    assert not report.healthy
    assert report.lines()[1].split() == ["state", "not", "installed", "(unknown),", "0", "restarts"]


@pytest.mark.parametrize(
    ("change", "healthy"),
    [
        ({}, True),
        ({"health": GOOD}, True),
        ({"health": replace(GOOD, status=1)}, False),
        ({"restarts": 1}, False),
        ({"active_state": "activating", "sub_state": "auto-restart"}, False),
        ({"active_state": "failed", "result": "exit-code"}, False),
        ({"load_state": "not-found"}, False),
        ({"active_state": "inactive", "sub_state": "dead"}, False),
        ({"active_state": "inactive", "sub_state": "dead", "kind": "oneshot"}, True),
        ({"active_state": "inactive", "sub_state": "dead", "kind": "oneshot", "timer": "x.timer active"}, True),
        ({"active_state": "inactive", "sub_state": "dead", "kind": "oneshot", "timer": "x.timer inactive"}, False),
        ({"active_state": "inactive", "sub_state": "dead", "kind": "oneshot", "result": "exit-code"}, False),
    ],
)
def test_healthy(change: dict[str, object], healthy: bool) -> None:
    assert replace(RUNNING, **change).healthy is healthy  # type: ignore[arg-type]  # the table's values fit


def test_one_sick_service_is_enough() -> None:
    assert report_of(RUNNING, RUNNING).healthy
    assert not report_of(RUNNING, replace(RUNNING, restarts=2)).healthy
    assert not report_of(RUNNING, status=12).healthy


def test_what_decides_is_named_and_nothing_else_does() -> None:
    sick = replace(RUNNING, unit="job.service", health=replace(GOOD, unit="job-health.service", status=1))
    report = report_of(replace(RUNNING, health=GOOD), sick, replace(RUNNING, unit="old.service", restarts=2))
    assert report.tests() == (
        ("install.sh", True),
        ("hello.service", True),
        ("hello-health.service", True),
        ("job.service", True),
        ("job-health.service", False),
        ("old.service", False),
    )
    assert not report.healthy
    assert report_of(status=12).tests() == (("install.sh", False),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n', "Debian GNU/Linux 12 (bookworm)"),
        ("PRETTY_NAME='Fedora Linux 40'\nID=fedora\n", "Fedora Linux 40"),
        ("PRETTY_NAME=Arch\n", "Arch"),
        ("ID=x\nNOT_PRETTY_NAME=y\n", ""),
        ("", ""),
    ],
)
def test_what_a_system_calls_itself(text: str, expected: str) -> None:
    assert parse_os(text) == expected


def test_lines_of_a_healthy_bundle() -> None:
    service = replace(
        RUNNING,
        user="hello",
        executable="/opt/hello/releases/1/env/bin/python3.11",
        health=GOOD,
        http=HttpAnswer(url="http://127.0.0.1:8000/healthz", status=200, body="ok\n"),
        exposure="1.4 OK",
    )
    assert report_of(service).lines() == (
        "hello 1.2.0-3f2a9c1d8e4b on Debian bookworm, systemd 252: healthy",
        "  booted in 0.5 s",
        "  install.sh exited with 0 after 3.2 s",
        "hello.service: healthy",
        "  state     active (running), 0 restarts",
        "  process   213, user hello, /opt/hello/releases/1/env/bin/python3.11",
        "  health    good after 0.2 s (hello-health.service)",
        "  http      200 from http://127.0.0.1:8000/healthz: 'ok\\n'",
        "  exposure  1.4 OK",
    )


def test_lines_of_a_failure_show_what_was_said() -> None:
    failed = replace(RUNNING, active_state="failed", sub_state="failed", result="exit-code", main_pid=0)
    text = "\n".join(report_of(replace(failed, journal=("boom",)), status=15).lines())
    assert text.startswith("hello 1.2.0-3f2a9c1d8e4b on Debian bookworm, systemd 252: UNHEALTHY\n")
    assert "install.sh exited with 15" in text
    assert "  | no space\n" in text
    assert "  state     failed (failed), exit-code, 0 restarts\n" in text
    assert text.endswith("  | boom")


def test_document_is_json_and_carries_the_verdicts() -> None:
    document = json.loads(json.dumps(report_of(RUNNING, replace(RUNNING, restarts=1)).document()))
    assert document["healthy"] is False
    assert [service["healthy"] for service in document["services"]] == [True, False]
    assert document["install"] == {"status": 0, "seconds": 3.25, "output": "unpacking\nno space\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  NAME  DESCRIPTION\n\n→ Overall exposure level for hello.service: 1.4 OK 🙂\n", "1.4 OK"),
        ("-> Overall exposure level for a-b.service: 10.0 DANGEROUS", "10.0 DANGEROUS"),
        ("Unit hello.service not found.", ""),
    ],
)
def test_exposure(text: str, expected: str) -> None:
    assert parse_exposure(text) == expected


def test_url_is_filled_from_the_process_environment() -> None:
    environment = "PORT=8080\0EMPTY=\0PATH=/a=b\0"
    assert expand("http://127.0.0.1:${PORT}/x${EMPTY}", environment) == "http://127.0.0.1:8080/x"
    assert expand("http://127.0.0.1:${NOWHERE}/", environment) is None
    assert expand("http://127.0.0.1:1/$PORT", "") == "http://127.0.0.1:1/$PORT"
    assert expand("unix:{runtime}/web.sock:/healthz", environment) is None


def test_answer_of_the_client() -> None:
    answer = Answer(status=0, stdout="503\nnot yet: s3cret!\n", stderr="")
    assert parse_answer("u", answer, ["s3cret!"]) == HttpAnswer(url="u", status=503, body="not yet: ***\n")
    refused = Answer(status=1, stdout="", stderr="noise\nConnection refused\n")
    assert parse_answer("u", refused, []) == HttpAnswer(url="u", status=0, body="Connection refused")


def test_secret_values_are_found_and_hidden() -> None:
    text = '# made here\nRELEASE_COOKIE=0123456789abcdef\nQUOTED="a b\\"c"\nLONG=\'one line\ntwo lines\'\nTINY=a\n'
    hidden = parse_secrets(text)
    assert set(hidden) == {"0123456789abcdef", 'a b"c', "one line", "two lines"}
    assert mask('cookie 0123456789abcdef, a b"c, a', hidden) == "cookie ***, ***, a"


def test_a_longer_secret_goes_first() -> None:
    assert mask("abcdef", parse_secrets("SHORT=abcd\nLONGER=abcdef\n")) == "***"


def test_unbalanced_quotes_hide_all_the_same() -> None:
    assert parse_secrets("A=it's-secret\n") == ("it's-secret",)


def test_a_small_bundles_machine_lives_in_memory() -> None:
    assert disk_for(20_000_000, 60_000_000) == Disk()


def test_a_large_bundles_machine_lives_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path))
    disk = disk_for(700 << 20, 700 << 20)
    assert disk.directory == tmp_path / "machines"
    assert int(disk.size) > 2 * (700 << 20)


def test_a_disk_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path))
    with pytest.raises(SmokeError, match=r"needs 1\d+\.\d GB, but only .* GB are free") as refused:
        disk_for(10**21, 10**20)
    assert "CONDA_BUNDLER_CACHE" in str(refused.value.remedy)


def test_a_machine_that_is_no_boundary_is_told() -> None:
    closed, opened = report_of(RUNNING), replace(report_of(RUNNING), open_because="this kernel has no user namespaces")
    assert not any("not isolated" in line for line in closed.lines())
    assert any("not isolated: this kernel has no user namespaces, so root" in line for line in opened.lines())
    assert opened.document()["open_because"] == "this kernel has no user namespaces"
