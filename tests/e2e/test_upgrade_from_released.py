"""A machine that earlier code has installed: up to a bundle of today's code, back, and up again."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from everywhere import everywhere
from faults import Figures, Plan, chosen, rehearse, try_faults
from once import once
from released import unpack
from released.project import NEXT, make_channel, make_project
from smallbundle import build
from targetkit import Target, changes
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundler.machine import Answer

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("own_cache")]

RELEASED = ("0.1.0-first", *everywhere("0.1.0-last"))
UNITS = "/usr/local/lib/systemd/system"
SERVICES = {"1.0": {"hello", "hello-nightly", "hello-old"}, "2.0": {"hello", "hello-nightly", "hello-new"}}
FIRST_BOOT = "hello-first-boot.service"  # an image's, until the next release
PORT = 9000
"""What the operator has set in the place of the bundle's 8000."""
SETTINGS = f"printf 'PORT={PORT}\\nGREETING=\"good evening\"\\n' >>/etc/hello/hello.env"
ACCOUNTS = re.compile("/etc/(passwd|group|g?shadow)-? ")


@dataclass(frozen=True)
class Bundle:
    """One that lies unpacked on this host, and on the machine in /root/VERSION."""

    directory: Path

    @property
    def release(self) -> str:
        release: str = json.loads((self.directory / "manifest.json").read_text())["release"]
        return release

    @property
    def version(self) -> str:
        return self.release.partition("-")[0]

    @property
    def installer(self) -> str:
        return f"/root/{self.version}/install.sh"

    @property
    def units(self) -> set[str]:
        return {path.name for path in (self.directory / "units").iterdir()}


@pytest.fixture(scope="module")
def second(own_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The project's next version, as today's code builds it."""

    def make() -> Path:
        room = tmp_path_factory.mktemp("next")
        return build(make_project(room / "project", version=NEXT), make_channel(room / "channel"), "dir")

    return Bundle(once(tmp_path_factory, "released-next", make))


@pytest.fixture(params=RELEASED)
def first(request: pytest.FixtureRequest, tmp_path: Path) -> Bundle:
    return Bundle(unpack(request.param, tmp_path / "first"))


@pytest.fixture
def target(tmp_path: Path, first: Bundle, second: Bundle) -> Iterator[Target]:
    """A machine that has both bundles in /root, and nothing installed."""
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        bring(machine, first, second)
        yield Target(machine, tmp_path)


def bring(machine: Machine, *bundles: Bundle) -> None:
    for bundle in bundles:
        machine.copy_in(bundle.directory, bundle.installer.removesuffix("/install.sh"))


def good(answer: Answer) -> Answer:
    assert answer.status == 0, answer.stderr
    return answer


def install(target: Target, bundle: Bundle, *options: str) -> Answer:
    return good(target.machine.run("sh", bundle.installer, *options))


def page(target: Target) -> dict[str, str]:
    """What the service says: its greeting by its version, digests of its secrets and its data, its own text."""
    asked = f"busybox wget -q -O - http://127.0.0.1:{PORT}/"
    assert until(lambda: target.machine.run("sh", "-c", asked).status == 0)
    return dict(line.split(maxsplit=1) for line in target.sh(asked).splitlines())


def operators(target: Target) -> dict[str, bytes | None]:
    """Settings and secrets, by path."""
    return {path: target.machine.read(path) for path in target.sh("find /etc/hello -type f").splitlines()}


def keeps(before: dict[str, bytes | None], after: dict[str, bytes | None], *, more: str = "") -> None:
    """Nothing is changed in what the operator has, but for one secret ``more``."""
    after = {
        path: b"".join(
            line for line in (text or b"").splitlines(True) if not more or not line.startswith(more.encode())
        )
        for path, text in after.items()
    }
    assert after == before


def runs(target: Target, bundle: Bundle) -> dict[str, str]:
    """The bundle's release is the current one, healthy, and its units are those that there are; what it says."""
    assert set(target.sh(f"ls {UNITS}").splitlines()) - {FIRST_BOOT} == bundle.units
    assert target.current() == bundle.release
    status = target.status()
    assert (status["release"], status["healthy"], status["pending"]) == (bundle.release, True, None)
    for name in SERVICES[bundle.version]:
        started = target.sh(f"systemctl show -p ExecStart {name}.service")
        assert f"/releases/{bundle.release}/" in started, started
    timers = {unit for unit in bundle.units if unit.endswith(".timer")}
    running = timers | {f"{name}.service" for name in SERVICES[bundle.version] - {"hello-nightly"}}
    listed = target.sh("systemctl list-units --all --plain --no-legend 'hello*'").splitlines()
    states = {line.split()[0]: line.split()[1:3] for line in listed if not line.startswith(FIRST_BOOT)}
    assert {unit for unit, state in states.items() if state == ["loaded", "active"]} == running
    assert all(state == ["loaded", "inactive"] for unit, state in states.items() if unit not in running), listed
    pid = target.sh("systemctl show -p MainPID --value hello")
    assert f"/releases/{bundle.release}/" in (target.machine.read(f"/proc/{pid}/cmdline") or b"").decode()
    said = page(target)
    assert said.pop(f"{bundle.version}:") == "good evening"
    assert said.pop("text") == f"of {bundle.version}"
    return said


def works(target: Target, *releases: Bundle) -> None:
    """The job runs, and the program that looks after it knows both releases."""
    target.sh("rm -f /var/lib/hello/reports; systemctl start hello-nightly hello-health hello-watch")
    assert target.sh("cat /var/lib/hello/reports") == f"report of {target.current().partition('-')[0]}"
    told = {line.split("\t")[0] for line in good(target.manage("releases")).stdout.splitlines()}
    assert told - {"total"} == {bundle.release for bundle in releases}
    for bundle in releases:
        good(target.manage("verify", bundle.release))


def test_there_and_back_again(target: Target, first: Bundle, second: Bundle) -> None:
    before = target.listing()
    install(target, first)
    target.sh(f"{SETTINGS}; systemctl restart hello")
    told, kept = runs(target, first), operators(target)
    works(target, first)

    install(target, second)
    assert runs(target, second) == told
    works(target, first, second)
    keeps(kept, operators(target), more="ADDED=")
    assert target.status()["previous"] == first.release
    assert target.history() == [f"{first.release} installed", f"{second.release} upgraded"]

    good(target.manage("rollback"))
    assert runs(target, first) == told
    works(target, first, second)
    target.machine.reboot()
    assert runs(target, first) == told
    keeps(kept, operators(target), more="ADDED=")

    install(target, second)
    assert runs(target, second) == told
    install(target, first)  # by its own script once more, which brings its own manage along
    assert runs(target, first) == told
    works(target, first, second)
    good(target.manage("rollback"))
    assert runs(target, second) == told
    install(target, second)  # which brings today's manage back
    assert "is already installed" in install(target, second, "--dry-run").stdout

    good(target.manage("uninstall", "--purge", "--yes"))
    assert [line for line in changes(before, target.listing()) if not ACCOUNTS.match(line)] == []
    assert target.sh("find / -xdev -name '*hello*' -not -path '/root/*'") == ""
    assert target.machine.run("id", "hello").status != 0


def test_an_unhealthy_one_goes_back_to_the_released_one(target: Target, first: Bundle, second: Bundle) -> None:
    install(target, first)
    target.sh(f"{SETTINGS}; systemctl restart hello")
    told, kept = runs(target, first), operators(target)
    # The operator's own, which lets nothing start that is of the second version.
    drop_in = f"[Service]\nExecStartPre=/bin/sh -c '! grep -q releases/2 {UNITS}/hello.service'\n"
    target.machine.put("/etc/systemd/system/hello.service.d/picky.conf", drop_in.encode())
    target.sh("systemctl daemon-reload")
    failed = target.machine.run("sh", second.installer)
    assert failed.status == 14, failed.stderr
    assert runs(target, first) == told
    works(target, first, second)
    keeps(kept, operators(target), more="ADDED=")


def test_without_systemd(target: Target, first: Bundle, second: Bundle) -> None:
    def started() -> dict[str, str]:
        target.sh(
            "systemctl stop by-hand 2>/dev/null; systemd-run -q --collect --unit=by-hand /opt/hello/bin/run-hello"
        )
        return page(target)

    def launchers() -> set[str]:
        return set(target.sh("ls /opt/hello/bin").split())

    install(target, first, "--no-systemd")
    target.sh(SETTINGS)
    told = started()
    assert told.pop("1.0:") == "good evening"
    for step in ("up", "back", "up"):
        if step == "up":
            install(target, second)
        else:
            good(target.manage("rollback"))
        bundle = second if step == "up" else first
        said = started()
        assert said.pop(f"{bundle.version}:") == "good evening"
        assert said == told | {"text": f"of {bundle.version}"}
        assert launchers() == {f"run-{name}" for name in SERVICES[bundle.version]}
        good(target.manage("verify"))
        assert target.sh("find /etc/systemd /usr/local/lib -name '*hello*'") == ""
    target.sh("systemctl stop by-hand")
    good(target.manage("uninstall", "--purge", "--yes"))
    assert target.sh("find / -xdev -name '*hello*' -not -path '/root/*'") == ""


@pytest.mark.everywhere
def test_at_another_root(target: Target, first: Bundle, second: Bundle) -> None:
    """Both are relocated; where the bundle lives is known by its record."""
    install(target, first, "--prefix", "/srv/elsewhere")
    for step in ((second.installer,), ("/srv/elsewhere/manage", "rollback"), (second.installer,)):
        good(target.machine.run("sh", *step))
        good(target.machine.run("sh", "/srv/elsewhere/manage", "verify"))
        assert json.loads(target.machine.run("sh", "/srv/elsewhere/manage", "status", "--json").stdout)["healthy"]
    good(target.machine.run("sh", "/srv/elsewhere/manage", "uninstall", "--purge", "--yes"))
    assert target.sh("find / -xdev '(' -name '*hello*' -o -name elsewhere ')' -not -path '/root/*'") == ""


IMAGE = """
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/image" "$1/run"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/image"
mount --bind "$1/run" /run
sh "$4/install.sh" --root "$1/image"
[ -z "$5" ] || sh "$5/install.sh" --root "$1/image"
umount "$1/image"
cp -a "$1/upper" "$3"
"""


@pytest.mark.parametrize("where", ["image", "machine"])
def test_an_image_of_the_released_one(where: str, tmp_path: Path, first: Bundle, second: Bundle) -> None:
    """It is upgraded before its first boot, or after it."""
    system, state = rootfs("bookworm", include=("busybox",)), tmp_path / "state"
    (tmp_path / "room").mkdir()
    again = second.directory if where == "image" else ""
    words = ("unshare", "-m", "sh", "-euc", IMAGE, "sh", tmp_path / "room", system, state, first.directory, again)
    subprocess.run(words, check=True)
    with Machine(system, state=state) as machine:
        target = Target(machine, tmp_path)
        assert until(lambda: target.status()["healthy"])
        target.sh(f"{SETTINGS}; systemctl restart hello")
        if where == "machine":
            told = runs(target, first)
            bring(machine, second)
            install(target, second)
            assert runs(target, second) == told
        told = runs(target, second)
        good(target.manage("rollback"))
        assert runs(target, first) == told
        machine.reboot()
        assert runs(target, first) == told
        good(target.manage("verify"))


# --- faults

WATCHED = ("hello.service", "hello-old.service", "hello-new.service", "hello-nightly.timer", "hello-health.timer")
SHARE = 1 if os.environ.get("CONDA_BUNDLER_FAULTS") in ("all", "every") else 0.25


def test_killed_on_the_way(
    first: Bundle, second: Bundle, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The upgrade is cut off at some of its steps: the released one serves or the new one, and nothing is lost."""
    system = rootfs("bookworm", include=("busybox",))
    with Machine(system) as machine:
        bring(machine, first, second)
        machine.run("sh", first.installer, check=True)
        machine.run("sh", "-c", f"{SETTINGS}; systemctl restart hello", check=True)
        machine.stop()
        begin = machine.snapshot(tmp_path / "begin")
    plan = Plan(
        name="upgrade-from-released", argv=("dash", second.installer), rootfs=system, begin=begin, units=WATCHED
    )
    operation = rehearse(plan)
    faults = chosen(operation.calls, "kill-after", "cut-after", "kill-before", "cut-before", count=32, share=SHARE)
    problems = try_faults(operation, [(fault,) for fault in faults], Figures(record_property))
    assert not problems, "\n".join(problems)
