"""Twenty real-life `pip:` lists, from recorded metadata: what is locked is what uv by itself says.

Each is solved here for one Python and one platform; all of them for all, by way of conda-lock, in tests/large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from questionkit import answer
from recordedkit import (
    MACHINES,
    PYTHONS,
    Recorded,
    agree,
    lock_request,
    locked_as_uv_says,
    make_conda,
    question,
    refused,
    sections,
    serve,
    uv_says,
)

from bundler.errors import LockError
from bundler.lock.pypi.uv import find_wheels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.network

PLATFORMS = tuple(MACHINES)
CASES = [
    (name, PYTHONS[number % len(PYTHONS)], PLATFORMS[number // len(PYTHONS) % len(PLATFORMS)])
    for number, name in enumerate(sections())
]


@pytest.fixture(scope="module")
def pypi() -> Iterator[Recorded]:
    with serve() as recorded:
        yield recorded


@pytest.fixture(scope="module", autouse=True)
def _cache(own_cache: None) -> None:
    """Of its own, but one for all lists."""


@pytest.fixture(scope="module")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uv")


@pytest.mark.parametrize(("name", "python", "platform"), CASES, ids=[f"{name}-{python}" for name, python, _ in CASES])
def test_wheels_are_those_that_uv_says(
    tmp_path: Path, pypi: Recorded, uv_cache: Path, name: str, python: str, platform: str
) -> None:
    asked = question(name, python, platform, pypi.url, tmp_path)
    found = find_wheels(asked, tmp_path)
    theirs = uv_says(name, python, platform, pypi.url, uv_cache)
    agree([(one.name, one.version, one.url, one.sha256) for one in found.wheels], theirs, python, platform)


def test_an_index_of_plain_pages_gives_the_same(tmp_path: Path, pypi: Recorded) -> None:
    name, python, platform = CASES[0]
    with serve(plain=True) as plain:
        answers: list[list[tuple[str, str, str | None]]] = []
        for recorded in (pypi, plain):
            place = tmp_path / str(len(answers))
            place.mkdir()
            asked = question(name, python, platform, recorded.url, place)
            found = find_wheels(asked, place).wheels
            answers.append([(one.name, one.url.removeprefix(recorded.url[:-7]), one.sha256) for one in found])
    assert answers[0] == answers[1] != []


def test_a_list_that_needs_a_source_is_refused_by_both(tmp_path: Path, pypi: Recorded, uv_cache: Path) -> None:
    (name,) = refused()
    with pytest.raises(AssertionError, match="odfpy"):
        uv_says(name, PYTHONS[2], "linux-64", pypi.url, uv_cache)
    with pytest.raises(LockError) as refusal:
        answer(question(name, PYTHONS[2], "linux-64", pypi.url, tmp_path), tmp_path)
    said = refusal.value.format_message()
    assert "Because odfpy==1.4.1 has only source, no wheel" in said
    assert "- conda-bundler does not build wheels of odfpy 1.4.1 from source" in said
    assert "3.0.4 was yanked (reason: Reported segfaults" in said, "what is withdrawn is passed over, and that is told"


def test_conda_lock_calls_it_fresh(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, pypi: Recorded) -> None:
    channel = tmp_path_factory.mktemp("channel")
    make_conda(channel)
    request = lock_request(tmp_path, "science-sklearn", PYTHONS[1], channel, pypi.url)
    locked_as_uv_says(request, "science-sklearn", PYTHONS[1], pypi.url, tmp_path / "uv")
