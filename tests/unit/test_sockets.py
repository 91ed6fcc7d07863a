"""``socket`` of a service: what it may be, what units it makes, what a build says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import BundleConfig, load_config
from bundler.errors import ConfigError
from bundler.installer.installed import install_services
from bundler.installer.render import render_unit
from bundler.units.contents import NOTHING
from bundler.units.notes import override_notes
from bundler.units.service import make_units
from bundler.units.sockets import socket_notes

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "/opt/hello/releases/1-0123456789ab"


def config_of(tmp_path: Path, service: str, *, more: str = "") -> BundleConfig:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(
        '[bundle]\nname = "hello"\nversion = "1"\n[config]\nPORT = "8000"\nHOST = "10.0.0.5"\nNONE = "http"\n'
        f'[services.web]\ncommand = ["/bin/gunicorn"]\n{service}\n{more}'
    )
    return load_config(tmp_path)


def unit(config: BundleConfig, name: str) -> list[str]:
    (found,) = (one for one in make_units(config, RELEASE, frozenset()) if one.name == name)
    return render_unit(found).splitlines()


@pytest.mark.parametrize(
    ("written", "listens"),
    [
        ("127.0.0.1:8000", "127.0.0.1:8000"),
        ("[::1]:8000", "[::1]:8000"),
        ("[0:0::1]:80", "[::1]:80"),
        ("8000", "8000"),
        ("${PORT}", "8000"),
        ("127.0.0.1:${PORT}", "127.0.0.1:8000"),
        ("${HOST}:${PORT}", "10.0.0.5:8000"),
        ("{runtime}/web.sock", "/run/web/web.sock"),
        ("/run/shared/web.sock", "/run/shared/web.sock"),
    ],
)
def test_where_it_listens(tmp_path: Path, written: str, listens: str) -> None:
    assert f"ListenStream={listens}" in unit(config_of(tmp_path, f'socket = "{written}"'), "web.socket")


@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ('socket = "localhost:8000"', "services.web.socket: 'localhost' is not an IP address"),
        ('socket = "127.0.0.1:0"', "services.web.socket: '0' is not a port"),
        ('socket = "127.0.0.1:65536"', "services.web.socket: '65536' is not a port"),
        ('socket = "127.0.0.1:${GONE}"', r"services.web.socket: \$\{GONE\} has no value in \[config\]"),
        ('socket = "${NONE}"', "services.web.socket: 'http' is not a port"),
        ('socket = "{state}/web.sock"', "services.web.socket: not an address to listen on"),
        ('socket = "/tmp/web.sock"', "services.web.socket: not an address to listen on"),
        ('socket = "{runtime}/../web.sock"', "services.web.socket: not an address to listen on"),
        ('socket = "/run/web/deep/web.sock"', "services.web.socket: a socket must be directly in {runtime}"),
        ('socket = "unix:/run/web.sock"', "services.web.socket: not an address to listen on"),
        ('socket = "[::1:8000"', "services.web.socket: not an address to listen on"),
        (f'socket = "/run/{"x" * 110}"', "services.web.socket: .* is too long for a Unix socket: 115 bytes"),
        ('socket = "8000"\nsocket_mode = "0666"', "services.web.socket_mode: applies only to a Unix socket"),
        ('socket_group = "www-data"', "services.web.socket_group: applies only to a Unix socket"),
        ('socket = "8000"\nschedule = { on_calendar = "daily" }', "services.web.socket: not allowed for a job with"),
        (
            'socket = "8000"\n[services.other]\ncommand = ["/bin/gunicorn"]\nsocket = "${PORT}"',
            "services.web.socket: services.other has the same socket, 8000",
        ),
    ],
)
def test_what_it_may_not_be(tmp_path: Path, service: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config_of(tmp_path, service)


def test_the_service_is_never_without_its_socket(tmp_path: Path) -> None:
    other = '[services.other]\ncommand = ["/bin/gunicorn"]\n'
    config = config_of(tmp_path, 'socket = "127.0.0.1:8000"\nrequires = ["other"]', more=other)
    service, opened = unit(config, "web.service"), unit(config, "web.socket")
    assert "Requires=web.socket other.service" in service
    assert "After=network.target web.socket network-online.target other.service" in service
    assert "Sockets=web.socket" in service
    assert "RuntimeDirectoryPreserve=yes" not in service
    assert {"WantedBy=multi-user.target", "DefaultDependencies=no", "Backlog=4096"} <= set(opened)
    assert not any(line.startswith(("User=", "Exec", "SocketMode=", "FreeBind=")) for line in opened)


def test_who_may_connect_is_said_of_the_socket(tmp_path: Path) -> None:
    config = config_of(tmp_path, 'socket = "8000"\nnetwork = ["10.0.0.0/8"]\nhealth = { tcp = "unix:/run/x" }')
    opened = unit(config, "web.socket")
    assert {"IPAddressDeny=any", "IPAddressAllow=localhost", "IPAddressAllow=10.0.0.0/8"} <= set(opened)
    assert "IPAddressDeny=any" in unit(config, "web-health.service")
    with pytest.raises(ConfigError, match="prevents connections to 8000"):
        config_of(tmp_path, 'socket = "8000"\nnetwork = "none"')
    config_of(tmp_path, 'socket = "{runtime}/web.sock"\nnetwork = "none"')


def test_an_address_of_a_network_may_come_later(tmp_path: Path) -> None:
    assert "FreeBind=yes" in unit(config_of(tmp_path, 'socket = "10.0.0.5:80"'), "web.socket")
    assert "FreeBind=yes" not in unit(config_of(tmp_path, 'socket = "0.0.0.0:80"'), "web.socket")


def test_a_path_is_in_the_services_own_directory_and_root_follows_no_link(tmp_path: Path) -> None:
    config = config_of(tmp_path, 'socket = "{runtime}/web.sock"\nsocket_group = "www-data"\nsocket_mode = "0666"')
    opened = unit(config, "web.socket")
    assert {"User=hello", "RuntimeDirectory=web", "RuntimeDirectoryPreserve=yes", "SocketMode=0666"} <= set(opened)
    assert "ExecStartPost=+/bin/chown -h hello:www-data /run/web/web.sock" in opened
    assert not any(line.startswith(("SocketUser=", "SocketGroup=")) for line in opened)
    assert "RuntimeDirectoryPreserve=yes" in unit(config, "web.service")
    elsewhere = unit(config_of(tmp_path, 'socket = "/run/web.sock"'), "web.socket")
    assert {"SocketMode=0660", "ExecStartPost=+/bin/chown -h hello:hello /run/web.sock"} <= set(elsewhere)
    assert not any(line.startswith("RuntimeDirectory") for line in elsewhere)


def test_a_low_port_that_systemd_binds_needs_no_right(tmp_path: Path) -> None:
    lines = unit(config_of(tmp_path, 'socket = "80"\nports = [80]'), "web.service")
    assert {"CapabilityBoundingSet=", "AmbientCapabilities=", "PrivateUsers=yes"} <= set(lines)
    lines = unit(config_of(tmp_path, 'socket = "80"\nports = [80, 443]'), "web.service")
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in lines


def test_overrides_of_its_unit(tmp_path: Path) -> None:
    overrides = (
        '[services.web.unit.Socket]\nBacklog = 64\nKeepAlive = true\nSymlinks = "{runtime}/old.sock"\n'
        'IPAddressAllow = "10.1.0.0/16"\n[services.web.unit.Unit]\nAfter = "a.service"\n'
    )
    config = config_of(tmp_path, 'socket = "8000"\nnetwork = ["10.0.0.0/16"]', more=overrides)
    opened = unit(config, "web.socket")
    assert [line for line in opened if line.startswith("Backlog")] == ["Backlog=64"]
    assert {"KeepAlive=yes", "Symlinks=/run/web/old.sock", "IPAddressAllow=10.1.0.0/16"} <= set(opened)
    assert "IPAddressAllow=10.0.0.0/16" in opened
    assert "After=sysinit.target" in opened  # [Unit] is the service's
    (gone,) = override_notes(config, RELEASE, NOTHING)
    assert gone == "services.web.unit.Socket.Backlog replaces Backlog=4096"


@pytest.mark.parametrize(
    ("service", "override", "sentence"),
    [
        ("", "Backlog = 5", "services.web.unit.Socket: requires services.web.socket"),
        (
            'socket = "1"',
            'ListenStream = "2"',
            "ListenStream: cannot be overridden: use services.web",
        ),
        ('socket = "1"', 'SocketGroup = "x"', "SocketGroup: cannot be overridden: set services.web.socket_group"),
        ('socket = "1"', 'SocketMode = "0666"', "SocketMode: cannot be overridden: set services.web.socket_mode"),
        ('socket = "1"', "Accept = true", "Accept: cannot be overridden: one process takes all connections"),
        ('socket = "1"', 'Backlog = "many"', "unit.Socket.Backlog: 'many' is not a whole number"),
        (
            'socket = "1"',
            'BindIPv6Only = "no"',
            "unit.Socket.BindIPv6Only: 'no' is not one of both, default, ipv6-only",
        ),
        ('socket = "1"', 'KeepAliveTimeSec = "soon"', "unit.Socket.KeepAliveTimeSec: "),
        (
            'socket = "1"',
            'ExecStartPre = "/bin/x"',
            r"\[Socket\] has no directive 'ExecStartPre'; it belongs in \[Ser",
        ),
        ('socket = "1"', "Backlok = 1", "did you mean Backlog"),
    ],
)
def test_what_overrides_of_its_unit_may_not_say(tmp_path: Path, service: str, override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        config_of(tmp_path, service, more=f"[services.web.unit.Socket]\n{override}\n")


@pytest.mark.parametrize(
    ("command", "note"),
    [
        ('["/bin/gunicorn", "app:app"]', ""),
        ('["/bin/python3", "-m", "gunicorn", "app:app"]', ""),
        ('["/bin/uvicorn", "app:app", "--fd", "3"]', ""),
        ('["/bin/python", "-m", "uvicorn", "app:app", "--fd=3"]', ""),
        ('["/bin/uvicorn", "app:app", "--fd", "30"]', "uvicorn accepts its socket only with --fd 3"),
        ('["/bin/uvicorn", "app:app"]\nenvironment = { UVICORN_FD = "3" }', ""),
        ('["/bin/hypercorn", "-b", "fd://3", "app:app"]', ""),
        ('["/bin/hypercorn", "app:app"]', "hypercorn accepts its socket only with --bind fd://3"),
        ('["/bin/waitress-serve", "app:app"]', "waitress-serve does not accept a socket from systemd; call waitress"),
        ('["/bin/jupyter", "lab"]', "jupyter does not accept a socket from systemd; omit socket"),
        ('["/bin/python", "-m", "hello"]', "hello must accept its socket from systemd"),
        ('["/bin/serve"]', "serve must accept its socket from systemd (LISTEN_FDS, descriptor 3)"),
    ],
)
def test_whether_the_program_takes_it(tmp_path: Path, command: str, note: str) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(
        f'[bundle]\nname = "hello"\nversion = "1"\n[services.web]\nsocket = "8000"\ncommand = {command}\n'
    )
    notes = socket_notes(load_config(tmp_path))
    assert len(notes) == bool(note)
    assert all(note in one for one in notes), notes


def test_a_build_says_that_settings_move_no_socket(tmp_path: Path) -> None:
    (note,) = socket_notes(config_of(tmp_path, 'socket = "${HOST}:${PORT}"'))
    assert "services.web.socket is 10.0.0.5:8000 on every server" in note
    assert "setting ${HOST}, ${PORT} on a server does not change it" in note


@pytest.mark.parametrize(
    ("health", "question", "url"),
    [
        (
            'http = "unix:{runtime}/web.sock:/healthz?a=b"',
            "http unix:/run/web/web.sock:/healthz?a=b 5",
            "unix:/run/web/web.sock:/healthz?a=b",
        ),
        ('http = "unix:/run/web.sock"', "http unix:/run/web.sock 5", "unix:/run/web.sock"),
        ('tcp = "unix:{runtime}/web.sock"', "tcp unix:/run/web/web.sock 5", "unix:/run/web/web.sock"),
        ('tcp = "127.0.0.1:${PORT}"', "tcp 127.0.0.1:${PORT} 5", "tcp://127.0.0.1:${PORT}"),
    ],
)
def test_health_over_a_unix_socket(tmp_path: Path, health: str, question: str, url: str) -> None:
    config = config_of(tmp_path, f"health = {{ {health} }}")
    asked = [line.replace('"', "") for line in unit(config, "web-health.service")]
    assert f"ExecStart=/bin/sh {RELEASE}/share/probe {question}" in asked
    (told,) = install_services(config.services[0])
    assert told.url == url


@pytest.mark.parametrize(
    "health",
    ['http = "unix:web.sock:/"', 'http = "unix:{state}/web.sock"', 'tcp = "unix:/run/web.sock:/x"', 'tcp = "unix:"'],
)
def test_what_is_no_unix_socket(tmp_path: Path, health: str) -> None:
    with pytest.raises(ConfigError, match=r"unix:\{runtime\}/web\.sock"):
        config_of(tmp_path, f"health = {{ {health} }}")
