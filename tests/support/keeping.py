"""``CONDA_BUNDLER_KEEP=1 pytest tests/e2e/test_x.py``: keep the machines of a failing test running, and print how to
get a root shell on each.

A machine ends with the process that booted it, so pytest waits until all of them are powered off, or for Ctrl-C.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from bundler.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["KEEP", "Keeping", "enter", "keep_machines"]

KEEP = "CONDA_BUNDLER_KEEP"
_SHELL = "cd; command -v bash >/dev/null && exec bash -l; exec sh -l"


def keep_machines(config: pytest.Config) -> None:
    """For ``pytest_configure``. Raises UsageError if nobody could read what is said."""
    if not os.environ.get(KEEP):
        return
    if config.getoption("numprocesses", None) or os.environ.get("PYTEST_XDIST_WORKER"):
        raise pytest.UsageError(f"{KEEP} needs a single process: leave out -n, or run make test WORKERS=0")
    config.option.timeout = 0  # pytest-timeout's: who looks around takes his time
    config.pluginmanager.register(Keeping(config), "keeping")


def enter(machine: Machine) -> str:
    """The command that gives root of this host a shell on a machine."""
    words = machine._entering(machine._inside())
    return shlex.join([*words, "env", "-i", *_environment(), "sh", "-c", _SHELL])


def _environment() -> tuple[str, ...]:
    return (
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "LANG=C.UTF-8",
        f"TERM={os.environ.get('TERM', 'linux')}",
    )


class Keeping:
    """Knows the machines that run, and waits with those that a failed test has."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._machines: list[Machine] = []
        self._enter, self._exit = Machine.__enter__, Machine.__exit__
        Machine.__enter__ = self._entered()  # type: ignore[method-assign, assignment]
        Machine.__exit__ = self._left()  # type: ignore[method-assign]

    def pytest_unconfigure(self) -> None:
        """Machines are as they were."""
        Machine.__enter__, Machine.__exit__ = self._enter, self._exit  # type: ignore[method-assign]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Those of fixtures run on after the test itself."""
        report = yield
        if report.failed:
            self._wait(item.nodeid, report.longreprtext)
        return report

    def _entered(self) -> Callable[[Machine], Machine]:
        def entered(machine: Machine) -> Machine:
            self._enter(machine)
            self._machines.append(machine)
            return machine

        return entered

    def _left(self) -> Callable[..., None]:
        def left(machine: Machine, kind: Any, error: BaseException | None, trace: Any) -> None:
            try:
                if isinstance(error, Exception):  # neither skipped nor interrupted
                    self._wait(os.environ.get("PYTEST_CURRENT_TEST", "a test"), f"{kind.__name__}: {error}")
            finally:
                if machine in self._machines:
                    self._machines.remove(machine)
                self._exit(machine, kind, error, trace)

        return left

    def _wait(self, test: str, why: str) -> None:
        running = [machine for machine in self._machines if _runs(machine)]
        if not running:
            return
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            commands = "\n\n".join(f"  {enter(machine)}" for machine in running)
            sys.stdout.write(
                f"\n{why}\n\n{test} failed. A root shell on its machine:\n\n{commands}\n\n"
                "pytest goes on when each machine is off (systemctl poweroff there), or with Ctrl-C.\n"
            )
            sys.stdout.flush()
            while any(_runs(machine) for machine in running):
                time.sleep(0.5)


def _runs(machine: Machine) -> bool:
    return machine._nspawn is not None and not machine._nspawn.ended()
