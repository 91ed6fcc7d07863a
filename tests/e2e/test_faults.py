"""install.sh is killed, and the machine with it, at one step after the other; and each of its tools fails once.

After each fault the old release serves or the new one, and nobody sees a mixture; without a transaction record
nothing has changed that anybody could see. The same command, run again, leaves what an undisturbed run leaves.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pytest
from everywhere import everywhere
from faults import Fault, Figures, Operation, Plan, chosen, cut_power, rehearse, try_faults
from installkit import COOKIE, Spec, but, write_bundle
from once import once

from bundler.config.project import Secret
from bundler.machine import Machine, rootfs
from bundler.pack.decompressor import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.e2e

SERVE = """#!/bin/sh
cd "$STATE_DIRECTORY"
[ -e data ] || { yes | head -c 65536 >.data && sync .data && mv .data data; }
while :; do /bin/sleep 1; done
"""
# What the data is as: that of the release which serves, or the hooks have not run as they should.
MIGRATE = """#!/bin/sh
cd "$STATE_DIRECTORY"
echo "$HOOK_TO_VERSION" >.schema && sync .schema && mv .schema schema && sync .
"""
FIRST = Spec(
    version="1.0",
    hooks=(("before-switch", MIGRATE), ("back", MIGRATE)),
    serve=SERVE,
    health="exit 0\n",
    services=("hello", "hello-old"),
    sockets=(("hello", "127.0.0.1:8100"), ("hello-old", "/run/hello-old.sock")),
    instances=(("hello-crew", 2),),
    config='PORT="8000"\nMARK="1.0"\n',
    parts=2,
)
# One service goes with its socket, the other one's socket moves, one service comes, of two instances one goes, one
# secret comes; its payload is zstd, and brings what reads it.
SECOND = but(
    FIRST,
    version="2.0",
    hooks=(*FIRST.hooks, ("after-switch", '#!/bin/sh\n[ -e "$STATE_DIRECTORY/schema" ]\n')),
    services=("hello", "hello-new"),
    sockets=(("hello", "127.0.0.1:8200"),),
    instances=(("hello-crew", 1),),
    secrets=(COOKIE, Secret(name="KEY", bytes=16, format="hex")),
    config='PORT="8000"\nMARK="2.0"\n',
)
UNITS = (
    *(f"{name}.service" for name in ("hello", "hello-old", "hello-new", "hello-crew@1", "hello-crew@2")),
    *(f"{name}.socket" for name in ("hello", "hello-old")),
    "hello-crew.target",
)


@dataclass(frozen=True, kw_only=True)
class World:
    """A kind of machine, and how install.sh is run on it."""

    suite: str = "bookworm"
    shell: tuple[str, ...] = ("dash",)
    busybox: bool = False

    def __str__(self) -> str:
        return "-".join((self.suite, *self.shell, *(["busybox"] if self.busybox else [])))


DASH = World()
WORLDS = (
    World(shell=("bash",)),
    World(shell=("busybox", "sh"), busybox=True),
    World(suite="bullseye"),
    World(suite="trixie"),
    *everywhere(World(shell=("busybox", "sh"))),
)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    return Figures(record_property)


# What was run before, and what is: on a machine that has both bundles in /root.
INSTALL, UPGRADE = "/root/1.0/install.sh", "/root/2.0/install.sh"
MANAGE = "/opt/hello/manage"
OPERATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "install": ((), (INSTALL,)),
    "upgrade": ((INSTALL,), (UPGRADE,)),
    "rollback": ((INSTALL, UPGRADE), (MANAGE, "rollback", FIRST.release)),
    "rotate-secret": ((INSTALL,), (MANAGE, "rotate-secret", "RELEASE_COOKIE", "--from", "/root/cookie")),
    "uninstall": ((INSTALL,), (MANAGE, "uninstall")),
    "purge": ((INSTALL,), (MANAGE, "uninstall", "--purge", "--yes")),
}
# Run again after its end: the release is current already.
ALREADY = {"rollback": (10,)}
INSTALLS = ("install", "upgrade")


@pytest.fixture(scope="session")
def bundles(hello: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make() -> Path:
        room = tmp_path_factory.mktemp("bundles")
        for codec, second in (("gzip", SECOND), ("zstd", but(SECOND, tools=hello / TOOLS))):
            for spec in (FIRST, second):
                write_bundle(spec, room / codec / spec.version)
        return room

    return once(tmp_path_factory, "faults-bundles", make)


@pytest.fixture(scope="session")
def begin(bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[World, tuple[str, ...]], Path]:
    """The state of a machine on which some scripts were run, and an operator has changed a setting."""

    def make(world: World, scripts: tuple[str, ...]) -> Path:
        with Machine(system(world)) as machine:
            machine.put("/root/cookie", b"0123456789abcdef0123456789abcdef\n")
            # The program that hello brings wants the C library of the machine that has built it.
            codec = "gzip" if world.suite == "bullseye" else "zstd"
            for spec in (FIRST, SECOND):
                machine.copy_in(bundles / codec / spec.version, f"/root/{spec.version}")
            for script in scripts:
                machine.run("sh", script, check=True)
            if scripts:
                machine.run("sh", "-c", "echo PORT=9000 >>/etc/hello/hello.env", check=True)
            machine.stop()
            return machine.snapshot(tmp_path_factory.mktemp("begin") / "state")

    return lambda world, scripts: once(
        tmp_path_factory, f"faults-{world.suite}-{len(scripts)}", lambda: make(world, scripts)
    )


def system(world: World) -> Path:
    return rootfs(world.suite, include=("busybox",) if world.suite == "bookworm" else ())


@pytest.fixture(scope="session")
def rehearsed(
    begin: Callable[[World, tuple[str, ...]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, World], Operation]:
    def make(name: str, world: World) -> Path:
        scripts, words = OPERATIONS[name]
        plan = Plan(
            name=name,
            argv=(*world.shell, *words),
            rootfs=system(world),
            begin=begin(world, scripts),
            units=UNITS,
            busybox=world.busybox,
            already=ALREADY.get(name, ()),
        )
        kept = tmp_path_factory.mktemp("rehearsed") / "operation"
        kept.write_bytes(pickle.dumps(rehearse(plan)))
        return kept

    def read(name: str, world: World) -> Operation:
        operation = pickle.loads(
            once(tmp_path_factory, f"faults-{name}-{world}", lambda: make(name, world)).read_bytes()
        )
        assert isinstance(operation, Operation)
        return operation

    return cache(read)


# What is done, and at how many of an operation's steps. `make test` tries a quarter of these, `make test-all` all.
# CONDA_BUNDLER_FAULTS is the share, all, or every: each harm at each step there is.
STEPS = "mv ln systemctl"
HARMS: dict[str, Callable[[tuple[str, ...]], tuple[Fault, ...]]] = {
    "killed": lambda calls: some(calls, "kill-after", "kill-before", count=30, always=STEPS),
    "killed-in-a-write": lambda calls: some(calls, "kill-torn", count=6, only="cat tar"),
    "killed-alone": lambda calls: some(calls, "kill-alone", count=6),
    "cut-off": lambda calls: some(calls, "cut-after", "cut-before", count=10),
    "a-call-fails": lambda calls: some(calls, "fail", count=16),
    "a-tool-breaks": lambda calls: some(calls, "broken", count=4, only="systemctl systemd-sysusers mv sync"),
    "disk": lambda calls: some(calls, "full", "no-inodes", "read-only", count=6),
}


def some(calls: tuple[str, ...], *kinds: str, count: int, always: str = "", only: str = "") -> tuple[Fault, ...]:
    share = os.environ.get("CONDA_BUNDLER_FAULTS", "0.25")
    if share == "every":
        return chosen(calls, *kinds, only=only)
    return chosen(calls, *kinds, count=count, always=always, only=only, share=1 if share == "all" else float(share))


@pytest.mark.parametrize("name", INSTALLS)
@pytest.mark.parametrize("harm", HARMS)
def test_either_the_old_release_or_the_new_one(
    name: str, harm: str, rehearsed: Callable[[str, World], Operation], figures: Figures
) -> None:
    operation = rehearsed(name, DASH)
    faults = HARMS[harm](operation.calls)
    problems = try_faults(operation, [(fault,) for fault in faults], figures)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in INSTALLS])
def test_manage_killed_and_cut_off(name: str, rehearsed: Callable[[str, World], Operation], figures: Figures) -> None:
    """Once an uninstall has removed manage itself, at most an empty directory is left: nothing has to be run again."""
    operation = rehearsed(name, DASH)
    gone = [number for number, call in enumerate(operation.calls) if call.startswith("rm ") and f" {MANAGE}" in call]
    steps = operation.calls[: gone[0]] if gone else operation.calls
    faults = some(steps, "kill-after", "cut-before", "kill-before", "cut-after", count=12)
    problems = try_faults(operation, [(fault,) for fault in faults], figures)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", ["rollback", "rotate-secret"])
def test_a_call_of_manage_fails(name: str, rehearsed: Callable[[str, World], Operation], figures: Figures) -> None:
    operation = rehearsed(name, DASH)
    faults = some(operation.calls, "fail", count=8)
    problems = try_faults(operation, [(fault,) for fault in faults], figures)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", INSTALLS)
def test_the_power_fails(name: str, rehearsed: Callable[[str, World], Operation], figures: Figures) -> None:
    """What was not synced is lost: the disk is as it was written to until then."""
    operation = rehearsed(name, DASH)
    problems = cut_power(operation, some(operation.calls, "cut-after", count=10), figures)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", INSTALLS)
def test_killed_again_and_again(name: str, rehearsed: Callable[[str, World], Operation], figures: Figures) -> None:
    """The second run is killed, too, and the third."""
    operation = rehearsed(name, DASH)
    steps = some(operation.calls, "kill-before", "cut-after", count=6)
    chains = [(fault, steps[-number // 2], steps[number // 3]) for number, fault in enumerate(steps)]
    problems = try_faults(operation, chains, figures)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_on_other_machines_and_shells(
    world: World, rehearsed: Callable[[str, World], Operation], figures: Figures
) -> None:
    for name in INSTALLS:
        operation = rehearsed(name, world)
        faults = some(operation.calls, "kill-after", "fail", "cut-before", count=4)
        problems = try_faults(operation, [(fault,) for fault in faults], figures)
        assert not problems, "\n".join(problems)
