"""What is said of a command that cannot be meant as it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import BundleConfig, load_config
from bundler.errors import ConfigError
from bundler.installer.render import render_unit
from bundler.units.commandnotes import command_notes
from bundler.units.service import make_units

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "/opt/hello/releases/1.0-0123456789ab"
EXECUTABLES = frozenset({"env/bin/python", "env/bin/gunicorn", "app/run.sh"})
HEAD = """
[bundle]
name = "hello"
version = "1.0"
[config]
PORT = "8000"
"""


def config_of(tmp_path: Path, service: str) -> BundleConfig:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(f"{HEAD}[services.hello]\n{service}\n")
    return load_config(tmp_path)


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ('["python -m hello"]', 'Write each word as a separate string: ["python", "-m", "hello"].'),
        ('["PORT=1", "python"]', 'To set a variable: environment = { PORT = "1" }. The first word is the program.'),
        ('["cd", "/srv"]', "'cd' is a shell built-in: use working_directory for cd"),
        ('["source", "env.sh"]', '["/bin/sh", "-c", "…"]'),
        (
            '["conda", "run", "-n", "x", "python"]',
            "already active on the server: omit 'conda' and write the command that it runs",
        ),
        ('["uv", "run", "python"]', "The environment is already active on the server: omit 'uv'"),
        ('["sudo", "-u", "www", "python"]', "omit 'sudo'. To run them as a different user: install.sh --user NAME."),
        ('["~/run.sh"]', "~ and $ are not expanded in a program's path"),
        ('["${HOME}/run.sh"]', "~ and $ are not expanded in a program's path"),
        ('["gunicron"]', "Did you mean 'gunicorn'? Add the package"),
        ('["Python"]', "Did you mean 'python'? Add the package"),
        ('["nginx"]', "Add the package that provides it to the environment"),
    ],
)
def test_what_stands_in_the_place_of_a_program(tmp_path: Path, command: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match="there is no program") as caught:
        make_units(config_of(tmp_path, f"command = {command}"), RELEASE, EXECUTABLES)
    assert remedy in (caught.value.remedy or "")
    assert caught.value.where == "services.hello.command"


def test_a_file_that_is_not_there_is_named_as_in_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no program 'app/gone\.sh'"):
        make_units(config_of(tmp_path, 'command = ["{app}/gone.sh"]'), RELEASE, EXECUTABLES)


def test_a_path_may_begin_where_it_stands(tmp_path: Path) -> None:
    unit = make_units(config_of(tmp_path, 'command = ["./run.sh"]'), RELEASE, EXECUTABLES)[0]
    assert f"ExecStart={RELEASE}/app/run.sh" in render_unit(unit).splitlines()


@pytest.mark.parametrize(
    ("service", "notes"),
    [
        (
            'command = ["python", "a.py", "&&", "python", "b.py"]',
            ["command: no shell is used, so the program gets && as"],
        ),
        (
            'command = ["python", "a.py", ">", "/x", "2>&1"]',
            ["command: no shell is used, so the program gets > and 2>&1"],
        ),
        ('command = ["python", "a.py", "&"]', ["command: no shell is used, so the program gets &"]),
        ('command = ["python", "a.py", "--port=$PORT"]', ["command: $PORT is not expanded; write ${PORT}"]),
        (
            'command = ["python"]\nbefore_start = ["python", "m.py", "|", "tee"]',
            ["before_start: no shell is used, so the program gets |"],
        ),
        ('command = ["python"]\nhealth = { command = ["python", "$HOME/x"] }', ["health.command: $HOME is not"]),
        ('command = ["python"]\nreload = ["python", ";"]', ["reload: no shell is used, so the program gets ;"]),
        ('command = ["/bin/sh", "-c", "cd /x && exec python --port $PORT"]', []),
        ('command = ["python", "-c", "<"]', []),
        ('command = ["python", "--port", "${PORT}", "--cost", "$5", "$OTHER", "a|b", "<x>"]', []),
    ],
)
def test_words_that_only_a_shell_reads(tmp_path: Path, service: str, notes: list[str]) -> None:
    told = command_notes(config_of(tmp_path, service))
    assert len(told) == len(notes), told
    for note, expected in zip(told, notes, strict=True):
        assert note.startswith(f"services.hello.{expected}")


def test_a_hooks_words_are_looked_at_once(tmp_path: Path) -> None:
    config = config_of(tmp_path, 'command = ["python"]\n[hooks]\nback = ["python", "m.py", "||", "x"]')
    assert [note.partition(":")[0] for note in command_notes(config)] == ["hooks.back"]
