"""``services.x.own_user``: what of a service is then its own, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from installkit import Spec, units

from bundler.config.project import BundleConfig, Secret, load_config
from bundler.errors import ConfigError
from bundler.installer.installed import service_files
from bundler.reader.unitforms import stranger
from bundler.units.contents import Contents
from bundler.units.read import UnitText
from bundler.units.sisters import sister_notes, sisters

if TYPE_CHECKING:
    from pathlib import Path

KEY = Secret(name="KEY", bytes=32, format="hex")
TABLES = """
[services.web]
command = ["serve"]
own_user = true
ports = [80]
health = { http = "http://127.0.0.1:80/" }
[services.worker]
command = ["serve"]
ports = [81]
secrets = []
"""


def config_of(room: Path, services: str, *, bundle: str = "hello", extra: str = "") -> BundleConfig:
    (room / "environment.yml").write_text("dependencies: []\n")
    (room / "bundle.toml").write_text(f'[bundle]\nname = "{bundle}"\nversion = "1"\n{extra}\n{services}')
    return load_config(room)


def lines(name: str, tables: str) -> list[str]:
    return units(Spec(tables=tables, secrets=()))[name].splitlines()


def test_its_user_and_its_directories_are_its_own() -> None:
    unit = lines("web.service", TABLES)
    own = [
        "User=hello-web",
        "Group=hello-web",
        "StateDirectory=hello-web",
        "StateDirectoryMode=0700",
        "CacheDirectory=hello-web",
        "CacheDirectoryMode=0700",
        "LogsDirectory=hello-web",
        "LogsDirectoryMode=0700",
        "RuntimeDirectory=web",
        "RuntimeDirectoryMode=0700",
        "WorkingDirectory=/var/lib/hello-web",
        "Environment=HOME=/var/lib/hello-web",
        "RequiresMountsFor=/opt/hello /var/lib/hello-web",
    ]
    assert [line for line in own if line not in unit] == []
    assert not any(line.endswith(("=hello", "/hello")) for line in unit if not line.startswith("Syslog"))
    assert "User=hello-web" in lines("web-health.service", TABLES)
    assert "User=hello" in lines("worker.service", TABLES)


def test_a_hook_runs_as_its_service() -> None:
    hook = '[hooks]\nservice = "web"\nbefore_switch = ["serve"]\n'
    assert {"User=hello-web", "StateDirectory=hello-web"} <= set(
        lines("hello-hook-before-switch.service", TABLES + hook)
    )


def test_who_connects_to_its_socket_gets_to_it() -> None:
    tables = '[services.web]\ncommand = ["serve"]\nown_user = true\nsocket = "{runtime}/web.sock"\n'
    assert "ExecStartPost=+/bin/chown -h hello-web:hello-web /run/web/web.sock" in lines("web.socket", tables)
    assert not [line for line in lines("web.service", tables) if line.startswith("RuntimeDirectoryMode")]


def test_caches_are_where_it_may_write(tmp_path: Path) -> None:
    config = config_of(tmp_path, TABLES + "[config]\nNUMBA_CACHE_DIR = '/srv'\n")
    files = service_files(config, "/opt/hello/releases/1", {"numba", "matplotlib"})
    assert 'MPLCONFIGDIR="/var/cache/hello-web/matplotlib"' in files["config/web.service.env"]
    assert "NUMBA_CACHE_DIR" not in files["config/web.service.env"]
    assert "MPLCONFIGDIR" not in files["config/worker.service.env"]


def test_build_has_nothing_to_tell_of_it(tmp_path: Path) -> None:
    secrets = "[secrets]\nKEY = {}\n"
    (note,) = sister_notes(config_of(tmp_path, TABLES.replace("own_user = true\n", "") + secrets), Contents())
    assert "services.worker.own_user = true" in note
    assert sister_notes(config_of(tmp_path, TABLES + secrets), Contents()) == ()


def test_install_sh_knows_who_shares_a_user_and_not_all_secrets() -> None:
    def found(tables: str) -> tuple[str, ...]:
        texts = units(Spec(tables=tables + "[secrets]\nRELEASE_COOKIE = false\nKEY = {}\n", secrets=(KEY,)))
        return sisters({name: UnitText.parse(name, texts[f"{name}.service"]).directives for name in ("web", "worker")})

    assert found(TABLES) == ()
    shared = TABLES.replace("own_user = true\n", "")
    assert found(shared) == ("web", "worker")
    assert found(shared.replace("secrets = []\n", "")) == ()


def test_a_unit_that_runs_as_a_stranger() -> None:
    text = units(Spec(tables=TABLES, secrets=()))["web.service"]
    users = frozenset({"hello", "hello-web"})
    assert stranger(UnitText.parse("web.service", text), users) == ""
    other = text.replace("User=hello-web", "User=www-data")
    assert stranger(UnitText.parse("web.service", other), users) == "www-data"


@pytest.mark.parametrize(
    ("bundle", "service", "more", "said"),
    [
        ("hello", "web", "uid = 4711", "add own_user = true, or set bundle.uid"),
        ("hello", "web", "own_user = true\nuid = 4000", "4000 is bundle.uid already"),
        ("hello", "web", "own_user = true\nuid = 12", "12 is reserved"),
        ("a" * 20, "b" * 11, "own_user = true", "has more than 31 characters"),
        ("www", "data", "own_user = true", "servers have a user or directories called 'www-data' already"),
        ("hello", "web", 'own_user = true\nunit.Service.StateDirectory = "hello/x"', "write hello-web/hello/x"),
    ],
)
def test_what_is_refused(tmp_path: Path, bundle: str, service: str, more: str, said: str) -> None:
    table = f'[services.{service}]\ncommand = ["serve"]\n{more}\n'
    with pytest.raises(ConfigError) as refused:
        config_of(tmp_path, table, bundle=bundle, extra="uid = 4000")
    assert said in str(refused.value)


def test_a_sister_takes_no_directory_of_its(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"/run/web belongs to services.web, which runs as another user"):
        config_of(tmp_path, TABLES + 'unit.Service.RuntimeDirectory = ["web"]\n')
