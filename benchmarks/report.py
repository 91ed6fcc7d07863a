"""Results -> a table for people (Markdown, as the README shows it) and a JSON document."""

from __future__ import annotations

import json
import os
import platform
import re
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundler.process import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmarks.measure import Figures
    from benchmarks.targets import Result, Verdict

__all__ = ["document", "machine", "markdown", "table"]

_DISTRIBUTIONS = ("conda-bundler", "py-rattler", "conda-pack", "deflate", "zstandard")
_PROGRAMS = ("tar", "gzip", "zstd")


def machine(cpus: int) -> dict[str, str]:
    """What the figures were taken on: fact -> value."""
    facts = {
        "processor": _processor(),
        "processors used": f"{cpus} of {os.cpu_count()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
    }
    facts |= {name: version(name) for name in _DISTRIBUTIONS}
    return facts | {name: _program_version(name) for name in _PROGRAMS}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _program_version(name: str) -> str:
    found = re.search(r"\d+(\.\d+)+", run([name, "--version"]).stdout)
    return found.group() if found else "unknown"


def document(facts: Mapping[str, str], results: Iterable[Result], verdicts: Iterable[Verdict]) -> str:
    """Everything, each run included, as JSON."""
    content: dict[str, Any] = {
        "machine": dict(facts),
        "results": [
            {
                "title": result.title,
                "unpacked": result.unpacked,
                "files": result.files,
                "subjects": [_figures(figures) for figures in result.figures.values()],
            }
            for result in results
        ],
        "targets": [{**asdict(verdict), "reached": verdict.reached} for verdict in verdicts],
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _figures(figures: Figures) -> dict[str, Any]:
    medians = {"wall": figures.wall, "cpu": figures.cpu, "peak": figures.peak, "size": figures.size}
    return {
        "name": figures.name,
        "gave_up": figures.gave_up,
        **medians,
        "samples": [asdict(sample) for sample in figures.samples],
    }


def markdown(facts: Mapping[str, str], results: Iterable[Result], verdicts: Iterable[Verdict]) -> str:
    """The tables: targets first, then what they were made of, then the machine."""
    lines = [*_targets(verdicts)]
    for result in results:
        lines += ["", f"**{result.title}**", "", *_result(result)]
    return "\n".join([*lines, "", "; ".join(f"{name} {value}" for name, value in facts.items()) + "."])


def _targets(verdicts: Iterable[Verdict]) -> Iterator[str]:
    rows = []
    for verdict in verdicts:
        cpu = "" if verdict.cpu is None else f"{verdict.cpu:.2f}"
        mark = "ok" if verdict.reached else "**miss**"
        rows.append((verdict.name, f"{verdict.sense} {verdict.limit:g}", f"{verdict.found:.2f}", cpu, mark))
    return table(("target (ratio of medians)", "wanted", "by the clock", "by CPU time", ""), rows)


def _result(result: Result) -> Iterator[str]:
    rows = []
    for figures in result.figures.values():
        size = f"{figures.size / 1e6:.1f}" if figures.size else ""
        name = f"{figures.name}: **{figures.gave_up}**, after" if figures.gave_up else figures.name
        rows.append((name, f"{figures.wall:.2f}", f"{figures.cpu:.2f}", f"{figures.peak / 1e6:.0f}", size))
    return table(("", "seconds", "CPU seconds", "peak MB", "size MB"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
