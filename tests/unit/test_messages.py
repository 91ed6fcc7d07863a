"""The catalogue of messages, tests/unit/messages.txt: a change of words is seen in it."""

from __future__ import annotations

from messages import CATALOGUE, catalogue


def test_the_catalogue_is_up_to_date() -> None:
    assert CATALOGUE.read_text(encoding="utf-8").splitlines() == catalogue().splitlines(), "run: make messages"
