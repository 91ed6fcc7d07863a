"""The order in which test files are given to the workers."""

from __future__ import annotations

from pathlib import Path

from order import MINUTES, in_order

CHECKOUT = Path(__file__).parent.parent.parent


def test_both_dear_kinds_in_turn_the_longest_first_and_the_quick_ones_last() -> None:
    scopes = [
        "tests/e2e/test_a.py",
        "tests/e2e/test_faults.py::test_b",
        "tests/e2e/test_faults.py::test_a",
        "tests/e2e/test_instances.py",
        "tests/integration/test_a.py",
        "tests/integration/test_b.py",
        "tests/integration/test_bytecode.py",
        "tests/integration/test_lock.py",
        "tests/unit/test_b.py",
        "tests/unit/test_a.py",
    ]
    assert in_order(scopes) == [
        "tests/e2e/test_instances.py",
        "tests/integration/test_bytecode.py",
        "tests/e2e/test_faults.py::test_b",
        "tests/integration/test_lock.py",
        "tests/e2e/test_faults.py::test_a",
        "tests/integration/test_a.py",
        "tests/e2e/test_a.py",
        "tests/integration/test_b.py",
        "tests/unit/test_b.py",
        "tests/unit/test_a.py",
    ]


def test_each_file_that_is_said_to_be_long_exists() -> None:
    assert [file for file in MINUTES if not (CHECKOUT / file).is_file()] == []
