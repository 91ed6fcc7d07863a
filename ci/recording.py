#!/usr/bin/env python3
"""`make recording`: runs the README's commands and draws what they print, as docs/images/terminal.svg.

The commands are those of "Real use"; a channel on disk stands in for conda-forge. What each prints, and when, is taken
from the run; waits are shortened. The picture is one SVG file with an animation of its own and asks for nothing else.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
GOAL = CHECKOUT / "docs" / "images" / "terminal.svg"
WRAPPER = """#!/bin/sh
case $1 in lock | build) set -- "$@" --channel {channel} --virtual-packages {virtual} ;; esac
exec {python} -m bundler "$@"
"""
COLUMNS, ROWS = 112, 26
WIDTH, HEIGHT = 8.4, 19  # of a character, in pixels
LONGEST_WAIT = 1.2
"""Seconds; a longer one is shown as that."""
STAYS = 5.0
"""Seconds that the last picture stays before the first comes again."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A line of the terminal, and how many seconds after the one before it came."""

    text: str
    wait: float
    is_command: bool = False


def main(channel: Path) -> None:
    with tempfile.TemporaryDirectory() as room:
        lines = record(commands((CHECKOUT / "README.md").read_text(encoding="utf-8")), Path(room), channel)
    GOAL.parent.mkdir(exist_ok=True)
    GOAL.write_text(draw(lines), encoding="utf-8")
    print(f"{GOAL.relative_to(CHECKOUT)}: {len(lines)} lines")


def commands(readme: str) -> list[str]:
    """Those of "Real use" that run on a build machine, without their comments; it is installed already."""
    block = readme.split("## Real use", 1)[1].split("```console\n", 1)[1].split("```", 1)[0]
    found = [re.sub(r"\s+#.*", "", line.removeprefix("$ ")) for line in block.splitlines()]
    return [command for command in found if not command.startswith("uv ")]


def record(wanted: list[str], room: Path, channel: Path) -> list[Shown]:
    """Run the commands one after the other, each in the directory that the one before it went to."""
    tools = room / "bin"
    tools.mkdir()
    wrapper = WRAPPER.format(channel=channel.as_uri(), virtual=channel / "virtual-packages.yml", python=sys.executable)
    for name, text in {"conda-bundler": wrapper, "sudo": '#!/bin/sh\nexec "$@"\n'}.items():
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    lines: list[Shown] = []
    place = room
    for command in wanted:
        lines.append(Shown(text=command, wait=LONGEST_WAIT, is_command=True))
        words = ["bash", "-c", f"set -e; {command}\npwd >{room}/place"]
        env = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "COLUMNS": str(COLUMNS)}
        before = time.monotonic()
        with subprocess.Popen(
            words, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as running:
            assert running.stdout
            for line in running.stdout:
                now = time.monotonic()
                text = line.rstrip().replace(f"{place}/", "").replace(str(place), ".").expandtabs()
                lines.append(Shown(text=text, wait=min(now - before, LONGEST_WAIT)))
                before = now
        if running.returncode:
            sys.exit(f"error: `{command}` ended with {running.returncode}:\n{lines[-1].text}")
        place = Path((room / "place").read_text(encoding="utf-8").strip())
    return lines


def draw(lines: list[Shown]) -> str:
    """The SVG: each line appears when it came, and the whole moves up once the window is full."""
    lines = [part for line in lines for part in _folded(line)]
    moments, moment = [], 0.0
    for line in lines:
        moment += line.wait
        moments.append(moment)
    whole = moment + STAYS
    style, texts = [], []
    for number, (line, at) in enumerate(zip(lines, moments, strict=True)):
        begin = 100 * at / whole
        style.append(f"@keyframes l{number}{{0%,{begin:.3f}%{{opacity:0}}{begin + 0.001:.3f}%,100%{{opacity:1}}}}")
        style.append(f".l{number}{{animation:l{number} {whole:.1f}s steps(1,end) infinite}}")
        prompt = '<tspan class="prompt">$ </tspan>' if line.is_command else ""
        kind = f"l{number} command" if line.is_command else f"l{number}"
        texts.append(f'<text class="{kind}" y="{(number + 1) * HEIGHT}">{prompt}{html.escape(line.text)}</text>')
    width, height = round(COLUMNS * WIDTH + 32), ROWS * HEIGHT + 56
    return _SVG.format(
        width=width,
        height=height,
        inner=height - 48,
        style="\n".join([*style, *_scrolled(moments, whole)]),
        texts="\n".join(texts),
        title=html.escape("conda-bundler: " + "; ".join(line.text for line in lines if line.is_command)),
    )


def _folded(line: Shown) -> list[Shown]:
    """What does not fit into a row goes on in the next, as a terminal has it."""
    rows = [line.text[at : at + COLUMNS] for at in range(0, len(line.text), COLUMNS)] or [""]
    first = Shown(text=rows[0], wait=line.wait, is_command=line.is_command)
    return [first, *(Shown(text=row, wait=0) for row in rows[1:])]


def _scrolled(moments: list[float], whole: float) -> list[str]:
    frames = ["0%{transform:translateY(0)}"]
    for number in range(ROWS, len(moments)):
        begin = 100 * moments[number] / whole
        frames.append(f"{begin:.3f}%{{transform:translateY(-{(number + 1 - ROWS) * HEIGHT}px)}}")
    last = max(0, len(moments) - ROWS) * HEIGHT
    frames.append(f"100%{{transform:translateY(-{last}px)}}")
    still = "*{animation:none!important}.screen{transform:translateY(-" + str(last) + "px)}"
    return [
        f"@keyframes screen{{{''.join(frames)}}}",
        f".screen{{animation:screen {whole:.1f}s steps(1,end) infinite}}",
        f"@media (prefers-reduced-motion:reduce){{{still}}}",
    ]


_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"
  role="img" xml:space="preserve">
<title>{title}</title>
<style>
text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d0d7de;white-space:pre}}
.command{{fill:#ffffff;font-weight:600}}
.prompt{{fill:#7ee787}}
{style}
</style>
<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>
<circle cx="20" cy="18" r="6" fill="#ff5f57"/>
<circle cx="40" cy="18" r="6" fill="#febc2e"/>
<circle cx="60" cy="18" r="6" fill="#28c840"/>
<svg x="16" y="36" width="{width}" height="{inner}"><g class="screen">
{texts}
</g></svg>
</svg>
"""

if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
