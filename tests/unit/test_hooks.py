"""``before_start`` and ``[hooks]``: how they may be written, and the units that come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import load_config
from bundler.errors import ConfigError
from bundler.installer.render import render_unit
from bundler.units.service import make_units

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.config.project import BundleConfig

RELEASE = "/opt/hello/releases/1.2.0-0123456789ab"
EXECUTABLES = frozenset({"env/bin/python", "app/run/migrate"})
WEB = '[services.web]\ncommand = ["python"]\n'
JOBS = '[services.jobs]\ncommand = ["python"]\nsecrets = []\nhardening = "off"\nenvironment = { A = "b" }\n'


def config_of(tmp_path: Path, text: str) -> BundleConfig:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(f'[bundle]\nname = "hello"\nversion = "1.2.0"\n{text}')
    return load_config(tmp_path)


def units(tmp_path: Path, text: str) -> dict[str, list[str]]:
    made = make_units(config_of(tmp_path, text), RELEASE, EXECUTABLES)
    return {unit.name: render_unit(unit).splitlines() for unit in made}


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ('["run/migrate"]', [f"{RELEASE}/app/run/migrate"]),
        ('["python", "-c", "pass 100%"]', [f'{RELEASE}/env/bin/python -c "pass 100%%"']),
        ('[["python", "{state}/x"], ["/bin/true"]]', [f"{RELEASE}/env/bin/python /var/lib/hello/x", "/bin/true"]),
        ("[]", []),
    ],
)
def test_what_is_run_before_each_start(tmp_path: Path, written: str, lines: list[str]) -> None:
    unit = units(tmp_path, f"{WEB}before_start = {written}\n")["web.service"]
    assert [line.removeprefix("ExecStartPre=") for line in unit if line.startswith("ExecStartPre=")] == lines


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            '"python -m x"',
            r'services.web.before_start: .* must be a list; write before_start = \["python", "-m", "x"\]',
        ),
        ('[["python"], "x y"]', r"services.web.before_start.1: is the text 'x y'; .*; write \[\"x\", \"y\"\]"),
        ('"python -m x && y"', r'write before_start = \["/bin/sh", "-c", "python -m x && y"\]'),
        ("5", "services.web.before_start: is the number 5; it must be a list"),
        ("[[]]", "services.web.before_start.0: "),
        ('["gone"]', "there is no program 'gone'"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, written: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        units(tmp_path, f"{WEB}before_start = {written}\n")
    assert "before_start" in str(caught.value) + str(caught.value.where)


def test_a_hook_is_a_unit_with_what_its_service_has(tmp_path: Path) -> None:
    text = f"""{WEB}{JOBS}
[hooks]
service = "web"
before_switch = ["run/migrate", "up"]
back = {{ command = ["python", "${{HOOK_TO_VERSION}}"], timeout = 20 }}
"""
    made = units(tmp_path, text)
    assert {name for name in made if "-hook-" in name} == {
        "hello-hook-before-switch.service",
        "hello-hook-back.service",
    }
    before, web = made["hello-hook-before-switch.service"], made["web.service"]
    assert {
        "Type=oneshot",
        f"ExecStart={RELEASE}/app/run/migrate up",
        "TimeoutStartSec=300",
        "User=hello",
        "StateDirectory=hello",
        "RuntimeDirectory=web",
        "RuntimeDirectoryPreserve=yes",
        "EnvironmentFile=/etc/hello/secrets.env",
    } <= set(before)
    assert before[before.index("[Service]") :][-1] == "EnvironmentFile=-/run/conda-bundler/hello.hook"
    shared = ("ProtectSystem=", "SystemCallFilter=", "WorkingDirectory=", "Environment=", "UMask=")
    assert [line for line in before if line.startswith(shared)] == [line for line in web if line.startswith(shared)]
    assert "[Install]" not in before
    assert not any(".service" in line for line in before if line.startswith(("After=", "Wants=", "Requires=")))
    back = made["hello-hook-back.service"]
    assert {f"ExecStart={RELEASE}/env/bin/python ${{HOOK_TO_VERSION}}", "TimeoutStartSec=20"} <= set(back)


def test_a_hook_runs_as_the_service_that_is_named(tmp_path: Path) -> None:
    text = f'{WEB}{JOBS}unit = {{ Service = {{ SupplementaryGroups = "video", Nice = "5" }} }}\n'
    text += '[hooks]\nservice = "jobs"\nafter_switch = ["python"]\n'
    hook = units(tmp_path, text)["hello-hook-after-switch.service"]
    assert f"EnvironmentFile={RELEASE}/config/jobs.service.env" in hook
    assert "SupplementaryGroups=video" in hook
    assert not any(line.startswith(("Nice=", "ProtectSystem=", "EnvironmentFile=/etc/hello/secrets")) for line in hook)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{WEB}{JOBS}[hooks]\nback = ["python"]\n', "hooks.service: is required: .* jobs, web"),
        (f'{WEB}[hooks]\nservice = "wep"\nback = ["python"]\n', "hooks.service: there is no service 'wep'"),
        (f'{WEB}[hooks]\nservice = "web"\n', "hooks.service: there is no hook"),
        (f'{WEB}[hooks]\nback = "python x"\n', r'hooks.back: .* must be a list; write back = \["python", "x"\]'),
        (
            f'{WEB}[hooks]\nback = {{ command = "x" }}\n',
            r'hooks.back.command: .* must be a list; write command = \["x"\]',
        ),
        (f"{WEB}[hooks]\nback = 5\n", "hooks.back: is the number 5; it must be a list"),
        (f'{WEB}[hooks]\nback = {{ command = ["python"], timeout = 0 }}\n', "hooks.back.timeout: "),
        (f'{WEB}[hooks]\nbefore = ["python"]\n', "hooks.before: unknown key"),
        (
            f'[services.hello-hook-back]\ncommand = ["python"]\n{WEB}[hooks]\nservice = "web"\nback = ["python"]\n',
            "services.hello-hook-back: this name is used",
        ),
    ],
)
def test_mistakes_are_named_by_their_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config_of(tmp_path, text)


def test_a_program_that_is_nowhere_is_named_with_its_hook(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no program 'gone'") as caught:
        units(tmp_path, f'{WEB}[hooks]\nback = ["gone"]\n')
    assert caught.value.where == "hooks.back"
