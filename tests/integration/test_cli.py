"""Bad input: its documented exit code, one clear message, no traceback, nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tinychannel import File, index, make_package
from waiting import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("own_cache")

CONFIG = """
[bundle]
name = "small"
version = "1.0"
[services.small]
command = ["tool"]
health = { http = "http://127.0.0.1:8000/" }
"""


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    channel = tmp_path_factory.mktemp("channel")
    make_package(channel, "tool", "1.0", files={"bin/tool": File(content=b"#!/bin/sh\n", mode=0o755)})
    index(channel)
    return channel


@pytest.fixture
def project(tmp_path: Path, channel: Path) -> Path:
    (tmp_path / "environment.yml").write_text(f"channels: [{channel.as_uri()}]\ndependencies: [tool]\n")
    (tmp_path / "bundle.toml").write_text(CONFIG)
    return tmp_path


def command(*words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bundler", *words],
        cwd=cwd, capture_output=True, text=True, check=False, env=os.environ | (env or {}),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """A change to a good project, and what is to come of it."""

    name: str
    file: str
    old: str
    new: str | None
    status: int
    says: tuple[str, ...]


CASES = (
    Case(name="no environment.yml", file="environment.yml", old="", new=None, status=2,
         says=("bundle.toml", "bundle.environment", "no such file")),
    Case(name="a list", file="environment.yml", old="channels", new="- a\n", status=2,
         says=("environment.yml", "mapping")),
    Case(name="not YAML", file="environment.yml", old="dependencies: [", new="dependencies: [[", status=2,
         says=("environment.yml",)),
    Case(name="unknown channel", file="environment.yml", old="file://", new="file:///nowhere", status=3,
         says=("nowhere",)),
    Case(name="unsatisfiable", file="environment.yml", old="[tool]", new="['tool >=2']", status=3,
         says=("tool", ">=2")),
    Case(name="unknown key", file="bundle.toml", old="name =", new="nmae =", status=2, says=("bundle.toml", "nmae")),
    Case(name="a slash", file="bundle.toml", old='"small"', new='"sm/all"', status=2,
         says=("bundle.name", "sm/all")),
    Case(name="no URL", file="bundle.toml", old="http://127.0.0.1:8000/", new="nothing", status=2,
         says=("services.small.health.http", "health check URL")),
    Case(name="not TOML", file="bundle.toml", old="[bundle]", new="[bundle", status=2, says=("bundle.toml", "TOML")),
)  # fmt: skip


@pytest.mark.parametrize("verb", ["lock", "build"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(project: Path, case: Case, verb: str) -> None:
    path = project / case.file
    text = path.read_text()
    if case.new is None:
        path.unlink()
    elif case.name == "a list":
        path.write_text(case.new)
    else:
        assert case.old in text
        path.write_text(text.replace(case.old, case.new))
    done = command(verb, ".", cwd=project)
    assert done.returncode == case.status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    assert all(word in done.stderr for word in case.says), done.stderr
    assert not (project / "dist").exists() or list((project / "dist").iterdir()) == []
    assert not (project / "conda-lock.yml").exists()


def test_a_command_that_is_nowhere(project: Path) -> None:
    (project / "bundle.toml").write_text(CONFIG.replace('["tool"]', '["gone"]'))
    done = command("build", ".", cwd=project)
    assert done.returncode == 2
    assert "services.small.command: there is no program 'gone'" in done.stderr
    assert list((project / "dist").iterdir()) == []


def test_an_environment_of_no_package_names_the_categories_that_have_some(project: Path) -> None:
    """Locked it can be; what comes of it is nothing that could be installed."""
    spec = project / "environment.yml"
    spec.write_text(f"category: dev\n{spec.read_text()}")
    done = command("build", ".", cwd=project)
    assert done.returncode == 2
    assert (
        "no packages are locked for linux-64 in category main; these categories have packages: dev (1)\n" in done.stderr
    )
    assert "bundle.categories" in done.stderr
    assert not (project / "dist").exists()
    assert command("build", ".", "--category", "dev", cwd=project).returncode == 0
    (project / "conda-lock.yml").write_text(
        (project / "conda-lock.yml").read_text().partition("package:")[0] + "package: []\n"
    )
    done = command("build", ".", cwd=project)
    assert done.returncode == 2
    assert "no packages are locked for linux-64 in category main or in any other" in done.stderr


def test_links_of_files_are_refused_before_anything_is_locked(project: Path) -> None:
    (project / "snapshot").mkdir()
    (project / "blob").write_text("weights")
    (project / "snapshot" / "model\x1b[2J").symlink_to("../blob")
    (project / "bundle.toml").write_text(CONFIG + '[files]\n"model" = "snapshot"\n')
    done = command("build", ".", "--json", cwd=project)
    assert done.returncode == 6
    assert not (project / "conda-lock.yml").exists()
    assert done.stderr.startswith(
        "error: files.model: snapshot/model\\x1b[2J is a symbolic link to ../blob, which is not in the"
    )
    assert json.loads(done.stdout)["error"]["where"] == "files.model"
    way = done.stderr.partition("under [files]: ")[2]
    builds = []
    for content in ("weights", "others"):
        (project / "blob").write_text(content)
        (project / "bundle.toml").write_text(f"{CONFIG}[files]\n{way}")
        done = command("build", ".", "--format", "dir", "--json", cwd=project)
        assert done.returncode == 0, done.stderr
        builds.append(json.loads(done.stdout)["bundles"][0])
        with tarfile.open(project / "dist/small-1.0-linux-64/payload.tar.gz") as tar:
            file = tar.extractfile("app/model/model\x1b[2J")
            assert file is not None
            assert file.read().decode() == content
    assert builds[0]["release"] != builds[1]["release"]
    assert command("verify", "dist/small-1.0-linux-64", cwd=project).returncode == 0


def test_a_hash_that_is_not_the_lockfiles(project: Path) -> None:
    assert command("lock", ".", cwd=project).returncode == 0
    lockfile = project / "conda-lock.yml"
    text = lockfile.read_text()
    package_sum = text.rpartition("sha256: ")[2].splitlines()[0].strip()
    assert len(package_sum) == 64
    lockfile.write_text(text.replace(package_sum, "ab" * 32))
    done = command("build", ".", cwd=project)
    assert done.returncode == 5
    assert "tool: sha256 is" in done.stderr
    assert list((project / "dist").iterdir()) == []


def test_lock_check(project: Path) -> None:
    assert command("lock", ".", "--check", cwd=project).returncode == 4
    assert command("lock", ".", cwd=project).returncode == 0
    assert command("lock", ".", "--check", cwd=project).returncode == 0
    with (project / "environment.yml").open("a") as file:
        file.write("# a comment changes nothing\n")
    assert command("lock", ".", "--check", cwd=project).returncode == 0
    (project / "environment.yml").write_text((project / "environment.yml").read_text().replace("[tool]", "['tool <9']"))
    done = command("lock", ".", "--check", cwd=project)
    assert done.returncode == 4
    assert "conda-lock.yml" in done.stderr


def test_json_is_all_there_is_on_stdout(project: Path) -> None:
    done = command("build", ".", "--json", cwd=project)
    assert json.loads(done.stdout)["bundles"][0]["name"] == "small"
    (project / "bundle.toml").write_text("[bundle]\n")
    done = command("build", ".", "--json", cwd=project)
    error = json.loads(done.stdout)["error"]
    assert (error["kind"], error["exit_code"], error["where"]) == ("ConfigError", 2, "bundle.toml")
    assert done.returncode == 2


def test_quiet_is_quiet_and_verbose_shows_what_is_run(project: Path) -> None:
    assert command("lock", ".", "-q", cwd=project).stderr == ""
    assert "$ " in command("lock", ".", "-v", cwd=project).stderr


def test_debug_shows_the_traceback(project: Path) -> None:
    (project / "bundle.toml").write_text("[bundle]\n")
    assert "Traceback" in command("build", ".", "--debug", cwd=project).stderr


def test_smoke_of_something_that_is_no_bundle(project: Path) -> None:
    done = command("smoke", "bundle.toml", cwd=project)
    assert done.returncode == 7
    assert "not a bundle" in done.stderr


def test_help_imports_nothing_heavy(project: Path) -> None:
    """Start-up stays under 0.2 s because heavy imports are late: what must not be there is named, not timed."""
    heavy = ("pydantic", "rattler", "rich", "jinja2", "yaml", "asyncio")
    program = f"import sys, bundler.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    began = computed()
    assert command("--help", cwd=project).returncode == 0
    assert computed() - began < 0.8


def computed() -> float:
    """The seconds of a processor that ended children have taken: no other process makes them more."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("module", "late"),
    [("bundler.prefix", ("pydantic", "urllib3", "installer")), ("bundler.lock.shim.conda", ("pydantic",))],
)
def test_nobody_waits_for_what_only_others_need(module: str, late: tuple[str, ...]) -> None:
    """conda-lock starts the solver for every platform; most builds have every archive and no wheel."""
    program = f"import sys, {module}; print([name for name in {late} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_output_directory_that_cannot_be_made(project: Path) -> None:
    (project / "dist").write_text("a file")
    done = command("build", ".", cwd=project)
    assert done.returncode in (2, 6)
    assert "dist" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_what_is_ended_leaves_nothing_behind(
    project: Path, tmp_path_factory: pytest.TempPathFactory, number: signal.Signals, status: int
) -> None:
    """A cancelled CI job, or Ctrl-C: temporary directories go, nothing gets a final name, and there is no traceback."""
    temporary = tmp_path_factory.mktemp("tmpdir")
    # Where the tests run in the background of a script, SIGINT is ignored.
    words = ["env", "--default-signal=INT", sys.executable, "-m", "bundler", "build", "."]
    env = os.environ | {"TMPDIR": str(temporary)}
    process = subprocess.Popen(words, cwd=project, env=env, stderr=subprocess.PIPE, text=True)
    while not list(temporary.iterdir()):
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert "Traceback" not in said
    assert list(temporary.iterdir()) == []
    assert {path.name for path in project.iterdir()} == {"bundle.toml", "environment.yml"}
