"""Twenty real-life `pip:` lists, for each Python and platform, by the whole way: conda-lock, uv, one lockfile.

tests/integration/test_recorded.py does some of it in a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recordedkit import (
    MACHINES,
    PYTHONS,
    Recorded,
    lock_request,
    locked_as_uv_says,
    make_conda,
    refused,
    sections,
    serve,
    uv_says,
)

from bundler.errors import LockError
from bundler.lock.condalock import write_lockfile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.network

PLATFORMS = tuple(MACHINES)


@pytest.fixture(scope="module")
def pypi() -> Iterator[Recorded]:
    with serve() as recorded:
        yield recorded


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("channel")
    make_conda(path)
    return path


@pytest.fixture(scope="module")
def uv_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uv")


@pytest.fixture(scope="module", autouse=True)
def _cache(own_cache: None) -> None:
    """Of its own, but one for all lists."""


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", sections())
def test_the_lockfile_has_what_uv_says_and_conda_lock_calls_it_fresh(
    tmp_path: Path, channel: Path, pypi: Recorded, uv_cache: Path, name: str, python: str
) -> None:
    request = lock_request(tmp_path, name, python, channel, pypi.url)
    locked_as_uv_says(request, name, python, pypi.url, uv_cache)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", refused())
def test_what_uv_refuses_is_refused(
    tmp_path: Path, channel: Path, pypi: Recorded, uv_cache: Path, name: str, python: str
) -> None:
    for platform in PLATFORMS:
        with pytest.raises(AssertionError, match="odfpy"):
            uv_says(name, python, platform, pypi.url, uv_cache)
    with pytest.raises(LockError, match=r"odfpy==1\.4\.1 has only source, no wheel"):
        write_lockfile(lock_request(tmp_path, name, python, channel, pypi.url))
