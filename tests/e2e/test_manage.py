"""manage on real machines: state, releases, verification, secrets, and the end of it all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from installkit import COOKIE, Spec, but
from targetkit import Target, changes

from bundler.config.project import Secret
from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

SHELLS = (
    pytest.param(("dash",), id="dash"),
    pytest.param(("bash", "--posix"), id="bash-posix", marks=pytest.mark.everywhere),
    pytest.param(("busybox", "sh"), id="busybox"),
)
SERVE = '#!/bin/sh\necho "the cookie is $RELEASE_COOKIE"\nwhile :; do sleep 1; done\n'
# Healthy only while this file says so.
SPEC = Spec(serve=SERVE, health="read -r verdict </srv/verdict && exit $verdict\n", timeout=2)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        machine.put("/srv/verdict", b"0\n")
        yield Target(machine, tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One machine with one release for all that only looks."""
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        machine.put("/srv/verdict", b"0\n")
        target = Target(machine, tmp_path_factory.mktemp("bundles"))
        good(target, SPEC)
        yield target


def good(target: Target, spec: Spec) -> None:
    answer = target.install(spec)
    assert answer.status == 0, answer.stderr


def cookie(target: Target) -> str:
    return target.sh("sed -n 's/^RELEASE_COOKIE=//p' /etc/hello/secrets.env")


def cookie_in_use(target: Target) -> str:
    pid = target.sh("systemctl show -p MainPID --value hello")
    return target.sh(f"tr '\\0' '\\n' </proc/{pid}/environ | sed -n 's/^RELEASE_COOKIE=//p'")


# --- usage


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("frobnicate",),
        ("status", "extra"),
        ("--frobnicate",),
        ("rotate-secret",),
        ("rotate-secret", "a b"),
        ("rollback", "../x"),
        ("rollback", "--json"),
        ("status", "--from", "x"),
        ("uninstall", "--yes"),
        ("status", "--purge"),
        ("rollback", "--health-timeout", "x"),
    ],
)
def test_wrong_words_are_refused(shared: Target, words: tuple[str, ...]) -> None:
    answer = shared.manage(*words)
    assert (answer.status, answer.stdout) == (2, ""), answer.stderr
    assert answer.stderr.startswith("manage: error: ")


def test_help_names_every_command(shared: Target) -> None:
    answer = shared.manage("--help")
    assert answer.status == 0
    for command in ("status", "releases", "rollback", "verify", "rotate-secret", "uninstall"):
        assert f"\n  {command}" in answer.stdout


def test_others_than_root_are_refused(shared: Target) -> None:
    words = ("setpriv", "--reuid=65534", "--clear-groups", "sh", "/opt/hello/manage", "status")
    answer = shared.machine.run(*words)
    assert (answer.status, "must run as root" in answer.stderr) == (10, True)


# --- status


@pytest.mark.parametrize("shell", SHELLS)
def test_status(shared: Target, shell: tuple[str, ...]) -> None:
    shared = Target(shared.machine, shared.room, shell)
    answer, status = shared.manage("status"), shared.status()
    assert answer.status == 0
    assert re.search(r"hello.service: active, enabled, health good, since \w+ \d{4}-\d\d-\d\d", answer.stdout)
    assert status["release"] == SPEC.release
    assert (status["healthy"], status["previous"], status["pending"]) == (True, None, None)
    (unit,) = status["units"]
    assert (unit["unit"], unit["active"], unit["health"]) == ("hello.service", "active", "good")
    assert unit["since"] == shared.sh("systemctl show -p ActiveEnterTimestamp --value hello")


def test_status_says_what_is_not_well(target: Target) -> None:
    good(target, SPEC)
    target.machine.put("/srv/verdict", b"1\n")
    assert (target.manage("status").status, target.status()["units"][0]["health"]) == (3, "bad")
    target.sh("systemctl stop hello")
    assert (target.manage("status").status, target.status()["healthy"]) == (3, False)
    target.sh("systemctl disable hello")  # the admin's own wish by now
    assert (target.manage("status").status, target.status()["units"][0]["active"]) == (0, "inactive")


def test_status_waits_for_nobody(shared: Target) -> None:
    assert shared.machine.run("flock", "/run/conda-bundler/lock", "/opt/hello/manage", "status").status == 0
    held = shared.machine.run("flock", "/run/conda-bundler/lock", "/opt/hello/manage", "verify")
    assert (held.status, "another install is running" in held.stderr) == (13, True)


# --- support bundle


@pytest.mark.parametrize("shell", SHELLS)
def test_support_bundle(shared: Target, shell: tuple[str, ...]) -> None:
    shared = Target(shared.machine, shared.room, shell)
    shared.sh("rm -f /root/support.tar.gz")
    # manage support-bundle, with the service saying its secret in the journal
    answer = shared.manage("support-bundle", "/root/support.tar.gz")
    assert (answer.status, answer.stdout) == (0, ""), answer.stderr
    assert shared.sh("stat -c '%a %U' /root/support.tar.gz") == "600 root"
    told = shared.sh("tar -xzOf /root/support.tar.gz")
    assert cookie(shared) not in told
    for line in (
        "hello.service: active, enabled, health good",
        "every file matches what was installed",
        "the cookie is ***",
    ):
        assert line in told
    again = shared.manage("support-bundle", "/root/support.tar.gz")
    assert (again.status, "already exists" in again.stderr) == (2, True)
    assert shared.sh("ls -A /run/conda-bundler | grep -c support || :") == "0"


# --- rollback


def test_rollback_to_a_named_release(target: Target) -> None:
    specs = [but(SPEC, version=f"{number}.0") for number in (1, 2, 3)]
    for spec in specs:
        good(target, spec)
    assert target.manage("rollback", specs[0].release).status == 0
    assert (target.current(), target.serves(specs[0])) == (specs[0].release, True)
    assert target.manage("rollback").status == 0  # to what was current before
    assert target.current() == specs[2].release
    same = target.manage("rollback", specs[2].release)
    assert (same.status, "is the current release already" in same.stderr) == (10, True)
    none = target.manage("rollback", "9.9-000000000000")
    assert (none.status, "there is no complete release 9.9" in none.stderr) == (10, True)


def test_an_unhealthy_rollback_goes_forward_again(target: Target) -> None:
    picky = but(SPEC, health='read -r verdict </srv/picky && exit "$verdict"\n')
    second = but(SPEC, version="2.0")
    target.machine.put("/srv/picky", b"0\n")
    good(target, picky)
    good(target, second)
    target.machine.put("/srv/picky", b"1\n")

    answer = target.manage("rollback")

    assert answer.status == 14, answer.stderr
    assert (target.current(), target.serves(second)) == (second.release, True)
    assert cookie(target) not in answer.stderr
    again = target.manage("rollback")
    assert (again.status, "there is no release to roll back to" in again.stderr) == (10, True)  # it is a bad one now


def test_a_damaged_release_is_not_gone_back_to(target: Target) -> None:
    good(target, SPEC)
    good(target, but(SPEC, version="2.0"))
    target.sh(f"echo >>{SPEC.release_dir}/app/serve")
    pid = target.sh("systemctl show -p MainPID hello")
    answer = target.manage("rollback")
    assert (answer.status, "have been modified" in answer.stderr) == (11, True)
    assert target.sh("systemctl show -p MainPID hello") == pid


# --- verify


DAMAGE = {
    "changed": ("echo x >>app/serve", "changed app/serve"),
    "missing": ("rm env/bin/tool", "missing env/bin/tool"),
    "extra": ("echo x >'env/lib x'", "extra env/lib x"),
    "extra-link": ("ln -s nowhere app/link", "extra app/link"),
    "extra-directory": ("mkdir app/more", "extra app/more"),
    "mode": ("chmod 4755 app/serve", "mode app/serve"),
    "mode-of-directory": ("chmod 777 share", "mode share"),
    "owner": ("chown daemon share/probe", "mode share/probe"),
    "link": ("ln -sf nowhere env/bin/tool-link", "changed env/bin/tool-link"),
    "unit": ("echo >>units/hello.service", "changed units/hello.service"),
    "inventory": ("echo >>inventory", "changed inventory"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_verify_finds_each_damage_and_install_repairs_it(target: Target, shell: tuple[str, ...]) -> None:
    target = Target(target.machine, target.room, shell)
    good(target, SPEC)
    assert target.manage("verify").status == 0
    for damage, line in DAMAGE.values():
        target.sh(f"cp -a {SPEC.release_dir} /srv/kept; cd {SPEC.release_dir}; {damage}")
        answer = target.manage("verify")
        assert (answer.status, answer.stdout) == (11, f"{line}\n")
        target.sh(f"rm -r {SPEC.release_dir}; mv /srv/kept {SPEC.release_dir}")
    target.sh(f"cd {SPEC.release_dir}; " + "; ".join(damage for damage, _ in DAMAGE.values()))
    said = target.manage("verify").stdout.splitlines()
    assert sorted(said) == sorted({line for _, line in DAMAGE.values()})

    good(target, SPEC)

    assert target.manage("verify").status == 0
    assert target.serves(SPEC)


def test_verify_finds_a_list_that_was_changed_with_the_file(shared: Target) -> None:
    shared.sh(f"cp -a {SPEC.release_dir}/list /srv/list; echo >>{SPEC.release_dir}/list")
    answer = shared.manage("verify")
    shared.sh(f"cp -a /srv/list {SPEC.release_dir}/list")
    assert (answer.status, "the list of the files" in answer.stderr) == (11, True)


# --- rotate-secret


def test_a_secret_is_rotated(target: Target) -> None:
    second = Secret(name="KEY", bytes=16, format="hex")
    good(target, but(SPEC, secrets=(COOKIE, second)))
    old, rest = cookie(target), target.sh("grep KEY /etc/hello/secrets.env")

    answer = target.manage("rotate-secret", "RELEASE_COOKIE")

    assert answer.status == 0, answer.stderr
    new = cookie(target)
    assert re.fullmatch("[0-9a-f]{64}", new)
    assert (new != old, cookie_in_use(target)) == (True, new)
    assert target.sh("grep KEY /etc/hello/secrets.env") == rest
    assert target.sh("stat -c '%a %U' /etc/hello/secrets.env") == "600 root"

    target.machine.put("/root/given", b"given-by-the-operator\n")
    given = target.manage("rotate-secret", "RELEASE_COOKIE", "--from", "/root/given")
    assert (given.status, cookie_in_use(target)) == (0, "given-by-the-operator")
    pid = target.sh("systemctl show -p MainPID hello")
    same = target.manage("rotate-secret", "RELEASE_COOKIE", "--from=/root/given")
    assert (same.status, target.sh("systemctl show -p MainPID hello")) == (0, pid)
    assert target.sh("ls -A /var/lib/conda-bundler/hello") == "owned"
    for said in (answer, given, same):
        assert not {old, new, "given-by-the-operator"} & set(re.findall("[0-9a-z-]{16,}", said.stderr + said.stdout))


def test_a_secret_with_which_the_service_is_unhealthy_is_taken_back(target: Target) -> None:
    good(target, SPEC)
    old = cookie(target)
    target.machine.put("/srv/verdict", b"1\n")

    answer = target.manage("rotate-secret", "RELEASE_COOKIE", "--health-timeout=1")

    assert answer.status == 14, answer.stderr
    assert (cookie(target), cookie_in_use(target)) == (old, old)
    assert "the cookie is ***" in answer.stderr
    assert re.findall("[0-9a-f]{64}", answer.stderr) == []  # neither the old one nor the new one
    assert target.sh("ls -A /var/lib/conda-bundler/hello") == "owned"


def test_what_cannot_be_a_secret_changes_nothing(shared: Target) -> None:
    before = cookie(shared)
    shared.machine.put("/root/short", b"short\n")
    assert shared.manage("rotate-secret", "RELEASE_COOKIE", "--from", "/root/short").status == 2
    assert shared.manage("rotate-secret", "RELEASE_COOKIE", "--from", "/root/missing").status == 2
    assert shared.manage("rotate-secret", "NOPE").status == 2
    assert cookie(shared) == before


# --- uninstall


@pytest.mark.parametrize("shell", SHELLS)
def test_uninstall_keeps_what_is_the_operators(target: Target, shell: tuple[str, ...]) -> None:
    target = Target(target.machine, target.room, shell)
    before = target.listing()
    good(target, but(SPEC, services=("hello", "hello-b")))
    good(target, but(SPEC, version="2.0"))
    target.sh("echo mine >/var/lib/hello/state; systemctl mask hello")
    old = cookie(target)

    answer = target.manage("uninstall")

    assert answer.status == 0, answer.stderr
    paths = {line.split()[0] for line in changes(before, target.listing())}
    accounts = {path for path in paths if re.fullmatch("/etc/(passwd|group|g?shadow)-?", path)}
    assert paths - accounts == {
        "/etc/hello",
        "/etc/hello/hello.env",
        "/etc/hello/secrets.env",
        "/etc/systemd/system/hello.service",  # the admin's mask
        "/var/lib/hello",
        "/var/lib/hello/state",
        "/var/lib/conda-bundler",
        "/var/lib/conda-bundler/hello",
        "/var/lib/conda-bundler/hello/owned",
    }
    assert target.sh("ps -e -o user= 2>/dev/null | grep hello || :") == ""
    assert target.sh("systemctl list-units --all --plain --no-legend 'hello*' | grep -v masked || :") == ""

    target.sh("systemctl unmask hello")
    good(target, SPEC)
    assert (cookie(target), target.sh("cat /var/lib/hello/state")) == (old, "mine")


def test_purge_leaves_nothing(target: Target) -> None:
    before = target.listing()
    names = "/etc/passwd /etc/group /etc/shadow /etc/gshadow"
    accounts = target.sh(f"cat {names}")
    good(target, but(SPEC, services=("hello", "hello-b")))
    good(target, but(SPEC, version="2.0"))
    target.sh("echo mine >/var/lib/hello/state")
    target.sh(
        "mkdir -p /tmp/left/in; echo x >/var/tmp/left; echo x >/dev/shm/left; ln -s /etc/passwd /tmp/left/in/link"
    )
    target.sh("chown -hR hello /tmp/left /var/tmp/left /dev/shm/left; echo roots >/tmp/kept")

    for no in (b"", b"\n", b"yes\n"):
        asked = target.manage("uninstall", "--purge", stdin=no)
        assert (asked.status, "nothing is removed" in asked.stderr) == (2, True)
    answer = target.manage("uninstall", "--purge", stdin=b"hello\n")

    assert answer.status == 0, answer.stderr
    left = [line for line in changes(before, target.listing()) if not re.match("/etc/(passwd|group|g?shadow)-? ", line)]
    assert [line for line in left if not line.startswith("/srv/verdict ")] == []
    assert target.sh(f"cat {names}") == accounts
    assert target.sh("systemctl list-units --all --plain --no-legend 'hello*'") == ""
    assert target.sh("ls -A /run/conda-bundler") in ("", "lock")
    assert target.sh("find /tmp /var/tmp /dev/shm -name left -o -name kept") == "/tmp/kept"


def test_purge_after_uninstall_from_the_bundle(target: Target) -> None:
    good(target, SPEC)
    bundle = target.bring(SPEC).removesuffix("/install.sh")
    assert target.manage("uninstall").status == 0
    answer = target.machine.run("sh", f"{bundle}/manage", "uninstall", "--purge", "--yes")
    assert answer.status == 0, answer.stderr
    assert target.sh("ls -d /etc/hello /var/lib/hello /var/lib/conda-bundler 2>/dev/null || :") == ""
    assert target.machine.run("id", "hello").status != 0


@pytest.mark.parametrize("where", ["/var/lib/hello", "/etc/hello/mnt", "/opt/hello/releases/x"])
def test_nothing_that_is_mounted_is_removed(target: Target, where: str) -> None:
    good(target, SPEC)
    target.sh(f"mkdir -p {where}; mount -t tmpfs none {where}; echo precious >{where}/file")
    answer = target.manage("uninstall", "--purge", "--yes")
    assert (answer.status, "something is mounted" in answer.stderr) == (10, True)
    assert target.sh(f"cat {where}/file") == "precious"
    assert target.serves(SPEC)


def test_files_that_are_not_ours_are_left_alone(target: Target) -> None:
    good(target, SPEC)
    target.sh("mkdir -p /opt/hello/releases/mine; echo x >/opt/hello/releases/mine/file; echo x >/opt/hello/note")
    answer = target.manage("uninstall")
    assert (answer.status, "contains files that are not ours" in answer.stderr) == (0, True)
    assert target.sh("find /opt/hello -type f") == "/opt/hello/note\n/opt/hello/releases/mine/file"
