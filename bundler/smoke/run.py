"""Boot a throwaway machine, install a bundle there as an operator would, and check its services."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bundler.errors import SmokeError
from bundler.machine import Disk, Machine, rootfs
from bundler.machine.terminal import need_terminal
from bundler.reader.open import open_bundle
from bundler.resources import cache_dir
from bundler.smoke.read import expand, mask, parse_answer, parse_exposure, parse_os, parse_secrets, parse_show
from bundler.smoke.report import Health, HttpAnswer, Install, ServiceReport, SmokeReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bundler.bundle.entries import ServiceEntry
    from bundler.bundle.index import Manifest
    from bundler.progress import Progress
    from bundler.reader.open import OpenBundle

__all__ = ["SmokeOptions", "disk_for", "smoke"]

_IN_MEMORY = 1 << 30  # the largest disk, in bytes, that is kept in memory
_SYSTEM = 256 << 20  # bytes that the machine itself writes
_PATIENCE = 15.0  # seconds to wait until a service is healthy, after install.sh has waited
_UP = frozenset({"active", "activating", "reloading"})
_SHOWN = ("LoadState", "ActiveState", "SubState", "Type", "Result", "MainPID", "NRestarts")
_JOURNAL_LINES = 40

# Run by this interpreter in the machine's network namespace: a minimal Debian has no HTTP client.
_CLIENT = """
import sys, urllib.error, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    answer = opener.open(sys.argv[1], timeout=5)
except urllib.error.HTTPError as error:
    answer = error
except (OSError, ValueError) as error:
    sys.exit(str(error))
with answer:
    print(answer.status, flush=True)
    sys.stdout.buffer.write(answer.read(200))
"""

# The effective user; its number if it has no name.
_MAIN_PROCESS = """
readlink "/proc/$1/exe"
uid=$(sed -n 's/^Uid:.//p' "/proc/$1/status" | cut -f 2)
id -nu "$uid" 2>/dev/null || echo "$uid"
"""


@dataclass(frozen=True, kw_only=True)
class SmokeOptions:
    """The system to install on, and how.

    ``rootfs``, a directory or tarball, takes precedence over ``suite``, which gets the additional Debian packages
    ``include``. With ``keep_going``, services that a failed installation has not started, or has stopped, are started
    and checked anyway. ``shell`` opens a root shell on the machine at the end.
    """

    suite: str = "bookworm"
    rootfs: Path | None = None
    include: tuple[str, ...] = ()
    timeout: float = 180
    keep_going: bool = False
    shell: bool = False
    install_args: tuple[str, ...] = ()


def smoke(bundle: Path, options: SmokeOptions, progress: Progress) -> SmokeReport:
    """Install ``bundle``, in whatever form, on a new machine without a network, and report.

    An unhealthy bundle is reported, not raised. Raises ConfigError if there is no terminal for the shell, SmokeError if
    the machine cannot be used, what :func:`open_bundle` raises if it is not a bundle, and what
    :func:`bundler.machine.rootfs` raises.
    """
    if options.shell:
        need_terminal()
    opened = open_bundle(bundle)
    manifest = opened.manifest
    _check_architecture(manifest)
    root = rootfs(options.rootfs or options.suite, include=options.include, progress=progress)
    services = tuple(one for service in manifest.services for one in service.each())
    system = str(options.rootfs or f"Debian {options.suite}")
    progress.step(f"Booting {system} without a network")
    began = time.monotonic()
    with Machine(root, disk=disk_for(opened.size, manifest.payload.unpacked_size), own_users=True) as machine:
        boot_seconds = time.monotonic() - began
        name = parse_os(machine.run("cat", "/etc/os-release").stdout)
        progress.step(f"Installing {bundle.name}")
        install = _install(machine, _bring(machine, opened), options)
        hidden = _secrets(machine, manifest)
        if install.status != 0 and options.keep_going:
            _start(machine, services)
        reports = []
        for service in services:
            progress.step(f"Checking {service.unit}")
            reports.append(_inspect(machine, service, hidden))
        report = SmokeReport(
            bundle=str(bundle),
            name=manifest.name,
            release=manifest.release,
            system=system,
            systemd=machine.systemd_version,
            boot_seconds=boot_seconds,
            install=replace(install, output=mask(install.output, hidden)),
            services=tuple(reports),
            os=name,
            kernel=os.uname().release,
            suite="" if options.rootfs else options.suite,
            include=options.include,
            open_because=machine.users.why,
        )
        if options.shell:
            for line in report.lines():
                progress.step(line)
            progress.step(f"A root shell on {machine.name}; exit the shell to remove the machine")
            machine.shell()
        return report


def _check_architecture(manifest: Manifest) -> None:
    wanted, here = manifest.requires.machine, os.uname().machine
    if wanted != here:
        raise SmokeError(
            f"the bundle is for {wanted}, but this machine is {here}",
            where=manifest.name,
            remedy="Run smoke on a machine of that architecture.",
        )


def disk_for(bundle: int, unpacked: int) -> Disk:
    """A disk with space for a bundle and what it installs: in memory if it is small, else in a file in the cache.

    Raises SmokeError if there is not enough space.
    """
    needed = bundle + unpacked * 5 // 4 + _SYSTEM
    if needed <= _IN_MEMORY:
        return Disk()
    directory = cache_dir("machines")
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise SmokeError(
            f"the machine's disk needs {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free",
            where=str(directory),
            remedy="Free some space there, or set CONDA_BUNDLER_CACHE to a directory on a larger file system.",
        )
    return Disk(size=str(2 * needed), directory=directory)  # a sparse file, and ext4 takes some for itself


def _bring(machine: Machine, bundle: OpenBundle) -> str:
    """Copy the bundle to /root and unpack a tar with the machine's own tar; return what to run there."""
    if bundle.form == "dir":
        machine.copy_in(bundle.path.resolve(), f"/root/{bundle.top}")
    elif bundle.form == "run":
        machine.copy_in(bundle.path.resolve(), f"/root/{bundle.top}.run")
        return f"/root/{bundle.top}.run"
    else:
        with bundle.path.open("rb") as file:
            machine.run("tar", "-xf", "-", "-C", "/root", stdin=file, check=True)
    return f"/root/{bundle.top}/install.sh"


def _install(machine: Machine, program: str, options: SmokeOptions) -> Install:
    began = time.monotonic()
    script = 'cd "${1%/*}" && exec sh "$@" 2>&1'
    answer = machine.run("sh", "-c", script, "sh", program, *options.install_args, timeout=options.timeout)
    output = answer.stdout + answer.stderr
    return Install(status=answer.status, seconds=time.monotonic() - began, output=output)


def _start(machine: Machine, services: Iterable[ServiceEntry]) -> None:
    """Start what a failed installation has left stopped. Whether it comes up is checked later."""
    for service in services:
        unit = service.timer or service.unit
        machine.run("systemctl", "reset-failed", "--", unit)
        machine.run("systemctl", "start", "--", unit, timeout=60)


def _inspect(machine: Machine, service: ServiceEntry, hidden: Sequence[str]) -> ServiceReport:
    unit, health_unit = service.unit, service.health_unit
    shown = machine.run("systemctl", "show", f"--property={','.join(_SHOWN)}", "--", unit)
    report = parse_show(unit, shown.stdout)
    if report.load_state == "loaded":
        report = replace(report, exposure=_exposure(machine, unit))
    if report.active_state in _UP and health_unit:
        health = _health(machine, unit, health_unit)
        # Once more: it may have failed, or come up, during the check.
        shown = machine.run("systemctl", "show", f"--property={','.join(_SHOWN)}", "--", unit)
        report = replace(parse_show(unit, shown.stdout), health=health, exposure=report.exposure)
    if report.main_pid:
        user, executable = _main_process(machine, report.main_pid)
        http = _ask(machine, service, report.main_pid, hidden)
        report = replace(report, user=user, executable=executable, http=http)
    if service.timer:
        state = machine.run("systemctl", "is-active", "--", service.timer).stdout.strip()
        report = replace(report, timer=f"{service.timer} {state}")
    if report.healthy:
        return report
    return replace(report, journal=_journal(machine, [unit, health_unit] if health_unit else [unit], hidden))


def _health(machine: Machine, unit: str, health_unit: str) -> Health:
    """Start the health unit until it succeeds, the time is up, or the service has failed for good."""
    began = time.monotonic()
    while True:
        status = machine.run("systemctl", "start", "--", health_unit, timeout=60).status
        seconds = time.monotonic() - began
        state = machine.run("systemctl", "is-active", "--", unit).stdout.strip()
        if status == 0 or seconds > _PATIENCE or state not in _UP:
            return Health(unit=health_unit, status=status, seconds=seconds)
        time.sleep(0.5)


def _exposure(machine: Machine, unit: str) -> str:
    answer = machine.run("systemd-analyze", "security", "--no-pager", unit, env={"SYSTEMD_COLORS": "0"})
    return parse_exposure(answer.stdout)


def _main_process(machine: Machine, pid: int) -> tuple[str, str]:
    executable, user = (*machine.run("sh", "-c", _MAIN_PROCESS, "sh", str(pid)).stdout.splitlines(), "", "")[:2]
    return user, executable


def _ask(machine: Machine, service: ServiceEntry, pid: int, hidden: Sequence[str]) -> HttpAnswer | None:
    """GET the health URL, with variables from the running service's environment; None if there is no URL."""
    template = (service.health or {}).get("http")
    url = expand(template, _text(machine.read(f"/proc/{pid}/environ"))) if template else None
    if url is None:
        return None
    answer = machine.run_on_its_network(sys.executable, "-I", "-S", "-c", _CLIENT, url)
    return parse_answer(mask(url, hidden), answer, hidden)


def _journal(machine: Machine, units: Iterable[str], hidden: Sequence[str]) -> tuple[str, ...]:
    chosen = [f"--unit={unit}" for unit in units]
    words = ("journalctl", "--quiet", "--no-pager", "--no-hostname", f"--lines={_JOURNAL_LINES}", *chosen)
    return tuple(mask(machine.run(*words).stdout, hidden).splitlines())


def _secrets(machine: Machine, manifest: Manifest) -> tuple[str, ...]:
    etc = f"/etc/{manifest.name}"
    names = [secret.name for secret in manifest.secrets if secret.delivery == "credential"]
    credentials = [_text(machine.read(f"{etc}/credentials/{name}")) for name in names]
    return (*parse_secrets(_text(machine.read(f"{etc}/secrets.env"))), *filter(None, credentials))


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")
