"""Pages: areas that are sizes, units in words, and values that stay text in HTML and Markdown."""

from __future__ import annotations

import itertools
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bundler.report.markdown import code, html_code
from bundler.report.packages import _chains
from bundler.report.rights import rights
from bundler.report.sizes import directories
from bundler.report.treemap import Block, Box, draw, squarify
from bundler.units.read import CONFINEMENT, UnitText
from bundler.units.sandbox import HARDENING

if TYPE_CHECKING:
    from collections.abc import Sequence

AREA = Box(x=3, y=5, width=400, height=250)


def overlap(one: Box, other: Box) -> float:
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0.0, width) * max(0.0, height)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=40))
def test_areas_are_sizes_and_boxes_do_not_overlap(sizes: Sequence[int]) -> None:
    sizes = sorted(sizes, reverse=True)
    boxes = squarify(sizes, AREA)
    whole = AREA.width * AREA.height
    for count, box in zip(sizes, boxes, strict=True):
        assert box.width * box.height == pytest.approx(whole * count / sum(sizes), rel=1e-6)
        assert overlap(box, AREA) == pytest.approx(box.width * box.height, rel=1e-6)
    assert all(overlap(one, other) < 1e-6 * whole for one, other in itertools.combinations(boxes, 2))


def test_boxes_are_nearly_square_where_they_can_be() -> None:
    """The example of the paper: six rows of a 6 x 4 area, none longer than four times its width."""
    boxes = squarify([6, 6, 4, 3, 2, 2, 1], Box(x=0, y=0, width=6, height=4))
    assert max(max(one.width / one.height, one.height / one.width) for one in boxes) <= 2.8


def test_a_map_has_parts_on_their_blocks_and_labels_that_fit() -> None:
    blocks = [
        Block(name="python", size=1000, parts=(("lib", 600), ("lib/site-packages/a-very-long-name", 400))),
        Block(name="a-name-that-is-far-too-long-for-so-few-bytes", size=1),
        Block(name="nothing", size=0),
    ]
    drawing = draw(blocks, 600, 400)
    outer = [cell for cell in drawing.cells if cell.outer]
    assert [cell.label for cell in outer] == ["python  1.0 kB", ""]
    assert outer[1].title == "a-name-that-is-far-too-long-for-so-few-bytes: 1 B, 0.1 % of all"
    parts = [cell for cell in drawing.cells if not cell.outer]
    assert [cell.title for cell in parts] == ["python: lib: 600 B", "python: lib/site-packages/a-very-long-name: 400 B"]
    for cell in parts:
        assert overlap(cell.box, outer[0].box) == pytest.approx(cell.box.width * cell.box.height)
    assert all(len(cell.label) * 6 <= cell.box.width for cell in drawing.cells)
    assert draw([], 600, 400).cells == ()


FILES = st.dictionaries(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda parts: "/".join((*parts, "file"))),
    st.integers(0, 10**6),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(FILES)
def test_directories_have_all_of_the_bytes_between_them(files: dict[str, int]) -> None:
    found = directories(files.items(), 8)
    assert sum(count for _, count in found) == sum(files.values())
    assert len({name for name, _ in found}) == len(found)


def test_the_largest_directory_is_divided() -> None:
    files = {"env/lib/big/a": 500, "env/lib/big/b": 400, "env/lib/tiny": 1, "env/bin/x": 100}
    assert directories(files.items(), 4) == (
        ("env/lib/big/a", 500), ("env/lib/big/b", 400), ("env/bin", 100), ("env/lib/…", 1),
    )  # fmt: skip


USUAL = tuple(("Service", key, value) for key, value in (("User", "hello"), *HARDENING))


def unit(*more: tuple[str, str], without: str = "") -> UnitText:
    lines = tuple(line for line in USUAL if line[1] != without)
    return UnitText(name="x.service", directives=(*lines, *(("Service", key, value) for key, value in more)))


def told(found: UnitText) -> list[str]:
    return [one.text for one in rights(found)]


def test_a_unit_of_ours_in_words() -> None:
    found = rights(unit(("StateDirectory", "hello"), ("MemoryMax", "1G")))
    assert not any(one.loosened for one in found)
    texts = [one.text for one in found]
    assert "runs as hello" in texts
    assert "has no capabilities" in texts
    assert "may write nowhere except /var/lib/hello" in texts
    assert "may communicate with any address" in texts
    assert "may not generate code at run time" in texts
    assert "may use at most: memory 1G" in texts


@pytest.mark.parametrize("directive", CONFINEMENT)
def test_nothing_that_is_loosened_is_passed_over(directive: str) -> None:
    """Whichever directive is not there, the page says so, with the reason."""
    found = rights(unit(without=directive), lambda key: f"because of {key}")
    (loosened,) = [one for one in found if one.loosened]
    assert directive in loosened.directives
    assert loosened.reason == f"because of {directive}"
    assert loosened.allowed or directive == "CapabilityBoundingSet"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([("PrivateNetwork", "yes")], "has no network"),
        ([("IPAddressDeny", "any"), ("IPAddressAllow", "localhost"), ("IPAddressAllow", "10.0.0.0/8")],
         "communicates only with: this machine itself, 10.0.0.0/8"),
        ([("ProtectSystem", "full")], "may write where its user may, but not below /usr, /boot and /etc"),
        ([("ProtectSystem", "no")], "may write wherever its user may"),
        ([("ProtectHome", "read-only")], "may read /home and /root as its user may, but not write there"),
        ([("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE")], "may have these capabilities: CAP_NET_BIND_SERVICE"),
        ([("SystemCallFilter", "")], "may make any system call"),
        ([("LoadCredential", "TOKEN:/etc/x/credentials/TOKEN")], "gets these as files: TOKEN"),
        ([("EnvironmentFile", "/etc/x/secrets.env"), ("UnsetEnvironment", "OTHER")],
         "gets secrets as variables except OTHER"),
        ([("PrivateDevices", "no"), ("DeviceAllow", "char-nvidia* rw")],
         "may open these devices: char-nvidia* rw"),
    ],
)  # fmt: skip
def test_what_units_say_otherwise(lines: list[tuple[str, str]], says: str) -> None:
    assert says in told(unit(*lines))


def test_a_unit_that_is_not_confined_at_all() -> None:
    bare = UnitText(name="x.service", directives=(("Service", "ExecStart", "/bin/x"),))
    assert {"runs as root", "has all capabilities of root", "may make any system call"} <= set(told(bare))
    assert all(one.allowed for one in rights(bare))


def test_why_a_package_is_there() -> None:
    """Roots 0 and 4; 2 is reached through 1; 5 and 6 need each other, and nobody else needs them."""
    found = _chains([(1, 3), (2,), (), (2,), (2,), (6,), (5,)])
    assert found[1] == (0, 1)
    assert found[2] == (4, 2)
    assert found[4] == (4,)
    assert found[5] == (5,)
    assert found[6] == (5, 6)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        assert attrs == []

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
@pytest.mark.parametrize("wrapped", ["- {}", "| {} | x |\n| --- | --- |\n| {} | y |", "**{}** {}"])
def test_a_value_in_a_comment_is_code_whatever_it_is(wrapped: str, value: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    for quoted in (code(value), html_code(value)):
        page = Tags()
        page.feed(parser.render(wrapped.replace("{}", quoted)))
        allowed = {"code", "ul", "li", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
        assert page.found <= allowed


@pytest.mark.parametrize(
    "value",
    [
        "<img src=x onerror=alert(1)>",
        "@everyone",
        "`a` | <b>",
        "a\\",
        "\\|x|",
        "#12",
        "``",
        " ",
        "[x](http://y)",
        "a\nb",
    ],
)
def test_hostile_values_in_a_comment_are_shown_as_they_are(value: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    page = Tags()
    page.feed(parser.render(f"| {code(value)} |\n| --- |\n"))
    assert page.found == {"table", "thead", "tr", "th", "code"}
    assert page.text.strip() == value.replace("\n", "\\n").strip()
