"""What the figures have to reach: ratios of medians, with what was found and whether it is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks.installing import BROUGHT, GZIP_ALONE
from benchmarks.locking import CHECK, CHECK_LARGE, COLD, THEIR_CHECK, THEIR_LOCK, WARM
from benchmarks.many import OURS, THEIRS
from benchmarks.subjects import FIRST_BUILD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.measure import Figures

__all__ = ["Result", "Verdict", "judge"]

_PEAK = 300e6
_THEIRS = "rattler + conda-pack"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One group of subjects, measured in turns. ``unpacked`` and ``files`` are the payload's (bytes, number)."""

    title: str
    figures: Mapping[str, Figures]
    unpacked: int = 0
    files: int = 0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A target: what was wanted of a figure, what it is on the clock and, for a time, in CPU seconds."""

    name: str
    sense: Literal["at least", "at most"]
    limit: float
    found: float
    cpu: float | None = None

    @property
    def reached(self) -> bool:
        return self.found >= self.limit if self.sense == "at least" else self.found <= self.limit


def judge(results: Mapping[str, Result]) -> tuple[Verdict, ...]:
    """The verdicts on what was measured. What is compared was measured in turns, in one group.

    ``results`` are by ``build 1x``, ``rebuild 1x``, ``install`` and so on.
    """
    return (
        *(_builds(results["build 1x"]) if "build 1x" in results else ()),
        *_rebuilds(results),
        *(_installs(results["install"]) if "install" in results else ()),
        *(_fetch(results["fetch"]) if "fetch" in results else ()),
        *_growth(results),
        *(_many(results["many"]) if "many" in results else ()),
        *(_checks(results["check"]) if "check" in results else ()),
        *(_wheels(results["wheels"]) if "wheels" in results else ()),
        *(_pip_part(results["lock"], results["wheels"]) if "lock" in results else ()),
        *_peak(results),
    )


def _builds(build: Result) -> Iterator[Verdict]:
    found = build.figures
    for codec, faster, size in (("gzip", 3.0, 1.0), ("zstd", 3.5, 0.9)):
        mine, theirs = found[f"ours, {codec}"], found[_THEIRS]
        yield _times("at least", faster, f"build 1x, {codec}: conda-pack's time / ours", theirs, mine)
        yield _sizes(size, f"build 1x, {codec}: our size / conda-pack's", mine, theirs)
    name = "build 1x: a bundle's size, zstd and its decompressor / gzip"
    yield _sizes(1.0, name, *(found[f"conda-bundler build, {codec}"] for codec in ("zstd", "gzip")))


def _rebuilds(results: Mapping[str, Result]) -> Iterator[Verdict]:
    for size, limit in (("1x", 0.5), ("3x", 0.5), ("10x", 0.35)):
        if f"rebuild {size}" in results:
            again = results[f"rebuild {size}"].figures["ours, gzip, one package changed"]
            first = results[f"rebuild {size}"].figures[FIRST_BUILD]
            yield _times("at most", limit, f"rebuild {size}, one package changed / first build", again, first)


def _installs(install: Result) -> Iterator[Verdict]:
    found = install.figures
    for codec in ("gzip", "zstd"):
        mine = found[f"install.sh, {codec}"]
        yield _times("at most", 1.3, f"install, {codec}: ours / tar -x", mine, found[f"tar -x, {codec}"])
        name = f"install, {codec}: ours / tar -x and sync"
        yield _times("at most", 1.3, name, mine, found[f"tar -x and sync, {codec}"])
    alone = found[GZIP_ALONE]
    yield _times("at most", 1.3, "install, gzip, where zstd is not: ours / tar -x", alone, found["tar -x, gzip"])
    yield _times(
        "at most", 1.0, "install where zstd is not: zstd, which the bundle brings / gzip", found[BROUGHT], alone
    )
    rattler = found["rattler install from .conda files"]
    yield _times("at most", 1.0, "install, zstd: ours / rattler from .conda files", found["install.sh, zstd"], rattler)
    moved, unpack = found["install.sh, gzip, another root"], found["conda-pack: tar -x, conda-unpack"]
    yield _times("at most", 1.2, "install at another root: ours / tar -x and conda-unpack", moved, unpack)


def _fetch(fetch: Result) -> Iterator[Verdict]:
    """Ours keeps the archives and hashes all that it links, so that it may take a little longer."""
    mine, theirs = fetch.figures[OURS], fetch.figures[THEIRS]
    yield _times("at most", 1.5, "fetch and link 100 packages: ours / rattler.install", mine, theirs)


def _many(many: Result) -> Iterator[Verdict]:
    for step in ("lock", "build", "install"):
        if f"{step}, 300 packages" in many.figures:
            large, small = many.figures[f"{step}, 300 packages"], many.figures[f"{step}, 100 packages"]
            grown, cpu = _ratio("wall", large, small) / 3, _ratio("cpu", large, small) / 3
            name = f"growth 100 to 300 packages, {step}: of the time / of the files"
            yield Verdict(name=name, sense="at most", limit=1, found=grown, cpu=cpu)
    peak = max(figures.peak for figures in many.figures.values()) / 1e6
    yield Verdict(name="peak memory with 300 packages, MB", sense="at most", limit=_PEAK / 1e6, found=peak)


def _checks(check: Result) -> Iterator[Verdict]:
    """CPU seconds, whole process."""
    for one in (CHECK, CHECK_LARGE):
        yield _at_most(0.3, f"{one}: CPU seconds", check.figures[one].cpu)
    theirs = check.figures[THEIR_CHECK]
    yield _times("at most", 1.0, "lock --check: ours / conda-lock --check-input-hash", check.figures[CHECK], theirs)


def _wheels(wheels: Result) -> Iterator[Verdict]:
    for one, limit in ((COLD, 15.0), (WARM, 2.0)):
        yield _at_most(limit, f"wheels of an inference API, {one}: seconds", wheels.figures[one].wall)


def _pip_part(conda: Result, both: Result) -> Iterator[Verdict]:
    """CPU seconds of the wheels: what a lock with them takes more than one of the conda packages alone.

    Of a conda-lock that gave up it is the time until then: all of it would be more, and the ratio less.
    """
    mine, theirs = (both.figures[one].cpu - conda.figures[one].cpu for one in (COLD, THEIR_LOCK))
    until = ", which gives up" if both.figures[THEIR_LOCK].gave_up else ""
    yield _at_most(1 / 20, f"wheels of an inference API: our CPU time for them / conda-lock's{until}", mine / theirs)


def _at_most(limit: float, name: str, found: float) -> Verdict:
    return Verdict(name=name, sense="at most", limit=limit, found=found)


def _growth(results: Mapping[str, Result]) -> Iterator[Verdict]:
    small = results.get("build 1x")
    for size in ("3x", "10x"):
        large = results.get(f"build {size}")
        if small is None or large is None:
            continue
        bytes_grown = large.unpacked / small.unpacked
        for codec in ("gzip", "zstd"):
            one, other = large.figures[f"ours, {codec}"], large.figures[f"ours, {codec}, 1x"]
            grown, cpu = _ratio("wall", one, other), _ratio("cpu", one, other)
            name = f"growth 1x to {size}, {codec}: of the time / of the bytes"
            yield Verdict(name=name, sense="at most", limit=1, found=grown / bytes_grown, cpu=cpu / bytes_grown)


def _peak(results: Mapping[str, Result]) -> Iterator[Verdict]:
    mine = [figures for result in results.values() for figures in result.figures.values() if _is_build(figures.name)]
    if not mine:
        return
    peak = max(figures.peak for figures in mine) / 1e6
    yield Verdict(name="peak memory of all our builds, MB", sense="at most", limit=_PEAK / 1e6, found=peak)


def _is_build(name: str) -> bool:
    return name.startswith(("ours, ", "conda-bundler build"))


def _times(sense: Literal["at least", "at most"], limit: float, name: str, one: Figures, other: Figures) -> Verdict:
    found, cpu = _ratio("wall", one, other), _ratio("cpu", one, other)
    return Verdict(name=name, sense=sense, limit=limit, found=found, cpu=cpu)


def _sizes(limit: float, name: str, one: Figures, other: Figures) -> Verdict:
    return Verdict(name=name, sense="at most", limit=limit, found=one.size / other.size)


def _ratio(what: Literal["wall", "cpu"], one: Figures, other: Figures) -> float:
    read: Callable[[Figures], float] = lambda figures: figures.wall if what == "wall" else figures.cpu  # noqa: E731
    return read(one) / read(other)
