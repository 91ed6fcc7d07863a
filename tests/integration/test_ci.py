"""The recipes for CI: valid by published schemas, and what their shell parts do is done, as each system does it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from smallbundle import command, make_channel, make_project

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("own_cache")

CHECKOUT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
ACTION = CHECKOUT / "action.yml"
GITLAB = CHECKOUT / "ci" / "gitlab.yml"
JENKINS = CHECKOUT / "ci" / "Jenkinsfile"
WORKFLOW = CHECKOUT / "ci" / "github-workflow.yml"


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A checked-out project, and programs that stand for what is not here: pip's index, and GitHub."""

    home: Path
    project: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        whole = os.environ | self.env | dict(env)
        return subprocess.run(words, cwd=self.project, env=whole, capture_output=True, text=True, check=False)

    def told(self) -> list[str]:
        calls = self.home / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_channel(tmp_path_factory.mktemp("ci") / "channel")


@pytest.fixture
def runner(tmp_path: Path, channel: Path) -> Runner:
    project = make_project(tmp_path / "project")
    spec = project / "environment.yml"
    spec.write_text(spec.read_text().replace("nowhere", channel.as_uri()))
    assert command("lock", project).returncode == 0
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    calls = shlex.quote(str(tmp_path / "calls"))
    real = shlex.quote(sys.executable)
    for name, body in {
        "python": f'case "$1 $2" in "-m pip") echo "pip $*" >>{calls} ;; *) exec {real} "$@" ;; esac',
        "gh": f'echo "gh $*" >>{calls}; cat "${{@: -1}}" >>{calls}',
    }.items():
        (stubs / name).write_text(f"#!/bin/bash\n{body}\n")
        (stubs / name).chmod(0o755)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", project, *words], check=True)
    (tmp_path / "output").touch()
    env = {"PATH": f"{stubs}:{BIN}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path), "CI": "true"}
    env |= {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_ACTION_PATH": "/the/action"}
    env |= {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    return Runner(home=tmp_path, project=project, env=env)


def outdate(runner: Runner) -> None:
    spec = runner.project / "environment.yml"
    spec.write_text(spec.read_text().replace("tool <2", "tool >=2"))


OURS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.github-actions", ACTION), *(("vendor.github-workflows", file) for file in (WORKFLOW, *OURS))],
)
def test_github_takes_it(schema: str, file: Path) -> None:
    check_schema(schema, file)


def test_our_own_workflows_only_call_what_runs_on_a_laptop() -> None:
    targets = re.search(r"^\.PHONY: (.+)", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    found = [
        run
        for file in OURS
        for run in re.findall(r"- run: (?:sudo )?(?:make (\S+)|\.ci/(run))$", file.read_text(), re.MULTILINE)
    ]
    made = [target for target, _ in found if target]
    assert set(made) <= set(targets[1].split())
    assert {"check", "test-all", "docs", "release"} <= set(made)
    assert ("", "run") in found


def test_gitlab_takes_it(tmp_path: Path) -> None:
    """The schema is for what GitLab has once the inputs are filled in."""
    header, jobs = gitlab()
    assert set(header["spec"]["inputs"]) == set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", GITLAB.read_text()))
    file = tmp_path / "jobs.yml"
    file.write_text(yaml.safe_dump(jobs))
    check_schema("vendor.gitlab-ci", file)


def check_schema(schema: str, file: Path) -> None:
    words = [str(BIN / "check-jsonschema"), "--builtin-schema", schema]
    done = subprocess.run([*words, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (key,) = {"runs", "jobs", "conda-bundler-build"} & set(yaml.safe_load(file.read_text()))
    broken = subprocess.run([*words, "-"], input=f"{key}: 7\n", capture_output=True, text=True, check=False)
    assert broken.returncode == 1, broken.stdout


def steps() -> dict[str, Any]:
    return {step["name"]: step for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"] if "run" in step}


def github(runner: Runner, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
    """A step as GitHub runs it; expressions stand in its `env` only, so that no input is taken for a program."""
    step = steps()[name]
    assert "${{" not in step["run"]
    defaults = yaml.safe_load(ACTION.read_text())["inputs"]
    values = {f"inputs.{key}": str(value["default"]) for key, value in defaults.items()}
    values |= {f"inputs.{key.replace('_', '-')}": value for key, value in inputs.items()}
    values |= {"github.event.pull_request.number": "7", "github.token": "secret"}
    env = {key: re.sub(r"\$\{\{ (\S+) \}\}", lambda found: values[found[1]], text) for key, text in step["env"].items()}
    script = runner.home / "step.sh"
    script.write_text(step["run"])
    return runner.run("bash", "--noprofile", "--norc", "-eo", "pipefail", str(script), env=env)


def test_the_action_installs_itself_or_what_is_asked_for(runner: Runner) -> None:
    assert github(runner, "Install conda-bundler").returncode == 0
    assert github(runner, "Install conda-bundler", install="conda-bundler==1.0").returncode == 0
    assert [call.split()[-1] for call in runner.told()] == ["/the/action", "conda-bundler==1.0"]


def test_the_action_comments_on_a_lockfile_that_is_out_of_date(runner: Runner) -> None:
    done = github(runner, "Check the lockfile")
    assert done.returncode == 0, done.stderr
    assert runner.told() == []
    outdate(runner)
    assert github(runner, "Check the lockfile", comment="false").returncode == 4
    assert runner.told() == []
    done = github(runner, "Check the lockfile")
    assert done.returncode == 4, done.stderr
    call, *body = runner.told()
    assert call.startswith("gh pr comment 7 --body-file ")
    assert "-  version: '1.0'" in body
    assert "+  version: '2.0'" in body
    assert body[-1] == "```"


def test_the_action_builds_verifies_and_names_the_bundles(runner: Runner) -> None:
    done = github(runner, "Build", bundle_version="9.1")
    assert done.returncode == 0, done.stderr
    bundle = runner.project / "dist" / "small-9.1-linux-64.tar"
    assert bundle.is_file()
    assert (runner.home / "output").read_text() == f"bundles<<END_OF_BUNDLES\n{bundle}\nEND_OF_BUNDLES\n"
    outdate(runner)
    assert github(runner, "Build").returncode == 4


def test_the_action_comments_on_what_a_pull_request_changes(runner: Runner) -> None:
    assert github(runner, "Build", bundle_version="9.1").returncode == 0
    old = runner.home / "old.tar"
    (runner.project / "dist" / "small-9.1-linux-64.tar").rename(old)
    outdate(runner)
    assert command("lock", runner.project).returncode == 0
    assert github(runner, "Build", bundle_version="9.2").returncode == 0
    done = github(runner, "Compare", compare=str(old))
    assert done.returncode == 0, done.stderr
    call, *body = runner.told()
    assert call.startswith("gh pr comment 7 --body-file ")
    assert any("| `tool` | `1.0 0` | `2.0 0` |" in line for line in body)
    assert (runner.home / "summary").read_text().splitlines() == body
    page = runner.project / "dist" / "small-9.2-linux-64.tar.diff.html"
    assert "<title>" in page.read_text()
    assert github(runner, "Compare", compare=str(old), comment="false").returncode == 0
    assert runner.told() == [call, *body]


def gitlab() -> tuple[Any, Any]:
    header, jobs = yaml.safe_load_all(GITLAB.read_text())
    text = GITLAB.read_text().partition("\n---\n")[2]
    for name, value in header["spec"]["inputs"].items():
        text = text.replace(f"$[[ inputs.{name} ]]", str(value["default"]))
    assert set(yaml.safe_load(text)) == set(jobs)
    return header, yaml.safe_load(text)


def test_gitlab_checks_the_lockfile_and_builds(runner: Runner) -> None:
    """GitLab runs the lines one after the other and stops at one that fails."""
    jobs = gitlab()[1]
    common = jobs[".conda-bundler"]

    def job(name: str, **env: str) -> int:
        lines = [*common["before_script"], *jobs[name]["script"]]
        script = "set -eo pipefail\n" + "\n".join(lines)
        variables = {key: common["variables"][key] for key in ("DIRECTORY", "INSTALL")}
        return runner.run("bash", "-c", script, env=variables | env).returncode

    assert job("conda-bundler-lock") == 0
    assert job("conda-bundler-build", CI_COMMIT_TAG="9.2") == 0
    assert (runner.project / "dist" / "small-9.2-linux-64.tar").is_file()
    outdate(runner)
    assert job("conda-bundler-lock") == 4
    assert runner.told()[0] == "pip -m pip install --quiet conda-bundler"


def test_jenkins_checks_the_lockfile_and_builds(runner: Runner) -> None:
    """Jenkins runs each `sh` step with `sh -xe`; the environment that the first one makes is ours here."""
    text = JENKINS.read_text()
    _install, check, build = re.findall(r"sh '''\n(.*?)'''", text, re.DOTALL)
    assert text.count("{") == text.count("}")
    (runner.project / ".conda-bundler").mkdir()
    (runner.project / ".conda-bundler" / "bin").symlink_to(BIN)

    def step(script: str, **env: str) -> int:
        # What a Groovy string makes of a backslash before a newline.
        return runner.run("sh", "-xec", script.replace("\\\n", ""), env={"DIRECTORY": "."} | env).returncode

    assert step(check) == 0
    assert step(build, TAG_NAME="9.3") == 0
    assert (runner.project / "dist" / "small-9.3-linux-64.tar").is_file()
    outdate(runner)
    assert step(check) == 4


def test_the_pre_commit_hook(runner: Runner) -> None:
    (hook,) = yaml.safe_load((CHECKOUT / ".pre-commit-hooks.yaml").read_text())
    assert {"id", "name", "entry", "language"} <= set(hook), "what pre-commit requires"
    assert hook["pass_filenames"] is False
    for path in ("environment.yml", "sub/bundle.toml", "conda-lock.yml"):
        assert re.search(hook["files"], path)
    assert not re.search(hook["files"], "my-environment.yml.txt")
    assert runner.run(*shlex.split(hook["entry"]), env={}).returncode == 0
    outdate(runner)
    assert runner.run(*shlex.split(hook["entry"]), env={}).returncode == 4
