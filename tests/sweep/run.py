"""A group of projects on a machine: each in an environment of its own, by hand and as a service of ours.

The units are made by our own code from what the very files of an environment say, as a build does. What is left out is
packing: a small bundle with Python alone is built and installed, and the environments lie beside it on the machine's
disk, linked to the wheels' cache. So a hundred environments take as long as one bundle.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bundlekit import build, install
from examplekit import CHECKOUT, debian_channel

from bundler.config.project import load_config
from bundler.installer.render import render_unit
from bundler.machine import Disk, Machine, rootfs
from bundler.units.caches import cache_variables
from bundler.units.contents import NOTHING, Contents
from bundler.units.sandbox import exemptions
from bundler.units.service import make_units
from sweep.environments import PLACE, Environment, NotInstalledError, make_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.config.services import Service
    from bundler.machine import Answer
    from sweep.table import Group, Project

__all__ = ["ROOM", "SUITES", "SYSTEM", "Result", "named_exemptions", "sweep"]

ROOM = CHECKOUT / "build" / "sweep"
"""Kept from run to run: the wheels, in uv's cache. Made anew: all else."""
SUITES = ("bookworm", "trixie")
"""systemd 252 and 257."""
SYSTEM = (
    "libatomic1",
    "libbrotli1",
    "libdbus-1-3",
    "libegl1",
    "libgl1",
    "libglib2.0-0",
    "libgomp1",
    "libgssapi-krb5-2",
    "libx11-6",
    "libxkbcommon0",
)
"""Packages of Debian whose libraries wheels leave to the server; the build would have named those that are missing."""
_SITES = "opt/sweep-sites"
_UNITS = "/usr/local/lib/systemd/system"
_STRICT = "-strict"
"""What the unit with nothing taken away has at the end of its name."""
_TAIL = 300
_CONFIG = """\
[bundle]
name = "sweep"
version = "1.0"
platforms = ["linux-64"]
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
environment = {{ {environment} }}
"""
_BY_HAND = """
cd "/var/lib/sweep/by-hand/$1" && sites=$2 seconds=$3 && program=/opt/sweep/current/app/statements/$1.py && shift 3 &&
exec env -i HOME=/var/lib/sweep LANG=C.UTF-8 PATH="/opt/sweep/current/env/bin:/usr/bin:/bin" PYTHONPATH="$sites" "$@" \\
    timeout "$seconds" python "$program"
"""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What became of a project on a machine; what it said if it failed.

    ``exemptions`` are its environment's, each a directive and from what that comes. ``strict`` is whether it works all
    the same with nothing taken away; None without exemptions.
    """

    by_hand: bool = False
    as_service: bool = False
    said: str = ""
    exemptions: tuple[str, ...] = ()
    strict: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Result(_Found):
    """The same, with whose it is."""

    group: str
    project: str
    systemd: int


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """A service's unit as our code renders it from the files of its environment, and in what it is confined less."""

    text: str
    plain: str
    exemptions: tuple[str, ...]


def sweep(group: Group) -> list[Result]:
    """Run all of ``group`` on each of :data:`SUITES`."""
    sites = ROOM / "sites"
    shutil.rmtree(sites, ignore_errors=True)
    environments: dict[str, Environment] = {}
    refused: dict[str, str] = {}
    for project in group.projects:
        try:
            environments[project.unit] = make_environment(project, sites / project.unit, ROOM / "cache")
        except NotInstalledError as error:
            refused[project.unit] = f"not installed: {error}"
    bundle = _built(group, environments)
    units = _units(bundle, environments)
    results = []
    for suite in SUITES:
        root = _root(suite, sites)
        with Machine(root, disk=Disk(size="20G", directory=ROOM)) as machine:
            install(machine, bundle)
            _prepare(machine, units)
            version = machine.systemd_version
            for project in group.projects:
                if project.unit in environments:
                    unit = units[project.unit]
                    found = _tried(machine, project, environments[project.unit], unit)
                else:
                    found = _Found(said=refused[project.unit])
                results.append(Result(group=group.name, project=project.name, systemd=version, **asdict(found)))
    return results


def _tried(machine: Machine, project: Project, environment: Environment, unit: _Unit) -> _Found:
    by_hand = _by_hand(machine, project, environment)
    served, said = _as_service(machine, project.unit, project.seconds)
    if by_hand.status != 0:
        said = by_hand.stderr or by_hand.stdout or f"status {by_hand.status}"
    elif served:
        said = ""
    strict = _as_service(machine, project.unit + _STRICT, project.seconds)[0] if unit.exemptions else None
    return _Found(
        by_hand=by_hand.status == 0,
        as_service=served,
        said=said.strip()[-_TAIL:],
        exemptions=unit.exemptions,
        strict=strict,
    )


def _variables(unit: str, environment: Environment) -> dict[str, str]:
    own = {"PYTHONPATH": f"/{_SITES}/{unit}"}
    return own | dict(cache_variables(environment.contents.packages, "sweep"))


def _built(group: Group, environments: Mapping[str, Environment]) -> Path:
    """A bundle of Python alone, with a service for each environment. The bundle's directory."""
    project = ROOM / "project"
    shutil.rmtree(project, ignore_errors=True)
    (project / "statements").mkdir(parents=True)
    services = []
    for one in group.projects:
        if one.unit not in environments:
            continue
        (project / "statements" / f"{one.unit}.py").write_text(one.statement, encoding="utf-8")
        variables = _variables(one.unit, environments[one.unit])
        told = ", ".join(f'{name} = "{value}"' for name, value in variables.items())
        services.append(_SERVICE.format(unit=one.unit, environment=told))
    (project / "bundle.toml").write_text(_CONFIG + "".join(services), encoding="utf-8")
    (project / "environment.yml").write_text("channels: [nowhere]\ndependencies: [python 3.11.*]\n")
    return build(project, debian_channel("bookworm"), project / "dist")


def _units(bundle: Path, environments: Mapping[str, Environment]) -> dict[str, _Unit]:
    """Raises ValueError if Python alone has an exemption: no project's result would be its own."""
    config = load_config(ROOM / "project")
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    if found := [one for service in manifest["services"] for one in service["exemptions"]]:
        raise ValueError(f"Python's own files cost something: {found[0]}")
    release = f"{config.root}/releases/{manifest['release']}"

    def text(unit: str, contents: Contents) -> str:
        made = make_units(config, release, frozenset({"env/bin/python"}), contents)
        return next(render_unit(one) for one in made if one.name == f"{unit}.service")

    services = {service.name: service for service in config.services}
    return {
        unit: _Unit(
            text=text(unit, environment.contents),
            plain=text(unit, NOTHING),
            exemptions=named_exemptions(services[unit], environment.contents),
        )
        for unit, environment in environments.items()
    }


def named_exemptions(service: Service, contents: Contents) -> tuple[str, ...]:
    """Each directive that is taken away, with the mark and its file, or the package whose name alone says so."""
    marks = {mark.where: mark.name for mark in contents.marks}
    return tuple(
        f"{one.directive}: "
        + (f"{marks[one.because]}, in {one.because.removeprefix(PLACE + '/')}" if one.because in marks else one.because)
        for one in exemptions(service, contents)
    )


def _root(suite: str, sites: Path) -> Path:
    """A root directory with the environments in it. Nothing is written to it; so links to the wheels' cache will do."""
    system = rootfs(suite, include=SYSTEM)
    root = ROOM / f"root-{system.name}"
    if not root.is_dir():
        partial = ROOM / f"{root.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run(["cp", "-a", "-T", "--", system, partial], check=True)
        partial.rename(root)
    shutil.rmtree(root / _SITES, ignore_errors=True)
    subprocess.run(["cp", "-a", "-l", "-T", "--", sites, root / _SITES], check=True)
    return root


def _prepare(machine: Machine, units: Mapping[str, _Unit]) -> None:
    """Put the units in place of those for Python alone, and make where they work."""
    for name, unit in units.items():
        path = f"{_UNITS}/{name}.service"
        installed = (machine.read(path) or b"").decode()
        assert installed == unit.plain, f"another unit than is built was made here: {name}"
        machine.put(path, unit.text.encode())
        machine.put(f"{_UNITS}/{name}{_STRICT}.service", unit.plain.encode())
        for way in ("by-hand", "as-a-service"):
            machine.run("install", "-d", "-o", "sweep", "-g", "sweep", f"/var/lib/sweep/{way}/{name}", check=True)
    machine.run("chown", "-R", "sweep:sweep", "/var/lib/sweep", check=True)
    machine.run("install", "-d", "-o", "sweep", "-g", "sweep", "/var/cache/sweep", check=True)
    machine.run("systemctl", "daemon-reload", check=True)


def _by_hand(machine: Machine, project: Project, environment: Environment) -> Answer:
    """As the service's user, in the installed environment, without any confinement."""
    variables = _variables(project.unit, environment)
    given = (variables.pop("PYTHONPATH"), str(project.seconds), *(f"{key}={value}" for key, value in variables.items()))
    words = ("runuser", "-u", "sweep", "--", "sh", "-c", _BY_HAND, "sh", project.unit, *given)
    return machine.run(*words, timeout=project.seconds + 30)


def _as_service(machine: Machine, name: str, seconds: float) -> tuple[bool, str]:
    """Whether the unit came to a good end within ``seconds``, and the end of its journal."""
    unit = f"{name}.service"
    started = machine.run("systemctl", "start", unit, timeout=seconds)
    shown = machine.run("systemctl", "show", "-p", "Result", "-p", "ActiveState", unit).stdout.split()
    machine.run("systemctl", "stop", unit)
    journal = machine.run("journalctl", "--no-pager", "-o", "cat", "-n", "30", "-u", unit).stdout
    well = started.status == 0 and "Result=success" in shown and "ActiveState=activating" not in shown
    return well, journal or started.stderr
