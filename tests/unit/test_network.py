"""``services.<unit>.network``, and which addresses our probes may reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import load_config
from bundler.errors import ConfigError
from bundler.units.service import make_units

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "/opt/hello/releases/1.2.0-0123456789ab"
LOOPBACK = 'health = { http = "http://127.0.0.1:${PORT}/" }'


def filters(tmp_path: Path, service: str) -> dict[str, list[str]]:
    """What each unit has of address filters."""
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    head = '[bundle]\nname = "hello"\nversion = "1"\n[services.hello]\ncommand = ["python"]\n'
    (tmp_path / "bundle.toml").write_text(head + service + "\n")
    units = make_units(load_config(tmp_path), RELEASE, frozenset({"env/bin/python"}))
    wanted = ("IPAddressDeny", "IPAddressAllow", "PrivateNetwork")
    return {
        unit.name: [f"{key}={value}" for section in unit.sections for key, value in section.directives if key in wanted]
        for unit in units
        if not unit.name.endswith(".timer")
    }


def test_who_says_nothing_reaches_everything(tmp_path: Path) -> None:
    assert filters(tmp_path, "")["hello.service"] == []


@pytest.mark.parametrize(
    ("network", "lines"),
    [
        ('"none"', ["PrivateNetwork=yes", "IPAddressDeny=any"]),
        ('"loopback"', ["IPAddressDeny=any", "IPAddressAllow=localhost"]),
        (
            '["10.0.0.0/8", "fd00::/8", "192.0.2.7"]',
            [
                *("IPAddressDeny=any", "IPAddressAllow=localhost"),
                *("IPAddressAllow=10.0.0.0/8", "IPAddressAllow=fd00::/8", "IPAddressAllow=192.0.2.7/32"),
            ],
        ),
    ],
)
def test_a_service_reaches_what_it_says(tmp_path: Path, network: str, lines: list[str]) -> None:
    health = 'health = { command = ["python", "-c", "pass"] }'
    found = filters(tmp_path, f"network = {network}\n{health}")
    assert found["hello.service"] == lines
    assert found["hello-health.service"] == lines  # a command of its own has its rights


def test_a_service_without_confinement_keeps_its_network(tmp_path: Path) -> None:
    found = filters(tmp_path, 'network = "loopback"\nhardening = "off"')
    assert found["hello.service"] == ["IPAddressDeny=any", "IPAddressAllow=localhost"]


def test_a_hook_reaches_what_its_service_reaches(tmp_path: Path) -> None:
    found = filters(tmp_path, 'network = "loopback"\n[hooks]\nbefore_switch = { command = ["python"] }')
    (hook,) = [lines for name, lines in found.items() if "before" in name]
    assert hook == ["IPAddressDeny=any", "IPAddressAllow=localhost"]


@pytest.mark.parametrize(
    ("health", "lines"),
    [
        ('http = "http://127.0.0.1:${PORT}/"', ["IPAddressDeny=any", "IPAddressAllow=localhost"]),
        ('http = "http://localhost/"', ["IPAddressDeny=any", "IPAddressAllow=localhost"]),
        ('tcp = "[::1]:80"', ["IPAddressDeny=any", "IPAddressAllow=localhost"]),
        ('tcp = "0.0.0.0:80"', ["IPAddressDeny=any", "IPAddressAllow=localhost"]),
        ('tcp = "10.0.0.5:80"', ["IPAddressDeny=any", "IPAddressAllow=10.0.0.5"]),
        ('tcp = "[fd00::5]:80"', ["IPAddressDeny=any", "IPAddressAllow=fd00::5"]),
        ('http = "http://${HOST}:80/"', []),
        ('http = "http://web.example/"', []),
    ],
)
def test_a_probe_reaches_what_it_asks(tmp_path: Path, health: str, lines: list[str]) -> None:
    assert filters(tmp_path, f"health = {{ {health} }}")["hello-health.service"] == lines


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ('network = "any"', "network"),
        ("network = []", "network"),
        ('network = ["10.0.0.1/8"]', "the range is 10.0.0.0/8"),
        ('network = ["db.example"]', "'db.example' is not an IP address or range"),
        (f'network = "none"\n{LOOPBACK}', '"none" prevents the health check of http://127.0.0.1'),
        ('network = "loopback"\nhealth = { tcp = "10.0.0.5:80" }', "it does not include 10.0.0.5"),
        ('network = ["10.1.0.0/16"]\nhealth = { tcp = "10.0.0.5:80" }', "it does not include 10.0.0.5"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, said: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        filters(tmp_path, said)
    assert sentence in str(caught.value.format_message())


@pytest.mark.parametrize("health", ["127.0.0.1:80", "[::1]:80", "10.1.2.3:80", "${HOST}:80"])
def test_a_health_check_inside_the_network_is_taken(tmp_path: Path, health: str) -> None:
    assert filters(tmp_path, f'network = ["10.1.0.0/16"]\nhealth = {{ tcp = "{health}" }}')
