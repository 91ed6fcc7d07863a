"""Measures how long building and installing take, beside what people use today: ``python -m benchmarks``.

Whole processes, in turns, on the same packages and caches. The tables go to standard output, and as the last line the
path of the JSON document with every single run. A missed target is no failure: figures are not tests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.environments import prepare, spread
from benchmarks.locking import checks, locks
from benchmarks.many import fetching, growing_many
from benchmarks.measure import interleave
from benchmarks.report import document, machine, markdown
from benchmarks.subjects import builds, growing, installs, ours, rebuilds, smaller_builds
from benchmarks.targets import Result, judge
from bundler.errors import BundlerError
from bundler.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.environments import World
    from benchmarks.measure import Subject

_TO_CHECK = ("python only", "300 packages")
"""The environments of which a lockfile's freshness is asked."""


def main() -> int:
    """Parse the command line, prepare, measure, print; the exit code."""
    options = _arguments()
    # Inherited by everything that is measured.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cpus])
    try:
        if options.locks:
            world = prepare(options.room.resolve(), (1,), only=_TO_CHECK)
            results = _measure_locks(_Bench(world=world, runs=options.runs))
        else:
            world = prepare(options.room.resolve(), options.sizes)
            results = _measure(world, options.sizes, options.runs)
        facts = machine(len(os.sched_getaffinity(0)))
    except BundlerError as error:
        error.show()
        return error.exit_code
    verdicts = judge(results)
    output: Path = options.output
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(document(facts, results.values(), verdicts), encoding="utf-8")
    sys.stdout.write(f"{markdown(facts, results.values(), verdicts)}\n\n{output}\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"), metavar="FILE")
    parser.add_argument("--room", type=Path, default=Path("build/bench"), metavar="DIR", help="channel and caches")
    parser.add_argument("--sizes", type=_sizes, default=(1, 3), help="1,3 (the default), or 1,3,10")
    parser.add_argument(
        "--runs", type=int, default=3, help="of each process, after the warm-up; larger sizes get one less"
    )
    parser.add_argument("--locks", action="store_true", help="measure locking alone")
    parser.add_argument("--cpus", type=int, default=2, help="how many processors the processes may use")
    return parser.parse_args()


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(part) for part in text.split(","))
    if 1 not in sizes or not set(sizes) <= {1, 3, 10}:
        raise argparse.ArgumentTypeError("sizes are 1, 3 and 10, and 1 is always measured")
    return sizes


def _measure(world: World, sizes: Sequence[int], runs: int) -> dict[str, Result]:
    """All groups. The order counts: the installs take what the builds of 1x have left."""
    bench = _Bench(world=world, runs=runs)
    results = {
        "build 1x": bench.build("1x", builds(world, world.environments["1x"])),
        "rebuild 1x": bench.rebuild("1x"),
    }
    if os.geteuid() == 0:
        results["install"] = bench.install("Install, 1x")
    else:
        sys.stderr.write("The installs are left out: install.sh checks that what it unpacks is root's.\n")
    for name in ("python only", "12,000 small files"):
        results[f"build {name}"] = bench.build(name, smaller_builds(world, world.environments[name]))
    results["fetch"] = bench.fetch("100 packages")
    results["many"] = bench.grow(("100 packages", "300 packages"))
    results |= _measure_locks(bench)
    # By then all caches are warm, and a run takes long enough to be measured with fewer of them.
    larger = _Bench(world=world, runs=max(1, runs - 1), warm_up=False)
    for name in (f"{size}x" for size in sizes if size > 1):
        results[f"build {name}"] = larger.build(
            name, growing(world, world.environments["1x"], world.environments[name])
        )
        results[f"rebuild {name}"] = larger.rebuild(name)
    if 10 in sizes:
        name = "one file of 1 GiB"
        giant = tuple(ours(world, world.environments[name], codec) for codec in ("gzip", "zstd"))
        results[f"build {name}"] = larger.build(name, giant)
    return results


def _measure_locks(bench: _Bench) -> dict[str, Result]:
    small, large = (bench.world.environments[name] for name in _TO_CHECK)
    results = {"check": bench.result("Is the lockfile fresh?", checks(bench.world, small, large))}
    with locks(bench.world, small) as (conda, web, api):
        results["lock"] = bench.result("Lock conda packages alone", conda)
        results["lock web"] = bench.result("Lock them and the wheels of a web application, metadata on loopback", web)
        results["wheels"] = bench.result("Lock them and the wheels of an inference API, metadata on loopback", api)
    return results


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """Measures groups of subjects, all in the same manner."""

    world: World
    runs: int
    warm_up: bool = True

    def build(self, name: str, subjects: Sequence[Subject]) -> Result:
        """Builds of one environment, with what is in it; the first of them is ours."""
        once = subjects[0]
        once.before()
        inside = json.loads(run(once.argv, env=self.world.environ).stdout)
        title = f"Build, {name}: {inside['unpacked'] / 1e6:.0f} MB in {inside['files']:,} files, cold segments"
        return replace(self.result(title, subjects), unpacked=inside["unpacked"], files=inside["files"])

    def rebuild(self, name: str) -> Result:
        """The same environment again, from warm segments."""
        environments = self.world.environments
        subjects = rebuilds(self.world, environments[name], environments[f"{name}, one package changed"])
        return self.result(f"Build again, {name}, warm segments", subjects)

    def install(self, title: str) -> Result:
        """The environment 1x, put into its place; needs room for each run's tree."""
        room = self.world.room / "installed"
        spread(room)
        with tempfile.TemporaryDirectory(dir=room) as goal:
            return self.result(title, installs(self.world, self.world.environments["1x"], Path(goal)))

    def fetch(self, name: str) -> Result:
        """The packages of one environment, from an HTTP server."""
        with fetching(self.world, self.world.environments[name]) as subjects:
            return self.result(f"Fetch and link, {name} from HTTP on loopback, empty caches", subjects)

    def grow(self, names: tuple[str, str]) -> Result:
        """An environment of many packages, and one a third as large."""
        subjects = growing_many(self.world, names, install=os.geteuid() == 0)
        return self.result(f"Growth, {names[1]} in 50,000 files beside {names[0]}", subjects)

    def result(self, title: str, subjects: Sequence[Subject]) -> Result:
        sys.stderr.write(f"{title}\n")
        environ, log = self.world.environ, self.world.log
        figures = interleave(subjects, runs=self.runs, warm_up=self.warm_up, environ=environ, log=log)
        return Result(title=title, figures=figures)


if __name__ == "__main__":
    sys.exit(main())
