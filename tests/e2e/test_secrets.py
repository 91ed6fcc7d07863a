"""Secrets on real machines: each format, both deliveries, who gets which, and what rotation and upgrades do to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from bundlekit import build
from everywhere import everywhere
from tinychannel import index, make_package
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundler.machine import Answer

pytestmark = pytest.mark.e2e

# Each writes what it has got, and is well as long as /srv/ill is not there.
SHOW = """#!/bin/sh
cat /proc/$$/environ >"$STATE_DIRECTORY/$WHO"
rm -f "$STATE_DIRECTORY/$WHO.credential"
[ -z "$TOKEN_FILE" ] || cat "$TOKEN_FILE" "$CREDENTIALS_DIRECTORY/TOKEN" >"$STATE_DIRECTORY/$WHO.credential"
[ ! -e /srv/ill ] || exit 1
exec sleep 1000
"""
BUNDLE = """
[bundle]
name = "keeper"
version = "VERSION"
[files]
"show" = "show"
[secrets]
HEX = { length = 40 }
BASE = { format = "base32" }
URL = { format = "base64url" }
WORDS = { format = "alphanumeric", length = 30 }
TOKEN = { format = "base64url", delivery = "credential" }
MOVED = { format = "MOVED-FORMAT", delivery = "MOVED-DELIVERY" }
[services.keeper]
command = ["show"]
profile = "generic"
environment = { WHO = "keeper" }
[services.keeper-less]
command = ["show"]
profile = "generic"
secrets = ["HEX"]
environment = { WHO = "keeper-less" }
"""
FORMATS = {
    "RELEASE_COOKIE": "[0-9a-f]{64}",
    "HEX": "[0-9a-f]{40}",
    "BASE": "[A-Z2-7]{52}",
    "URL": "[A-Za-z0-9_-]{43}",
    "WORDS": "[A-Za-z0-9]{30}",
    "MOVED": "[0-9a-f]{64}",
}
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, str], Path]:
    """Builds the bundle of a version, MOVED in this format and delivery."""
    channel = tmp_path_factory.mktemp("channel")
    make_package(channel, "tiny", "1.0", files={"share/tiny": b"tiny\n"})
    index(channel)
    (channel / "virtual-packages.yml").write_text("subdirs:\n  linux-64:\n    packages:\n      __glibc: '2.17'\n")

    def make(version: str, form: str, delivery: str) -> Path:
        project = tmp_path_factory.mktemp("keeper")
        (project / "environment.yml").write_text("channels: [conda-forge]\ndependencies: [tiny]\n")
        text = BUNDLE.replace("VERSION", version).replace("MOVED-FORMAT", form).replace("MOVED-DELIVERY", delivery)
        (project / "bundle.toml").write_text(text)
        (project / "show").write_text(SHOW)
        (project / "show").chmod(0o755)
        return build(project, channel, project / "dist")

    return make


@pytest.fixture(scope="module")
def first(bundles: Callable[[str, str, str], Path]) -> Path:
    return bundles("1.0", "hex", "environment")


@pytest.fixture(scope="module")
def second(bundles: Callable[[str, str, str], Path]) -> Path:
    return bundles("2.0", "base64url", "credential")


class Keeper:
    """The machine that it is installed on."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def install(self, bundle: Path, *options: str) -> Answer:
        there = f"/root/{bundle.name}"
        if self.machine.run("test", "-d", there).status:
            self.machine.copy_in(bundle, there)
        return self.machine.run("sh", f"{there}/install.sh", *options)

    def manage(self, *words: str) -> Answer:
        return self.machine.run("sh", "/opt/keeper/manage", *words)

    def has_written(self, service: str) -> bool:
        """Whether it runs, and has come to the end of its script."""
        script = f"cat /proc/$(systemctl show -p MainPID --value {service})/comm"
        return self.machine.run("sh", "-c", script).stdout == "sleep\n"

    def environment(self, service: str = "keeper") -> dict[str, str]:
        text = (self.machine.read(f"/var/lib/keeper/{service}") or b"").decode()
        return dict(pair.split("=", 1) for pair in text.split("\0")[:-1])

    def credential(self) -> str:
        """What the process has read; by its variable and by systemd's, it was the same."""
        text = (self.machine.read("/var/lib/keeper/keeper.credential") or b"").decode()
        assert text[: len(text) // 2] == text[len(text) // 2 :]
        return text[: len(text) // 2]

    def line(self, name: str) -> str:
        text = (self.machine.read("/etc/keeper/secrets.env") or b"").decode()
        return str(re.findall(f"^{name}=(.*)$", text, re.MULTILINE)[-1])

    def file(self, name: str) -> str:
        return (self.machine.read(f"/etc/keeper/credentials/{name}") or b"").decode()


@pytest.fixture(scope="module")
def installed(first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a machine on which it was installed, and which was shut down."""
    with Machine(rootfs("bookworm")) as machine:
        done = Keeper(machine).install(first)
        assert done.status == 0, done.stderr
        machine.stop()
        return machine.snapshot(tmp_path_factory.mktemp("installed") / "state")


@pytest.fixture
def keeper(installed: Path) -> Iterator[Keeper]:
    """Each test has a machine of its own, which has booted with the bundle."""
    with Machine(rootfs("bookworm"), state=installed) as machine:
        keeper = Keeper(machine)
        assert until(lambda: all(keeper.has_written(service) for service in ("keeper", "keeper-less")))
        yield keeper


@pytest.mark.parametrize("suite", ["bullseye", "trixie", *everywhere("bookworm")])
def test_each_arrives_as_it_is_to_and_nobody_else_reads_it(suite: str, first: Path) -> None:
    with Machine(rootfs(suite)) as machine:
        keeper = Keeper(machine)
        done = keeper.install(first)
        assert done.status == 0, done.stderr
        got = keeper.environment()
        for name, form in FORMATS.items():
            assert re.fullmatch(form, got[name]), name
        token = keeper.credential()
        assert re.fullmatch("[A-Za-z0-9_-]{43}", token)
        assert (keeper.file("TOKEN"), "TOKEN" in got) == (token, False)
        assert got["TOKEN_FILE"] == "/run/credentials/keeper.service/TOKEN"

        less = keeper.environment("keeper-less")
        assert less["HEX"] == got["HEX"]
        assert not {*FORMATS, "TOKEN", "TOKEN_FILE"} - {"HEX"} & set(less)

        values = [got[name] for name in FORMATS] + [token]
        told = {
            "install.sh": done.stdout + done.stderr,
            "systemctl show": machine.run("systemctl", "show", "keeper").stdout,
            "systemctl cat": machine.run("systemctl", "cat", "keeper").stdout,
            "the journal": machine.run("journalctl", "--no-pager", "-a").stdout,
            "ps": machine.run("sh", "-c", "cat /proc/[0-9]*/cmdline").stdout,
            "the release": machine.run("sh", "-c", "find /opt/keeper -type f -exec cat {} +").stdout,
        }
        assert [where for where, text in told.items() if any(value in text for value in values)] == []
        modes = machine.run("stat", "-c", "%a %U", "/etc/keeper/credentials", "/etc/keeper/credentials/TOKEN").stdout
        assert modes.splitlines() == ["700 root", "600 root"]
        for path in ("/etc/keeper/credentials/TOKEN", "/etc/keeper/secrets.env", got["TOKEN_FILE"]):
            assert machine.run(*NOBODY, "cat", path).status != 0


@pytest.mark.parametrize("name", [*FORMATS, "TOKEN"])
def test_each_is_rotated_in_its_own_form(keeper: Keeper, name: str) -> None:
    before = keeper.environment() | {"TOKEN": keeper.credential()}
    done = keeper.manage("rotate-secret", name)
    assert done.status == 0, done.stderr
    after = keeper.environment() | {"TOKEN": keeper.credential()}
    assert {key for key in (*FORMATS, "TOKEN") if before[key] != after[key]} == {name}
    assert re.fullmatch(FORMATS.get(name, "[A-Za-z0-9_-]{43}"), after[name])
    assert keeper.machine.run("ls", "-A", "/var/lib/conda-bundler/keeper").stdout.split() == ["owned"]


@pytest.mark.parametrize(
    ("ill", "well"),
    [
        pytest.param("touch /srv/ill", "rm /srv/ill", id="ends"),
        pytest.param("chmod a-x /opt/keeper/current/app/show", "chmod a+x /opt/keeper/current/app/show", id="no-start"),
    ],
)
def test_a_credential_that_makes_it_ill_is_taken_back(keeper: Keeper, ill: str, well: str) -> None:
    """With the old one it is no better, and that is no reason to take it back once more."""
    before = keeper.credential()
    keeper.machine.run("sh", "-c", ill, check=True)
    done = keeper.manage("rotate-secret", "TOKEN")
    assert done.status == 14, done.stderr
    assert keeper.file("TOKEN") == before
    keeper.machine.run("sh", "-c", well, check=True)
    keeper.machine.run("systemctl", "reset-failed", "keeper")
    keeper.machine.run("systemctl", "restart", "keeper")
    assert keeper.machine.run("ls", "-A", "/var/lib/conda-bundler/keeper").stdout.split() == ["owned"]
    assert keeper.manage("rotate-secret", "TOKEN").status == 0
    assert keeper.file("TOKEN") == keeper.credential() != before


def test_what_was_cut_off_is_made_anew_and_the_rest_is_kept(keeper: Keeper, first: Path) -> None:
    kept = {name: keeper.line(name) for name in ("BASE", "URL", "MOVED")}
    keeper.machine.run("sh", "-c", "printf cut >/etc/keeper/credentials/TOKEN", check=True)
    keeper.machine.run("sed", "-i", "s/^\\(WORDS=.\\{9\\}\\).*/\\1/", "/etc/keeper/secrets.env", check=True)
    done = keeper.install(first)
    assert (done.status, "is truncated" in done.stderr) == (0, True), done.stderr
    assert re.fullmatch("[A-Za-z0-9_-]{43}", keeper.file("TOKEN"))
    assert re.fullmatch("[A-Za-z0-9]{30}", keeper.line("WORDS"))
    assert {name: keeper.line(name) for name in kept} == kept


def test_a_secret_moves_with_its_delivery_and_back(keeper: Keeper, second: Path) -> None:
    moved = keeper.line("MOVED")
    done = keeper.install(second)
    assert done.status == 0, done.stderr
    assert keeper.file("MOVED") == moved  # in the form that it has had: nobody's key changes in an upgrade
    assert "MOVED" not in keeper.environment()
    assert keeper.environment()["MOVED_FILE"] == "/run/credentials/keeper.service/MOVED"

    rotated = keeper.manage("rotate-secret", "MOVED")
    assert rotated.status == 0, rotated.stderr
    assert re.fullmatch("[A-Za-z0-9_-]{43}", keeper.file("MOVED"))
    assert keeper.manage("rollback").status == 0
    assert keeper.environment()["MOVED"] == keeper.file("MOVED") == keeper.line("MOVED") != moved


def test_what_the_operator_gives_is_taken(first: Path) -> None:
    with Machine(rootfs("bookworm")) as machine:
        keeper = Keeper(machine)
        machine.put("/root/token", b"given-by-the-operator\n")
        assert keeper.install(first, "--secret", "TOKEN=/root/token").status == 0
        assert keeper.credential() == "given-by-the-operator"
        machine.put("/root/token", b"another-by-the-operator\n")
        differs = keeper.install(first, "--secret", "TOKEN=/root/token")
        assert (differs.status, "rotate-secret" in differs.stderr) == (2, True)
        assert keeper.manage("rotate-secret", "TOKEN", "--from=/root/token").status == 0
        assert keeper.credential() == "another-by-the-operator"
        assert keeper.manage("uninstall", "--purge", "--yes").status == 0
        assert machine.run("test", "-e", "/etc/keeper").status == 1


def test_a_failure_leaves_no_credential_behind(first: Path) -> None:
    with Machine(rootfs("bookworm")) as machine:
        keeper = Keeper(machine)
        machine.put("/usr/local/sbin/systemd-sysusers", b"#!/bin/sh\nexit 1\n", 0o755)
        assert keeper.install(first).status == 12
        assert machine.run("test", "-e", "/etc/keeper").status == 1


def test_systemd_without_credentials_is_refused(first: Path) -> None:
    with Machine(rootfs("bookworm")) as machine:
        old = b'#!/bin/sh\n[ "$1" = --version ] && echo "systemd 246 (246)" && exit\nexec /usr/bin/systemctl "$@"\n'
        machine.put("/usr/local/sbin/systemctl", old, 0o755)
        done = Keeper(machine).install(first)
        assert (done.status, "systemd 246 has no credentials, which TOKEN" in done.stderr) == (10, True), done.stderr
        assert machine.run("test", "-e", "/etc/keeper").status == 1


def test_without_systemd_it_is_the_same(first: Path) -> None:
    with Machine(rootfs("bookworm")) as machine:
        keeper = Keeper(machine)
        assert keeper.install(first, "--no-systemd").status == 0
        machine.run("sh", "-c", "setsid /opt/keeper/bin/run-keeper >/dev/null 2>&1 & sleep 3")
        got = keeper.environment()
        assert (got["URL"], "TOKEN" in got) == (keeper.line("URL"), False)
        assert keeper.credential() == keeper.file("TOKEN") != ""
        assert machine.run(*NOBODY, "cat", got["TOKEN_FILE"]).status != 0
