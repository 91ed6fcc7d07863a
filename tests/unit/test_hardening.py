"""What confines a service, which exceptions it gets for what, and that each has its reason."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from bundler.config.project import load_config
from bundler.installer.render import render_unit
from bundler.units.contents import Contents, Mark
from bundler.units.sandbox import confinement, exemptions, probe_confinement
from bundler.units.service import make_units

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.config.project import BundleConfig

RELEASE = "/opt/hello/releases/1-0123456789ab"


def config_of(tmp_path: Path, service: str) -> BundleConfig:
    (tmp_path / "environment.yml").write_text("dependencies: []\n")
    (tmp_path / "bundle.toml").write_text(
        f'[bundle]\nname = "hello"\nversion = "1"\n[services.hello]\ncommand = ["/bin/true"]\n{service}\n'
    )
    return load_config(tmp_path)


def named(*packages: str) -> Contents:
    return Contents(packages=frozenset(packages))


def lines(tmp_path: Path, service: str = "", *packages: str) -> list[str]:
    """``Key=value`` of what confines the service."""
    config = config_of(tmp_path, service)
    found = confinement(config.services[0], named(*packages))
    return [f"{key}={value}" for key, value in found]


def left_out(tmp_path: Path, service: str = "", *packages: str) -> set[str]:
    return set(lines(tmp_path)) - set(lines(tmp_path, service, *packages))


@pytest.mark.parametrize(
    ("package", "directives"),
    [
        ("numpy", set()),
        ("numba", {"MemoryDenyWriteExecute=yes"}),
        ("llvmlite", {"MemoryDenyWriteExecute=yes"}),
        ("jax", {"MemoryDenyWriteExecute=yes"}),
        ("jaxlib", {"MemoryDenyWriteExecute=yes"}),
        ("torch", {"MemoryDenyWriteExecute=yes"}),
        ("pytorch", {"MemoryDenyWriteExecute=yes"}),
        ("nodejs", {"MemoryDenyWriteExecute=yes"}),
        ("psutil", set()),
        ("pyzmq", set()),
        ("erlang", set()),
    ],
)
def test_what_a_package_cannot_stand_is_left_out(tmp_path: Path, package: str, directives: set[str]) -> None:
    assert left_out(tmp_path, "", "python", package) == directives


def test_every_exception_has_its_reason_and_can_be_told(tmp_path: Path) -> None:
    config = config_of(tmp_path, 'ports = [80, 443, 8000]\ngpu = true\nprofile = "generic"')
    found = exemptions(config.services[0], named("numba", "torch", "numpy"))
    assert all(exemption.reason and exemption.because for exemption in found)
    assert {exemption.because for exemption in found} == {
        "ports = [80, 443]",
        "gpu = true",
        'profile = "generic"',
        "numba",
        "torch",
    }
    assert json.dumps([asdict(exemption) for exemption in found])


V8 = Mark(name="V8", files=("env/lib/a.so", "env/lib/b.so"))


def test_what_a_file_says_of_itself_decides_whatever_its_package_is_called(tmp_path: Path) -> None:
    config = config_of(tmp_path, 'health = { command = ["/bin/true"] }')
    marked = Contents(packages=frozenset({"nothing-known", "numba"}), marks=(V8,))
    kept = dict(confinement(config.services[0], marked))
    assert "MemoryDenyWriteExecute" not in kept
    assert kept.keys() | {"MemoryDenyWriteExecute"} == dict(confinement(config.services[0], Contents())).keys()
    first, *others = exemptions(config.services[0], marked)
    assert first.because == "env/lib/a.so and 1 more file"  # the file is told before the name
    assert first.reason.startswith("V8 compiles code at run time")
    assert [one.because for one in others] == ["numba"]
    service, health, *_ = make_units(config, RELEASE, frozenset(), marked)
    for unit in (service, health):  # the health check is the user's own program
        assert "MemoryDenyWriteExecute" not in render_unit(unit)


def test_a_low_port_costs_one_capability_and_the_user_namespace(tmp_path: Path) -> None:
    low = lines(tmp_path, "ports = [8000, 443]")
    assert set(low) - set(lines(tmp_path)) == {
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
    }
    assert left_out(tmp_path, "ports = [443]") == {
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "PrivateUsers=yes",
    }
    assert left_out(tmp_path, "ports = [1024]") == set()


def test_a_gpus_device_files_are_made_before_the_service_starts(tmp_path: Path) -> None:
    config = config_of(tmp_path, "gpu = true")
    units = {unit.name: render_unit(unit) for unit in make_units(config, RELEASE, frozenset())}
    service, maker = units["hello.service"].splitlines(), units["hello-gpu.service"].splitlines()
    assert "After=network.target hello-gpu.service" in service
    assert "Wants=hello-gpu.service" in service
    assert f"ExecStart=/bin/sh {RELEASE}/share/gpu" in maker
    assert not any(line.startswith(("User=", "EnvironmentFile=", "PrivateDevices=", "DevicePolicy=")) for line in maker)
    assert "CapabilityBoundingSet=CAP_MKNOD CAP_SYS_MODULE CAP_CHOWN CAP_FOWNER CAP_DAC_OVERRIDE" in maker
    assert "NoNewPrivileges=yes" in maker


def test_a_gpu_is_nvidias_devices_and_no_other(tmp_path: Path) -> None:
    with_gpu = lines(tmp_path, "gpu = true")
    assert "DeviceAllow=char-nvidia* rw" in with_gpu
    assert "DevicePolicy=closed" in with_gpu
    assert "PrivateDevices=yes" not in with_gpu


@pytest.mark.parametrize("profile", ["python", "beam", "generic"])
def test_what_ordinary_programs_do_is_allowed(tmp_path: Path, profile: str) -> None:
    found = lines(tmp_path, f'profile = "{profile}"')
    assert "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK" in found  # getifaddrs
    assert not [line for line in found if line.startswith("ProcSubset=")]  # /proc/stat
    calls = [line for line in found if line.startswith("SystemCallFilter=")]
    assert calls[-2:] == ["SystemCallFilter=~@privileged", "SystemCallFilter=@chown @setuid capset"]


def test_off_is_off(tmp_path: Path) -> None:
    off = 'hardening = "off"\ngpu = true\nports = [80]\nhealth = { tcp = "127.0.0.1:80" }'
    config = config_of(tmp_path, off)
    assert lines(tmp_path, off, "numba") == []
    assert exemptions(config.services[0], named("numba")) == ()
    assert probe_confinement(config.services[0]) == ()
    for unit in make_units(config, RELEASE, frozenset())[:2]:
        assert "ProtectSystem" not in render_unit(unit)
        assert "User=hello" in render_unit(unit)


def test_the_users_word_stands_in_the_service_and_in_its_health_check(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        'health = { tcp = "127.0.0.1:80" }\n'
        'unit = { Service = { PrivateUsers = "no", MemoryDenyWriteExecute = "no", Nice = "5" } }',
    )
    service, health, *_ = [render_unit(unit).splitlines() for unit in make_units(config, RELEASE, frozenset())]
    for text in (service, health):
        assert [line for line in text if line.startswith(("PrivateUsers", "MemoryDenyWriteExecute"))] == [
            "PrivateUsers=no",
            "MemoryDenyWriteExecute=no",
        ]
    assert "Nice=5" in service
    assert "Nice=5" not in health


def test_our_probe_gets_nothing_that_the_service_needs(tmp_path: Path) -> None:
    config = config_of(tmp_path, 'gpu = true\nports = [80]\nhealth = { tcp = "127.0.0.1:80" }')
    health = render_unit(make_units(config, RELEASE, frozenset(), named("torch"))[1])
    assert "PrivateDevices=yes" in health
    assert "CAP_NET_BIND_SERVICE" not in health
    assert "MemoryDenyWriteExecute=yes" in health
