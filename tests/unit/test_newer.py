"""What of a bundle's units an older systemd passes over, and what install.sh is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from installkit import SERVE, Spec, units

from bundler.units.newer import Newer, newer_directives
from bundler.units.read import UnitText

if TYPE_CHECKING:
    from collections.abc import Iterable

PLAIN = '[services.hello]\ncommand = ["serve"]\nprofile = "python"\nhealth = { http = "http://127.0.0.1:80/" }\n'


def found(tables: str) -> tuple[Newer, ...]:
    texts = units(Spec(tables=tables, serve=SERVE, secrets=()))
    return newer_directives({name: UnitText.parse(name, text).directives for name, text in texts.items()})


def names(entries: Iterable[Newer], *, needed: bool) -> dict[str, int]:
    return {one.directive: one.version for one in entries if one.needed is needed}


def test_what_each_service_has_that_old_systemds_do_not_know() -> None:
    entries = found(PLAIN)
    assert names(entries, needed=False) == {
        "Type=exec": 240,
        "ProtectHostname": 242,
        "RestrictSUIDSGID": 242,
        "ProtectKernelLogs": 244,
        "ProtectClock": 245,
        "ProtectProc": 247,
    }
    assert names(entries, needed=True) == {}
    by_name = {one.directive: one for one in entries}
    assert by_name["Type=exec"].units == ("hello.service",)  # its health check is a oneshot
    assert "hello-health.service" in by_name["ProtectProc"].units
    assert list(entries) == sorted(entries, key=lambda one: (one.version, one.directive))


@pytest.mark.parametrize(
    ("override", "directive", "version"),
    [
        ('LoadCredential = "x:/etc/x"', "LoadCredential", 247),
        ('NetworkNamespacePath = "/run/netns/x"', "NetworkNamespacePath", 242),
        ('ExecCondition = "/bin/true"', "ExecCondition", 243),
        ('OpenFile = "/etc/x:x"', "OpenFile", 253),
    ],
)
def test_what_a_service_is_of_no_use_without_is_needed(override: str, directive: str, version: int) -> None:
    assert names(found(f"{PLAIN}unit = {{ Service = {{ {override} }} }}\n"), needed=True) == {directive: version}


@pytest.mark.parametrize(
    ("override", "directive", "version"),
    [
        ('StandardOutput = "append:/var/lib/hello/log"', "StandardOutput=append:", 240),
        ('StandardError = "truncate:/var/lib/hello/log"', "StandardError=truncate:", 248),
        ('RestrictAddressFamilies = "none"', "RestrictAddressFamilies=none", 249),
        ('SocketBindDeny = "any"', "SocketBindDeny", 249),
        ('PrivatePIDs = "yes"', "PrivatePIDs", 257),
    ],
)
def test_what_goes_without_it_is_told(override: str, directive: str, version: int) -> None:
    told = names(found(f"{PLAIN}unit = {{ Service = {{ {override} }} }}\n"), needed=False)
    assert told[directive] == version


def test_what_means_nothing_is_not_told() -> None:
    """OOMPolicy=continue is what systemd did before it knew the directive; each of our services has it."""
    text = "\n".join(units(Spec(tables=PLAIN, secrets=())).values())
    assert "OOMPolicy=continue" in text
    assert "OOMPolicy" not in {one.directive for one in found(PLAIN)}


def test_a_oneshot_that_is_started_again_is_no_unit_before_244() -> None:
    job = '[services.hello]\ncommand = ["serve"]\nschedule = { on_calendar = "daily" }\n'
    assert names(found(job), needed=True) == {}
    again = f'{job}unit = {{ Service = {{ Restart = "on-failure" }} }}\n'
    assert names(found(again), needed=True) == {"Restart with Type=oneshot": 244}
