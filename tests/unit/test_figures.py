"""The figures of README and of the page on performance are those that `make bench` measured."""

from __future__ import annotations

import copy
import json

import pytest

from benchmarks.figures import CHECKOUT, KEPT, PAGES, Page, kept, without_runs

DOCUMENT = kept()


def text_of(page: Page) -> str:
    return (CHECKOUT / page.path).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
class TestPage:
    def test_it_shows_what_was_measured(self, page: Page) -> None:
        assert page.written(text_of(page), DOCUMENT) == text_of(page), "run `make figures`"

    def test_another_figure_is_another_page(self, page: Page) -> None:
        other = copy.deepcopy(DOCUMENT)
        for result in other["results"]:
            for subject in result["subjects"]:
                subject["wall"] += 100
        assert page.written(text_of(page), other) != text_of(page)

    def test_it_says_what_the_environment_is(self, page: Page) -> None:
        (build,) = (result for result in DOCUMENT["results"] if result["title"].startswith("Build, 1x: "))
        assert f"{build['unpacked'] / 1e6:.0f} MB" in text_of(page)
        assert f"{build['files']:,}" in text_of(page)


def test_a_page_needs_a_place_for_each_table() -> None:
    with pytest.raises(ValueError, match="has no table overview"):
        PAGES[0].written("a page without one", DOCUMENT)


def test_a_figure_that_was_not_measured_is_no_figure() -> None:
    with pytest.raises(KeyError, match="conda-bundler build, zstd"):
        PAGES[0].written(text_of(PAGES[0]), {"results": []})


def test_single_runs_are_not_kept() -> None:
    subject = {"name": "ours", "wall": 1.5, "samples": [{"wall": 1.5}]}
    found = without_runs({"machine": {}, "results": [{"title": "A", "subjects": [subject]}]})
    assert found == {"machine": {}, "results": [{"title": "A", "subjects": [{"name": "ours", "wall": 1.5}]}]}
    assert "samples" not in KEPT.read_text("utf-8")
    assert json.loads(KEPT.read_text("utf-8"))["machine"]["processors used"].startswith("2 of")
