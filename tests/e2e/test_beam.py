"""Elixir releases as services: nodes that meet on one address and port, and a cookie that no other user can read."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from typing import TYPE_CHECKING

import pytest
from bundlekit import build
from everywhere import everywhere
from netkit import join
from tinychannel import index, make_package
from waiting import PATIENCE

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from bundler.machine import Answer

    Cluster: TypeAlias = tuple["Nodes", "Nodes"]

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
[erlang]
distribution = "name"
[services.one]
command = ["demo/bin/demo", "start"]
profile = "beam"
[services.two]
command = ["demo/bin/demo", "start"]
profile = "beam"
environment = { ERL_DIST_LISTEN = "127.0.0.2" }
"""
MIX_CALL = "demo/bin/demo"
# What nobody sees of other people's processes, again and again until there is a file /srv/seen-enough.
WATCH = b"""until [ -e /srv/seen-enough ]; do cat /proc/[0-9]*/cmdline | tr '\\0' ' '; done
"""
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
SUITES = ("bookworm", *everywhere("trixie"))


class Nodes:
    """A machine with such nodes on it, each of them a service."""

    def __init__(self, machine: Machine, bundle: Path) -> None:
        self.machine = machine
        self.bundle = bundle

    def cookie(self) -> str:
        content = self.machine.read("/etc/nodes/credentials/RELEASE_COOKIE")
        if content is None:
            line = (self.machine.read("/etc/nodes/secrets.env") or b"").decode()
            return line.rpartition("RELEASE_COOKIE=")[2].strip()
        return content.decode()

    def ask(self, expression: str, *, node: str = "one") -> Answer:
        """What a node's own ``rpc`` prints, as an operator asks it."""
        words = ("/opt/nodes/manage", "exec", node, MIX_CALL, "rpc", expression)
        return self.machine.run(*words, timeout=60)

    def ask_as_stranger(self, cookie: str) -> Answer:
        """The same with a cookie and a home of one's own."""
        self.machine.run("install", "-d", "-o", "nodes", "/srv/stranger", check=True)
        release = self.machine.run("readlink", "-f", "/opt/nodes/current", check=True).stdout.strip()
        variables = {"HOME": "/srv/stranger", "RELEASE_TMP": "/tmp", "RELEASE_DISTRIBUTION": "name"}
        variables |= {"RELEASE_NODE": "one", "ERL_DIST_PORT": "4370", "RELEASE_COOKIE": cookie}
        words = ("/bin/sh", f"{release}/share/beam", f"{release}/app/{MIX_CALL}", "rpc", "IO.inspect(1)")
        user = ("setpriv", "--reuid=nodes", "--regid=nodes", "--clear-groups", "--")
        return self.machine.run(*user, *words, env=variables, timeout=60)

    def until_answer(self, expression: str, wanted: str, *, node: str = "one") -> str:
        """The answer that is wanted, or the last one when there is no time left."""
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.ask(expression, node=node)
            if answer.stdout.strip() == wanted or time.monotonic() > deadline:
                return answer.stdout.strip() + answer.stderr
            time.sleep(1)

    def journal(self, service: str) -> str:
        return self.machine.run("journalctl", "--no-pager", "-o", "cat", "-u", service).stdout

    @contextlib.contextmanager
    def watched(self) -> Iterator[Callable[[], str]]:
        """While it lasts, a user without rights looks at all command lines; then what it has seen."""
        self.machine.put("/srv/watch", WATCH)
        self.machine.run("rm", "-f", "/srv/seen-enough")
        script = f"{' '.join(NOBODY)} sh /srv/watch >/srv/seen 2>/dev/null </dev/null & "
        self.machine.run("sh", "-c", f"setsid sh -c '{script}'", check=True)
        try:
            yield lambda: self.machine.run("cat", "/srv/seen").stdout
        finally:
            self.machine.put("/srv/seen-enough", b"")


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


@pytest.fixture(scope="module")
def make_bundle(release: Path, channel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds the bundle of a text of bundle.toml."""

    def make(text: str) -> Path:
        project = tmp_path_factory.mktemp("nodes")
        (project / "environment.yml").write_text("channels: [conda-forge]\ndependencies: [tiny]\n")
        (project / "bundle.toml").write_text(text)
        shutil.copytree(release, project / "demo", symlinks=True)
        return build(project, channel, project / "dist")

    return make


def installed(machine: Machine, bundle: Path, *options: str) -> Nodes:
    machine.run("systemctl", "stop", "epmd.socket", "epmd.service")  # Debian's own, on every address
    machine.run("systemctl", "mask", "epmd.socket", "epmd.service")
    machine.copy_in(bundle, "/root/bundle")
    done = machine.run("sh", "-c", f"sh /root/bundle/install.sh {' '.join(options)} 2>&1")
    assert done.status == 0, done.stdout
    machine.put("/root/install.log", done.stdout.encode())
    return Nodes(machine, bundle)


@pytest.fixture(scope="module", params=["credential", "environment"])
def nodes(request: pytest.FixtureRequest, system: Path, make_bundle: Callable[[str], Path]) -> Iterator[Nodes]:
    with Machine(system) as machine:
        yield installed(machine, make_bundle(BUNDLE.replace("DELIVERY", request.param)))


def test_nodes_meet_and_answer(nodes: Nodes) -> None:
    assert nodes.until_answer('IO.inspect(Node.connect(:"two@127.0.0.2"))', "true") == "true"
    assert nodes.ask("IO.inspect(Node.list())").stdout.strip() == '[:"two@127.0.0.2"]'


def test_another_cookie_gets_no_answer(nodes: Nodes) -> None:
    assert nodes.ask_as_stranger("somebody-elses-cookie").status != 0
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
    with nodes.watched() as seen:
        nodes.machine.run("systemctl", "restart", "one", "two", check=True)
        assert nodes.until_answer("IO.inspect(1)", "1") == "1"
    assert f"{MIX_CALL} start" in seen()
    assert "--rpc-eval" in seen()
    told = {
        "ps": seen(),
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
        read = nodes.machine.run(*NOBODY, "cat", path)
        assert (read.status, read.stdout) == (1, ""), path
    assert not list(nodes.bundle.rglob("COOKIE"))
    assert not nodes.machine.run("sh", "-c", "find /opt/nodes -name COOKIE").stdout


def test_rotation_gives_both_the_new_one(nodes: Nodes) -> None:
    old = nodes.cookie()
    rotated = nodes.machine.run("/opt/nodes/manage", "rotate-secret", "RELEASE_COOKIE")
    assert rotated.status == 0, rotated.stderr
    assert nodes.cookie() != old
    assert nodes.until_answer('IO.inspect(Node.connect(:"two@127.0.0.2"))', "true") == "true"
    assert nodes.machine.read("/var/lib/nodes/.erlang.cookie") == nodes.cookie().encode()
    assert nodes.ask_as_stranger(old).status != 0


def test_it_is_stopped_while_it_boots_and_in_good_order(nodes: Nodes) -> None:
    """Erlang loses a signal that comes while it boots."""
    for pause in (0.1, 0.4, 1.0):
        nodes.machine.run("sh", "-c", "systemctl reset-failed one; systemctl restart one", check=True)
        time.sleep(pause)
        before = time.monotonic()
        nodes.machine.run("systemctl", "stop", "one", check=True)
        assert time.monotonic() - before < 20  # instead of 90
        assert nodes.machine.run("systemctl", "show", "-p", "Result", "--value", "one").stdout == "success\n"
    nodes.machine.run("sh", "-c", "systemctl reset-failed one; systemctl start one", check=True)
    assert nodes.until_answer("IO.inspect(1)", "1") == "1"
    told = nodes.journal("one").count("SIGTERM received - shutting down")
    before = time.monotonic()
    nodes.machine.run("systemctl", "stop", "one", check=True)
    assert time.monotonic() - before < 20
    assert nodes.journal("one").count("SIGTERM received - shutting down") > told
    nodes.machine.run("systemctl", "start", "one", check=True)


def test_after_a_reboot_they_answer_as_their_own_user(nodes: Nodes) -> None:
    cookie = nodes.cookie()
    nodes.machine.reboot()
    assert nodes.until_answer('IO.inspect(Node.connect(:"two@127.0.0.2"))', "true") == "true"
    assert nodes.ask('IO.puts(elem(System.cmd("id", ["-un"]), 0))').stdout.strip() == "nodes"
    assert nodes.cookie() == cookie


# --- two machines

CLUSTER = BUNDLE.partition("[services.two]")[0]


@pytest.fixture(scope="module")
def cluster(
    system: Path, make_bundle: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """One bundle and one cookie on two machines; only its operator has told each node where it is."""
    bundle = make_bundle(CLUSTER.replace("DELIVERY", "credential"))
    with Machine(system) as first, Machine(system) as second:
        join({first: "10.77.0.1", second: "10.77.0.2"})
        both = []
        for machine, address in ((first, "10.77.0.1"), (second, "10.77.0.2")):
            machine.put("/root/cookie", b"the-cookie-of-the-whole-cluster\n", 0o600)
            nodes = installed(machine, bundle, "--cookie-file", "/root/cookie")
            machine.run("sh", "-c", f"echo ERL_DIST_LISTEN={address} >>/etc/nodes/nodes.env", check=True)
            machine.run("systemctl", "restart", "one", check=True)
            both.append(nodes)
        yield both[0], both[1]


CONNECT = 'IO.inspect(Node.connect(:"one@10.77.0.2"))'


def test_two_machines_with_one_cookie_are_a_cluster(cluster: Cluster) -> None:
    first, second = cluster
    with first.watched() as seen_on_first, second.watched() as seen_on_second:
        assert first.until_answer("IO.inspect(node())", ':"one@10.77.0.1"') == ':"one@10.77.0.1"'
        assert second.until_answer("IO.inspect(node())", ':"one@10.77.0.2"') == ':"one@10.77.0.2"'
        assert first.until_answer(CONNECT, "true") == "true"
        call = 'IO.inspect(:erpc.call(:"one@10.77.0.2", :inet, :gethostname, []))'
        name = f'{{:ok, ~c"{second.machine.name}"}}'
        assert first.ask(call).stdout.strip().replace("'", '~c"', 1).replace("'", '"') == name
        assert second.ask("IO.inspect(Node.list())").stdout.strip() == '[:"one@10.77.0.1"]'
    for seen in (seen_on_first(), seen_on_second()):
        assert "--rpc-eval" in seen
        assert "the-cookie-of" not in seen


def test_a_node_with_another_cookie_is_refused(cluster: Cluster) -> None:
    first, second = cluster
    assert second.machine.run("/opt/nodes/manage", "rotate-secret", "RELEASE_COOKIE").status == 0
    assert second.until_answer("IO.inspect(1)", "1") == "1"
    assert first.until_answer(CONNECT, "false") == "false"
    assert first.ask("IO.inspect(Node.list())").stdout.strip() == "[]"
    assert "the-cookie-of" not in first.journal("one") + second.journal("one")
    back = ("rotate-secret", "RELEASE_COOKIE", "--from", "/root/cookie")
    assert second.machine.run("/opt/nodes/manage", *back).status == 0
    assert second.until_answer("IO.inspect(1)", "1") == "1"
    assert first.until_answer(CONNECT, "true") == "true"
