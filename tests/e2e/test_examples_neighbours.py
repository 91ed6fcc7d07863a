"""examples/flask behind Debian's nginx and examples/celery with Debian's redis, on one machine, as people run them."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from bundlekit import build, install
from everywhere import everywhere
from examplekit import CHECKOUT, ask, channel_for, exposure, healthy, main_pid, unit_complaints, users
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundler.machine import Answer

pytestmark = pytest.mark.e2e

NEIGHBOURS = ("nginx-light", "redis-server")
# A reload returns while the workers of the default site are still there; on a busy machine one of them may answer.
SET_UP_NGINX = """set -e
cp /opt/guestbook/current/app/nginx.conf /etc/nginx/sites-available/guestbook
ln -s ../sites-available/guestbook /etc/nginx/sites-enabled/ && rm /etc/nginx/sites-enabled/default
systemctl restart nginx
"""
URL = "http://127.0.0.1"
REPORTS = "/var/lib/reports/reports"
UNITS = "/usr/local/lib/systemd/system"
LEAST = 300  # requests
LONG = 12  # seconds: as long as a task that was lost when all processes of its service were ended at once

COUNT = """
import sqlite3
link = sqlite3.connect("/var/lib/guestbook/guestbook.sqlite")
print(*link.execute("SELECT count(*) FROM entry WHERE text LIKE 'visit %'").fetchone())
"""
# A visitor, who looks, and signs at every tenth time, until there is a file; what was answered is printed.
VISIT = """
import collections, http.client, json, pathlib, sys, time
end, least, found = pathlib.Path(sys.argv[1]), int(sys.argv[2]), collections.Counter()
form = {"Content-Type": "application/x-www-form-urlencoded"}
count = 0
while count < least or not end.exists():
    link = http.client.HTTPConnection("127.0.0.1", timeout=60)
    ask = ("GET", "/") if count % 10 else ("POST", "/", f"text=visit+{count}", form)
    count += 1
    try:
        link.request(*ask)
        found[f"{ask[0]} {link.getresponse().status}"] += 1
    except OSError as error:
        found[type(error).__name__] += 1
    link.close()
    time.sleep(0.02)
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=["bookworm", *everywhere("bullseye", "trixie")])
def suite(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def releases(suite: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Of each example the bundle as it is, and a later version of it."""
    channel = channel_for(suite)

    def built(name: str) -> tuple[Path, Path]:
        project = tmp_path_factory.mktemp("examples") / name
        shutil.copytree(CHECKOUT / "examples" / name, project, ignore=shutil.ignore_patterns("conda-lock.yml"))
        first = build(project, channel, project / "dist")
        return first, build(project, channel, project / "dist", "--bundle-version", "0.2.0")

    return {name: built(name) for name in ("flask", "celery")}


@pytest.fixture(scope="module")
def machine(releases: dict[str, tuple[Path, Path]], suite: str) -> Iterator[Machine]:
    with Machine(rootfs(suite, include=NEIGHBOURS)) as machine:
        for first, _ in releases.values():
            install(machine, first)
        machine.run("sh", "-c", SET_UP_NGINX, check=True)
        yield machine


def during(machine: Machine, end: Path, act: Callable[[], None]) -> dict[str, int]:
    """What a visitor was answered while something was done."""
    found: list[Answer] = []
    words = (sys.executable, "-c", VISIT, str(end), str(LEAST))
    visit = threading.Thread(target=lambda: found.append(machine.run_on_its_network(*words, timeout=300)))
    visit.start()
    try:
        act()
    finally:
        end.touch()
        visit.join()
    answers: dict[str, int] = json.loads(found[0].stdout)
    return answers


def call(machine: Machine, name: str, lines: int) -> None:
    """Ask for a report as the README says."""
    words = ("celery", "--app", "reports", "call", "reports.tasks.report", "--args", json.dumps([name, lines]))
    done = machine.run("/opt/reports/manage", "exec", "reports-worker", *words)
    assert done.status == 0, done.stderr


def lines_of(machine: Machine, name: str, *, partial: bool = False) -> int:
    path = f"{REPORTS}/.{name}.partial" if partial else f"{REPORTS}/{name}.txt"
    return len((machine.read(path) or b"").splitlines())


def well(machine: Machine, service: str) -> bool:
    return machine.run("systemctl", "start", f"{service}-health").status == 0


def test_nginx_is_answered_and_serves_the_files(machine: Machine) -> None:
    assert ask(machine, f"{URL}/healthz") == (200, "ok\n")
    status, style = ask(machine, f"{URL}/static/style.css")
    assert (status, "font-family" in style) == (200, True)
    assert ask(machine, URL, b"text=hello")[0] == 200
    assert "<li>127.0.0.1: hello</li>" in ask(machine, URL)[1]  # who asked, as nginx says
    assert machine.run("stat", "-c", "%U %G %a", "/run/guestbook/web.sock").stdout == "guestbook www-data 660\n"
    assert users(machine, "guestbook") == {"guestbook"}


def test_visitors_notice_no_reload_no_restart_and_no_upgrade(
    machine: Machine, releases: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    def act() -> None:
        pid = main_pid(machine, "guestbook")
        assert ask(machine, URL, b"text=cheap+pills")[0] == 200
        machine.put("/var/lib/guestbook/spam.txt", b"pills\n")
        reloaded = machine.run("/opt/guestbook/manage", "reload")
        assert reloaded.status == 0, reloaded.stderr
        assert until(lambda: ask(machine, URL, b"text=cheap+pills")[0] == 400)
        assert main_pid(machine, "guestbook") == pid
        machine.run("systemctl", "restart", "guestbook", check=True)
        install(machine, releases["flask"][1])

    found = during(machine, tmp_path / "end", act)
    assert set(found) == {"GET 200", "POST 302"}, found
    assert sum(found.values()) >= LEAST, found
    counted = machine.run("/opt/guestbook/current/env/bin/python", "-c", COUNT, check=True).stdout
    assert int(counted) == found["POST 302"]


def test_a_task_that_has_begun_is_finished_before_a_restart_and_an_upgrade(
    machine: Machine, releases: dict[str, tuple[Path, Path]]
) -> None:
    steps: dict[str, Callable[[], object]] = {
        "restart": lambda: machine.run("systemctl", "restart", "reports-worker", check=True),
        "upgrade": lambda: install(machine, releases["celery"][1]),
    }
    for name, step in steps.items():
        call(machine, name, LONG)
        assert until(lambda name=name: lines_of(machine, name, partial=True))  # type: ignore[misc]
        pid = main_pid(machine, "reports-worker")
        step()
        assert lines_of(machine, name) == LONG
        assert main_pid(machine, "reports-worker") != pid


def test_beat_has_done_what_is_due(machine: Machine) -> None:
    old, path = f"{REPORTS}/old.txt", "/etc/reports/reports.env"
    machine.run("setpriv", "--reuid=reports", "--regid=reports", "--clear-groups", "touch", "-d", "9 days ago", old)
    assert machine.read(old) is not None
    machine.put(path, b"TIDY_EVERY=1\n", 0o640)
    machine.run("systemctl", "restart", "reports-beat", check=True)
    assert until(lambda: machine.read(old) is None)
    machine.put(path, b"", 0o640)
    machine.run("systemctl", "restart", "reports-beat", check=True)


def test_a_worker_that_hangs_is_not_called_healthy(machine: Machine) -> None:
    assert healthy(machine, "reports-worker")
    pid = main_pid(machine, "reports-worker")
    machine.run("sh", "-c", f"kill -s STOP {pid}", check=True)
    assert machine.run("systemctl", "is-active", "reports-worker").stdout == "active\n"
    assert not well(machine, "reports-worker")
    machine.run("sh", "-c", f"kill -s CONT {pid}", check=True)
    assert healthy(machine, "reports-worker")


def test_after_a_power_cut_redis_may_be_late(machine: Machine) -> None:
    machine.run("systemctl", "disable", "redis-server", check=True)
    machine.kill()
    machine.start()
    assert until(lambda: ask(machine, f"{URL}/healthz") == (200, "ok\n"))
    assert machine.run("systemctl", "is-active", "redis-server").stdout == "inactive\n"
    assert not well(machine, "reports-worker")
    machine.run("systemctl", "start", "redis-server", check=True)
    assert until(lambda: well(machine, "reports-worker"), 120)  # celery looks at most every half minute
    call(machine, "after", 1)
    assert until(lambda: lines_of(machine, "after") == 1)
    active = machine.run("systemctl", "is-active", "reports-worker", "reports-beat", "guestbook", "guestbook.socket")
    assert active.stdout.split() == ["active"] * 4


def test_the_units_are_tight_and_clean(machine: Machine) -> None:
    units = machine.run("ls", UNITS, check=True).stdout.split()
    services = [unit.removesuffix(".service") for unit in units if unit.endswith(".service")]
    assert {"guestbook", "guestbook-health", "reports-worker-health", "reports-beat-watch"} < set(services)
    found = {service: exposure(machine, service) for service in services}
    assert max(found.values()) <= 1.5, found
    assert unit_complaints(machine, *units) == ""
