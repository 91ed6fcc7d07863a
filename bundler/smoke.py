"""Boot a throwaway machine, install a bundle there as an operator would, and say how its services are."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bundler.bundle.read import open_bundle
from bundler.errors import SmokeError
from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bundler.bundle.index import Manifest, ServiceEntry
    from bundler.bundle.read import OpenBundle
    from bundler.machine import Answer
    from bundler.progress import Progress

__all__ = ["Health", "HttpAnswer", "Install", "ServiceReport", "SmokeOptions", "SmokeReport", "smoke"]

_PATIENCE = 15.0  # seconds for a first good answer; install.sh has had its own before
_UP = frozenset({"active", "activating", "reloading"})
_SHOWN = ("LoadState", "ActiveState", "SubState", "Type", "Result", "MainPID", "NRestarts")
_JOURNAL_LINES = 40
_INSTALL_LINES = 60

# Run by this interpreter on the machine's network: a minimal Debian has no HTTP client of its own.
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

# The effective user; by number where the name is not to be had.
_MAIN_PROCESS = """
readlink "/proc/$1/exe"
uid=$(sed -n 's/^Uid:.//p' "/proc/$1/status" | cut -f 2)
id -nu "$uid" 2>/dev/null || echo "$uid"
"""


@dataclass(frozen=True, kw_only=True)
class SmokeOptions:
    """On what to install, and how. ``rootfs``, a directory or tarball, goes before ``suite``."""

    suite: str = "bookworm"
    rootfs: Path | None = None
    timeout: float = 180
    install_args: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Install:
    """How install.sh ended; ``status`` is 124 if it ran out of time. Secrets are masked in ``output``."""

    status: int
    seconds: float
    output: str


@dataclass(frozen=True, kw_only=True)
class Health:
    """What the service's own health unit said at last: 0 is healthy."""

    unit: str
    status: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """One GET of the health URL. ``status`` 0: no answer, ``body`` says why."""

    url: str
    status: int
    body: str


@dataclass(frozen=True, kw_only=True)
class ServiceReport:
    """One service after the installation, in systemd's words (systemctl show)."""

    unit: str
    load_state: str
    active_state: str
    sub_state: str
    kind: str
    result: str
    main_pid: int
    restarts: int
    timer: str = ""
    """Of a job: the unit that starts it, and its state."""
    user: str = ""
    executable: str = ""
    health: Health | None = None
    http: HttpAnswer | None = None
    exposure: str = ""
    journal: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Runs since its first start (or, a oneshot, did not fail and has its timer), and its health unit agrees."""
        ran = self.kind == "oneshot" and self.active_state == "inactive" and self.result == "success"
        ran = ran and (not self.timer or self.timer.endswith(" active"))
        fine = self.load_state == "loaded" and (self.active_state == "active" or ran) and self.restarts == 0
        return fine and (self.health is None or self.health.status == 0)

    def lines(self) -> tuple[str, ...]:
        """For people."""
        state = f"{self.active_state} ({self.sub_state})"
        if self.load_state != "loaded":
            state = f"not installed ({self.load_state})"
        elif self.result != "success":
            state += f", {self.result}"
        rows = [("state", f"{state}, {self.restarts} restarts")]
        if self.timer:
            rows.append(("timer", self.timer))
        if self.main_pid:
            rows.append(("process", f"{self.main_pid}, user {self.user}, {self.executable}"))
        if self.health:
            verdict = "good" if self.health.status == 0 else f"exited with {self.health.status}"
            rows.append(("health", f"{verdict} after {self.health.seconds:.1f} s ({self.health.unit})"))
        if self.http:
            rows.append(("http", f"{self.http.status or 'none'} from {self.http.url}: {self.http.body!r}"))
        if self.exposure:
            rows.append(("exposure", self.exposure))
        body = (f"  {label:<9} {text}" for label, text in rows)
        return (f"{self.unit}: {_verdict(self.healthy)}", *body, *(f"  | {line}" for line in self.journal))


@dataclass(frozen=True, kw_only=True)
class SmokeReport:
    """What happened on the machine."""

    bundle: str
    name: str
    release: str
    system: str
    systemd: int
    boot_seconds: float
    install: Install
    services: tuple[ServiceReport, ...]

    @property
    def healthy(self) -> bool:
        """Installed, and every service is healthy."""
        return self.install.status == 0 and all(service.healthy for service in self.services)

    def lines(self) -> tuple[str, ...]:
        """For people; install.sh's output only if it failed."""
        said = self.install.output.splitlines()[-_INSTALL_LINES:] if self.install.status != 0 else []
        return (
            f"{self.name} {self.release} on {self.system}, systemd {self.systemd}: {_verdict(self.healthy)}",
            f"  booted in {self.boot_seconds:.1f} s",
            f"  install.sh exited with {self.install.status} after {self.install.seconds:.1f} s",
            *(f"  | {line}" for line in said),
            *(line for service in self.services for line in service.lines()),
        )

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        services = [asdict(service) | {"healthy": service.healthy} for service in self.services]
        return asdict(self) | {"healthy": self.healthy, "services": services}


def smoke(bundle: Path, options: SmokeOptions, progress: Progress) -> SmokeReport:
    """Install ``bundle``, in whatever form, on a new machine without network, and report.

    An unhealthy bundle is a report too. Raises SmokeError if there is no machine to install it on, what
    :func:`open_bundle` raises if it is no bundle, and what :func:`bundler.machine.rootfs` raises.
    """
    opened = open_bundle(bundle)
    manifest = opened.manifest
    _check_architecture(manifest)
    root = rootfs(options.rootfs or options.suite, progress=progress)
    system = str(options.rootfs or f"Debian {options.suite}")
    progress.step(f"Booting {system} without a network")
    began = time.monotonic()
    with Machine(root) as machine:
        boot_seconds = time.monotonic() - began
        progress.step(f"Installing {bundle.name}")
        install = _install(machine, _bring(machine, opened), options)
        hidden = _secrets(machine, manifest)
        reports = []
        for service in manifest.services:
            progress.step(f"Asking {service.unit}")
            reports.append(_inspect(machine, service, hidden))
        return SmokeReport(
            bundle=str(bundle),
            name=manifest.name,
            release=manifest.release,
            system=system,
            systemd=machine.systemd_version,
            boot_seconds=boot_seconds,
            install=replace(install, output=mask(install.output, hidden)),
            services=tuple(reports),
        )


def _check_architecture(manifest: Manifest) -> None:
    wanted, here = manifest.requires.machine, os.uname().machine
    if wanted != here:
        raise SmokeError(
            f"the bundle is for {wanted} and this machine is {here}",
            where=manifest.name,
            remedy="Run smoke on a machine of that architecture.",
        )


def _bring(machine: Machine, bundle: OpenBundle) -> str:
    """Put the bundle into /root, a tar with the machine's own tar, which must be able to; what to run there."""
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


def _inspect(machine: Machine, service: ServiceEntry, hidden: Sequence[str]) -> ServiceReport:
    unit, health_unit = service.unit, service.health_unit
    shown = machine.run("systemctl", "show", f"--property={','.join(_SHOWN)}", "--", unit)
    report = parse_show(unit, shown.stdout)
    if report.load_state == "loaded":
        report = replace(report, exposure=_exposure(machine, unit))
    if report.active_state in _UP and health_unit:
        health = _health(machine, unit, health_unit)
        # Once more: while we asked it may have failed, or come up.
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


def parse_show(unit: str, text: str) -> ServiceReport:
    """A report of what ``systemctl show`` prints: ``Key=value`` lines; a key that systemd does not know is left out."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return ServiceReport(
        unit=unit,
        load_state=values.get("LoadState", "unknown"),
        active_state=values.get("ActiveState", "unknown"),
        sub_state=values.get("SubState", "unknown"),
        kind=values.get("Type", ""),
        result=values.get("Result", "success"),
        main_pid=int(values.get("MainPID") or 0),
        restarts=int(values.get("NRestarts") or 0),
    )


def _health(machine: Machine, unit: str, health_unit: str) -> Health:
    """Start the health unit until it is content, we lose patience or the service is down for good."""
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


def parse_exposure(text: str) -> str:
    """``1.4 OK`` from systemd-analyze's ``→ Overall exposure level for hello.service: 1.4 OK 🙂``; empty if none."""
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+) ([A-Z]+)", text)
    return f"{found[1]} {found[2]}" if found else ""


def _main_process(machine: Machine, pid: int) -> tuple[str, str]:
    executable, user = (*machine.run("sh", "-c", _MAIN_PROCESS, "sh", str(pid)).stdout.splitlines(), "", "")[:2]
    return user, executable


def _ask(machine: Machine, service: ServiceEntry, pid: int, hidden: Sequence[str]) -> HttpAnswer | None:
    """GET the health URL, with what the running service's environment says; None if there is none."""
    template = (service.health or {}).get("http")
    url = expand(template, _text(machine.read(f"/proc/{pid}/environ"))) if template else None
    if url is None:
        return None
    answer = machine.run_on_its_network(sys.executable, "-I", "-S", "-c", _CLIENT, url)
    return parse_answer(mask(url, hidden), answer, hidden)


def expand(template: str, environment: str) -> str | None:
    """``template`` with its ``${NAME}`` from ``environment``, as in /proc/PID/environ; None if one is not in it."""
    values = dict(word.split("=", 1) for word in environment.split("\0") if "=" in word)
    names = re.findall(r"\$\{(\w+)\}", template)
    if any(name not in values for name in names):
        return None
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], template)


def parse_answer(url: str, answer: Answer, hidden: Sequence[str]) -> HttpAnswer:
    """What the client printed: the status on a line, then the body's beginning; or why there is none."""
    status, _, body = answer.stdout.partition("\n")
    if answer.status != 0 or not status.isdigit():
        reason = answer.stderr.strip().splitlines()[-1:] or ["no answer"]
        return HttpAnswer(url=url, status=0, body=mask(reason[0], hidden))
    return HttpAnswer(url=url, status=int(status), body=mask(body, hidden))


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


def parse_secrets(text: str) -> tuple[str, ...]:
    """The values in an EnvironmentFile (systemd.exec(5)); its quoting is near enough to the shell's."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = text.split()
    values = [line for word in words for line in word.partition("=")[2].splitlines()]
    return tuple(sorted((value for value in values if len(value) > 3), key=len, reverse=True))


def mask(text: str, hidden: Iterable[str]) -> str:
    """``text`` with every secret value starred out."""
    for value in hidden:
        text = text.replace(value, "***")
    return text


def _verdict(healthy: bool) -> str:
    return "healthy" if healthy else "UNHEALTHY"
