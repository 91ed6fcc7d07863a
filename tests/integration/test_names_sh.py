"""Names that a bundle and its services cannot have on a server, as install.sh's preflight says it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from shellkit import THREE_SHELLS, shell_id, with_functions

from bundler.config.reserved import is_reserved, is_reserved_service

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """set -eu
LC_ALL=C PROGRAM=test IMAGE= RELEASE=1.0 RECORD=$1
NAME=$2 SERVICE_USER=$4
OWN_USERS=
each_service() { "$1" "$SERVICE.service" - 1 1 -; }
SERVICE=$3
OWN_USERS=
"""


@pytest.fixture(params=THREE_SHELLS, ids=shell_id)
def shell(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


def said(shell: tuple[str, ...], record: Path, name: str, service: str, user: str = "root", head: str = HEAD) -> str:
    text = with_functions(f"{head}check_names\nexit $PROBLEMS")
    argv = [*shell, "-c", text, "test", str(record), name, service, user]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == done.stderr.count("error:"), done.stderr
    return done.stderr


@pytest.fixture
def record(tmp_path: Path) -> Path:
    (tmp_path / "owned").write_text("user root\n")
    return tmp_path


@pytest.mark.parametrize("name", ["systemd", "conda-bundler", "credentials", "user", "lock", "systemd-own"])
def test_what_the_system_is_called(shell: tuple[str, ...], record: Path, name: str) -> None:
    assert f"the name {name} is reserved for the system" in said(shell, record, name, "no-such-service")
    assert f"would use /run/{name}, which is reserved for the system" in said(shell, record, "hello", name)
    assert is_reserved(name)
    assert is_reserved_service(name)


def test_what_instances_share_is_told_once(shell: tuple[str, ...], record: Path) -> None:
    text = HEAD.replace(
        '"$SERVICE.service" - 1 1 -; }', '"$SERVICE@1.service" - 1 1 -; "$1" "$SERVICE@2.service" - 1 1 -; }'
    )
    assert said(shell, record, "hello", "systemd", head=text).count("would use /run/systemd") == 1


@pytest.fixture
def place() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("/run is root's")
    path = Path(f"/run/conda-bundler-test-{os.getpid()}")
    yield path
    path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)


def test_a_directory_in_run_that_is_not_ours(shell: tuple[str, ...], record: Path, place: Path, tmp_path: Path) -> None:
    assert said(shell, record, "hello", place.name) == ""
    place.mkdir()
    assert said(shell, record, "hello", place.name) == "", "it is the service's user's"
    os.chown(place, 4321, 4321)
    assert f"{place} exists and was not made for this bundle's services" in said(shell, record, "hello", place.name)
    os.chown(place, 0, 0)
    (record / "owned").write_text("")
    assert f"{place} exists" in said(shell, record, "hello", place.name), "the user was not made by us"
    (record / "owned").write_text("user root\n")
    place.rmdir()
    place.symlink_to(tmp_path)
    assert f"{place} exists" in said(shell, record, "hello", place.name)
