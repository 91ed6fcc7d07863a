"""Packages are unpacked by several processes at a time: what is said of one that dies, and nothing left of any."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hostilekit import entry, package
from prefixkit import install
from tinychannel import File

from bundler.errors import PrefixError
from bundler.linking import run as linking
from bundler.resources import cache_dir

if TYPE_CHECKING:
    from bundler.locked import LockedPackage

NAMES = ("one", "two", "three", "four")
START = """
import os, signal, sys, time
from pathlib import Path
sys.path[:] = sys.argv[1:]
sys.modules["_multiprocessing"] = None  # its semaphores need /dev/shm
os.cpu_count = lambda: 2
from bundler.linking import worker
unpack = worker.extract
def extract(archive, goal):
    {harm}
    unpack(archive, goal)
worker.extract = extract
{before}
worker.main()
"""
"""The linker's process on a machine of two processors, where something happens to whoever is at a package."""


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))


def harmed(monkeypatch: pytest.MonkeyPatch, harm: str, before: str = "") -> None:
    monkeypatch.setattr(linking, "_START", START.format(harm=harm, before=before))


def packages(tmp_path: Path) -> list[LockedPackage]:
    return [package(tmp_path, name, {name: File(content=b"x")}, entry(name, b"x")) for name in NAMES]


def left() -> list[str]:
    """What unpacking has left: packages, and directories for the time of it."""
    return [path.name for path in cache_dir("pkgs").iterdir()]


@pytest.mark.parametrize(
    ("harm", "how", "remedy"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL", "memory runs out"),
        ("os.abort()", "SIGABRT", "use another build of it"),
        ("os._exit(0)", "status 0", "use another build of it"),
    ],
)
def test_who_dies_is_told_with_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str, how: str, remedy: str
) -> None:
    """The first of those that killed their process, though each process was killed."""
    harmed(monkeypatch, f"if archive.name[:3] in ('two', 'thr'): {harm}")
    with pytest.raises(PrefixError) as caught:
        install(*packages(tmp_path))
    assert caught.value.exit_code == 5
    assert caught.value.where == "two (two-1.0-0.conda)"
    assert caught.value.message == f"1 package could not be unpacked: the linker crashed ({how})"
    assert remedy in str(caught.value.remedy)
    assert left() == []


def test_who_dies_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = "from bundler.linking import crew; crew.end_with_parent = lambda: os.kill(os.getpid(), signal.SIGKILL)"
    harmed(monkeypatch, "pass", before=f"worker.main.__globals__['end_with_parent'] = lambda: None; {dead}")
    with pytest.raises(PrefixError, match=r"4 packages could not be unpacked: the linker crashed \(SIGKILL\)"):
        install(*packages(tmp_path))
    assert left() == []


def test_the_first_that_fails_is_told_whoever_fails_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slowly = "if archive.name[:3] == 'two': time.sleep(1); raise ValueError('it is odd')"
    harmed(monkeypatch, f"{slowly}\n    if archive.name[:3] == 'thr': raise BaseException()")
    with pytest.raises(PrefixError) as caught:
        install(*packages(tmp_path))
    assert caught.value.format_message().startswith("two (two-1.0-0.conda): ")
    assert "not a conda package that can be unpacked: it is odd" in caught.value.message
    assert left() == []


def test_as_many_are_unpacked_at_a_time_as_there_are_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits, for half a minute at most, until another is at its own package."""
    seen = tmp_path / "seen"
    seen.mkdir()
    meet = f"seen = Path({str(seen)!r}); (seen / str(os.getpid())).touch(); end = time.monotonic() + 30"
    harmed(monkeypatch, f"{meet}\n    while len(list(seen.iterdir())) < 2 and time.monotonic() < end: time.sleep(0.02)")
    assert set(NAMES) <= install(*packages(tmp_path)).keys()
    assert len(list(seen.iterdir())) == 2


BUILD = """
import sys
from bundler.linking import run
from prefixkit import install
from lockkit import locked
from pathlib import Path
run._START = sys.argv[1]
install(*(locked(Path(path)) for path in sys.argv[2:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nobody_goes_on_for_a_build_that_has_ended(tmp_path: Path, number: signal.Signals) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    start = START.format(before="", harm=f"Path({str(pids)!r}, str(os.getpid())).touch(); time.sleep(600)")
    archives = [Path(one.url.removeprefix("file://")) for one in packages(tmp_path)]
    paths = f"sys.path[:0] = {[str(Path(__file__).parents[1] / 'support'), str(Path(__file__).parents[2])]}"
    heard = ["env", "--default-signal=INT"]  # a script's background ignores it
    words = [*heard, sys.executable, "-c", f"import sys; {paths}\n{BUILD}", start, *map(str, archives)]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as build, contextlib.ExitStack() as unless_ended:
        unless_ended.callback(build.kill)
        while len(list(pids.iterdir())) < 2:
            assert build.poll() is None, build.stderr.read() if build.stderr else ""
            time.sleep(0.02)
        build.send_signal(number)
        build.communicate(timeout=60)
    if number == signal.SIGINT:
        assert alive(pids) == []
        assert left() == []
    end = time.monotonic() + 60  # the kernel ends them, and nobody has waited for that
    while alive(pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert alive(pids) == []


def alive(pids: Path) -> list[str]:
    """Those that run; one that only waits for its parent to hear of its end has no command line any more."""
    found = (Path("/proc", path.name, "cmdline") for path in pids.iterdir())
    return [path.parent.name for path in found if path.exists() and path.read_bytes()]
