from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import BundleConfig, load_config
from bundler.errors import ConfigError
from bundler.installer.render import render_environment, render_unit
from bundler.units.context import UnitContext
from bundler.units.service import make_units, service_environment

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "/opt/hello/releases/1.2.0-0123456789ab"
EXECUTABLES = frozenset({"env/bin/python", "app/run/start", "app/python"})


def config_with(tmp_path: Path, service: str, *, extra: str = "") -> BundleConfig:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(
        f'[bundle]\nname = "hello"\nversion = "1.2.0"\ndescription = "50% off"\n{extra}\n[services.hello]\n{service}\n'
    )
    return load_config(tmp_path)


def unit_lines(tmp_path: Path, service: str, *, index: int = 0) -> list[str]:
    return render_unit(make_units(config_with(tmp_path, service), RELEASE, EXECUTABLES)[index]).splitlines()


def test_the_unit_names_the_release_and_never_current(tmp_path: Path) -> None:
    lines = unit_lines(tmp_path, 'command = ["python", "-m", "hello"]')
    assert f"ExecStart={RELEASE}/env/bin/python -m hello" in lines
    assert f"Environment=PATH={RELEASE}/env/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in lines
    assert not any("/current" in line for line in lines)


@pytest.mark.parametrize(
    "directive",
    [
        "IgnoreSIGPIPE=false",
        "Type=exec",
        "User=hello",
        "Restart=on-failure",
        "RestartSec=5",
        "StandardOutput=journal",
        "StandardError=journal",
        "SyslogIdentifier=hello",
        "NoNewPrivileges=yes",
        "MemoryDenyWriteExecute=yes",
        "EnvironmentFile=/etc/hello/secrets.env",
        "EnvironmentFile=-/etc/hello/hello.env",
        "RequiresMountsFor=/opt/hello /var/lib/hello",
        "Description=50%% off",
        "WantedBy=multi-user.target",
    ],
)
def test_what_every_python_service_has(tmp_path: Path, directive: str) -> None:
    assert directive in unit_lines(tmp_path, 'command = ["python"]')


def test_the_start_limit_can_trip(tmp_path: Path) -> None:
    lines = dict(line.split("=", 1) for line in unit_lines(tmp_path, 'command = ["python"]') if "=" in line)
    assert int(lines["StartLimitIntervalSec"]) > int(lines["StartLimitBurst"]) * int(lines["RestartSec"])


def test_secrets_come_last_so_that_they_win(tmp_path: Path) -> None:
    lines = [line for line in unit_lines(tmp_path, 'command = ["python"]') if line.startswith("EnvironmentFile=")]
    names = [line.rpartition("/")[2] for line in lines]
    assert names == ["activation.env", "hello.env", "hello.service.env", "hello.env", "secrets.env"]


def test_an_unknown_program_may_write_and_execute(tmp_path: Path) -> None:
    lines = unit_lines(tmp_path, 'command = ["/bin/sh"]\nprofile = "generic"')
    assert "MemoryDenyWriteExecute=yes" not in lines
    assert "NoNewPrivileges=yes" in lines


def test_env_bin_comes_before_app(tmp_path: Path) -> None:
    assert any(
        line.startswith(f"ExecStart={RELEASE}/env/bin/python") for line in unit_lines(tmp_path, 'command = ["python"]')
    )
    lines = unit_lines(tmp_path, 'command = ["run/start", "{state}/x", "--port=${PORT}"]')
    assert f"ExecStart={RELEASE}/app/run/start /var/lib/hello/x --port=${{PORT}}" in lines


@pytest.mark.parametrize("program", ["gone", "{env}/bin/gone", "run"])
def test_a_command_that_is_nowhere_is_refused(tmp_path: Path, program: str) -> None:
    with pytest.raises(ConfigError, match="there is no program") as caught:
        make_units(config_with(tmp_path, f'command = ["{program}"]'), RELEASE, EXECUTABLES)
    assert caught.value.where == "services.hello.command"


@pytest.mark.parametrize(("program", "path"), [("sh", "/bin/sh"), ("bash", "/bin/bash"), ("env", "/usr/bin/env")])
def test_a_program_of_the_servers_own_is_told_by_its_path(tmp_path: Path, program: str, path: str) -> None:
    with pytest.raises(ConfigError, match="but servers have it") as caught:
        make_units(config_with(tmp_path, f'command = ["{program}", "-c", "x"]'), RELEASE, EXECUTABLES)
    assert caught.value.remedy == f"To use the server's, write {path}."


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain-1.0/x=y,z:@", "plain-1.0/x=y,z:@"),
        ("two words", '"two words"'),
        ("", None),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ("a${PORT}b", "a${PORT}b"),
        ("${not a name}", '"$${not a name}"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        (";", '";"'),
        ("it's", '"it\'s"'),
        ("{{app}}", "{app}"),
    ],
)
def test_words_are_systemds_words(tmp_path: Path, word: str, written: str | None) -> None:
    quoted = word.replace("\\", "\\\\").replace('"', '\\"')
    service = f'command = ["python", "{quoted}"]'
    if written is None:
        with pytest.raises(ConfigError, match=r"command\.1"):
            config_with(tmp_path, service)
        return
    assert f"ExecStart={RELEASE}/env/bin/python {written}" in unit_lines(tmp_path, service)


def test_overrides_replace_ours_and_keep_the_rest(tmp_path: Path) -> None:
    service = """command = ["python"]
    unit = { Service = { RestartSec = "1", LimitNOFILE = "65536", SystemCallFilter = ["mount", "bpf"] } }"""
    lines = unit_lines(tmp_path, service)
    assert [line for line in lines if line.startswith("RestartSec=")] == ["RestartSec=1"]
    assert [line for line in lines if line.startswith("SystemCallFilter=")][-2:] == [
        "SystemCallFilter=mount",
        "SystemCallFilter=bpf",
    ]
    assert "LimitNOFILE=65536" in lines
    assert "IgnoreSIGPIPE=false" in lines


def test_limits(tmp_path: Path) -> None:
    lines = unit_lines(tmp_path, 'command = ["python"]\nmemory_max = "8G"\ncpu_quota = "80%"')
    assert "MemoryMax=8G" in lines
    assert "CPUQuota=80%" in lines


def test_the_health_unit_asks_as_the_service(tmp_path: Path) -> None:
    service = 'command = ["python"]\nhealth = { http = "http://127.0.0.1:${PORT}/healthz?a=%20b" }'
    lines = unit_lines(tmp_path, service, index=1)
    assert f'ExecStart=/bin/sh {RELEASE}/share/probe http "http://127.0.0.1:${{PORT}}/healthz?a=%%20b" 5' in lines
    assert "User=hello" in lines
    assert "Type=oneshot" in lines
    assert "EnvironmentFile=-/etc/hello/hello.env" in lines
    assert not any(line.startswith(("Restart=", "RuntimeDirectory=", "WantedBy=")) for line in lines)


def test_a_beam_service_does_not_listen_for_strangers(tmp_path: Path) -> None:
    config = config_with(tmp_path, 'command = ["/bin/sh"]\nprofile = "beam"\nenvironment = { X = "{app}/x" }')
    variables = dict(service_environment(UnitContext(config=config, service=config.services[0], release=RELEASE)))
    assert variables == {"RELEASE_DISTRIBUTION": "none", "RELEASE_TMP": "/run/hello", "X": f"{RELEASE}/app/x"}


def test_environment_files_quote_what_systemd_reads() -> None:
    text = render_environment((("A", 'x "y" $z `w` \\ %n\nline'),), comment="c")
    assert text == '# c\nA="x \\"y\\" \\$z \\`w\\` \\\\ %n\nline"\n'


def texts(tmp_path: Path, services: str) -> dict[str, list[str]]:
    """Unit name -> its lines, of whole [services.*] tables."""
    config = config_with(tmp_path, 'command = ["python"]', extra=services)
    return {unit.name: render_unit(unit).splitlines() for unit in make_units(config, RELEASE, EXECUTABLES)}


def test_limits_and_a_notifying_service(tmp_path: Path) -> None:
    service = """command = ["python"]
    type = "notify"
    watchdog = 20
    restart = "always"
    restart_delay = 2
    start_limit = 10
    tasks_max = 100
    nofile = 65536
    health = { notify = true, start_period = 60, timeout = 30.5 }"""
    lines = unit_lines(tmp_path, service)
    wanted = "Type=notify WatchdogSec=20 Restart=always RestartSec=2 StartLimitBurst=10 TasksMax=100"
    assert {*wanted.split(), "LimitNOFILE=65536", "TimeoutStartSec=91"} <= set(lines)
    units = make_units(config_with(tmp_path, service), RELEASE, EXECUTABLES)
    assert [unit.name for unit in units] == ["hello.service", "hello-watch.timer", "hello-watch.service"]


@pytest.mark.parametrize(
    ("service", "interval"),
    [("", 120), ("restart_delay = 60", 650), ('health = { tcp = "127.0.0.1:1", start_period = 300 }', 3050)],
)
def test_the_start_limit_trips_however_slow_the_service_fails(tmp_path: Path, service: str, interval: int) -> None:
    lines = unit_lines(tmp_path, f'command = ["python"]\n{service}')
    assert f"StartLimitIntervalSec={interval}" in lines


@pytest.mark.parametrize(
    ("place", "path"), [("state", "/var/lib/hello"), ("cache", "/var/cache/hello"), ("runtime", "/run/hello")]
)
def test_a_working_directory_inside_its_own_is_made_by_the_service(tmp_path: Path, place: str, path: str) -> None:
    """systemd would make it as root, and follow a link that the service has put there."""
    lines = unit_lines(tmp_path, f'command = ["python"]\nworking_directory = "{{{place}}}/a/b"')
    assert {
        f"WorkingDirectory=-{path}/a/b",
        "StateDirectory=hello",
        "CacheDirectory=hello",
        "LogsDirectory=hello",
        "RuntimeDirectory=hello",
    } <= set(lines)
    programs = [line for line in lines if line.startswith("Exec")]
    assert programs == [f"ExecStartPre=/bin/mkdir -p {path}/a/b", f"ExecStart={RELEASE}/env/bin/python"]
    for elsewhere, goal in (("/srv/data", "/srv/data"), (f"{{{place}}}", path), (f"{path}-x/y", f"{path}-x/y")):
        lines = unit_lines(tmp_path, f'command = ["python"]\nworking_directory = "{elsewhere}"')
        assert {f"WorkingDirectory={goal}", "StateDirectory=hello"} <= set(lines)
        assert not [line for line in lines if line.startswith("ExecStartPre")]


def test_with_credentials_each_program_makes_its_working_directory(tmp_path: Path) -> None:
    """systemd 247 starts no second program of a unit that has some."""
    more = "[secrets]\nTOKEN = { delivery = 'credential' }\n[services.one]\ncommand = ['python', '${PORT}', '$x %']\n"
    more += "before_start = [['python', '-m', 'up']]\nworking_directory = '{state}/a/b'\n"
    lines = texts(tmp_path, more)["one.service"]
    make = r'/bin/sh -c "mkdir -p \"$$0\" && cd \"$$0\" && unset PWD OLDPWD && exec \"$$@\"" /var/lib/hello/a/b'
    assert [line for line in lines if line.startswith("Exec")] == [
        f"ExecStartPre={make} {RELEASE}/env/bin/python -m up",
        f'ExecStart={make} {RELEASE}/env/bin/python ${{PORT}} "$$x %%"',
    ]
    assert {"WorkingDirectory=-/var/lib/hello/a/b", "StateDirectory=hello"} <= set(lines)


def test_a_runtime_directory_inside_a_sisters_is_refused(tmp_path: Path) -> None:
    more = "[services.one]\ncommand = ['python']\nunit = { Service = { RuntimeDirectory = 'hello/x' } }\n"
    with pytest.raises(ConfigError, match="'hello/x' is inside /run/hello, which a service can write to"):
        texts(tmp_path, more)


def test_a_service_without_a_secret_never_has_it(tmp_path: Path) -> None:
    secrets = "[secrets]\nTOKEN = {}\n[services.one]\ncommand = ['python']\nsecrets = ['TOKEN']\n"
    secrets += "[services.none]\ncommand = ['python']\nsecrets = []\n"
    found = texts(tmp_path, secrets)
    assert not [line for line in found["hello.service"] if line.startswith("UnsetEnvironment")]
    assert "UnsetEnvironment=RELEASE_COOKIE" in found["one.service"]
    assert "EnvironmentFile=/etc/hello/secrets.env" in found["one.service"]
    assert not [line for line in found["none.service"] if "secrets.env" in line]


def test_order_between_services(tmp_path: Path) -> None:
    more = "[services.a]\ncommand = ['python']\nafter = ['hello']\nwants = ['b']\nrequires = ['c']\n"
    more += "[services.b]\ncommand = ['python']\n[services.c]\ncommand = ['python']\n"
    lines = texts(tmp_path, more)["a.service"]
    assert {
        "After=network.target hello.service b.service c.service",
        "Wants=b.service",
        "Requires=c.service",
    } <= set(lines)


def test_a_job_and_its_timer(tmp_path: Path) -> None:
    service = """command = ["python"]
    schedule = { on_calendar = ["daily", "Mon 03:30"], persistent = false, randomized_delay = "15min" }
    unit = { Timer = { AccuracySec = "1" } }"""
    job = unit_lines(tmp_path, service)
    assert "Type=oneshot" in job
    assert not any(line.startswith(("Restart", "StartLimit", "WantedBy", "[Install]")) for line in job)
    timer = unit_lines(tmp_path, service, index=1)
    assert timer[timer.index("[Timer]") + 1 :] == [
        "OnCalendar=daily",
        "OnCalendar=Mon 03:30",
        "Persistent=no",
        "RandomizedDelaySec=15min",
        "AccuracySec=1",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]


def test_every_health_check_asks_in_its_way(tmp_path: Path) -> None:
    probe = f"ExecStart=/bin/sh {RELEASE}/share/probe"
    for health, command in {
        'http = "http://127.0.0.1/", status = 204': f"{probe} http http://127.0.0.1/ 5 204",
        'http = "http://127.0.0.1/", body = "100% \'ok\'"': f"{probe} http http://127.0.0.1/ 5 - \"100%% 'ok'\"",
        'tcp = "127.0.0.1:${PORT}", probe_timeout = 7': f"{probe} tcp 127.0.0.1:${{PORT}} 7",
        'command = ["python", "-c", "pass"]': f"ExecStart={RELEASE}/env/bin/python -c pass",
    }.items():
        assert command in unit_lines(tmp_path, f'command = ["python"]\nhealth = {{ {health} }}', index=1)


def test_a_health_command_has_what_its_service_has(tmp_path: Path) -> None:
    lines = unit_lines(tmp_path, 'command = ["python"]\nhealth = { command = ["run/start"] }', index=1)
    assert {
        f"ExecStart={RELEASE}/app/run/start",
        "JoinsNamespaceOf=hello.service",
        "ReadWritePaths=-/var/lib/hello",
        "WorkingDirectory=-/var/lib/hello",
        "User=hello",
    } <= set(lines)
    with pytest.raises(ConfigError, match="there is no program") as caught:
        unit_lines(tmp_path, 'command = ["python"]\nhealth = { command = ["gone"] }')
    assert caught.value.where == "services.hello.health.command"


def test_the_watch_is_told_whom_a_restart_takes_along(tmp_path: Path) -> None:
    more = "[services.a]\ncommand = ['python']\nrequires = ['hello']\n"
    more += "[services.b]\ncommand = ['python']\nrequires = ['a']\n"
    health = (
        'health = { tcp = "127.0.0.1:1", failures = 4, restarts_per_hour = 2, start_period = 1.5, interval = 20 }\n'
    )
    config = config_with(tmp_path, f'command = ["python"]\n{health}', extra=more)
    units = {unit.name: render_unit(unit).splitlines() for unit in make_units(config, RELEASE, EXECUTABLES)}
    watch = units["hello-watch.service"]
    assert f"ExecStart=/bin/sh {RELEASE}/share/watch hello hello probe 4 2 2 yes a b" in watch
    assert not any(line.startswith("User=") for line in watch)
    timer = units["hello-health.timer"]
    assert {"PartOf=hello.service", "WantedBy=hello.service", "OnUnitInactiveSec=20"} <= set(timer)
    assert "Unit=hello-watch.service" in timer


def names(tmp_path: Path, service: str) -> list[str]:
    return [unit.name for unit in make_units(config_with(tmp_path, service), RELEASE, EXECUTABLES)]


def test_who_is_asked_by_nobody_is_started_again_all_the_same(tmp_path: Path) -> None:
    watch = ["hello-watch.timer", "hello-watch.service"]
    unasked = 'command = ["python"]\nhealth = { tcp = "127.0.0.1:1", failures = 0 }'
    assert names(tmp_path, unasked) == ["hello.service", "hello-health.service", *watch]
    assert names(tmp_path, f"{unasked}\nretry = false") == ["hello.service", "hello-health.service"]
    assert names(tmp_path, 'command = ["python"]') == ["hello.service", *watch]
    assert "OnFailure=hello-watch.service" in unit_lines(tmp_path, 'command = ["python"]')
    lines = unit_lines(tmp_path, 'command = ["python"]', index=2)
    assert f"ExecStart=/bin/sh {RELEASE}/share/watch hello hello none 0 0 0 yes" in lines
    lines = unit_lines(tmp_path, 'command = ["python"]', index=1)
    assert {"PartOf=hello.service", "WantedBy=hello.service", "OnUnitInactiveSec=300"} <= set(lines)


@pytest.mark.parametrize(
    "said", ['restart = "no"', 'restart = "on-abnormal"', "retry = false", 'schedule = { on_calendar = "daily" }']
)
def test_who_is_not_to_be_started_again(tmp_path: Path, said: str) -> None:
    lines = unit_lines(tmp_path, f'command = ["python"]\n{said}')
    assert not any(line.startswith("OnFailure=") for line in lines)
    assert not any("watch" in name for name in names(tmp_path, f'command = ["python"]\n{said}'))


@pytest.mark.parametrize(
    ("said", "waits"),
    [
        ('health = { http = "http://10.0.0.5:80/" }', True),
        ('health = { http = "http://${HOST}:${PORT}/" }', True),
        ('health = { tcp = "${HOST}:80" }', True),
        ('health = { tcp = "[fe80::1]:80" }', True),
        ('environment = { BIND = "192.168.1.7:8000" }', True),
        ('environment = { DB = "postgresql://me:pw@db.example/app" }', True),
        ('environment = { DB = "postgresql://me:pw@[2001:db8::1]:5432/app" }', True),
        ('environment = { PEERS = "127.0.0.1:1,10.0.0.2:1" }', True),
        ('environment = { NAME = "x" }\n[config]\nHOST = "2001:db8::1"', True),
        ('environment = { DB = "postgresql://127.0.0.1/app" }', False),
        ('environment = { DB = "postgresql://localhost/app" }', False),
        ('environment = { DB = "postgresql:///app", VERSION = "1.2.3", PATHS = "/a:/b:/c", TIME = "12:30:00" }', False),
        ('environment = { BIND = "0.0.0.0:80", B = "[::]:80", C = "::1", D = "::" }', False),
        ('health = { http = "http://127.0.0.1:${PORT}/?at=10.0.0.1" }', False),
        ('environment = { DB_HOST = "db.example.com" }', True),
        ('environment = { REDIS_HOST = "redis", SMTP_SERVER = "localhost" }', True),
        ('environment = { BROKERS = "kafka1:9092,kafka2:9092" }', True),
        ('environment = { DSN = "host=db.example.com port=5432" }', True),
        ('environment = { DSN = "postgresql:///x?host=db.example.com" }', True),
        ('environment = { DSN = "me:pw@tcp(db.example.com:3306)/x" }', True),
        ('before_start = ["python", "wait.py", "db.example.com:5432"]', True),
        ('before_start = ["python", "wait.py", "--db-host", "db.example.com"]', True),
        ('unit = { Service = { Environment = "BIND=10.9.9.9" } }', True),
        ('unit = { Service = { ExecStartPre = "/bin/true http://db.example.com/" } }', True),
        ('environment = { DB_HOST = "localhost", DSN = "host=/run/postgresql", A = "::ffff:127.0.0.1" }', False),
        ('environment = { APP = "web:app", IMAGE = "python:3.11", AT = "12:30", ALLOWED_HOSTS = "x.example" }', False),
        ('environment = { MAIL = "me@example.com", HOST = "", DB_HOST = "${OTHER}", TRUSTED = "10.0.0.0/8" }', False),
        ('environment = { BIND = "10.0.0.1" }\nnetwork_online = false', False),
        ("network_online = true", True),
    ],
)
def test_who_names_an_address_of_a_network_waits_for_it(tmp_path: Path, said: str, waits: bool) -> None:
    lines = unit_lines(tmp_path, f'command = ["python"]\n{said}')
    assert ("Wants=network-online.target" in lines) == waits
    assert ("After=network.target network-online.target" in lines) == waits


SECRETS = """
[secrets]
KEY = { format = "base32" }
TOKEN = { format = "base64url", delivery = "credential" }
"""


def delivery(tmp_path: Path, service: str, *, index: int = 0) -> list[str]:
    config = config_with(tmp_path, f'command = ["python"]\n{service}', extra=SECRETS)
    lines = render_unit(make_units(config, RELEASE, EXECUTABLES)[index]).splitlines()
    wanted = ("LoadCredential=", "UnsetEnvironment=", "EnvironmentFile=/etc/hello/secrets.env", "Environment=TOKEN")
    return [line for line in lines if line.startswith(wanted)]


def test_a_credential_is_a_file_of_the_units_own(tmp_path: Path) -> None:
    health = 'health = { http = "http://127.0.0.1/" }'
    for index, unit in enumerate(("hello.service", "hello-health.service")):
        assert delivery(tmp_path, health, index=index) == [
            f"Environment=TOKEN_FILE=/run/credentials/{unit}/TOKEN",
            "EnvironmentFile=/etc/hello/secrets.env",
            "UnsetEnvironment=TOKEN",
            "LoadCredential=TOKEN:/etc/hello/credentials/TOKEN",
        ]


def test_a_service_gets_the_secrets_that_it_names(tmp_path: Path) -> None:
    assert delivery(tmp_path, 'secrets = ["KEY"]') == [
        "EnvironmentFile=/etc/hello/secrets.env",
        "UnsetEnvironment=RELEASE_COOKIE TOKEN",
    ]
    assert delivery(tmp_path, "secrets = []") == []


def test_activation_comes_first(tmp_path: Path) -> None:
    lines = unit_lines(tmp_path, 'command = ["python"]')
    files = [line for line in lines if line.startswith("EnvironmentFile=")]
    assert files[0] == f"EnvironmentFile={RELEASE}/config/activation.env"


RELEASED = frozenset({"app/demo/bin/demo", "app/demo/releases/1.0/elixir", "app/other/bin/demo"})


def beam(tmp_path: Path, release: str = "", service: str = "") -> tuple[list[str], dict[str, str]]:
    text = f'command = ["demo/bin/demo", "start"]\nprofile = "beam"\n{service}'
    config = config_with(tmp_path, text, extra=release)
    lines = render_unit(make_units(config, RELEASE, RELEASED)[0]).splitlines()
    return lines, dict(service_environment(UnitContext(config=config, service=config.services[0], release=RELEASE)))


def test_a_release_is_started_without_its_cookie_on_the_command_line(tmp_path: Path) -> None:
    lines, _ = beam(tmp_path)
    assert f"ExecStart=/bin/sh {RELEASE}/share/beam {RELEASE}/app/demo/bin/demo start" in lines


def test_what_loses_a_signal_is_stopped_by_one_who_knows(tmp_path: Path) -> None:
    lines, _ = beam(tmp_path)
    assert f"ExecStop=/bin/sh {RELEASE}/share/beam --stop" in lines
    assert not any(line.startswith("ExecStop") for line in unit_lines(tmp_path, 'command = ["python"]'))


def test_a_release_under_another_profile_is_refused(tmp_path: Path) -> None:
    config = config_with(tmp_path, 'command = ["demo/bin/demo", "start"]')
    with pytest.raises(ConfigError, match="Elixir") as caught:
        make_units(config, RELEASE, RELEASED)
    assert caught.value.where == "services.hello.profile"
    other = config_with(tmp_path, 'command = ["other/bin/demo"]')
    assert make_units(other, RELEASE, RELEASED)


@pytest.mark.parametrize(
    ("release", "node"),
    [
        ('distribution = "sname"', "hello@localhost"),
        ('distribution = "sname"\nlisten = "0.0.0.0"', "hello"),
        ('distribution = "name"', "hello"),
        ('distribution = "name"\nlisten = "10.0.0.5"', "hello"),
    ],
)
def test_nodes_are_named_after_their_service(tmp_path: Path, release: str, node: str) -> None:
    _, variables = beam(tmp_path, f"[release]\n{release}")
    assert (variables["RELEASE_NODE"], variables["ERL_DIST_PORT"]) == (node, "4370")
    assert variables["RELEASE_DISTRIBUTION"] in release


def test_there_is_no_distribution_unless_asked_for(tmp_path: Path) -> None:
    _, variables = beam(tmp_path)
    assert variables["RELEASE_DISTRIBUTION"] == "none"


def test_a_node_that_listens_everywhere_has_to_be_named(tmp_path: Path) -> None:
    release = '[release]\ndistribution = "name"\nlisten = "0.0.0.0"'
    with pytest.raises(ConfigError, match="RELEASE_NODE"):
        beam(tmp_path, release)
    _, variables = beam(tmp_path, release, 'environment = { RELEASE_NODE = "hello@10.0.0.5" }')
    assert variables["RELEASE_NODE"] == "hello@10.0.0.5"
    _, variables = beam(tmp_path, f'{release}\n[config]\nRELEASE_NODE = "hello@10.0.0.5"')
    assert "RELEASE_NODE" not in variables


def test_how_a_service_is_ended(tmp_path: Path) -> None:
    lines = unit_lines(tmp_path, 'command = ["python"]')
    assert {"KillMode=mixed", "OOMPolicy=continue"} < set(lines)
    assert not [line for line in lines if line.startswith(("KillSignal=", "TimeoutStopSec="))]  # systemd's own
    lines = unit_lines(tmp_path, 'command = ["python"]\nkill_signal = "SIGINT"\nstop_timeout = 600')
    assert {"KillSignal=SIGINT", "TimeoutStopSec=600"} < set(lines)
    with pytest.raises(ConfigError, match="unknown signal 'INT'; write it like SIGINT"):
        unit_lines(tmp_path, 'command = ["python"]\nkill_signal = "INT"')
