"""share/watch without systemd: what it starts again, after which pause, and what it leaves as it is."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from bundler.installer.render import render_programs

if TYPE_CHECKING:
    from pathlib import Path

# systemctl answers from files, sleep lets the clock of the test go on, and what matters is written down.
HEAD = """
systemctl() {
    case $* in
        *' show -p '*) cat "$ROOM/$6.$4" 2>/dev/null ;;
        'start web-health.service' | 'start web-health@2.service') [ -e "$ROOM/answers" ] ;;
        *) echo "systemctl $*" >>"$ROOM/done" ;;
    esac
}
sleep() {
    echo "sleep $1" >>"$ROOM/done"
    read -r now _ <"$ROOM/uptime"
    echo "$((now + $1)) 0" >"$ROOM/uptime"
    [ ! -e "$ROOM/meanwhile" ] || . "$ROOM/meanwhile"
}
"""
FAILED = {
    "ActiveState": "failed",
    "Result": "exit-code",
    "ExecMainStatus": "1",
    "Restart": "on-failure",
    "RestartPreventExitStatus": "",
    "LoadState": "loaded",
    "UnitFileState": "enabled",
    "InactiveEnterTimestampMonotonic": "100000000",
}
STARTED = ["systemctl reset-failed web.service", "systemctl --no-block start web.service"]


@dataclass
class World:
    """A clock at 100 s since boot, and a service web that failed in that second."""

    room: Path
    shell: tuple[str, ...]
    asks: str = "none"
    name: str = "web"
    properties: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tell("web.service", **FAILED)
        for timer in ("web-watch.timer", "web-health.timer"):
            self.tell(timer, ActiveState="active")
        (self.room / "uptime").write_text("100 0\n")

    def tell(self, unit: str, **properties: str) -> None:
        for name, value in properties.items():
            (self.room / f"{unit}.{name}").write_text(f"{value}\n")

    def watch(self, again: str = "yes", *dependants: str) -> list[str]:
        """What it did, a line each."""
        text = render_programs()["watch"].decode()
        for place in ("/run/conda-bundler", "/var/lib/conda-bundler"):
            text = text.replace(place, str(self.room / "run"))
        script = self.room / "watch"
        script.write_text(HEAD + text.replace("/proc/uptime", str(self.room / "uptime")))
        words = (self.name, "hello", self.asks, "3", "4", "5", again, *dependants)
        done = subprocess.run(
            [*self.shell, script, *words], env={"ROOM": str(self.room)}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        log = self.room / "done"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def fails_again(self) -> None:
        """Now."""
        now = (self.room / "uptime").read_text().split()[0]
        self.tell("web.service", InactiveEnterTimestampMonotonic=f"{now}000000")


@pytest.fixture(params=[("dash",), ("busybox", "sh")], ids=["dash", "busybox"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, tuple(request.param))


def test_the_pauses_grow_to_five_minutes(world: World) -> None:
    pauses = []
    for _ in range(8):
        first, *rest = world.watch()
        pauses.append(int(first.removeprefix("sleep ")))
        assert rest == STARTED
        world.fails_again()
    assert pauses == [15, 30, 60, 120, 240, 300, 300, 300]


def test_what_has_passed_since_it_failed_counts(world: World) -> None:
    (world.room / "uptime").write_text("110 0\n")
    assert world.watch() == ["sleep 5", *STARTED]
    (world.room / "uptime").write_text("900 0\n")
    assert world.watch() == STARTED


@pytest.mark.parametrize(
    ("unit", "properties"),
    [
        ("web-watch.timer", {"ActiveState": "inactive"}),  # systemctl stop
        ("web.service", {"UnitFileState": "disabled"}),
        ("web.service", {"UnitFileState": "masked-runtime"}),
        ("web.service", {"LoadState": "masked"}),
        ("web.service", {"ActiveState": "inactive"}),
        ("web.service", {"ActiveState": "activating"}),  # systemd starts it again itself
        ("web.service", {"Restart": "no"}),
        ("web.service", {"Restart": "on-abnormal"}),
        ("web.service", {"RestartPreventExitStatus": "0 1 SIGINT"}),
    ],
)
def test_what_somebody_wanted_so_stays_so(world: World, unit: str, properties: dict[str, str]) -> None:
    world.tell(unit, **properties)
    assert world.watch() == []


NEVER = {
    "ActiveState": "inactive",
    "InactiveExitTimestampMonotonic": "0",
    "ConditionTimestampMonotonic": "0",
    "Job": "",
}


def test_what_could_not_be_started_for_what_it_requires_is_tried_again(world: World) -> None:
    """systemd runs the watch again each time that this fails (OnFailure=), so there are pauses here, too."""
    world.tell("web.service", **NEVER)
    clock = 0
    for pause in (15, 30, 60, 120, 240, 300, 300):
        (world.room / "uptime").write_text(f"{clock + pause - 1} 0\n")
        assert world.watch() == []
        clock += pause
        (world.room / "uptime").write_text(f"{clock} 0\n")
        assert world.watch() == ["systemctl --no-block start web.service"]
    assert world.watch("no") == []


@pytest.mark.parametrize(
    ("unit", "properties"),
    [
        ("web-watch.timer", {"ActiveState": "inactive"}),  # systemctl stop
        ("web.service", {"UnitFileState": "disabled"}),
        ("web.service", {"LoadState": "masked"}),
        ("web.service", {"Job": "57"}),  # it waits for its turn
        ("web.service", {"InactiveExitTimestampMonotonic": "90000000"}),  # it has run
        ("web.service", {"ConditionTimestampMonotonic": "90000000"}),  # a condition of its own keeps it down
    ],
)
def test_what_is_to_stay_down_is_not_tried(world: World, unit: str, properties: dict[str, str]) -> None:
    world.tell("web.service", **NEVER)
    world.tell(unit, **properties)
    assert world.watch() == []


def test_an_instance_is_watched_by_itself(world: World) -> None:
    world.name = "web@2"
    world.tell("web@2.service", **FAILED)
    assert world.watch() == []  # the timer is that of the instance
    world.tell("web-watch@2.timer", ActiveState="active")
    world.tell("api@1.service", ActiveState="inactive", LoadState="loaded", UnitFileState="enabled")
    world.tell("api-health@1.timer", ActiveState="active")
    world.tell("api@2.service", ActiveState="inactive", LoadState="loaded", UnitFileState="enabled")
    started = world.watch("yes", "api@1", "api@2")
    assert started[-1] == "systemctl --no-block start web@2.service api@1.service"
    world.asks = "probe"
    world.tell("web@2.service", ActiveState="active", ActiveEnterTimestampMonotonic="1000000")
    (world.room / "answers").touch()
    assert world.watch() == ["systemctl reset-failed web-health@2.service"]


def test_a_bundle_may_want_none_of_it(world: World) -> None:
    assert world.watch("no") == []
    world.tell("web.service", RestartPreventExitStatus="2 11")  # other ends than this one
    assert world.watch()[1:] == STARTED


@pytest.mark.parametrize(
    "meanwhile",
    [
        "echo inactive >{room}/web-watch.timer.ActiveState",
        "echo disabled >{room}/web.service.UnitFileState",
        "echo active >{room}/web.service.ActiveState",
        "echo 111000000 >{room}/web.service.InactiveEnterTimestampMonotonic",
        "mkdir -p {room}/run/hello; : >{room}/run/hello/transaction",
    ],
    ids=["stopped", "disabled", "started", "started and failed", "an install runs"],
)
def test_it_looks_again_after_the_pause(world: World, meanwhile: str) -> None:
    (world.room / "meanwhile").write_text(meanwhile.format(room=world.room))
    assert world.watch() == ["sleep 15"]


def test_once_it_was_up_it_begins_anew(world: World) -> None:
    for _ in range(3):
        world.watch()
        world.fails_again()
    world.tell("web.service", ActiveEnterTimestampMonotonic="100000000", ActiveExitTimestampMonotonic="159000000")
    assert world.watch()[0] == "sleep 120"
    world.fails_again()
    world.tell("web.service", ActiveExitTimestampMonotonic="160000000")
    assert world.watch()[0] == "sleep 15"


def test_a_good_answer_counts_as_up(world: World) -> None:
    world.asks = "probe"
    assert world.watch()[0] == "sleep 15"
    world.tell("web.service", ActiveState="active", ActiveEnterTimestampMonotonic="100000000")
    (world.room / "answers").write_text("")
    assert world.watch() == ["systemctl reset-failed web-health.service"]
    world.tell("web.service", ActiveState="failed")
    world.fails_again()
    assert world.watch()[0] == "sleep 15"


def test_who_could_not_do_without_it_comes_with_it(world: World) -> None:
    state = {"LoadState": "loaded", "UnitFileState": "enabled"}
    world.tell("down.service", ActiveState="inactive", **state)
    world.tell("down-health.timer", ActiveState="active")
    world.tell("up.service", ActiveState="active", **state)
    world.tell("up-health.timer", ActiveState="active")
    world.tell("stopped.service", ActiveState="inactive", **state)
    world.tell("stopped-watch.timer", ActiveState="inactive")
    assert world.watch("yes", "up", "down", "stopped")[-1] == f"{STARTED[-1]} down.service"


def test_a_record_that_was_cut_off_stops_nothing(world: World) -> None:
    (world.room / "run").mkdir()
    for text in ("", "x\n", "99999\n"):
        (world.room / "run" / "web.tries").write_text(text)
        assert world.watch()[1:] == STARTED
        world.fails_again()
