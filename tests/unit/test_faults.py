"""Which steps the tests of interrupted installs strike."""

from __future__ import annotations

import pytest
from faults import Fault, chosen

CALLS = tuple(f"{tool} {number}" for number in range(20) for tool in ("mv", "rm", "cat"))


def kinds(faults: tuple[Fault, ...]) -> set[str]:
    return {fault.kind for fault in faults}


def test_each_different_call_once() -> None:
    assert [fault.at for fault in chosen(("rm a", "mv b", "rm a"), "fail")] == [1, 2]


def test_so_many_evenly_spread_the_kinds_taking_turns() -> None:
    faults = chosen(CALLS, "fail", "full", count=6)
    assert [(fault.kind, fault.at) for fault in faults] == [(("fail", "full")[n % 2], 1 + 10 * n) for n in range(6)]


def test_all_of_the_tools_that_are_named_and_no_others_than_the_only_ones() -> None:
    assert [fault.at for fault in chosen(CALLS, "fail", count=3, always="mv")] == list(range(1, 61, 3))
    assert [fault.at for fault in chosen(CALLS, "fail", count=2, only="rm")] == [2, 32]


@pytest.mark.parametrize("always", ["", "mv"])
@pytest.mark.parametrize("count", [12, 30])
def test_a_half_is_a_half_of_the_same(count: int, always: str) -> None:
    whole = {fault.at for fault in chosen(CALLS, "fail", "full", count=count, always=always)}
    half = chosen(CALLS, "fail", "full", count=count, always=always, share=0.5)
    assert len(half) == len(whole) / 2
    assert {fault.at for fault in half} <= whole
    assert kinds(half) == {"fail", "full"}


def test_of_each_kind_one_at_least() -> None:
    assert kinds(chosen(CALLS, "fail", "full", "read-only", count=4, share=0.1)) == {"fail", "full", "read-only"}
