"""Real bundles, built once by the command itself, and machines that they are installed on."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bundlekit import build, install
from examplekit import channel_for
from once import once

from bundler.machine import Machine, boot, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(scope="session", autouse=True)
def _trusted_machines() -> Iterator[None]:
    """What the tests run is trusted, and half a second a machine is much. smoke's machines have users of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boot, "OWN_USERS", bool(os.environ.get("CONDA_BUNDLER_OWN_USERS")))
        yield


@pytest.fixture(scope="session")
def bookworm() -> Path:
    return rootfs("bookworm")


@pytest.fixture(scope="session")
def hello(local_channel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/hello as it is, with the C program of 255-character placeholders in its environment."""

    def make() -> Path:
        project = tmp_path_factory.mktemp("hello")
        without_lockfile = shutil.ignore_patterns("conda-lock.yml")
        shutil.copytree(EXAMPLES / "hello", project, dirs_exist_ok=True, ignore=without_lockfile)
        with (project / "environment.yml").open("a") as file:
            file.write("  - greeting\n")
        return build(project, local_channel, project / "dist")

    return once(tmp_path_factory, "hello", make)


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The bundle of an example, ``inference/v1`` say, for a suite; built once for suites of one channel."""

    @cache
    def built(name: str, channel: Path) -> Path:
        project = tmp_path_factory.mktemp("examples") / name
        left_out = shutil.ignore_patterns("conda-lock.yml")
        # links followed: the two inference APIs share their code that way
        shutil.copytree(EXAMPLES / name, project, ignore=left_out)
        return build(project, channel, project / "dist")

    return lambda name, suite: built(name, channel_for(suite))


@pytest.fixture(scope="module")
def server(hello: Path, bookworm: Path) -> Iterator[Machine]:
    """A machine on which hello is installed; its install.sh's output is in /root/install.log."""
    with Machine(bookworm) as machine:
        install(machine, hello)
        yield machine
