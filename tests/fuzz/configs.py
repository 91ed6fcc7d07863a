"""What a project says of itself: environment.yml, bundle.toml and the directives in it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fuzzkit import Target, texts_like
from hypothesis import strategies as st

from bundler.config.overrides import Overrides
from bundler.config.project import load_config
from bundler.errors import BundlerError
from bundler.installer.render import render_environment, render_unit
from bundler.lock.environment.check import check_environment
from bundler.lock.environment.userurls import user_urls
from bundler.lock.freshness.quick import NotPlainError, plain_request
from bundler.units.context import UnitContext
from bundler.units.service import make_units, service_environment

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TARGETS"]

ENVIRONMENT = """\
name: x
channels: [conda-forge, "https://h.example/c", ./local, nodefaults]
category: main
platforms: [linux-64]
dependencies:
  - python >=3.11,<3.12  # [linux64]
  - conda-forge::zlib=1.3=h1_0
  - "numpy[version='>=1',build=py*]"
  - sel(linux): gcc
  - https://h.example/c/linux-64/mine-1.0-0.conda#abababababababababababababababab
  - pip:
      - h11 >=0.14 ; python_version > '3'
      - "x[y] @ https://h.example/x-1.0-py3-none-any.whl#sha256=abababababababababababababababababababababababababababababababab"
      - -r requirements.txt
      - --index-url https://h.example/simple
      - --find-links .
pip-repositories: [https://h.example/simple]
allow-pypi-requests: false
variables: {A: b}
prefix: /x
"""
BUNDLE = """\
[bundle]
name = "hello"
version = "1.0"
description = "Hello"
platforms = ["linux-64"]
exclude = ["*.a"]
inject = ["dist/*.whl"]
owners = { "bin/x" = "conda:y" }
libraries = { "libGL.so.1" = "optional" }
[platforms.linux-64]
glibc = "2.28"
[files]
"hello" = "src"
[config]
PORT = "8000"
[secrets]
TOKEN = { bytes = 32, format = "hex" }
[channels]
mirrors = { "https://h.example/c" = ["https://m.example/c"] }
[lock]
exclude_newer = "14d"
[services.hello]
command = ["python", "-m", "hello", "${PORT}", "{app}/x"]
environment = { A = "{state}/b" }
working_directory = "{state}"
before_start = [["python", "x"]]
health = { http = "http://127.0.0.1:${PORT}/", timeout = 5 }
[services.hello-nightly]
command = ["python"]
schedule = { on_calendar = "daily" }
"""
EXECUTABLES = frozenset({"env/bin/python", "app/x"})
RELEASE = "/opt/hello/releases/1.0-0123456789ab"
DIRECTIVES = (
    *("ExecStartPre", "ExecStopPost", "Environment", "EnvironmentFile", "LimitNOFILE", "StateDirectory", "OnCalendar"),
    *("ReadWritePaths", "SystemCallFilter", "CapabilityBoundingSet", "IPAddressAllow", "RestartSec", "KillSignal"),
    *("BindPaths", "WorkingDirectory", "Slice", "Nice", "TimeoutStopSec", "UMask", "DeviceAllow", "Restart", "Type"),
)


def _environment(data: bytes, room: Path) -> None:
    (room / "requirements.txt").write_text("a==1\n")
    path = room / "environment.yml"
    path.write_bytes(data)
    user_urls([(path, path.read_bytes())], ())
    environment = check_environment([path], ["linux-64"])
    _ = environment.urls, environment.selected, environment.unseen
    environment.long_specs("linux-64")
    environment.pip_list("linux-64")


def _requirements(data: bytes, room: Path) -> None:
    (room / "requirements.txt").write_bytes(data)
    path = room / "environment.yml"
    path.write_text("channels: [x]\ndependencies: [python, {pip: [-r requirements.txt]}]\n")
    user_urls([(path, path.read_bytes())], ())
    check_environment([path], ["linux-64"]).pip_list("linux-64")


def _project(room: Path, text: bytes) -> None:
    (room / "environment.yml").write_text("channels: [x]\ndependencies: [python]\n")
    (room / "src").mkdir()
    (room / "bundle.toml").write_bytes(text)


def _bundle(data: bytes, room: Path) -> None:
    _project(room, data)
    with suppress(NotPlainError, BundlerError):
        plain_request(room, Overrides(), "rattler")
    _units(room)


def _units(room: Path) -> None:
    """All that a build makes of it; a line is a directive of systemd's, a section or a comment."""
    config = load_config(room)
    for unit in make_units(config, RELEASE, EXECUTABLES):
        for line in render_unit(unit).split("\n"):
            assert re.fullmatch(r"(#.*|\[[A-Z][a-z]+\]|[A-Z][A-Za-z0-9]+=.*|)", line), line
    for service in config.services:
        render_environment(
            service_environment(UnitContext(config=config, service=service, release=RELEASE)), comment="x"
        )


def _overrides(given: list[tuple[str, str, str]], room: Path) -> None:
    import json

    lines: dict[str, dict[str, str]] = {}
    for section, directive, value in given:
        lines.setdefault(section, {})[directive] = value
    tables = "".join(
        f"[services.hello.unit.{section}]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for section, values in lines.items()
    )
    text = BUNDLE.replace("[services.hello-nightly]", f"{tables}[services.hello-nightly]")
    _project(room, text.encode("utf-8", "surrogatepass"))
    _units(room)


def _values() -> st.SearchStrategy[Any]:
    seeds = ("+/bin/sh -c 'x $A' ; {app}/x", "-@python x", "%h/x", "A=b 'c d'", "~@system-service", "5min", "a b:c")
    value = texts_like(*seeds).map(lambda data: data.decode("utf-8", "replace"))
    return st.lists(
        st.tuples(
            st.sampled_from(["Service", "Unit", "Socket", "Timer", "Install"]), st.sampled_from(DIRECTIVES), value
        ),
        min_size=1,
        max_size=3,
    )


TARGETS = (
    Target(name="environment.yml", inputs=texts_like(ENVIRONMENT), run=_environment),
    Target(
        name="requirements.txt",
        inputs=texts_like("-i https://h.example/simple\n-c requirements.txt\na[b]==1 ; x --hash=sha256:00\n# x\n"),
        run=_requirements,
    ),
    Target(name="bundle.toml", inputs=texts_like(BUNDLE), run=_bundle),
    Target(name="unit overrides", inputs=_values(), run=_overrides),
)
