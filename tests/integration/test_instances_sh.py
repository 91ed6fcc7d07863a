"""The part of install.sh and manage that knows instances, in each shell: which units a file is, what a new one takes
after, when nothing else may be started."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from shellkit import THREE_SHELLS, shell_id, with_functions

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "set -eu\nLC_ALL=C\nPROGRAM=test\nNAME=hello\nIMAGE=\nROOT=$1\nRECORD=$1\nWORK=$1\nRELEASE=1.0\nFROM=\n"


@pytest.fixture(params=THREE_SHELLS, ids=shell_id)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def run(shell: tuple[str, ...], room: Path, script: str) -> list[str]:
    words = [*shell, "-c", with_functions(HEAD + script), "test", str(room)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def test_a_template_is_as_many_units_as_it_says(shell: tuple[str, ...], tmp_path: Path) -> None:
    units = tmp_path / "releases" / "1.0" / "units"
    units.mkdir(parents=True)
    (units / "a-b@.service").write_text("[Unit]\nX-Instances=11\n")
    for name in ("web.service", "a-b.target"):
        (units / name).write_text("[Unit]\n")

    tell = "print_it() { printf '%s\\n' \"$1\"; }\neach_unit_of 1.0 print_it"
    found = run(shell, tmp_path, tell)
    assert found == ["a-b.target", *(f"a-b@{number}.service" for number in range(1, 12)), "web.service"]
    assert run(shell, tmp_path, "file_of a-b@7.service; file_of web.service; number_of a-b@7.service") == [
        "a-b@.service",
        "web.service",
        "7",
    ]
    said = "A=%i %%i x@%i.service %n %%%i 5%-"
    assert run(shell, tmp_path, f"echo '{said}' | as_instance a-b@7.service") == ["A=7 %%i x@7.service %n %%7 5%-"]
    assert run(shell, tmp_path, f"echo '{said}' | as_instance web.service") == [said]


UP, OFF, STOPPED = "enabled active", "disabled inactive", "enabled inactive"


@pytest.mark.parametrize(
    ("before", "was", "unit", "expected"),
    [
        ({}, {}, "worker@1.service", " "),
        ({"worker@1.service": UP, "worker@2.service": OFF}, {}, "worker@3.service", UP),
        ({"worker@1.service": OFF, "worker@2.service": OFF}, {}, "worker@3.service", OFF),
        ({"worker@1.service": STOPPED, "worker.target": UP}, {}, "worker@2.service", STOPPED),
        ({"worker@1.service": UP, "worker@2.service": OFF}, {}, "worker@2.service", OFF),
        ({"worker@1.service": UP}, {"worker@3.service": OFF}, "worker@3.service", OFF),
        ({"worker@1.service": UP}, {"worker@3.service": STOPPED}, "worker@3.service", STOPPED),
        ({"worker@1.service": OFF}, {"worker@3.service": UP}, "worker@3.service", OFF),
        ({"worker@1.service": "enabled failed"}, {}, "worker@2.service", UP),
        ({"worker.service": OFF}, {}, "worker@1.service", OFF),
        ({"worker.service": OFF}, {}, "worker.target", OFF),
        ({"worker.service": "masked inactive"}, {}, "worker.target", OFF),
        ({"worker.service": "static inactive"}, {}, "worker.target", " "),
        ({"worker@1.service": OFF, "worker@2.service": OFF}, {"worker.service": UP}, "worker.service", OFF),
        ({"worker-health@1.timer": UP, "worker@1.service": OFF}, {}, "worker-health@2.timer", UP),
        ({"workers@1.service": OFF, "my-worker@1.service": OFF}, {}, "worker@2.service", " "),
        ({"web.service": OFF}, {"worker.service": UP}, "worker.service", UP),
    ],
)
def test_a_new_one_takes_after_those_that_were_there(
    shell: tuple[str, ...], tmp_path: Path, before: dict[str, str], was: dict[str, str], unit: str, expected: str
) -> None:
    (tmp_path / "states").write_text("".join(f"unit {name} {state}\n" for name, state in before.items()))
    (tmp_path / "owned").write_text("".join(f"was {name} {state}\n" for name, state in was.items()))
    found = run(shell, tmp_path, f"state_before enabled {unit}; state_before active {unit}")
    assert " ".join(found) == expected


@pytest.mark.parametrize(
    ("states", "mode"),
    [
        (("web.service enabled active", "job.service static inactive", "x.service masked inactive"), []),
        (("web.service enabled active", "worker@2.service enabled inactive"), ["--job-mode=ignore-requirements"]),
    ],
)
def test_nothing_is_started_for_another_while_something_is_stopped(
    shell: tuple[str, ...], tmp_path: Path, states: tuple[str, ...], mode: list[str]
) -> None:
    (tmp_path / "states").write_text("".join(f"unit {line}\n" for line in states))
    assert run(shell, tmp_path, "restart_mode") == mode
