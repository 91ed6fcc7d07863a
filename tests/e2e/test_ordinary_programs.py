"""What ordinary programs do under our confinement, and how they are ended: as they are when they are run by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bundlekit import build, install
from everywhere import everywhere
from examplekit import channel_for, exposure, unit_complaints
from exampleunits import installer_units
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.e2e

# The main process hands its work to another one, and waits for that when it is asked to end: gunicorn, celery.
SERVICE = """\
import ctypes, json, os, pathlib, signal, site, socket, struct, sys, time

state = pathlib.Path(os.environ["STATE_DIRECTORY"])
found = {"user site": site.ENABLE_USER_SITE, "interfaces": [name for _, name in socket.if_nameindex()]}
listening = socket.socket(socket.AF_UNIX)
path = os.environ["RUNTIME_DIRECTORY"] + "/socket"
listening.bind(path)
os.chown(path, os.getuid(), os.getgid())
os.chmod(path, 0o777)
found["mode"] = oct(os.stat(path).st_mode)
try:
    os.chown(path, 0, 0)
except OSError as error:
    found["to root"] = error.strerror
os.setuid(os.getuid()) # what drops rights that it has not: celery, ssh
os.setresgid(*os.getresgid())
header, none = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0)), ctypes.create_string_buffer(24)
found["drops"] = ctypes.CDLL(None).capset(header, none) # ip, ping
try:
    os.setuid(0)
except OSError as error:
    found["to be root"] = error.strerror
found["booted"] = any(line.startswith("btime ") for line in open("/proc/stat"))
worker = os.fork()
if worker == 0:
    while not (state / "asked").exists():
        time.sleep(0.1)
    time.sleep(2)
    (state / "done").touch()
    os._exit(0)

def end(*_):
    (state / "asked").touch()
    os.waitpid(worker, 0)
    sys.exit(0)

signal.signal(signal.SIGINT, end)
(state / "found.json").write_text(json.dumps(found))
while True:
    time.sleep(60)
"""
# Behind a script that stays: a shell passes no signal on.
START = "#!/bin/sh\npython $APP/worker.py\n"
WORKER = """\
import os, pathlib, signal, sys, time

state = pathlib.Path(os.environ["STATE_DIRECTORY"])

def end(*_):
    time.sleep(2)
    (state / "finished").touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
(state / "ready").touch()
while True:
    time.sleep(60)
"""
CONFIG = """\
[bundle]
name = "ordinary"
version = "1.0"
[files]
"service.py" = "service.py"
"start" = "start"
"worker.py" = "worker.py"
[services.ordinary]
command = ["python", "{app}/service.py"]
kill_signal = "SIGINT"
stop_timeout = 20
health = { command = ["python", "-c", "pass"] }
[services.wrapped]
command = ["start"]
environment = { APP = "{app}" }
retry = false
"""
EXPOSED = ("ordinary", "ordinary-health", "ordinary-watch", "recover", "user", "least")
UNITS = "/usr/local/lib/systemd/system"
# Read at Python's start, if the user's own modules are.
SHADOW = "mkdir -p /var/lib/ordinary/.local/lib/{0}/site-packages && echo 'raise SystemExit(3)' >$_/usercustomize.py"


@pytest.fixture(scope="module", params=["bookworm", *everywhere("bullseye", "trixie")])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    project = tmp_path_factory.mktemp("ordinary")
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [python]\n")
    (project / "bundle.toml").write_text(CONFIG)
    (project / "service.py").write_text(SERVICE)
    (project / "start").write_text(START)
    (project / "start").chmod(0o755)
    (project / "worker.py").write_text(WORKER)
    bundle = build(project, channel_for(request.param), project / "dist")
    with Machine(rootfs(request.param)) as machine:
        install(machine, bundle)
        release = json.loads((bundle / "manifest.json").read_text())["release"]
        for name, text in installer_units(bundle, "ordinary", release, project / "image").items():
            machine.put(f"{UNITS}/{name}.service", text.encode())
        machine.run("systemctl", "daemon-reload", check=True)
        yield machine


def test_no_unit_is_exposed_more_than_a_service(machine: Machine) -> None:
    found = {unit: exposure(machine, unit) for unit in EXPOSED}
    assert max(found.values()) <= 1.5, found


@pytest.mark.parametrize("unit", ["recover", "user"])
def test_systemd_knows_all_that_the_installers_units_say(machine: Machine, unit: str) -> None:
    assert unit_complaints(machine, f"{UNITS}/{unit}.service") == ""


def found(machine: Machine) -> dict[str, Any]:
    path = "/var/lib/ordinary/found.json"
    assert until(lambda: machine.run("test", "-s", path).status == 0), machine.run(
        "journalctl", "-u", "ordinary"
    ).stdout
    answer: dict[str, Any] = json.loads(machine.run("cat", path, check=True).stdout)
    return answer


def test_it_may_do_what_it_may_by_hand(machine: Machine) -> None:
    assert found(machine) == {
        "user site": False,
        "interfaces": ["lo"],
        "mode": "0o140777",
        "to root": "Operation not permitted",
        "drops": 0,
        "to be root": "Operation not permitted",
        "booted": True,
    }


def test_a_module_in_its_home_does_not_go_before_the_releases(machine: Machine) -> None:
    python = machine.run("ls", "/opt/ordinary/current/env/lib").stdout
    version = next(name for name in python.split() if name.startswith("python3."))
    machine.run("sh", "-c", SHADOW.format(version), check=True)
    machine.run("rm", "/var/lib/ordinary/found.json", check=True)
    machine.run("systemctl", "restart", "ordinary", check=True)
    assert found(machine)["user site"] is False


def test_what_it_has_begun_is_finished_when_it_is_stopped(machine: Machine) -> None:
    found(machine)
    machine.run("systemctl", "stop", "ordinary", check=True)
    assert machine.run("test", "-e", "/var/lib/ordinary/done").status == 0
    assert machine.run("systemctl", "show", "--property=Result", "--value", "ordinary").stdout == "success\n"


def test_what_a_script_has_started_is_finished_as_well(machine: Machine) -> None:
    assert until(lambda: machine.run("test", "-e", "/var/lib/ordinary/ready").status == 0)
    machine.run("systemctl", "stop", "wrapped", check=True)
    assert machine.run("test", "-e", "/var/lib/ordinary/finished").status == 0
