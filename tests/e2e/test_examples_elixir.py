"""examples/elixir: a real release whose start script makes a cookie in the pipeline that hung under systemd."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import rattler
from bundlekit import build, install
from everywhere import everywhere
from examplekit import (
    CHECKOUT,
    ask,
    environment,
    examples_channel,
    exposure,
    healthy,
    main_pid,
    secret,
    unit_complaints,
    users,
)

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

URL = "http://127.0.0.1:4000"
# Without the cookie that the unit brings: what is left of its EnvironmentFiles.
WITHOUT_COOKIE = """\
[Service]
EnvironmentFile=
EnvironmentFile=/opt/visits/current/config/visits.env
EnvironmentFile=/opt/visits/current/config/visits.service.env
"""


@pytest.fixture(scope="module")
def elixir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with Debian's Elixir, to make releases with: the very Erlang that the bundle will have."""
    channel, prefix = examples_channel(), tmp_path_factory.mktemp("elixir") / "env"
    platforms = [rattler.Subdir.current(), rattler.Subdir("noarch")]
    machine = [virtual.into_generic() for virtual in rattler.VirtualPackage.detect()]
    sources = [rattler.Channel(channel.as_uri())]
    records = asyncio.run(rattler.solve(sources, ["elixir"], platforms=platforms, virtual_packages=machine))
    asyncio.run(rattler.install(records, prefix, cache_dir=prefix.parent / "cache", show_progress=False))
    return prefix


@pytest.fixture(scope="module")
def bundle(elixir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("examples") / "elixir"
    shutil.copytree(CHECKOUT / "examples" / "elixir", project, ignore=shutil.ignore_patterns("conda-lock.yml", "build"))
    # In a network of its own, which has nothing in it.
    words: list[str | Path] = ["unshare", "--net", project / "make-release"]
    path = f"{elixir}/bin:/usr/bin:/bin"
    done = subprocess.run(words, env={"PATH": path}, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return build(project, examples_channel(), project / "dist")


@pytest.fixture(scope="module", params=["trixie", *everywhere("bookworm")])
def machine(bundle: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    with Machine(rootfs(request.param)) as machine:
        install(machine, bundle)
        yield machine


def cookie(machine: Machine) -> str:
    made = secret(machine, "visits", "RELEASE_COOKIE")
    assert re.fullmatch("[0-9a-f]{64}", made)
    return made


def test_it_serves_with_the_environments_erlang(machine: Machine, bundle: Path) -> None:
    assert ask(machine, f"{URL}/healthz") == (200, "ok\n")
    status, about = ask(machine, f"{URL}/about")
    node, root = about.split()[2:]
    env = json.loads((bundle / "manifest.json").read_text())["baked_prefix"]
    assert (status, node, root) == (200, "nonode@nohost", f"{env}/lib/erlang")
    program = machine.run("readlink", f"/proc/{main_pid(machine, 'visits')}/exe").stdout
    assert program.startswith(f"{env}/lib/erlang/erts-")
    assert users(machine, "visits") == {"visits"}


def test_its_libraries_are_the_environments_and_there_is_no_python(machine: Machine) -> None:
    maps = machine.run("cat", f"/proc/{main_pid(machine, 'visits')}/maps", check=True).stdout
    loaded = {line.split()[-1] for line in maps.splitlines() if ".so" in line}
    outside = {path.rpartition("/")[2] for path in loaded if not path.startswith("/opt/visits/")}
    assert loaded
    assert {name for name in outside if not re.match(r"(ld-linux|lib(c|m|dl|rt|pthread|util)\.so)", name)} == set()
    assert machine.run("find", "/opt/visits/envs", "/opt/visits/releases", "-name", "*python*").stdout == ""
    code = "io:put_chars(integer_to_list(byte_size(crypto:strong_rand_bytes(8)))), halt()."
    words = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/opt/visits/current/env/bin/erl")
    answer = machine.run(*words, "-noshell", "-eval", code, env={"HOME": "/tmp"})
    assert (answer.status, answer.stdout) == (0, "8"), answer.stderr


def test_it_got_the_cookie_that_was_made_here(machine: Machine) -> None:
    own = environment(machine, main_pid(machine, "visits"))
    assert own["RELEASE_COOKIE"] == cookie(machine)
    assert (own["RELEASE_DISTRIBUTION"], own["RELEASE_TMP"]) == ("none", "/run/visits")


def test_nothing_but_its_port_is_open(machine: Machine) -> None:
    shown = machine.run("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6", check=True).stdout
    listening = {line.split()[1] for line in shown.splitlines() if re.search(r"^ *\d+: \S+ \S+ 0A ", line)}
    assert listening == {f"0100007F:{4000:04X}"}


def test_the_operators_port_reaches_the_runtime_configuration(machine: Machine) -> None:
    before = machine.read("/etc/visits/visits.env")
    assert before
    try:
        machine.put("/etc/visits/visits.env", b"PORT=4001\n", 0o640)
        machine.run("systemctl", "restart", "visits", check=True)
        assert healthy(machine, "visits")
        assert ask(machine, "http://127.0.0.1:4001/healthz") == (200, "ok\n")
    finally:
        machine.put("/etc/visits/visits.env", before, 0o640)
        machine.run("systemctl", "restart", "visits", check=True)
    assert healthy(machine, "visits")


def test_the_unit_is_tight_and_clean(machine: Machine) -> None:
    assert exposure(machine, "visits") <= 1.5
    assert unit_complaints(machine, "visits.service", "visits-health.service") == ""


def test_it_may_copy_and_change_files_of_its_own(machine: Machine) -> None:
    """Which Erlang does with chown and chmod (File.cp!, File.touch); others' files it may not change."""
    steps = (
        'File.cd!(System.fetch_env!("STATE_DIRECTORY")); File.write!("upload", "x"); File.cp!("upload", "stored");'
        ' File.mkdir_p!("d/e"); File.write!("d/e/f", "x"); File.cp_r!("d", "d2"); File.touch!("stored");'
        ' File.chmod!("stored", 0o640); File.write_stat!("stored", File.stat!("stored"));'
        ' {:error, _} = File.chmod("/etc/passwd", 0o666); IO.puts("well")'
    )
    done = machine.run("/opt/visits/manage", "exec", "visits", "visits/bin/visits", "eval", steps)
    assert (done.status, done.stdout.split()[-1:]) == (0, ["well"]), done.stderr
    listed = machine.run("stat", "-c", "%a %U", "/var/lib/visits/stored", "/var/lib/visits/d2/e/f", check=True)
    assert listed.stdout.split() == ["640", "visits", "600", "visits"]


def test_its_own_pipeline_makes_a_cookie_if_it_has_to(machine: Machine) -> None:
    """IgnoreSIGPIPE=false alone: under a plain unit the release would hang in there."""
    drop_in = "/etc/systemd/system/visits.service.d/test.conf"
    machine.put(drop_in, WITHOUT_COOKIE.encode())
    try:
        machine.run("systemctl", "daemon-reload", check=True)
        machine.run("systemctl", "restart", "visits", check=True)
        assert healthy(machine, "visits")
        made = environment(machine, main_pid(machine, "visits"))["RELEASE_COOKIE"]
        assert re.fullmatch("[a-z0-9]{32}", made)
    finally:
        machine.run("rm", drop_in, check=True)
        machine.run("systemctl", "daemon-reload", check=True)
        machine.run("systemctl", "restart", "visits", check=True)
    assert healthy(machine, "visits")


def test_it_counts_on_after_a_reboot(machine: Machine) -> None:
    made = cookie(machine)
    assert ask(machine, f"{URL}/")[0] == 200
    before = int(ask(machine, f"{URL}/")[1].split()[1])
    machine.reboot()
    assert healthy(machine, "visits")
    assert ask(machine, f"{URL}/") == (200, f"visit {before + 1}\n")
    assert environment(machine, main_pid(machine, "visits"))["RELEASE_COOKIE"] == made == cookie(machine)
    assert users(machine, "visits") == {"visits"}
