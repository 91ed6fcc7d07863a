"""``instances`` and ``reload``: how they may be written, and what comes of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bundler.bundle.entries import ServiceEntry
from bundler.config.project import load_config
from bundler.config.schema import make_schema
from bundler.errors import ConfigError
from bundler.installer.installed import install_services, service_files
from bundler.installer.render import render_unit
from bundler.units.read import UnitText
from bundler.units.service import make_units

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.config.project import BundleConfig

RELEASE = "/opt/hello/releases/1.2.0-0123456789ab"
EXECUTABLES = frozenset({"env/bin/python", "app/tool"})
WORKER = '[services.worker]\ncommand = ["python", "{instance}%", "${PORT}{instance}"]\ninstances = 3\n'
PLAIN = '[services.web]\ncommand = ["python"]\n'


def config_of(tmp_path: Path, text: str) -> BundleConfig:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(f'[bundle]\nname = "hello"\nversion = "1.2.0"\n{text}')
    return load_config(tmp_path)


def units(tmp_path: Path, text: str) -> dict[str, list[str]]:
    made = make_units(config_of(tmp_path, text), RELEASE, EXECUTABLES)
    return {unit.name: render_unit(unit).splitlines() for unit in made}


def values(lines: list[str], key: str) -> list[str]:
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def test_a_template_a_target_and_what_watches_each(tmp_path: Path) -> None:
    made = units(tmp_path, WORKER + 'health = { http = "http://127.0.0.1:900{instance}/{instance}" }\n')
    assert set(made) == {
        "worker@.service",
        "worker.target",
        "worker-health@.service",
        "worker-health@.timer",
        "worker-watch@.service",
    }
    worker = made["worker@.service"]
    assert values(worker, "ExecStart") == [f"{RELEASE}/env/bin/python %i%% ${{PORT}}%i"]
    assert (values(worker, "PartOf"), values(worker, "WantedBy")) == (["worker.target"], ["worker.target"])
    assert values(worker, "OnFailure") == ["worker-watch@%i.service"]
    assert f"{RELEASE}/config/worker@%i.service.env" in values(worker, "EnvironmentFile")
    assert (values(worker, "RuntimeDirectory"), values(worker, "RuntimeDirectoryPreserve")) == (["worker"], ["yes"])
    assert values(made["worker.target"], "WantedBy") == ["multi-user.target"]
    health, timer = made["worker-health@.service"], made["worker-health@.timer"]
    assert values(health, "ExecStart")[0].endswith("/share/probe http http://127.0.0.1:900%i/%i 5")
    assert values(health, "After") == ["worker@%i.service"]
    assert values(timer, "PartOf") == values(timer, "WantedBy") == ["worker@%i.service"]
    assert values(timer, "Unit") == ["worker-watch@%i.service"]
    assert " worker@%i hello probe " in values(made["worker-watch@.service"], "ExecStart")[0]
    counted = {name: values(lines, "X-Instances") for name, lines in made.items()}
    assert counted.pop("worker.target") == []
    assert set(map(tuple, counted.values())) == {("3",)}


def test_inspect_tells_how_many_there_are(tmp_path: Path) -> None:
    made = {name: UnitText.parse(name, "\n".join(lines)) for name, lines in units(tmp_path, WORKER + PLAIN).items()}
    told = made["worker@.service"].instances
    assert told == "3: worker@1 to worker@3, started and stopped by worker.target"
    assert (made["web.service"].instances, made["worker.target"].instances) == ("", "")


def test_each_has_its_number_in_its_environment_and_is_asked_by_itself(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        WORKER + 'environment = { PORT = "80{instance}0", A = "{{instance}}" }\n'
        'working_directory = "{state}/{instance}"\nhealth = { tcp = "127.0.0.1:${PORT}" }\n',
    )
    files = service_files(config, RELEASE, frozenset())
    assert list(files) == [f"config/worker@{number}.service.env" for number in (1, 2, 3)]
    assert files["config/worker@2.service.env"].splitlines()[1:] == ['INSTANCE="2"', 'PORT="8020"', 'A="{instance}"']
    rows = install_services(config.services[0])
    assert [row.unit for row in rows] == [f"worker@{number}.service" for number in (1, 2, 3)]
    assert [row.health_unit for row in rows] == [f"worker-health@{number}.service" for number in (1, 2, 3)]
    made = units(tmp_path, (tmp_path / "bundle.toml").read_text().split('version = "1.2.0"\n')[1])
    assert values(made["worker@.service"], "StateDirectory") == ["hello"]
    assert values(made["worker@.service"], "ExecStartPre") == ["/bin/mkdir -p /var/lib/hello/%i"]
    (plain,) = install_services(config_of(tmp_path, PLAIN).services[0])
    assert plain.unit == "web.service"


def test_others_name_the_target_and_a_hook_runs_as_the_first(tmp_path: Path) -> None:
    made = units(
        tmp_path,
        WORKER
        + 'requires = ["web"]\n'
        + PLAIN
        + "[services.api]\n"
        + 'command = ["python"]\nwants = ["worker"]\nrequires = ["worker"]\n'
        + '[secrets]\nKEY = { delivery = "credential" }\n[hooks]\nservice = "worker"\nbefore_switch = ["python"]\n',
    )
    api = made["api.service"]
    assert (values(api, "Wants"), values(api, "Requires")) == (["worker.target"], ["worker.target"])
    assert "worker.target" in values(api, "After")[0]
    assert values(made["web-watch.service"], "ExecStart")[0].endswith(" yes worker@1 worker@2 worker@3")
    assert values(made["worker-watch@.service"], "ExecStart")[0].endswith(" yes")
    hook = "\n".join(made["hello-hook-before-switch.service"])
    assert f"{RELEASE}/config/worker@1.service.env" in hook
    assert "%i" not in hook
    worker = made["worker@.service"]
    assert "KEY_FILE=/run/credentials/worker@%i.service/KEY" in values(worker, "Environment")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WORKER.replace("3", "0"), "services.worker.instances: 0 is out of range: it must be at least 1"),
        (WORKER.replace("3", "65"), "services.worker.instances: 65 is out of range: it must be at most 64"),
        (
            WORKER + 'schedule = { on_calendar = "daily" }\n',
            "services.worker.instances: not allowed for a job with a schedule",
        ),
        (
            WORKER + 'environment = { INSTANCE = "x" }\n',
            "services.worker.environment.INSTANCE: is reserved for the instance number; rename",
        ),
        (f'{WORKER}[config]\nINSTANCE = "x"\n', "config.INSTANCE: is reserved for the instance number; rename"),
        (
            WORKER + 'health = { tcp = "127.0.0.1:9000" }\n',
            "services.worker.health.tcp: all instances would share this health check",
        ),
        (
            WORKER + 'health = { http = "http://127.0.0.1:${PORT}/" }\n',
            "health.http: all instances would share this health check",
        ),
        (
            WORKER.replace("3", "12") + 'health = { tcp = "127.0.0.1:900{instance}" }\n',
            "services.worker.health.tcp: instance 10 would be checked at port 90010; the maximum is 65535",
        ),
        (WORKER + 'profile = "beam"\n[erlang]\ndistribution = "sname"\n', "its Erlang nodes would share one name"),
        (
            PLAIN + 'environment = { A = "{instance}" }\n',
            "services.web.environment.A: {instance} is for a service with",
        ),
        (PLAIN + 'health = { tcp = "127.0.0.1:900{instance}" }\n', "services.web.health.tcp: {instance} is for"),
        (PLAIN + 'unit = { Service = { Nice = "{instance}" } }\n', "services.web.unit.Service.Nice: {instance} is for"),
        (f'{WORKER}[hooks]\nback = ["tool", "{{instance}}"]\n', "hooks.back: {instance} is not allowed here"),
    ],
)
def test_what_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        config_of(tmp_path, text)
    assert said in str(error.value)


def test_a_path_of_a_health_check_may_have_such_a_word_in_it(tmp_path: Path) -> None:
    made = units(tmp_path, PLAIN + 'health = { http = "http://127.0.0.1:9000/{instance}" }\n')
    assert "http://127.0.0.1:9000/{instance}" in values(made["web-health.service"], "ExecStart")[0]


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ('"SIGHUP"', '/bin/sh -c "kill -s HUP ${MAINPID}"'),
        ('["tool", "{state}/pid", "${MAINPID}"]', f"{RELEASE}/app/tool /var/lib/hello/pid ${{MAINPID}}"),
    ],
)
def test_how_a_service_reloads(tmp_path: Path, written: str, line: str) -> None:
    assert values(units(tmp_path, f"{PLAIN}reload = {written}\n")["web.service"], "ExecReload") == [line]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('"kill -HUP"', "'kill -HUP' is a command line; write the signal: reload = \"SIGHUP\""),
        ('"SIGKILL"', "services.web.reload: SIGKILL cannot be handled by a program"),
        ("5", "services.web.reload: is the number 5; it must be text in quotes or a list"),
        ("[]", "services.web.reload: must not be empty"),
        ('["nowhere"]', "services.web.reload"),
    ],
)
def test_what_is_no_reload(tmp_path: Path, written: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        units(tmp_path, f"{PLAIN}reload = {written}\n")
    assert said in f"{error.value.where}: {error.value}"


def test_the_schema_has_both() -> None:
    table = make_schema()["$defs"]["ServiceTable"]["properties"]
    assert (table["instances"]["minimum"], table["instances"]["maximum"]) == (1, 64)
    assert {one["type"] for one in table["reload"]["anyOf"]} == {"string", "array"}


def test_whoever_asks_each_service_asks_each_instance() -> None:
    said = {
        "unit": "worker@.service",
        "health_unit": "worker-health@.service",
        "target": "worker.target",
        "instances": 2,
        "health": {"http": "http://127.0.0.1:900{instance}/", "tcp": None, "timeout": 30},
    }
    one, two = ServiceEntry.model_validate_json(json.dumps(said)).each()
    assert (one.unit, two.health_unit) == ("worker@1.service", "worker-health@2.service")
    assert (two.health or {})["http"] == "http://127.0.0.1:9002/"
    assert [entry.unit for entry in ServiceEntry(unit="web.service").each()] == ["web.service"]
