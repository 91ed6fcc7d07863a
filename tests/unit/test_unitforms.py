"""A unit is written in one way, which is read as systemd reads it; and what of it root runs."""

from __future__ import annotations

import pytest
from installkit import Spec, units

from bundler.reader.unitforms import is_as_written, root_commands
from bundler.units.read import UnitText

TABLES = """
[services.hello]
command = ["serve", "a\\\\"]
profile = "generic"
health = { http = "http://127.0.0.1:8000/" }
environment = { X = "50% off" }
[services.web]
command = ["serve"]
profile = "generic"
socket = "{runtime}/web.sock"
unit = { Service = { ExecStartPre = "+/bin/chmod 0755 /srv" } }
[services.job]
command = ["serve"]
schedule = { on_calendar = "daily" }
[services.many]
command = ["serve"]
instances = 2
[services.cuda]
command = ["serve"]
gpu = true
"""
TEXTS = units(Spec(tables=TABLES, description="Ends with \\\\", secrets=()))
HELLO = TEXTS["hello.service"]


def as_written(text: str) -> bool:
    return is_as_written(UnitText.parse("hello.service", text), text)


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_build_writes(name: str) -> None:
    assert is_as_written(UnitText.parse(name, TEXTS[name]), TEXTS[name])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nExecStart=", "\n ExecStart="),
        ("\nExecStart=", "\nExecStart ="),
        ("\nExecStart=", "\n; ExecStart=\nExecStart="),
        ("\nRestart=", "\n# a line \\\nRestart="),
        ("Restart=on-failure\n", "Restart=on-failure \\\nExecStartPre=+/bin/sh\n"),
        ("\nUser=hello\n", "\nUser=hello\r\n"),
        ("\nUser=hello\n", "\nUser=hello\x0b\n"),
        ("\nUser=hello\n", "\nUser=hello\n\nGroup=hello\n"),
        ("\n[Install]\n", "\n[Service]\nExecStartPre=+/bin/sh\n\n[Install]\n"),
        ("\n[Install]\n", "\n[Install] \n"),
        ("\n[Install]\n", "\n[Unit]x\n"),
        ("# hello", "#hello"),
        ("# hello", "\ufeff# hello"),
        ("\n[Unit]", "\nUser=root\n\n[Unit]"),
        ("\nUser=hello\n", "\nUser=hello\nno directive\n"),
        ("WantedBy=multi-user.target\n", "WantedBy=multi-user.target"),
        ("WantedBy=multi-user.target\n", "WantedBy=multi-user.target\n\n[Service]\nExecStartPre=+/bin/sh\n"),
    ],
)
def test_any_other_way_is_refused(old: str, new: str) -> None:
    assert as_written(HELLO)
    assert old in HELLO
    assert not as_written(HELLO.replace(old, new, 1))


def test_an_end_of_line_that_systemd_does_not_know_ends_none() -> None:
    text = HELLO.replace("Description=", "Description=x\u2028[Service]\u2028User=root\u2028", 1)
    users = [value for _, key, value in UnitText.parse("hello.service", text).directives if key == "User"]
    assert users == ["hello"]


def test_what_root_runs() -> None:
    told = {name: root_commands(UnitText.parse(name, text)) for name, text in TEXTS.items()}
    found = {name: [command.partition("=")[0] for command in commands] for name, commands in told.items() if commands}
    watches = {name: ["ExecStart"] for name in TEXTS if name.endswith(("-watch.service", "-watch@.service"))}
    assert watches
    assert found == watches | {
        "cuda-gpu.service": ["ExecStart"],
        "web.service": ["ExecStartPre"],
        "web.socket": found["web.socket"],
    }
    assert told["web.service"] == ("ExecStartPre=+/bin/chmod 0755 /srv",)


@pytest.mark.parametrize(
    ("line", "root"),
    [
        ("ExecStartPre=+/bin/x", True),
        ("ExecStartPre=-+/bin/x", True),
        ("ExecStop=!!/bin/x", True),
        ("ExecReload=@!/bin/x x", True),
        ("ExecStartPre=-@:/bin/x +", False),
        ("ExecPaths=+/bin", False),
        ("User=root", True),
        ("User=", True),
        ("User=0", True),
    ],
)
def test_by_which_line(line: str, root: bool) -> None:
    text = HELLO.replace("\nGroup=hello\n", f"\nGroup=hello\n{line}\n", 1)
    assert bool(root_commands(UnitText.parse("hello.service", text))) is root
