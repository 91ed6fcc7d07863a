"""What a service that was taken over learns of the other services of its bundle: of those whose user it shares, and of
those that have a user of their own (``own_user``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from installkit import Member, Spec
from targetkit import Target
from waiting import until

from bundler.config.project import Secret
from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

# Of every process: its variables, its memory, and by its root the credentials that were mounted for it; what the victim
# keeps, and its socket.
ATTACK = rb"""#!/bin/sh
exec >$STATE_DIRECTORY/seen 2>&1
sleep 3
for p in /proc/[0-9]*; do
    [ "${p#/proc/}" = $$ ] && continue
    tr '\0' '\n' 2>/dev/null <$p/environ | grep '^KEY=' | sed 's/=.*//'
    cat $p/root/run/credentials/a.service/TOKEN >/dev/null 2>&1 && echo TOKEN
    (dd if=$p/mem bs=1 count=1 skip=$((0x$(head -n 1 $p/maps | cut -d- -f1)))) >/dev/null 2>&1 && echo MEMORY
done
for kept in /var/lib /var/cache /var/log /run; do
    for of in hello-a hello a; do
        [ $kept/$of = "$STATE_DIRECTORY" ] || ! cat $kept/$of/kept >/dev/null 2>&1 || echo STATE
        [ $of != hello-a ] || ! ls $kept/$of >/dev/null 2>&1 || echo LISTED
    done
done
cat /run/credentials/a.service/TOKEN >/dev/null 2>&1 && echo TOKEN
cat /etc/hello/secrets.env >/dev/null 2>&1 && echo FILE
echo end
while :; do sleep 1; done
"""
SERVE = """#!/bin/sh
for kept in "$STATE_DIRECTORY" "$CACHE_DIRECTORY" "$LOGS_DIRECTORY" "$RUNTIME_DIRECTORY"; do
    echo mine >"$kept/kept"
    chmod 0644 "$kept/kept" # as a program would that cares for nothing
done
while :; do sleep 1; done
"""
SECRETS = (
    Secret(name="KEY", bytes=32, format="hex"),
    Secret(name="TOKEN", bytes=32, format="hex", delivery="credential"),
)


def tables(victim: str = "", attacker: str = "") -> str:
    return f"""
[secrets]
RELEASE_COOKIE = false
TOKEN = {{ delivery = "credential" }}
KEY = {{ }}
[services.a]
command = ["serve"]
profile = "generic"
secrets = ["TOKEN", "KEY"]
{victim}
[services.b]
command = ["attack"]
profile = "generic"
secrets = []
{attacker}
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(rootfs("bookworm", include=("busybox",))) as running:
        yield running


def learned(machine: Machine, room: Path, text: str) -> set[str]:
    target = Target(machine, room)
    members = (Member(name="app/attack", content=ATTACK, mode=0o755),)
    spec = Spec(tables=text, secrets=SECRETS, services=("a", "b"), members=members, serve=SERVE)
    answer = target.install(spec)
    assert answer.status == 0, answer.stderr
    assert target.sh("systemctl is-active a b") == "active\nactive"
    try:
        seen = f"/var/lib/{target.sh('systemctl show -p User --value b')}/seen"
        assert until(lambda: (machine.read(seen) or b"").endswith(b"end\n"), 30)
        return set((machine.read(seen) or b"").decode().split()) - {"end"}
    finally:
        assert target.manage("uninstall", "--purge", "--yes").status == 0
        assert (
            target.sh("ls -d /var/*/hello* /run/a /run/b /etc/hello 2>/dev/null; getent passwd | grep ^hello || :")
            == ""
        )


LOW = "ports = [81]"
OWN = f"{LOW}\nown_user = true"
SHARED = {"STATE"}  # what all services of a user may read
CASES: dict[str, tuple[str, str, set[str]]] = {
    "both in a namespace": ("", "", SHARED),
    "only the victim": ("", LOW, SHARED),
    "only the attacker": (LOW, "", SHARED),
    "none": (LOW, LOW, {"KEY", "TOKEN", "MEMORY", *SHARED}),
    "none, a user of the victim's own": (OWN, LOW, set()),
    "none, users of their own": (OWN, OWN, set()),
    "no confinement, users of their own": ('hardening = "off"\nown_user = true', 'hardening = "off"', set()),
}


@pytest.mark.parametrize("case", CASES)
def test_what_it_learns(machine: Machine, tmp_path: Path, case: str) -> None:
    victim, attacker, expected = CASES[case]
    assert learned(machine, tmp_path, tables(victim, attacker)) == expected


# Tells who it is, and what it has.
WHO = """#!/bin/sh
exec >"$STATE_DIRECTORY/who"
id -un; id -gn; id -Gn; echo "$HOME"; cat /run/credentials/a.service/TOKEN >/dev/null && echo TOKEN
echo >"$CACHE_DIRECTORY/file"
echo left >/var/tmp/left-by-a
while :; do sleep 1; done
"""
OF_ITS_OWN = """
before_start = ["/bin/sh", "-c", "id -un >{state}/before"]
own_user = true
health = { command = ["/bin/sh", "-c", "id -un >{state}/health"], interval = 3600 }
"""
HOOK = '[hooks]\nservice = "a"\nbefore_switch = ["/bin/sh", "-c", "id -un >$STATE_DIRECTORY/hook"]\n'
PLACES = ("/var/lib/hello-a", "/var/cache/hello-a", "/var/log/hello-a")


def spec_of(version: str, more: str = OF_ITS_OWN, **others: Any) -> Spec:
    made = {"serve": WHO, "secrets": SECRETS, "services": ("a", "b"), "version": version, **others}
    members = (Member(name="app/attack", content=b"#!/bin/sh\nexec sleep 1000\n", mode=0o755),)
    return Spec(tables=tables(f"{LOW}\n{more}") + HOOK, members=members, **made)


def told(target: Target, *names: str) -> list[str]:
    return target.sh("cat " + " ".join(f"/var/lib/hello-a/{name}" for name in names)).split()


def owners(target: Target, *paths: str) -> set[str]:
    return set(target.sh(f"stat -c '%U:%G %a' {' '.join(paths)}").splitlines())


WHAT_IT_TELLS = ["hello-a", "hello-a", "hello-a", "/var/lib/hello-a", "TOKEN"]


def test_a_user_of_its_own_from_the_first_day_to_the_last(machine: Machine, tmp_path: Path) -> None:
    target = Target(machine, tmp_path)
    target.sh("useradd --system --user-group hello-a")
    refused = target.install(spec_of("1.0"))
    assert refused.status == 10
    assert (
        "there is a passwd entry 'hello-a' that was not created by this installer, and a service is" in refused.stderr
    )
    target.sh("userdel hello-a; mkdir /var/lib/hello-a; touch /var/lib/hello-a/of-somebody-else")
    refused = target.install(spec_of("1.0"))
    assert (refused.status, "/var/lib/hello-a exists and was not created by" in refused.stderr) == (10, True)
    target.sh("rm -r /var/lib/hello-a")

    shared = spec_of("1.0", more="")  # all of them run as the bundle's user
    assert target.install(shared).status == 0
    assert "would create the user hello-a" in target.install(spec_of("2.0"), "--dry-run").stdout
    moved = target.install(spec_of("2.0"))
    assert moved.status == 0, moved.stderr
    assert "a now runs as hello-a, with its state in /var/lib/hello-a" in moved.stderr
    assert told(target, "who", "before", "health", "hook") == [*WHAT_IT_TELLS, *["hello-a"] * 3]
    assert owners(target, *PLACES, "/run/a") == {"hello-a:hello-a 700"}
    assert target.sh("cat /var/lib/hello/who").split()[0] == "hello"  # what it had before is there still
    assert target.manage("exec", "a", "/bin/sh", "-c", "id -un").stdout.strip() == "hello-a"
    assert target.manage("exec", "b", "/bin/sh", "-c", "id -un").stdout.strip() == "hello"
    assert target.manage("verify").status == 0
    again = target.install(spec_of("2.0"))
    assert "is already installed" in again.stderr
    back = target.manage("rollback")
    assert (back.status, target.sh("systemctl show -p User --value a")) == (0, "hello"), back.stderr
    assert target.manage("rollback").status == 0
    assert told(target, "who") == WHAT_IT_TELLS

    other = target.install(Spec(name="hello-a", services=("second",)))
    assert (other.status, "belongs to the bundle 'hello'" in other.stderr) == (10, True)
    kept = target.manage("uninstall")
    assert "/var/lib/hello-a, the user hello-a" in kept.stderr
    assert target.install(spec_of("3.0")).status == 0  # finds it its own
    target.sh("setpriv --reuid hello-a --clear-groups touch /var/tmp/left /dev/shm/left")
    assert target.manage("uninstall", "--purge", "--yes").status == 0
    left = "ls -d /var/*/hello* /run/a /var/tmp/left* /dev/shm/left /etc/hello"
    assert target.sh(f"{{ {left}; getent passwd hello-a; getent group hello-a; }} 2>/dev/null || :") == ""


def test_what_a_failed_first_install_has_made_goes_again(machine: Machine, tmp_path: Path) -> None:
    target = Target(machine, tmp_path)
    target.sh("mount -t tmpfs -o size=1m none /opt; mkdir -p /opt/hello/releases; head -c 900000 /dev/zero >/opt/fill")
    try:
        assert target.install(spec_of("1.0")).status != 0
        assert target.machine.run("getent", "passwd", "hello-a").status == 2
    finally:
        target.sh("umount /opt")


def test_a_fixed_number_without_sysusers_without_systemd_and_in_an_image(machine: Machine, tmp_path: Path) -> None:
    target = Target(machine, tmp_path)
    numbered = spec_of("1.0", more=f"{OF_ITS_OWN}uid = 4711\n")
    target.sh("useradd --uid 4711 --no-create-home other")
    taken = target.install(numbered)
    assert (taken.status, "4711 for hello-a is already used" in taken.stderr) == (10, True)
    target.sh("userdel -r other 2>/dev/null; mv /usr/bin/systemd-sysusers /root/")
    done = target.install(numbered, "--no-systemd")
    target.sh("mv /root/systemd-sysusers /usr/bin/")
    assert done.status == 0, done.stderr
    assert target.sh("id -u hello-a; id -g hello-a") == "4711\n4711"
    target.sh("setsid /opt/hello/bin/run-a >/dev/null 2>&1 & sleep 3")
    assert told(target, "who", "before") == [*WHAT_IT_TELLS, "hello-a"]
    assert owners(target, *PLACES, "/run/a") == {"hello-a:hello-a 700"}
    still = target.manage("uninstall", "--purge", "--yes")
    assert (still.status, "processes of the user hello-a still run" in still.stderr) == (10, True)
    target.sh("kill $(find /proc/[0-9]* -prune -user hello-a | cut -d/ -f3); sleep 2")
    assert target.manage("uninstall", "--purge", "--yes").status == 0
    assert target.sh("ls -d /var/*/hello* 2>/dev/null; getent passwd hello-a || :") == ""

    target.sh("mkdir -p /root/image/usr/bin /root/image/etc /root/image/var/lib; cp /etc/os-release /root/image/etc")
    done = target.install(numbered, "--root", "/root/image")
    assert done.status == 0, done.stderr
    assert target.sh("grep ^hello-a: /root/image/etc/passwd").split(":")[2:4] == ["4711", "4711"]
    assert "user hello-a" in target.sh("cat /root/image/var/lib/conda-bundler/hello/owned").splitlines()
    target.sh("rm -r /root/image")


def test_install_sh_tells_who_can_read_whose_secrets(machine: Machine, tmp_path: Path) -> None:
    target = Target(machine, tmp_path)
    warning = "the services a, b can read each other's environment and credentials: they run as one user"
    for options, more, expected in (
        ((), "", False),
        (("--no-systemd",), "", True),
        (("--no-systemd",), OF_ITS_OWN, False),
    ):
        answer = target.install(spec_of("1.0", more=more), "--check", *options)
        assert (answer.status, warning in answer.stderr) == (0, expected), answer.stderr


def test_purge_ends_what_users_of_the_bundle_run_elsewhere(machine: Machine, tmp_path: Path) -> None:
    """What they left would keep the user and its number: ``userdel`` refuses it, and the next install the user."""
    target = Target(machine, tmp_path)
    assert target.install(spec_of("1.0")).status == 0
    refuses = "trap '' TERM HUP INT; while :; do sleep 1; done"
    for number, start in enumerate(
        (
            f'sh /opt/hello/manage exec a /bin/sh -c "{refuses}"',
            f'sh /opt/hello/manage exec b /bin/sh -c "{refuses}"',
            f'setpriv --reuid hello --regid hello --clear-groups sh -c "{refuses}"',
            f'setpriv --reuid hello-a --regid hello-a --clear-groups sh -c "{refuses}"',
        )
    ):
        target.sh(f"echo '#!/bin/sh' >/root/start{number}; cat >>/root/start{number} <<'X'\nexec {start}\nX\n")
        target.sh(f"setsid sh /root/start{number} >/dev/null 2>&1 </dev/null & sleep 2")
    users = [target.sh(f"id -u {name}") for name in ("hello", "hello-a")]
    theirs = (
        "for p in $(find /proc/[0-9]* -prune -user {}); do cat $p/cmdline; echo; done 2>/dev/null | grep -ac trap || :"
    )
    assert [int(target.sh(theirs.format(user))) > 1 for user in users] == [True, True]
    gone = target.manage("uninstall", "--purge", "--yes")
    assert (gone.status, "is removed from this machine" in gone.stderr) == (0, True), gone.stderr
    assert [target.sh(f"find /proc/[0-9]* -prune -user {user}") for user in users] == ["", ""]
    assert target.sh("getent passwd | grep ^hello || :") == ""
    assert target.install(spec_of("2.0")).status == 0
    assert target.manage("uninstall", "--purge", "--yes").status == 0
