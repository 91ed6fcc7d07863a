"""examples/inference: two versions of an API side by side, whose libraries could not share an environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from bundlekit import install
from everywhere import everywhere
from examplekit import (
    ask,
    environment,
    exposure,
    healthy,
    main_pid,
    unit_complaints,
    users,
)

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

PORTS = {"inference-v1": 8001, "inference-v2": 8002}
SETOSA, VIRGINICA = [5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]


@pytest.fixture(scope="module", params=["trixie", *everywhere("bullseye", "bookworm")])
def machine(example: Callable[[str, str], Path], request: pytest.FixtureRequest) -> Iterator[Machine]:
    bundles = [example(f"inference/{version}", request.param) for version in ("v1", "v2")]
    with Machine(rootfs(request.param)) as machine:
        for bundle in bundles:
            install(machine, bundle)
        yield machine


def get(machine: Machine, name: str, path: str, body: Any = None) -> tuple[int, Any]:
    status, text = ask(machine, f"http://127.0.0.1:{PORTS[name]}{path}", body)
    return status, json.loads(text)


def check_predictions(machine: Machine) -> None:
    for name in PORTS:
        answer = get(machine, name, "/predict", {"samples": [SETOSA, VIRGINICA]})
        assert answer == (200, {"kinds": ["setosa", "virginica"]})


def test_both_predict(machine: Machine) -> None:
    check_predictions(machine)


def test_what_cannot_be_predicted_from_is_refused(machine: Machine) -> None:
    bodies: tuple[Any, ...] = ({}, {"samples": []}, {"samples": [[1, 2]]}, {"samples": ["long"]}, [1])
    for body in bodies:
        status, answer = get(machine, "inference-v2", "/predict", body)
        assert (status, "expected" in answer["error"]) == (400, True), body


def test_each_has_its_own_libraries_user_root_and_port(machine: Machine) -> None:
    versions = {name: get(machine, name, "/about")[1] for name in PORTS}
    assert versions["inference-v1"]["numpy"].startswith("1.26.")
    assert versions["inference-v2"]["numpy"].startswith("2.")
    assert versions["inference-v1"]["scikit-learn"] != versions["inference-v2"]["scikit-learn"]
    for name, port in PORTS.items():
        pid = main_pid(machine, name)
        assert users(machine, name) == {name}
        assert machine.run("readlink", f"/proc/{pid}/exe").stdout.startswith(f"/opt/{name}/envs/")
        own = environment(machine, pid)
        assert (own["PORT"], own["HOME"]) == (str(port), f"/var/lib/{name}")
        assert "RELEASE_COOKIE" not in own


def test_neither_reads_what_the_other_has(machine: Machine) -> None:
    machine.put("/var/lib/inference-v2/own", b"", 0o600)
    machine.run("chown", "inference-v2:", "/var/lib/inference-v2/own", check=True)
    words = ("setpriv", "--reuid=inference-v1", "--regid=inference-v1", "--clear-groups", "cat")
    assert machine.run(*words, "/var/lib/inference-v2/own").status != 0
    assert machine.run(*words, "/etc/inference-v2/inference-v2.env").status != 0


def test_the_units_are_tight_and_clean(machine: Machine) -> None:
    for name in PORTS:
        assert exposure(machine, name) <= 1.5
        assert unit_complaints(machine, f"{name}.service", f"{name}-health.service") == ""
    assert exposure(machine, "inference-v2-nightly") <= 1.5
    assert unit_complaints(machine, "inference-v2-nightly.service", "inference-v2-nightly.timer") == ""


def test_the_nightly_job_leaves_its_report_in_the_state_directory(machine: Machine) -> None:
    job, state = "inference-v2-nightly", "/var/lib/inference-v2"
    assert machine.run("systemctl", "is-enabled", f"{job}.timer").stdout == "enabled\n"
    assert machine.run("systemctl", "is-active", f"{job}.timer").stdout == "active\n"
    assert machine.run("cat", f"{state}/report.json").status != 0  # its time has not come
    done = machine.run("systemctl", "start", job)
    assert done.status == 0, machine.run("journalctl", "-u", job, "-o", "cat", "--no-pager").stdout
    report = json.loads(machine.run("cat", f"{state}/report.json", check=True).stdout)
    assert report["accuracy"] > 0.9
    assert report["scikit-learn"] == get(machine, "inference-v2", "/about")[1]["scikit-learn"]
    assert machine.run("stat", "-c", "%U", f"{state}/report.json").stdout.strip() == "inference-v2"


def test_both_are_back_after_a_reboot(machine: Machine) -> None:
    machine.reboot()
    for name in PORTS:
        assert healthy(machine, name)
        assert users(machine, name) == {name}
    check_predictions(machine)


def test_one_goes_and_the_other_serves_on(machine: Machine) -> None:
    pid = main_pid(machine, "inference-v2")
    gone = machine.run("/opt/inference-v1/manage", "uninstall", "--purge", "--yes")
    assert gone.status == 0, gone.stderr
    assert machine.run("ls", "/opt").stdout.split() == ["inference-v2"]
    assert main_pid(machine, "inference-v2") == pid
    assert get(machine, "inference-v2", "/predict", {"samples": [SETOSA]}) == (200, {"kinds": ["setosa"]})
