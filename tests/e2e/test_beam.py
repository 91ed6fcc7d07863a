"""Elixir releases as services: nodes that meet on one address and port, and a cookie that no other user can read."""

from __future__ import annotations

import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from bundlekit import build
from tinychannel import index, make_package

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.machine import Answer

pytestmark = pytest.mark.e2e

MIX = """defmodule Demo.MixProject do
  use Mix.Project
  def project, do: [app: :demo, version: "1.0.0", releases: [demo: [include_erts: false]]]
  def application, do: [extra_applications: [:logger]]
end
"""
# 127.0.0.2 is loopback as well: two hosts, as far as the nodes are concerned.
BUNDLE = """
[bundle]
name = "nodes"
version = "1.0"
[files]
"demo" = "demo"
[secrets]
RELEASE_COOKIE = { format = "base64url", delivery = "DELIVERY" }
[release]
distribution = "name"
[services.one]
command = ["demo/bin/demo", "start"]
profile = "beam"
[services.two]
command = ["demo/bin/demo", "start"]
profile = "beam"
environment = { ERL_DIST_LISTEN = "127.0.0.2", RELEASE_NODE = "two@127.0.0.2" }
"""
SUITES = ("bookworm", "trixie")


class Nodes:
    """The machine that both nodes run on."""

    def __init__(self, machine: Machine, bundle: Path) -> None:
        self.machine = machine
        self.bundle = bundle

    def cookie(self) -> str:
        content = self.machine.read("/etc/nodes/credentials/RELEASE_COOKIE")
        if content is None:
            line = (self.machine.read("/etc/nodes/secrets.env") or b"").decode()
            return line.rpartition("RELEASE_COOKIE=")[2].strip()
        return content.decode()

    def ask(self, expression: str, *, node: str = "one@127.0.0.1", **env: str) -> Answer:
        """What a release's own ``rpc`` prints, run as the service's user with the cookie that the service has left."""
        release = self.machine.run("readlink", "-f", "/opt/nodes/current", check=True).stdout.strip()
        variables = {
            "HOME": "/var/lib/nodes",
            "RELEASE_TMP": "/tmp",
            "RELEASE_DISTRIBUTION": "name",
            "RELEASE_NODE": node,
            "ERL_DIST_PORT": "4370",
        } | env
        user = ("setpriv", "--reuid=nodes", "--regid=nodes", "--clear-groups", "--")
        words = ("/bin/sh", f"{release}/share/beam", f"{release}/app/demo/bin/demo", "rpc", expression)
        return self.machine.run(*user, *words, env=variables, timeout=60)

    def until_answer(self, expression: str, wanted: str) -> str:
        """The last answer, which is the one that is wanted or came after half a minute."""
        deadline = time.monotonic() + 30
        while True:
            answer = self.ask(expression)
            if answer.stdout.strip() == wanted or time.monotonic() > deadline:
                return answer.stdout.strip() + answer.stderr
            time.sleep(1)


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    channel = tmp_path_factory.mktemp("channel")
    make_package(channel, "tiny", "1.0", files={"share/tiny": b"tiny\n"})
    index(channel)
    (channel / "virtual-packages.yml").write_text("subdirs:\n  linux-64:\n    packages:\n      __glibc: '2.17'\n")
    return channel


@pytest.fixture(scope="module", params=SUITES)
def system(request: pytest.FixtureRequest) -> Path:
    return rootfs(request.param, include=("elixir", "erlang-dev"))


@pytest.fixture(scope="module")
def release(system: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``mix release`` makes of an empty application."""
    with Machine(system) as machine:
        machine.put("/srv/demo/mix.exs", MIX.encode())
        machine.put("/srv/demo/lib/demo.ex", b"defmodule Demo do\nend\n")
        make = "cd /srv/demo && exec mix release --path /srv/release"
        machine.run("sh", "-c", make, env={"MIX_ENV": "prod"}, check=True)
        goal = tmp_path_factory.mktemp("release") / "demo"
        shutil.copytree(machine.root / "srv/release", goal, symlinks=True)
        return goal


@pytest.fixture(scope="module", params=["credential", "environment"])
def nodes(
    request: pytest.FixtureRequest,
    system: Path,
    release: Path,
    channel: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Nodes]:
    project = tmp_path_factory.mktemp("nodes")
    (project / "environment.yml").write_text("channels: [conda-forge]\ndependencies: [tiny]\n")
    (project / "bundle.toml").write_text(BUNDLE.replace("DELIVERY", request.param))
    shutil.copytree(release, project / "demo", symlinks=True)
    bundle = build(project, channel, project / "dist")
    with Machine(system) as machine:
        machine.run("systemctl", "stop", "epmd.socket", "epmd.service")  # Debian's own, on every address
        machine.copy_in(bundle, "/root/bundle")
        installed = machine.run("sh", "-c", "sh /root/bundle/install.sh 2>&1")
        assert installed.status == 0, installed.stdout
        machine.put("/root/install.log", installed.stdout.encode())
        yield Nodes(machine, bundle)


def test_nodes_meet_and_answer(nodes: Nodes) -> None:
    assert nodes.until_answer('IO.inspect(Node.connect(:"two@127.0.0.2"))', "true") == "true"
    assert nodes.ask("IO.inspect(Node.list())").stdout.strip() == '[:"two@127.0.0.2"]'


def test_another_cookie_gets_no_answer(nodes: Nodes) -> None:
    nodes.machine.run("install", "-d", "-o", "nodes", "/srv/stranger", check=True)
    answer = nodes.ask("IO.inspect(1)", HOME="/srv/stranger", RELEASE_COOKIE="somebody-elses-cookie")
    assert answer.status != 0
    own = nodes.machine.run("cat", "/srv/stranger/.erlang.cookie").stdout
    assert own == "somebody-elses-cookie"
    assert nodes.ask("IO.inspect(1)").stdout.strip() == "1"


def test_they_listen_where_they_are_told_and_without_epmd(nodes: Nodes) -> None:
    table = nodes.machine.run("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    listening = {line.split()[1] for line in table.splitlines() if " 0A " in line}
    assert listening == {"0100007F:1112", "0200007F:1112"}  # port 4370
    assert nodes.machine.run("sh", "-c", "cat /proc/[0-9]*/comm").stdout.count("epmd") == 0


def test_nobody_else_sees_the_cookie(nodes: Nodes) -> None:
    cookie = nodes.cookie()
    assert re.fullmatch("[A-Za-z0-9_-]{43}", cookie)
    nodes.machine.put("/srv/watch", b"for i in $(seq 400); do cat /proc/[0-9]*/cmdline | tr '\\0' ' '; done\n")
    script = "(setpriv --reuid=65534 --regid=65534 --clear-groups sh /srv/watch >/srv/seen 2>&1) & watcher=$!;"
    script += " systemctl restart one two; wait $watcher; cat /srv/seen"
    seen = nodes.machine.run("sh", "-c", script).stdout
    assert "beam.smp" in seen
    assert "demo/bin/demo" in seen
    told = {
        "ps": seen,
        "systemctl show": nodes.machine.run("systemctl", "show", "one", "two").stdout,
        "systemctl cat": nodes.machine.run("systemctl", "cat", "one", "two").stdout,
        "the journal": nodes.machine.run("journalctl", "--no-pager", "-a").stdout,
        "install.sh": nodes.machine.run("cat", "/root/install.log").stdout,
    }
    assert all(told.values())
    assert [where for where, text in told.items() if cookie in text] == []
    places = "/etc /opt /var /run /tmp /srv /usr/local"
    holding = nodes.machine.run("sh", "-c", f"grep -rlF -e '{cookie}' {places} 2>/dev/null").stdout.split()
    assert "/var/lib/nodes/.erlang.cookie" in holding
    modes = nodes.machine.run("stat", "-c", "%a", *holding, check=True).stdout.split()
    assert all(mode.endswith("0") for mode in modes), dict(zip(holding, modes, strict=True))
    for path in holding:
        read = nodes.machine.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", path)
        assert (read.status, read.stdout) == (1, ""), path
    assert not list(nodes.bundle.rglob("COOKIE"))
    assert not nodes.machine.run("sh", "-c", "find /opt/nodes -name COOKIE").stdout


def test_rotation_gives_both_the_new_one(nodes: Nodes) -> None:
    # Erlang does not hear a signal that comes while it boots.
    assert nodes.until_answer('IO.inspect(Node.connect(:"two@127.0.0.2"))', "true") == "true"
    old = nodes.cookie()
    rotated = nodes.machine.run("/opt/nodes/manage", "rotate-secret", "RELEASE_COOKIE")
    assert rotated.status == 0, rotated.stderr
    assert nodes.cookie() != old
    assert nodes.until_answer('IO.inspect(Node.connect(:"two@127.0.0.2"))', "true") == "true"
    assert nodes.machine.read("/var/lib/nodes/.erlang.cookie") == nodes.cookie().encode()
    refused = nodes.ask("IO.inspect(1)", HOME="/srv/stranger", RELEASE_COOKIE=old)
    assert refused.status != 0
