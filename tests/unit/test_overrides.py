from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from bundler.config.project import BundleConfig, load_config
from bundler.errors import ConfigError
from bundler.installer.render import render_unit
from bundler.systemd.accumulating import LISTS, SINCE
from bundler.systemd.directives import DIRECTIVES
from bundler.systemd.values import check_value
from bundler.units.contents import NOTHING
from bundler.units.context import UnitContext
from bundler.units.notes import override_notes
from bundler.units.service import make_units, overridden

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "/opt/over/releases/1.0-0123456789ab"
EXECUTABLES = frozenset({"env/bin/python", "app/bin/migrate"})
BUNDLE = """
[bundle]
name = "over"
version = "1.0"
[config]
PORT = "8000"
[secrets]
RELEASE_COOKIE = false
API_TOKEN = { bytes = 16 }
[services.over]
command = ["python"]
environment = { MODE = "x" }
"""


def config_of(tmp_path: Path, overrides: str, table: str = "") -> BundleConfig:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(f"{BUNDLE}{table}\n[services.over.unit]\n{overrides}\n")
    return load_config(tmp_path)


def unit_of(tmp_path: Path, overrides: str, table: str = "", *, index: int = 0) -> list[str]:
    config = config_of(tmp_path, overrides, table)
    return render_unit(make_units(config, RELEASE, EXECUTABLES)[index]).splitlines()


def values(lines: list[str], directive: str) -> list[str]:
    return [line.partition("=")[2] for line in lines if line.startswith(f"{directive}=")]


def notes(tmp_path: Path, overrides: str, table: str = "") -> list[str]:
    return list(override_notes(config_of(tmp_path, overrides, table), RELEASE, NOTHING))


def refused(tmp_path: Path, overrides: str, table: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        make_units(config_of(tmp_path, overrides, table), RELEASE, EXECUTABLES)
    assert caught.value.exit_code == 2
    return caught.value.format_message()


def test_one_more_environment_file_comes_before_the_operators_and_the_secrets(tmp_path: Path) -> None:
    config = f"{RELEASE}/config"
    ours = [f"{config}/activation.env", f"{config}/over.env", f"{config}/over.service.env"]
    last = ["-/etc/over/over.env", "/etc/over/secrets.env"]
    one = 'Service = { EnvironmentFile = "-/etc/extra.env" }'
    assert values(unit_of(tmp_path, one), "EnvironmentFile") == [*ours, "-/etc/extra.env", *last]
    assert notes(tmp_path, one) == []
    instead = 'Service = { EnvironmentFile = ["-/lost", "", "{app}/a.env"] }'
    assert values(unit_of(tmp_path, instead), "EnvironmentFile") == [f"{RELEASE}/app/a.env", *last]
    (note,) = notes(tmp_path, instead)
    assert note.startswith("services.over.unit.Service.EnvironmentFile replaces EnvironmentFile=config/activ")
    assert "secrets.env" not in note
    table = 'health = { http = "http://127.0.0.1:${PORT}/" }'
    assert values(unit_of(tmp_path, one, table, index=1), "EnvironmentFile") == [*ours, "-/etc/extra.env", *last]


@pytest.mark.parametrize(
    ("section", "directive", "given", "added"),
    [
        ("Unit", "After", '"postgresql.service"', ["network.target", "postgresql.service"]),
        ("Unit", "Wants", '["a.service", "b.service"]', ["a.service", "b.service"]),
        ("Unit", "After", '["", "a.service"]', ["a.service"]),
        ("Unit", "After", '["a.service", ""]', []),
        ("Unit", "ConditionPathExists", '"{state}/ready"', ["/var/lib/over/ready"]),
        (
            "Service",
            "SystemCallFilter",
            '"@mount"',
            ["@system-service", "~@privileged", "@chown @setuid capset", "@mount"],
        ),
        ("Service", "SystemCallFilter", '["", "~@mount"]', ["~@mount"]),
        ("Service", "CapabilityBoundingSet", '"CAP_SYS_NICE"', ["", "CAP_SYS_NICE"]),
        ("Service", "CapabilityBoundingSet", '["", "CAP_SYS_NICE"]', ["CAP_SYS_NICE"]),
        ("Service", "CapabilityBoundingSet", '""', [""]),
        ("Service", "RestrictAddressFamilies", '"AF_PACKET"', ["AF_INET AF_INET6 AF_UNIX AF_NETLINK", "AF_PACKET"]),
        ("Service", "RestrictAddressFamilies", '"none"', ["none"]),
        ("Service", "RestrictNamespaces", '"no"', ["no"]),
        ("Service", "RestrictNamespaces", '"user mnt"', ["yes", "user mnt"]),
        ("Service", "ReadWritePaths", '["/srv/{{x}}", "{cache}/y"]', ["/srv/{x}", "/var/cache/over/y"]),
        ("Service", "StateDirectory", '"over/cache"', ["over"]),  # it makes over/cache itself
        ("Service", "RuntimeDirectory", '"over/a more"', ["over more"]),
        ("Service", "SupplementaryGroups", '"video"', ["video"]),
        ("Service", "Restart", '"always"', ["always"]),
        ("Service", "RestartSec", '["", "1min"]', ["1min"]),
        ("Service", "NoNewPrivileges", '""', []),
        ("Service", "LimitNOFILE", "65536", ["65536"]),
        ("Service", "PrivateTmp", "false", ["no"]),
        ("Install", "WantedBy", '["", "graphical.target"]', ["graphical.target"]),
        ("Install", "Alias", '"other.service"', ["other.service"]),
    ],
)
def test_a_list_is_added_to_and_all_else_replaced(
    tmp_path: Path, section: str, directive: str, given: str, added: list[str]
) -> None:
    assert values(unit_of(tmp_path, f"{section} = {{ {directive} = {given} }}"), directive) == added


def test_further_directories_leave_the_variable_as_it_was(tmp_path: Path) -> None:
    lines = unit_of(tmp_path, 'Service = { StateDirectory = "over/a", RuntimeDirectory = "over more" }')
    assert "RUNTIME_DIRECTORY=/run/over" in values(lines, "Environment")
    assert not [value for value in values(lines, "Environment") if value.startswith("STATE")]


def test_a_directory_inside_the_services_own_is_made_by_the_service(tmp_path: Path) -> None:
    lines = unit_of(
        tmp_path,
        'Service = { StateDirectory = "over/a over", LogsDirectory = "over/l", RuntimeDirectory = "over/r x/y", '
        'ExecStartPre = "false" }',
    )
    assert [values(lines, key) for key in ("StateDirectory", "LogsDirectory", "RuntimeDirectory")] == [
        ["over"],
        ["over"],
        ["over x/y"],
    ]
    make = "/bin/mkdir -p /var/lib/over/a /var/log/over/l /run/over/r"
    assert values(lines, "ExecStartPre") == [make, "false"]


def test_a_timers_events_are_added_to_ours(tmp_path: Path) -> None:
    table = 'schedule = { on_calendar = "daily" }'
    lines = unit_of(tmp_path, 'Timer = { OnCalendar = "Mon 03:30" }', table, index=1)
    assert values(lines, "OnCalendar") == ["daily", "Mon 03:30"]
    assert values(unit_of(tmp_path, 'Timer = { OnCalendar = ["", "weekly"] }', table, index=1), "OnCalendar") == [
        "weekly"
    ]


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("{env}/bin/python {app}/m.py", f"{RELEASE}/env/bin/python {RELEASE}/app/m.py"),
        ("python {app}/m.py ${PORT}", f"{RELEASE}/env/bin/python {RELEASE}/app/m.py ${{PORT}}"),
        ("-@python x", f"-@{RELEASE}/env/bin/python x"),
        ("bin/migrate", f"{RELEASE}/app/bin/migrate"),
        ("/bin/mkdir -p {state}/x", "/bin/mkdir -p /var/lib/over/x"),
        ("mkdir %S/x ; python y", f"mkdir %S/x ; {RELEASE}/env/bin/python y"),
        ("/bin/sh -c 'echo ${port}; awk \"{{print}}\"'", "/bin/sh -c 'echo ${port}; awk \"{print}\"'"),
        ("+/bin/chgrp video /dev/x", "+/bin/chgrp video /dev/x"),
        ("/bin/echo 50% \\; x", "/bin/echo 50% \\; x"),
    ],
)
def test_places_and_programs_of_a_command(tmp_path: Path, line: str, written: str) -> None:
    assert values(unit_of(tmp_path, f"Service = {{ ExecStartPre = '''{line}''' }}"), "ExecStartPre") == [written]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{env}/bin/pyton x", "there is no program 'env/bin/pyton'"),
        ("scripts/run", "there is no program 'scripts/run'"),
        ("python x ; gone y", "there is no program 'gone'"),
        ("{place}/x", "unknown placeholder {place}"),
        ("awk {print}", "{{print}} for the word in braces itself"),
        ("/bin/sh -c 'x", "is not closed"),
        ("/bin/date +%Z", "write %%"),
        ("-", "has no program"),
        ("+{env}/bin/python x", "would run files of the bundle as root"),
        ("!/bin/sh {app}/x.sh", "would run files of the bundle as root"),
    ],
)
def test_a_command_that_could_not_start_is_refused(tmp_path: Path, line: str, said: str) -> None:
    message = refused(tmp_path, f"Service = {{ ExecStartPre = ['', '''{line}'''] }}")
    assert "services.over.unit.Service.ExecStartPre" in message
    assert said in message


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ('Service = { ExecStart = "/bin/x" }', "use services.over.command"),
        ('Service = { Type = "forking" }', "set services.over.type"),
        ('Service = { User = "www-data" }', "services run as the bundle's own user"),
        ('Service = { DynamicUser = "yes" }', "the bundle's own user"),
        ('Service = { StateDirectory = "" }', "{state} is created by it and cannot be removed"),
        ('Service = { StateDirectory = "postgresql" }', "write over/postgresql"),
        ('Service = { StateDirectory = "over/a:b" }', "create the link from the service itself"),
        ('Service = { UnsetEnvironment = "" }', "services.over.secrets"),
        ('Service = { Environment = "API_TOKEN=x" }', "API_TOKEN is also a secret"),
        ('Service = { LoadCredential = "API_TOKEN:/x" }', "API_TOKEN is also a secret"),
        ('Service = { Nice = ["1", "2"] }', "takes a single value"),
        ('Service = { PrivateTmp = "maybe" }', "Service.PrivateTmp: 'maybe' is not one of yes, no, disconnected"),
        ('Service = { MemoryMax = "8GB" }', "Service.MemoryMax: '8GB' is not a size"),
        ('Service = { ReadWritePaths = "data" }', "Service.ReadWritePaths: 'data' is not an absolute path"),
        ('Service = { SystemCallFilter = "@mont" }', "not a system call group; did you mean @mount"),
        (
            'Service = { SystemCallFilter = "@mount mbnd" }',
            "'mbnd' is not a system call; systemd would ignore it; did you",
        ),
        ('Service = { SystemCallFilter = ["~clock"] }', "systemd would ignore it; did you mean the group @clock?"),
        ('Unit = { After = "postgresql" }', "Unit.After: 'postgresql' is not a unit name; write postgresql.service"),
        ('Unit = { Documentation = "wiki" }', "Unit.Documentation: 'wiki' is not a URL"),
        ('Unit = { Description = "a\\\\" }', "ends with a backslash"),
    ],
)
def test_what_would_be_fatal_or_ours_is_refused(tmp_path: Path, overrides: str, said: str) -> None:
    assert said in refused(tmp_path, overrides)


def test_a_job_that_is_to_run_again_at_once_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, 'Service = { Restart = "always" }', 'schedule = { on_calendar = "daily" }')
    assert "services.over.unit.Service.Restart: systemd does not allow always" in said


def test_all_mistakes_of_overrides_are_told_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, 'Service = { Nice = "high", User = "x" }\nUnit = { After = "a" }')
    assert [key in message for key in ("Service.Nice", "Service.User", "Unit.After")] == [True] * 3


def test_what_is_taken_away_or_passed_over_is_told(tmp_path: Path) -> None:
    told = notes(
        tmp_path,
        'Service = { RestartSec = "9", Restart = "on-failure", Environment = "HOME=/x PORT=1 MODE=2 A=3",'
        ' RestartSteps = "5" }\nUnit = { After = ["", "a.service"] }',
    )
    assert told == [
        "services.over.unit.Unit.After replaces After=network.target",
        "services.over.unit.Service.RestartSec replaces RestartSec=5",
        "services.over.unit.Service.Environment replaces Environment=HOME=/var/lib/over",
        "services.over.unit.Service.RestartSteps: systemd before 254 ignores it",
        "services.over.unit.Service.Environment: PORT has no effect, since [config] sets it; set it there",
        (
            "services.over.unit.Service.Environment: MODE has no effect, since services.over.environment sets it; set "
            "it there"
        ),
    ]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            'AmbientCapabilities = "CAP_NET_RAW"',
            ["AmbientCapabilities: CAP_NET_RAW has no effect while PrivateUsers is"],
        ),
        ('AmbientCapabilities = "CAP_NET_RAW"\nPrivateUsers = false', ["PrivateUsers replaces"]),
        ('DeviceAllow = ["", "char-ttyUSB rw"]', ["DeviceAllow: char-ttyUSB rw has no effect while PrivateDevices is"]),
        ('DeviceAllow = "/dev/ttyUSB0 rw"\nPrivateDevices = "off"', ["PrivateDevices replaces"]),
    ],
)
def test_rights_that_the_sandbox_takes_away_again_are_told(tmp_path: Path, override: str, told: list[str]) -> None:
    found = notes(tmp_path, f"[services.over.unit.Service]\n{override}")
    assert len(found) == len(told), found
    for note, start in zip(found, told, strict=True):
        assert note.startswith(f"services.over.unit.Service.{start}")


def test_the_manifest_has_what_is_taken_away(tmp_path: Path) -> None:
    config = config_of(tmp_path, 'Service = { UMask = "0027" }')
    (gone,) = overridden(UnitContext(config=config, service=config.services[0], release=RELEASE))
    assert json.loads(json.dumps(vars(gone))) == {
        "section": "Service",
        "directive": "UMask",
        "ours": ["0077"],
        "now": ["0027"],
    }


def test_the_tables_name_directives_that_there_are() -> None:
    assert [name for section, names in LISTS.items() for name in names - DIRECTIVES[section]] == []
    known = frozenset().union(*DIRECTIVES.values())
    assert [name for name in SINCE if name not in known] == []


@pytest.mark.parametrize(  # as systemd-analyze verify of 252 and 257 says
    ("directive", "good", "bad"),
    [
        ("RestartSec", ["5 min", "1min 30s", "infinity"], ["soon", "5x"]),
        ("LimitNOFILE", ["1024:65536", "infinity"], ["64k", "5:3"]),
        ("LimitAS", ["4G:8G"], ["much"]),
        ("TasksMax", ["50%", "5.5%"], ["0", "many"]),
        ("CPUQuota", ["20.5%"], ["20", "0%"]),
        ("CPUWeight", ["idle", "100"], ["0"]),
        ("OOMScoreAdjust", ["-1000"], ["1001"]),
        ("KillSignal", ["INT", "SIGINT", "RTMIN+3", "64"], ["SIGFOO", "99"]),
        ("UMask", ["0027", "77"], ["8", "77777"]),
        ("CapabilityBoundingSet", ["~CAP_NET_ADMIN", "cap_kill"], ["NET_ADMIN"]),
        ("RestrictNamespaces", ["~user", "user mnt"], ["user foo"]),
        ("SystemCallFilter", ["~clone @raw-io:EACCES", "@mount read"], ["mount:EPERM", "@mont", "~raed"]),
        ("SystemCallLog", ["~clone3 io_uring_setup"], ["fork2"]),
        ("SystemCallErrorNumber", ["EPERM", "13", "kill"], ["EFOO"]),
        ("IPAddressAllow", ["10.0.0.0/8 localhost", "10.1.2.3/8"], ["foo"]),
        ("StandardOutput", ["append:/x", "journal+console", "fd:stdout"], ["append:x", "foo"]),
        ("Environment", ['A=1 "B=2 3" C=', "A=100%"], ["A b", "1A=5", '"A=1', "A=%Z"]),
        ("EnvironmentFile", ["-/x", "%h/x"], ["x", "-x"]),
        ("UnsetEnvironment", ["A B=5"], ["1-"]),
        ("ReadWritePaths", ["-/x +/y -+/z"], ["x"]),
        ("BindPaths", ["/a:/b:rbind"], ["a:/b"]),
        ("TemporaryFileSystem", ["/x:ro"], ["x"]),
        ("StateDirectory", ["a b/c"], ["/a", "../a"]),
        ("WorkingDirectory", ["-/x", "~"], ["x"]),
        ("ProtectSystem", ["full", "YES"], ["Full"]),
        ("KillMode", ["mixed"], ["mixd"]),
        ("LogLevelMax", ["warning", "3"], ["warn"]),
        ("LoadCredential", ["A:/x", "A"], ["a/b:/x"]),
        ("PrivateUsers", ["self", "no"], ["maybe"]),
    ],
)
def test_values_are_systemds(directive: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        check_value("Service", directive, value)
    for value in bad:
        with pytest.raises(ValueError, match=r"\w"):
            check_value("Service", directive, value)


def test_no_program_has_a_variable_in_its_path(tmp_path: Path) -> None:
    """systemd takes ``$$`` for ``$`` in arguments, and of a program looks for a file with both."""
    executables = EXECUTABLES | {"app/cost$", "app/100%"}
    (tmp_path / "cost").mkdir()
    for table, key in (
        (BUNDLE.replace('["python"]', '["cost$"]'), "services.over.command"),
        (BUNDLE + 'before_start = [["/opt/$x/bin/y"]]\n', "services.over.before_start"),
        (BUNDLE + "[services.over.unit]\nService = { ExecStopPost = 'cost$ x' }\n", "unit.Service.ExecStopPost"),
    ):
        (tmp_path / "environment.yml").write_text("dependencies: []\n")
        (tmp_path / "bundle.toml").write_text(table)
        with pytest.raises(ConfigError, match=r"contains a `\$`, which systemd would read as a variable") as caught:
            make_units(load_config(tmp_path), RELEASE, executables)
        assert key in str(caught.value.where)
        assert caught.value.exit_code == 2


def test_a_percent_sign_in_a_programs_path_is_no_specifier(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(
        BUNDLE.replace('["python"]', '["100%"]') + "[services.over.unit]\nService = { ExecStopPost = '-100%% x' }\n"
    )
    lines = render_unit(make_units(load_config(tmp_path), RELEASE, EXECUTABLES | {"app/100%"})[0]).splitlines()
    assert values(lines, "ExecStart") == [f"{RELEASE}/app/100%%"]
    assert values(lines, "ExecStopPost") == [f"-{RELEASE}/app/100%% x"]
