"""Fixtures for all tests. The caches are the checkout's own (build/), so a fresh clone starts with empty ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from keeping import keep_machines
from once import once
from order import in_order
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from xdist.remote import Producer

CHECKOUT = Path(__file__).parent.parent
os.environ["CONDA_BUNDLER_CACHE"] = str(CHECKOUT / "build" / "cache")
# Each of the thousands of processes that tests start would compile all that it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["CONDA_BUNDLER_PYPI_NAMES"] = ""  # the table that ships with us; no test depends on a network's

_NOTHING_SKIPPED = bool(os.environ.get("CONDA_BUNDLER_NO_SKIP"))
# A file is one process's, for what it sets up is dear; but for these, whose tests share little and take minutes each.
_DIVIDED = ("tests/e2e/test_faults.py",)
_E2E_TOOLS = ("systemd-nspawn", "mmdebstrap", "ip")


def _scope(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return nodeid if file in _DIVIDED else file


class _FilesAndFaults(LoadFileScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return _FilesAndFaults(config, log)


def pytest_configure(config: pytest.Config) -> None:
    keep_machines(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    scopes = dict.fromkeys(_scope(item.nodeid) for item in items)
    places = {scope: place for place, scope in enumerate(in_order(list(scopes)))}
    items.sort(key=lambda item: places[_scope(item.nodeid)])
    lacking = [tool for tool in _E2E_TOOLS if not shutil.which(tool)] + (["root"] if os.geteuid() else [])
    for item in items:
        if item.get_closest_marker("e2e") and lacking:
            item.add_marker(pytest.mark.skip(reason=f"end-to-end tests need {', '.join(lacking)}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one."""
    report = yield
    if _NOTHING_SKIPPED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The faults that were injected, by whichever worker."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    told: list[Any] = [
        value
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "faults"
    ]
    if told:
        from faults import summary

        terminalreporter.section("faults injected / survived")
        for line in summary(told):
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def local_channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The channel of examples/channel, made once in build/channel (quick if it is there already)."""

    def make() -> Path:
        channel = CHECKOUT / "build" / "channel"
        subprocess.run([sys.executable, CHECKOUT / "examples" / "channel", channel], check=True, timeout=600)
        return channel

    return once(tmp_path_factory, "channel", make)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For modules that make packages up.

    Builds that run at the same time need a cache each if the same name, version and build is another package there.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _unit_tests_start_no_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **_options: Any) -> NoReturn:
        raise AssertionError(f"a unit test started a process: {arguments}")

    if "unit" in request.path.parts:
        monkeypatch.setattr(subprocess, "Popen", refuse)
