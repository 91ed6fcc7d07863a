"""Two environments as people install them, whole: locked, built, installed, used, upgraded and rolled back."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from examplekit import ask, healthy, main_pid
from largekit import ROOM, SERVER, SERVICE, Large, bundler, make_project, prepare_index, record, seconds
from notebookkit import run_cell
from wheelindex import serve

from bundler.machine import Disk, Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]


@dataclass(frozen=True, kw_only=True)
class Built:
    """Two bundles of one environment, of which the second has another file of the service's own.

    ``peak`` is the memory that building the first took, in bytes.
    """

    large: Large
    first: Path
    second: Path
    peak: int


@pytest.fixture(scope="module", params=[SERVER, SERVICE], ids=lambda large: large.name)
def large(request: pytest.FixtureRequest) -> Large:
    found: Large = request.param
    return found


@pytest.fixture(scope="module")
def built(large: Large) -> Iterator[Built]:
    shutil.rmtree(ROOM / "cache", ignore_errors=True)  # a first build, as in a fresh clone
    output = ROOM / "dist"
    shutil.rmtree(output, ignore_errors=True)
    with serve(prepare_index(large)) as url:
        project = make_project(large, url, ROOM / "project")
        channel = large.channel()
        options = ("--channel", channel.as_uri(), "--virtual-packages", str(channel / "virtual-packages.yml"))
        locked = bundler("lock", project, *options)
        bundles = []
        for version in ("1.0", "1.1"):
            target = output / version
            made = bundler("build", project, *options, "--bundle-version", version, "--output-dir", target)
            bundles += list(target.glob("*.tar"))
            if version == "1.0":
                first = made
            with (project / large.own_file).open("a", encoding="utf-8") as file:
                file.write("# changed\n")
    record(large, "wheels", str(len(list(large.wheels.glob("*.whl")))))
    record(large, "lock", seconds(locked))
    record(large, "build", seconds(first))
    record(large, "peak memory", f"{first.peak / 1e6:.0f} MB")
    record(large, "bundle", f"{bundles[0].stat().st_size / 1e9:.2f} GB")
    yield Built(large=large, first=bundles[0], second=bundles[1], peak=first.peak)
    shutil.rmtree(ROOM / "cache", ignore_errors=True)
    shutil.rmtree(output, ignore_errors=True)


@pytest.fixture(scope="module")
def machine(built: Built) -> Iterator[Machine]:
    with Machine(rootfs("bookworm"), disk=Disk(size="60G", directory=ROOM)) as machine:
        yield machine


def install(machine: Machine, bundle: Path) -> tuple[float, str]:
    """Unpack and install as an operator does: how long install.sh took, in seconds, and what it said."""
    machine.run("sh", "-c", "rm -rf /root/bundle && mkdir /root/bundle", check=True)
    with bundle.open("rb") as file:
        unpack = ("tar", "-xf", "-", "-C", "/root/bundle", "--strip-components=1")
        machine.run(*unpack, stdin=file, check=True)
    return run_installer(machine)


def run_installer(machine: Machine) -> tuple[float, str]:
    began = time.monotonic()
    done = machine.run("sh", "/root/bundle/install.sh", timeout=1800)
    assert done.status == 0, done.stderr
    return time.monotonic() - began, done.stderr


def manage(machine: Machine, large: Large, *words: str) -> str:
    done = machine.run(f"/opt/{large.name}/manage", *words, timeout=900)
    assert done.status == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def serves(machine: Machine, large: Large) -> None:
    """The service does its job."""
    assert healthy(machine, large.name)
    if large is SERVER:
        assert ask(machine, f"http://127.0.0.1:{large.port}/api")[0] == 200
        cell = "import torch, tensorflow as tf; print(int(torch.ones(6).sum()) * int(tf.reduce_sum(tf.ones(7))))"
        assert run_cell(machine, large.name, cell, patience=300).strip() == "42"
    else:
        status, text = ask(machine, f"http://127.0.0.1:{large.port}/generate?length=4")
        assert status == 200
        tokens = json.loads(text)["tokens"]
        assert len(tokens) > 1
        assert tokens[0] == 1


def current(machine: Machine, large: Large) -> str:
    return machine.run("readlink", f"/opt/{large.name}/current", check=True).stdout.strip()


def test_the_bundle_is_what_was_built(built: Built) -> None:
    sample = bundler("verify", built.first)
    record(built.large, "verify", seconds(sample))
    assert sample.peak < 300e6


def test_a_build_stays_in_its_memory(built: Built) -> None:
    assert built.peak < 300e6


def test_it_installs_and_serves(built: Built, machine: Machine) -> None:
    seconds, _ = install(machine, built.first)
    record(built.large, "first install", f"{seconds:.0f} s")
    used = machine.run("du", "-sm", f"/opt/{built.large.name}/releases", check=True).stdout.split()[0]
    record(built.large, "unpacked", f"{int(used) * 1.048576e-3:.1f} GB")
    serves(machine, built.large)


def test_all_that_was_asked_for_is_imported(built: Built, machine: Machine) -> None:
    large = built.large
    code = f"import {', '.join(large.imports)}; print('imported')"
    done = machine.run(f"/opt/{large.name}/manage", "exec", large.name, "python", "-c", code, timeout=600)
    assert done.stdout.strip().endswith("imported"), done.stderr


def test_the_same_bundle_again_changes_nothing(built: Built, machine: Machine) -> None:
    large = built.large
    assert "every file matches what was installed" in manage(machine, large, "verify")
    pid, release = main_pid(machine, large.name), current(machine, large)
    _, said = run_installer(machine)
    assert "already installed" in said, said
    assert (main_pid(machine, large.name), current(machine, large)) == (pid, release)


def test_a_damaged_file_is_named(built: Built, machine: Machine) -> None:
    large = built.large
    victim = machine.run(
        "sh", "-c", f"cd /opt/{large.name}/current/ && find . -name api.py | sort | head -n 1", check=True
    )
    path = victim.stdout.strip().removeprefix("./")
    place = f"/opt/{large.name}/current/{path}"
    machine.run("sh", "-c", 'cp -p "$1" /root/kept && echo x >>"$1"', "sh", place, check=True)
    done = machine.run(f"/opt/{large.name}/manage", "verify", timeout=900)
    assert (done.status, done.stdout.split()) == (11, ["changed", path]), done.stderr
    machine.run("sh", "-c", 'cat /root/kept >"$1"', "sh", place, check=True)


def test_an_upgrade_and_the_way_back(built: Built, machine: Machine) -> None:
    large = built.large
    before = current(machine, large)
    seconds, _ = install(machine, built.second)
    record(large, "upgrade", f"{seconds:.0f} s")
    assert re.fullmatch(r"releases/1\.1-[0-9a-f]{12}", current(machine, large))
    serves(machine, large)
    manage(machine, large, "rollback")
    assert current(machine, large) == before
    serves(machine, large)
    assert "every file matches what was installed" in manage(machine, large, "verify")
