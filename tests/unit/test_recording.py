"""The picture in README.md: what ci/recording.py draws, and whether it shows the commands of today."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from examplekit import CHECKOUT
from recording import COLUMNS, GOAL, ROWS, Shown, commands, draw

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_shows_the_commands_of_the_readme() -> None:
    shown = [text.removeprefix("$ ") for text in texts(GOAL.read_text("utf-8")) if text.startswith("$ ")]
    assert shown == commands((CHECKOUT / "README.md").read_text("utf-8"))
    assert "  health" in GOAL.read_text("utf-8")


def test_every_line_comes_in_its_turn_and_in_its_row() -> None:
    lines = [
        Shown(text="conda-bundler build && x <y>", wait=1, is_command=True),
        Shown(text="z" * COLUMNS + "!", wait=2),
    ]
    svg = draw(lines)
    assert texts(svg) == ["$ conda-bundler build && x <y>", "z" * COLUMNS, "!"]
    begins = [float(line.split("0%,")[1].split("%")[0]) for line in svg.splitlines() if line.startswith("@keyframes l")]
    assert begins == pytest.approx([12.5, 37.5, 37.5])  # of 1 + 2 seconds, and 5 in which it stays


@pytest.mark.parametrize(("count", "last"), [(ROWS, "0px"), (ROWS + 3, "-57px")])
def test_it_moves_up_once_the_window_is_full(count: int, last: str) -> None:
    svg = draw([Shown(text=str(number), wait=0.1) for number in range(count)])
    assert f"100%{{transform:translateY({last})}}" in svg.replace("translateY(-0px)", "translateY(0px)")


def test_it_asks_for_nothing() -> None:
    assert "href" not in GOAL.read_text("utf-8")
    assert "url(" not in GOAL.read_text("utf-8")
