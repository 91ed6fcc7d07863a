"""A group of projects: fetched, built into one bundle, installed, and each run by hand and as a service."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundlekit import build, install
from examplekit import CHECKOUT, debian_channel

from bundler.machine import Disk, Machine, rootfs

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.machine import Answer
    from sweep.table import Group, Project

__all__ = ["ROOM", "SUITES", "Result", "sweep"]

ROOM = CHECKOUT / "build" / "sweep"
"""Kept from run to run: the wheels. Made anew: all else."""
SUITES = ("bookworm", "trixie")
"""systemd 252 and 257."""
_TAIL = 300
_CONFIG = """\
[bundle]
name = "sweep"
version = "1.0"
platforms = ["linux-64"]
inject = ["wheels/*.whl"]
[secrets]
RELEASE_COOKIE = false
[files]
"statements" = "statements"
"""
_SERVICE = """
[services.{unit}]
command = ["python", "{{app}}/statements/{unit}.py"]
working_directory = "{{state}}/as-a-service/{unit}"
schedule = {{ on_calendar = "yearly" }}
"""
_BY_HAND = """
mkdir -p "/var/lib/sweep/by-hand/$1" && cd "/var/lib/sweep/by-hand/$1" &&
exec env -i HOME=/var/lib/sweep LANG=C.UTF-8 PATH="/opt/sweep/current/env/bin:/usr/bin:/bin" \\
    timeout "$2" python "/opt/sweep/current/app/statements/$1.py"
"""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a project on a machine; what it said if it failed. ``exemptions`` are its environment's."""

    group: str
    project: str
    systemd: int
    by_hand: bool
    as_service: bool
    said: str = ""
    exemptions: tuple[str, ...] = ()


def sweep(group: Group) -> list[Result]:
    """Run all of ``group`` on each of :data:`SUITES`. Raises CalledProcessError if its wheels cannot be had."""
    bundle = _built(group)
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    exemptions = tuple(
        f"{one['directive']}: {one['reason']} ({one['because']})" for one in manifest["services"][0]["exemptions"]
    )
    results = []
    for suite in SUITES:
        with Machine(rootfs(suite), disk=Disk(size="60G", directory=ROOM)) as machine:
            install(machine, bundle)
            version = machine.systemd_version
            for project in group.projects:
                by_hand = _by_hand(machine, project)
                served, journal = _as_service(machine, project)
                said = "" if served else journal
                if by_hand.status != 0:
                    said = by_hand.stderr or by_hand.stdout or f"status {by_hand.status}"
                results.append(
                    Result(
                        group=group.name,
                        project=project.name,
                        systemd=version,
                        by_hand=by_hand.status == 0,
                        as_service=served,
                        said=said.strip()[-_TAIL:],
                        exemptions=exemptions,
                    )
                )
    return results


def _built(group: Group) -> Path:
    project = ROOM / group.name
    for name in ("statements", "dist"):
        shutil.rmtree(project / name, ignore_errors=True)
    (project / "conda-lock.yml").unlink(missing_ok=True)
    (project / "statements").mkdir(parents=True)
    for one in group.projects:
        (project / "statements" / f"{one.unit}.py").write_text(one.statement, encoding="utf-8")
    services = "".join(_SERVICE.format(unit=one.unit) for one in group.projects)
    (project / "bundle.toml").write_text(_CONFIG + services, encoding="utf-8")
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [python 3.11.*]\n")
    _fetch(group, project / "wheels")
    return build(project, debian_channel("bookworm"), project / "dist")


def _fetch(group: Group, wheels: Path) -> None:
    """The wheels of a group and of all that they need, for the Python 3.11 and the glibc of Debian 12."""
    wanted = "\n".join(group.requires)
    note = wheels / "requires.txt"
    if note.is_file() and note.read_text("utf-8") == wanted:
        return
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)]
    platforms += [f"--platform=manylinux{year}_x86_64" for year in ("2014", "2010", "1")]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
    words += ["--only-binary", ":all:", "--python-version", "3.11", "--implementation", "cp", *platforms]
    subprocess.run([*words, "--dest", wheels, *group.requires], check=True, timeout=3600)
    note.write_text(wanted, encoding="utf-8")


def _by_hand(machine: Machine, project: Project) -> Answer:
    """As the service's user, in the installed environment, without any confinement."""
    words = ("runuser", "-u", "sweep", "--", "sh", "-c", _BY_HAND, "sh", project.unit, str(project.seconds))
    return machine.run(*words, timeout=project.seconds + 30)


def _as_service(machine: Machine, project: Project) -> tuple[bool, str]:
    """Whether its unit came to a good end, and the end of its journal."""
    unit = f"{project.unit}.service"
    machine.run("systemctl", "start", unit, timeout=project.seconds)
    shown = machine.run("systemctl", "show", "-p", "Result", "-p", "ActiveState", unit).stdout.split()
    machine.run("systemctl", "stop", unit)
    journal = machine.run("journalctl", "--no-pager", "-o", "cat", "-n", "30", "-u", unit).stdout
    return "Result=success" in shown and "ActiveState=activating" not in shown, journal
