"""CONDA_BUNDLER_KEEP: the machine of a test that has failed can be entered with the command that is printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from keeping import KEEP

pytestmark = pytest.mark.e2e

CHECKOUT = Path(__file__).parent.parent.parent
HEAD = """
import pytest
from bundler.machine import Machine, rootfs

@pytest.fixture
def machine():
    with Machine(rootfs("bookworm")) as machine:
        yield machine
"""
TESTS = {
    "in its own block": """
def test_it():
    with Machine(rootfs("bookworm")) as machine:
        machine.put("/root/trace", b"left here")
        assert 1 == 2
""",
    "in a fixture": """
def test_it(machine):
    machine.put("/root/trace", b"left here")
    assert 1 == 2
""",
}


def pytest_on(room: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    """A pytest that does not take itself for a worker of the one that runs this."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.Popen(
        [*words, "-c", str(CHECKOUT / "pyproject.toml"), "--rootdir", str(CHECKOUT), str(room)],
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


@pytest.fixture(params=TESTS)
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text("from keeping import keep_machines as pytest_configure\n")
    (tmp_path / "test_fails.py").write_text(HEAD + TESTS[request.param])
    return tmp_path


def test_the_machine_is_there_until_it_is_powered_off(room: Path) -> None:
    with pytest_on(room, **{KEEP: "1"}) as running:
        try:
            assert running.stdout
            said = []
            for line in running.stdout:
                said.append(line)
                if "nsenter" in line:
                    break
            assert "assert 1 == 2" in "".join(said)
            entered = subprocess.run(
                said[-1],
                shell=True,
                input="cat trace; systemctl poweroff\n",
                capture_output=True,
                text=True,
                check=False,
            )
            assert "left here" in entered.stdout, entered.stderr
            rest = running.stdout.read()
            assert running.wait(60) == 1
            assert "1 failed" in rest
        finally:
            running.kill()


def test_without_it_nothing_waits_and_several_processes_are_refused(room: Path) -> None:
    with pytest_on(room, **{KEEP: ""}) as plain:
        said, _ = plain.communicate(timeout=120)
        assert ("1 failed" in said, "nsenter" in said) == (True, False)
    with pytest_on(room, "-n", "2", **{KEEP: "1"}) as several:
        said, _ = several.communicate(timeout=120)
        assert f"{KEEP} needs a single process" in said
