"""Whatever bundle.toml says arrives in the process as it stands, and never becomes syntax of a unit or a shell."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from installkit import Spec, script

from bundler.config.project import BundleConfig, load_config
from bundler.installer.render import render_environment, render_install, render_unit
from bundler.machine import Machine, rootfs
from bundler.units.context import UnitContext
from bundler.units.service import make_units, service_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

RELEASE = "/opt/nasty/releases/1.0-0123456789ab"
SHELLS = (("dash",), ("bash",), ("bash", "--posix"), ("busybox", "sh"))
# To make an example smaller takes a hundred more runs of eight services.
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
# Each writes what it has got, to a file of its own.
SHOW = """#!/bin/sh
set -eu
for word; do printf '%s\\0' "$word"; done >"$STATE_DIRECTORY/$WHO.argv"
cat /proc/$$/environ >"$STATE_DIRECTORY/$WHO.environ"
"""

# Characters with a meaning somewhere come often. Braces name places in bundle.toml, and are tried where it is read.
SYNTAX = st.sampled_from([*"\"'`$%;&|<>()[]*?!#~=:,@+-^ \\/", "$HOME", "$(id)", "`id`", "%n", "%%", "$$", "é", "✓"])
LINES = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co"), exclude_characters="{}")
WORD = st.lists(SYNTAX | LINES, min_size=1, max_size=12).map("".join)
VALUE = st.lists(SYNTAX | LINES | st.sampled_from("\n\t"), max_size=12).map("".join)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(rootfs("bookworm", include=("busybox",))) as running:
        running.put(f"{RELEASE}/app/show", SHOW.encode(), 0o755)
        running.run("sh", "-ec", "useradd --system nasty; mkdir -p /etc/nasty /root/nasty", check=True)
        yield running


@st.composite
def services(draw: st.DrawFn) -> dict[str, dict[str, object]]:
    """Some services that show what they have got."""
    return {
        f"nasty-{number}": {
            "command": ["show", *draw(st.lists(WORD, max_size=4))],
            "environment": {"WHO": f"nasty-{number}", "OWN": draw(VALUE), "OTHER": draw(VALUE)},
            "schedule": {"on_calendar": "yearly"},  # a job: started, and it has ended
        }
        for number in range(8)
    }


@settings(
    max_examples=10,
    deadline=None,
    phases=WITHOUT_SHRINKING,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tables=services(), setting=VALUE, description=WORD)
def test_values_arrive_in_the_process_as_they_stand(
    machine: Machine, tmp_path: Path, tables: dict[str, dict[str, object]], setting: str, description: str
) -> None:
    config = configured(
        tmp_path,
        bundle={"name": "nasty", "version": "1.0", "description": description},
        config={"SETTING": setting},
        secrets={"RELEASE_COOKIE": False},
        services=tables,
    )
    lay(machine, config)

    names = [service.name for service in config.services]
    started = machine.run("systemctl", "start", *names)
    assert started.status == 0, started.stderr + machine.run("systemctl", "status", *names).stdout

    for service in config.services:
        argv = (machine.read(f"/var/lib/nasty/{service.name}.argv") or b"").decode().split("\0")[:-1]
        assert argv == list(service.table.command[1:])
        pairs = (machine.read(f"/var/lib/nasty/{service.name}.environ") or b"").decode().split("\0")[:-1]
        environment = dict(pair.split("=", 1) for pair in pairs)
        assert environment["SETTING"] == setting
        for name, value in service.table.environment.items():
            assert environment[name] == value
    shown = machine.run("systemctl", "show", "-p", "Description", "-p", "After", "nasty-0").stdout
    assert f"Description={description.lstrip(' ')} (nasty-0)\n" in shown
    assert "network.target" in shown


@pytest.mark.parametrize("description", ["ends in \\", "\\", "%", "# no comment", "[Service]"])
def test_a_description_stays_in_its_line(machine: Machine, tmp_path: Path, description: str) -> None:
    tables = {"nasty": {"command": ["show"], "restart": "no"}}
    bundle = {"name": "nasty", "version": "1.0", "description": description}
    lay(machine, configured(tmp_path, bundle=bundle, secrets={"RELEASE_COOKIE": False}, services=tables))
    shown = machine.run("systemctl", "show", "-p", "Description", "-p", "After", "nasty").stdout
    assert f"Description={description}\n" in shown
    assert "network.target" in shown


@settings(max_examples=60, deadline=None)
@given(text=WORD)
def test_free_text_is_text_for_every_shell(text: str) -> None:
    install = render_install(script(Spec(description=text), "0" * 64, {}))
    line = next(line for line in install.splitlines() if line.startswith("DESCRIPTION="))
    asked = f"{line}\nprintf '%s' \"$DESCRIPTION\""
    for shell in SHELLS:
        if shutil.which(shell[0]):
            done = subprocess.run([*shell, "-c", asked], capture_output=True, text=True, check=True, cwd="/")
            assert (done.stdout, done.stderr) == (text, "")


def configured(room: Path, **tables: object) -> BundleConfig:
    """bundle.toml with these tables, read."""
    (room / "environment.yml").write_text("dependencies: []\n")
    (room / "bundle.toml").write_text("".join(f"{name} = {toml(table)}\n" for name, table in tables.items()))
    return load_config(room)


def toml(value: object) -> str:
    """An inline TOML value. JSON's strings are TOML's, but for DEL, which TOML wants escaped."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def lay(machine: Machine, config: BundleConfig) -> None:
    """Put the units and environment files where an installed release has them."""
    files = {f"config/{config.name}.env": render_environment(config.config, comment="Defaults")}
    files["config/activation.env"] = render_environment((), comment="What activation sets")
    for service in config.services:
        entries = service_environment(UnitContext(config=config, service=service, release=RELEASE))
        files[f"config/{service.unit}.env"] = render_environment(entries, comment="The service's own")
    for name, text in files.items():
        machine.put(f"{RELEASE}/{name}", text.encode())
    for unit in make_units(config, RELEASE, frozenset({"app/show"})):
        machine.put(f"/run/systemd/system/{unit.name}", render_unit(unit).encode())
    machine.run("systemctl", "daemon-reload", check=True)
