"""`conda-bundler init` and `schema`: what they write is good, and a bundle can be made of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from smallbundle import command

from bundler.project_templates import DEFAULT, STARTING_POINTS

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_the_command_knows_every_starting_point(tmp_path: Path) -> None:
    for name in STARTING_POINTS:
        done = command("init", tmp_path / name, "--from", name, "--json")
        assert done.returncode == 0, done.stderr
        written = json.loads(done.stdout)["written"]
        assert {Path(path).name for path in written} >= {"bundle.toml", "environment.yml"}
        assert all(Path(path).is_file() for path in written)
    assert f"[default: {DEFAULT}]" in " ".join(command("init", "--help").stdout.split())
    assert command("init", tmp_path / "x", "--from", "nothing").returncode == 2


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    project = tmp_path / "mine"
    project.mkdir()
    (project / "environment.yml").write_text("mine\n")
    done = command("init", project)
    assert done.returncode == 2
    assert "already exists: environment.yml" in done.stderr
    assert [path.name for path in project.iterdir()] == ["environment.yml"]
    assert (project / "environment.yml").read_text() == "mine\n"


def test_a_directory_that_gives_no_name(tmp_path: Path) -> None:
    done = command("init", tmp_path / "42")
    assert done.returncode == 2
    assert "cannot be used as" in done.stderr
    assert not (tmp_path / "42").exists()


def built(project: Path, channel: Path, *options: str) -> str:
    words: tuple[str | Path, ...] = ("--channel", channel.as_uri())
    words += ("--virtual-packages", channel / "virtual-packages.yml", "--output-dir", project.parent / "dist", "--json")
    done = command("build", project, *words, *options)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["bundles"][0]["path"])


@pytest.mark.parametrize("name", ["service", "job", "asgi"])
def test_a_bundle_is_made_of_it(tmp_path: Path, local_channel: Path, name: str) -> None:
    project = tmp_path / f"my-{name}"
    assert command("init", project, "--from", name).returncode == 0
    bundle = built(project, local_channel)
    assert command("verify", bundle).returncode == 0
    told = json.loads(command("inspect", bundle, "--json").stdout)
    assert (told["name"], told["secrets"]) == (f"my-{name}", [])
    exceptions = {unit["name"]: unit["exceptions"] for unit in told["units"]}
    watch = exceptions.pop(f"my-{name}-watch.service", [])
    assert all(exception["reason"] for exception in watch)
    assert not any(exceptions.values())


def test_a_module_that_has_changed_is_one_difference(tmp_path: Path, local_channel: Path) -> None:
    """Its bytecode has changed as well, and is nobody's work."""
    project = tmp_path / "web"
    assert command("init", project).returncode == 0
    old = built(project, local_channel)
    (project / "serve.py").write_text((project / "serve.py").read_text().replace("Hello.", "Hello again."))
    new = built(project, local_channel, "--bundle-version", "0.2.0")
    told = json.loads(command("diff", old, new, "--json").stdout)
    assert [change["name"] for change in told["app"]] == ["app/serve.py"]
    assert [change["name"] for change in told["options"]] == ["version"]
    assert (told["packages"], told["texts"]) == ([], [])


def test_the_service_answers_and_ends_when_it_is_told(tmp_path: Path) -> None:
    assert command("init", tmp_path / "web").returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running(tmp_path / "web" / "serve.py", PORT=str(port)) as process:
        assert answer(f"http://127.0.0.1:{port}/healthz") == (200, b"ok\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_the_job_leaves_its_report(tmp_path: Path) -> None:
    assert command("init", tmp_path / "job", "--from", "job").returncode == 0
    done = subprocess.run([sys.executable, tmp_path / "job" / "job.py"], cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "report.txt").read_text().startswith("ran at 20")


def answer(url: str) -> tuple[int, bytes]:
    for _ in range(200):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read()
        time.sleep(0.05)
    raise AssertionError(f"{url} is not")


@contextlib.contextmanager
def running(program: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, str(program)], env=os.environ | environment, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process
        finally:
            process.kill()
