"""install.sh on real machines: what it leaves there, what it refuses, and what it leaves when it does."""

from __future__ import annotations

import re
import tarfile
from typing import TYPE_CHECKING

import pytest
from installkit import COOKIE, Member, Spec, but, damaged, write_bundle
from targetkit import Target, changes

from bundler.config.project import Secret
from bundler.installer.requirements import Requirements
from bundler.machine import Machine, rootfs
from bundler.resources import templates_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

GNU_TOOLS = ""
BUSYBOX_TOOLS = "busybox"
SHELLS = (
    pytest.param(("dash",), GNU_TOOLS, id="dash"),
    pytest.param(("bash", "--posix"), GNU_TOOLS, id="bash-posix", marks=pytest.mark.everywhere),
    pytest.param(("bash",), GNU_TOOLS, id="bash", marks=pytest.mark.everywhere),
    pytest.param(("busybox", "sh"), GNU_TOOLS, id="busybox-sh", marks=pytest.mark.everywhere),
    pytest.param(("busybox", "sh"), BUSYBOX_TOOLS, id="busybox-alone"),
)
# Laid into the first directory of install.sh's PATH, so that busybox's tools are found before the others.
_APPLETS = (
    "cat chmod cmp cp cut date df dirname find grep gzip head id ln ls mkdir mv od readlink rm rmdir sed sha256sum "
    "sleep sort sync tail tar tee timeout tr uname"
)

SPEC = Spec()
# Healthy only while this file says so, which is how a test repairs or breaks a service.
SWITCHED = Spec(health="read -r verdict </srv/verdict && exit $verdict\n", timeout=2)


@pytest.fixture(scope="module")
def system() -> Path:
    return rootfs("bookworm", include=("busybox",))


@pytest.fixture
def target(system: Path, tmp_path: Path) -> Iterator[Target]:
    with Machine(system) as machine:
        yield Target(machine, tmp_path)


@pytest.fixture(scope="module")
def shared(system: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One machine for all that is refused: each test leaves it as it was."""
    with Machine(system) as machine:
        yield Target(machine, tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def unchanged(shared: Target) -> Iterator[Target]:
    before = shared.listing()
    yield shared
    assert changes(before, shared.listing()) == []


def use_tools(target: Target, tools: str) -> None:
    if tools == BUSYBOX_TOOLS:
        target.sh(f"for tool in {_APPLETS}; do ln -s /bin/busybox /usr/local/sbin/$tool; done; rm /usr/bin/flock")


# --- what it installs


@pytest.mark.parametrize(("shell", "tools"), SHELLS)
def test_installs_and_a_second_run_changes_nothing(target: Target, shell: tuple[str, ...], tools: str) -> None:
    use_tools(target, tools)
    target = Target(target.machine, target.room, shell)

    first = target.install(SPEC)

    assert first.status == 0, first.stderr
    assert target.sh("systemctl is-active hello; systemctl is-enabled hello") == "active\nenabled"
    assert target.sh("readlink /opt/hello/current") == f"releases/{SPEC.release}"
    assert target.sh("stat -c '%a %U' /proc/$(systemctl show -p MainPID --value hello)") == "555 hello"
    cookie = target.sh("sed -n 's/^RELEASE_COOKIE=//p' /etc/hello/secrets.env")
    assert re.fullmatch("[0-9a-f]{64}", cookie)
    assert cookie in target.sh("tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value hello)/environ")
    assert cookie not in first.stderr + first.stdout
    assert "Z 1.0-" in target.sh("cat /opt/hello/history")
    assert target.sh("ls -A /run/conda-bundler") in ("", "lock")

    before, pid = target.listing(), target.sh("systemctl show -p MainPID hello")
    again = target.install(SPEC)

    assert (again.status, "already installed" in again.stderr) == (0, True)
    assert target.listing() == before
    assert target.sh("systemctl show -p MainPID hello") == pid


def test_umask_and_hostile_environment_have_no_effect(system: Path, tmp_path: Path) -> None:
    modes = []
    hostile = {
        "PATH": ".:/srv:/usr/sbin:/usr/bin",
        "IFS": "/",
        "CDPATH": "/srv",
        "ENV": "/srv/evil.sh",
        "BASH_ENV": "/srv/evil.sh",
        "TAR_OPTIONS": "--to-command=/srv/evil.sh",
        "GZIP": "-l",
        "LC_ALL": "xx_XX",
    }
    for umask, env in (("022", {}), ("000", hostile), ("077", hostile)):
        with Machine(system) as machine:
            target = Target(machine, tmp_path / umask)
            machine.put("/srv/evil.sh", b"#!/bin/sh\ntouch /srv/was-run\n", 0o755)
            machine.put("/srv/tar", b"#!/bin/sh\ntouch /srv/was-run\n", 0o755)
            install = target.bring(SPEC)
            answer = machine.run("sh", "-c", f"umask {umask}; exec dash {install}", env=env)
            assert answer.status == 0, answer.stderr
            assert target.sh("ls /srv") == "evil.sh\ntar"
            where = "/opt/hello /etc/hello /var/lib/conda-bundler /usr/local/lib"
            modes.append(target.sh(f"find {where} ! -type l -printf '%p %m %u %g\\n' | sort"))
    assert modes[0] == modes[1] == modes[2]
    lines = dict(line.split(" ", 1) for line in modes[0].splitlines())
    assert lines["/etc/hello/secrets.env"] == "600 root root"
    assert lines["/etc/hello/hello.env"] == "640 root root"
    assert lines["/var/lib/conda-bundler/hello/owned"] == "600 root root"
    assert lines["/usr/local/lib/systemd/system/hello.service"] == "644 root root"
    release = {path: mode for path, mode in lines.items() if path.startswith("/opt/hello")}
    assert set(release.values()) == {"755 root root", "644 root root"}
    assert release[f"{SPEC.release_dir}/app/serve"] == "755 root root"


def test_what_the_operator_has_prepared_is_taken_and_kept(target: Target) -> None:
    target.sh("mkdir -p /var/lib/hello /opt/hello /etc/hello; mount -t tmpfs -o mode=755 none /var/lib/hello")
    target.sh("mkdir /var/lib/hello/lost+found /opt/hello/lost+found; echo 'export A=1' >/etc/hello/hello.env")
    target.sh("echo B=2 >/root/settings")
    refused = target.install(SPEC, "--settings", "/root/settings")
    assert (refused.status, "/etc/hello/hello.env already has other settings" in refused.stderr) == (10, True)
    installed = target.install(SPEC)
    assert installed.status == 0, installed.stderr
    assert "warning: /etc/hello/hello.env, line 1: systemd ignores a line with export" in installed.stderr
    assert target.sh("cat /etc/hello/hello.env; stat -c %U /var/lib/hello") == "export A=1\nhello"
    assert target.status()["settings"][0]["line"] == 1
    assert "hello.env, line 1: systemd ignores" in target.manage("status").stdout
    target.sh("umount /var/lib/hello")
    assert target.manage("uninstall", "--purge", "--yes").status == 0
    assert target.install(SPEC, "--settings=/root/settings").status == 0
    assert target.sh("cat /etc/hello/hello.env; stat -c '%a %U' /etc/hello/hello.env") == "B=2\n640 root"


def test_nothing_to_start_or_enable_if_told_so(target: Target) -> None:
    assert target.install(SPEC, "--no-start", "--no-enable").status == 0
    assert target.sh("systemctl is-active hello; systemctl is-enabled hello || :") == "inactive\ndisabled"


def test_it_finds_its_bundle_wherever_it_is_called_from(shared: Target) -> None:
    bundle = shared.bring(SPEC).removesuffix("/install.sh")
    shared.sh(f"cp -r {bundle} '/tmp/-a  b'")
    for call in (
        "cd '/tmp/-a  b'; sh install.sh",
        "cd /tmp; sh -- '-a  b/install.sh'",
        "cd /; sh 'tmp/-a  b/install.sh'",
    ):
        answer = shared.machine.run("sh", "-c", f"{call} --check")
        assert answer.status == 0, answer.stderr


# --- what it refuses


EVIL = {
    "setuid": Member(name="app/evil", mode=0o4755),
    "setgid": Member(name="app/evil", mode=0o2755),
    "sticky": Member(name="app/evil", mode=0o1755, kind=tarfile.DIRTYPE),
    "writable": Member(name="app/evil", mode=0o666),
    "device": Member(name="app/evil", kind=tarfile.CHRTYPE),
    "fifo": Member(name="app/evil", kind=tarfile.FIFOTYPE),
    "hard-link": Member(name="app/evil", kind=tarfile.LNKTYPE, link="app/serve"),
    "hard-link-absolute": Member(name="app/evil", kind=tarfile.LNKTYPE, link="/etc/shadow"),
    "hard-link-up": Member(name="app/evil", kind=tarfile.LNKTYPE, link="../../../../etc/shadow"),
    "dot-dot": Member(name="app/../../../../etc/evil", content=b"evil"),
    "absolute": Member(name="/etc/evil", content=b"evil"),
    "absolute-inside": Member(name="/app/evil", content=b"evil"),
    "beside": Member(name="units/hello.service", content=b"evil"),
    "link-absolute": Member(name="app/evil", kind=tarfile.SYMTYPE, link="/etc/shadow"),
    "link-up": Member(name="app/evil", kind=tarfile.SYMTYPE, link="../../evil"),
    "link-up-deep": Member(name="env/bin/evil", kind=tarfile.SYMTYPE, link="../../../evil"),
    "link-up-in-mid-path": Member(name="env/bin/evil", kind=tarfile.SYMTYPE, link="../bin/../../../evil"),
    "link-back-out": Member(
        name="app/evil", kind=tarfile.SYMTYPE, link="/opt/hello/releases/REL/../../../../etc/shadow"
    ),
}


@pytest.mark.parametrize("tools", [GNU_TOOLS, BUSYBOX_TOOLS], ids=["gnu", "busybox"])
@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL.keys())
def test_a_payload_that_is_no_plain_tree_is_refused(unchanged: Target, evil: Member, tools: str) -> None:
    if tools == BUSYBOX_TOOLS:
        unchanged.sh(f"for tool in {_APPLETS}; do ln -s /bin/busybox /usr/local/sbin/$tool; done")
    try:
        answer = unchanged.install(but(SPEC, members=(evil,)))
    finally:
        unchanged.sh("rm -f /usr/local/sbin/*")
    assert answer.status == 11, answer.stderr
    assert "the payload contains" in answer.stderr


def test_a_payload_cannot_write_through_its_own_link(unchanged: Target) -> None:
    """GNU tar makes links last, busybox tar refuses or makes them last: either way it is an error."""
    through = (
        Member(name="app/evil", kind=tarfile.SYMTYPE, link="/etc"),
        Member(name="app/evil/evil", content=b"evil"),
    )
    assert unchanged.install(but(SPEC, members=through)).status == 11


def test_links_that_stay_inside_are_fine(target: Target) -> None:
    links = {
        "app/plain": "serve",
        "app/up": "../env/bin/tool",
        "env/bin/two-up": "../../app/serve",
        "env/bin/mid": "../bin/../bin/tool",
        "env/bin/a..b": "c..d",
        "app/dangling": "nothing",
        "app/line\nbreak": "ser\nve",
        "app/absolute": "/opt/hello/releases/elsewhere",
    }
    members = tuple(Member(name=name, kind=tarfile.SYMTYPE, link=link) for name, link in links.items())
    refused = target.install(but(SPEC, members=members), "--no-start")
    assert (refused.status, "app/absolute" in refused.stderr) == (11, True)
    assert target.install(but(SPEC, members=members[:-1]), "--no-start").status == 0


PREFLIGHT = {
    "user": ("echo 'hello:x:4000:4000::/:/bin/sh' >>/etc/passwd", "passwd entry 'hello'"),
    "group": ("echo 'hello:x:4000:' >>/etc/group", "group entry 'hello'"),
    "root": ("mkdir /opt/hello; touch /opt/hello/notes", "/opt/hello exists"),
    "root-link": ("mkdir /srv/x; ln -s /srv/x /opt/hello", "/opt/hello is a symbolic link"),
    "etc": ("mkdir /etc/hello; touch /etc/hello/theirs", "/etc/hello was not created by this installer"),
    "etc-link": ("mkdir /srv/x; ln -s /srv/x /etc/hello", "/etc/hello is a symbolic link"),
    "state": ("mkdir -p /var/lib/hello/lost+found /var/lib/hello/theirs", "/var/lib/hello exists"),
    "unit": ("touch /lib/systemd/system/hello.service", "systemd/system/hello.service"),
    "mask": ("ln -s /dev/null /etc/systemd/system/hello.service", "/etc/systemd/system/hello.service"),
    "writable-parent": ("chmod 1777 /opt", "/opt is writable by non-root users"),
    "foreign-parent": ("chown daemon /opt", "/opt is writable by non-root users"),
    "noexec": ("mount -t tmpfs -o noexec,mode=755 none /opt", "mounted noexec"),
    "read-only": ("mount -t tmpfs -o ro,mode=755 none /opt", "/opt is not writable"),
    "not-booted": ("mount -t tmpfs none /run", "not booted with systemd"),
    "old-systemd": (
        "printf '#!/bin/sh\\necho systemd 238\\n' >/usr/local/sbin/systemctl; chmod 755 /usr/local/sbin/systemctl",
        "systemd 238 is too old",
    ),
    "no-tool": ("mount --bind /dev/null /usr/bin/tee", "programs are missing: tee"),
}


@pytest.mark.parametrize("option", ["--check", "--no-start"])
@pytest.mark.parametrize(("setting", "sentence"), PREFLIGHT.values(), ids=PREFLIGHT.keys())
def test_preflight(unchanged: Target, setting: str, sentence: str, option: str) -> None:
    """The setting is made in a mount namespace with overlays of its own, so that nothing of it stays."""
    overlays = "".join(
        f"mkdir -p /tmp/o/{path}/upper /tmp/o/{path}/work; mount -t overlay overlay -o lowerdir=/{path},"
        f"upperdir=/tmp/o/{path}/upper,workdir=/tmp/o/{path}/work /{path}; "
        for path in ("opt", "etc", "srv", "usr", "var")
    )
    script = (
        f"mkdir -p /tmp/o; mount -t tmpfs none /tmp/o; {overlays} {setting}; exec sh {unchanged.bring(SPEC)} {option}"
    )
    answer = unchanged.machine.run("unshare", "-m", "sh", "-ec", script)
    assert (answer.status, sentence in answer.stderr) == (10, True), answer.stderr
    assert answer.stderr.count("error:") == 1, answer.stderr
    assert len(answer.stderr.splitlines()) == 2  # the sentence and its remedy


def test_preflight_says_everything_at_once(unchanged: Target) -> None:
    needs = Requirements(machines=("vax",), glibc="9.99")
    misfit = but(SPEC, needs=needs, payload_kib=1 << 40, payload_files=1 << 40)
    answer = unchanged.install(misfit)
    assert answer.status == 10
    for sentence in ("is for vax", "glibc 2.36 is too old", "MiB are needed", "inodes free"):
        assert sentence in answer.stderr


def test_not_root(unchanged: Target) -> None:
    unchanged.sh(f"cp -r {unchanged.bring(SPEC).removesuffix('/install.sh')} /tmp/b; chmod -R a+rX /tmp/b")
    answer = unchanged.machine.run("setpriv", "--reuid=65534", "--clear-groups", "sh", "/tmp/b/install.sh")
    assert (answer.status, "must run as root" in answer.stderr) == (10, True)


@pytest.mark.parametrize(
    "name",
    ["payload.tar.gz", "manifest.json", "conda-lock.yml", "units/hello.service", "config/hello.env", "SHA256SUMS"],
)
def test_a_flipped_byte_is_refused(unchanged: Target, tmp_path: Path, name: str) -> None:
    bundle = write_bundle(SPEC, tmp_path / "good")
    content = (bundle / name).read_bytes()
    for position in {0, len(content) // 2, len(content) - 1}:
        bad = damaged(bundle, tmp_path / f"bad{position}", name, position=position, value=content[position] ^ 1)
        unchanged.machine.run("rm", "-rf", "/root/bad")
        unchanged.machine.copy_in(bad, "/root/bad")
        answer = unchanged.machine.run("sh", "/root/bad/install.sh")
        assert (answer.status, f"{name} does not match" in answer.stderr) == (11, True), answer.stderr


def test_a_user_that_cannot_be_made_leaves_nothing(unchanged: Target) -> None:
    unchanged.sh("for tool in systemd-sysusers useradd; do ln -s /bin/false /usr/local/sbin/$tool; done")
    try:
        answer = unchanged.install(SPEC)
    finally:
        unchanged.sh("rm /usr/local/sbin/*")
    assert (answer.status, "cannot create the user hello" in answer.stderr) == (12, True), answer.stderr


@pytest.mark.parametrize("parts", [1, 2])
def test_a_full_disk_leaves_nothing(unchanged: Target, parts: int) -> None:
    big = but(SPEC, members=(Member(name="app/big", content=bytes(8 << 20)),), parts=parts)
    install = unchanged.bring(big)
    unchanged.sh("mount -t tmpfs -o size=4m,mode=755 none /opt")
    try:
        answer = unchanged.machine.run("sh", install)
        assert unchanged.sh("find /opt -mindepth 1") == ""
    finally:
        unchanged.sh("umount /opt")
    assert (answer.status, "cannot be unpacked" in answer.stderr) == (12, True), answer.stderr


SLOW_TAR = "printf '#!/bin/sh\\ntouch /tmp/unpacking; sleep 4; exec /usr/bin/tar \"$@\"\\n' >/usr/local/sbin/tar"


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(("signal", "status"), [("HUP", 129), ("INT", 130), ("TERM", 143)])
def test_a_signal_while_unpacking_leaves_nothing(unchanged: Target, signal: str, status: int, parts: int) -> None:
    install = unchanged.bring(but(SPEC, parts=parts))
    unchanged.sh(f"rm -f /tmp/unpacking; {SLOW_TAR}; chmod 755 /usr/local/sbin/tar")
    # A background job ignores INT, one of nohup HUP, and a shell cannot trap what was ignored when it began.
    script = (
        f"setsid env --default-signal=HUP,INT sh {install} & pid=$!; until [ -e /tmp/unpacking ]; do sleep 0.05; done;"
        f" kill -s {signal} -- -$pid; wait $pid"
    )
    try:
        answer = unchanged.machine.run("sh", "-c", script, timeout=60)
    finally:
        # What the installer had started holds the lock for another moment; the next case's would meet it.
        unchanged.sh("rm /usr/local/sbin/tar; flock /run/conda-bundler/lock true")
    assert (answer.status, "interrupted" in answer.stderr) == (status, True), answer.stderr


def test_what_a_killed_run_has_left_is_cleared_away(target: Target) -> None:
    spec = but(SPEC, parts=2)
    install = target.bring(spec)
    target.sh(f"{SLOW_TAR}; chmod 755 /usr/local/sbin/tar")
    target.sh(f"setsid sh {install} & until [ -e /tmp/unpacking ]; do sleep 0.05; done; kill -KILL $!")
    assert len(target.sh("ls -A /opt/hello/releases").split()) == 2
    target.sh("rm /usr/local/sbin/tar")
    while (answer := target.install(spec)).status == 13:  # what it had started still holds the lock
        pass
    assert answer.status == 0, answer.stderr
    assert target.sh("ls -A /opt/hello/releases") == spec.release


# --- the probe, where there is neither Python nor curl


@pytest.mark.parametrize("way", ["wget", "bash"])
def test_the_probe_of_a_small_machine(shared: Target, way: str) -> None:
    shared.sh("ln -sf /bin/busybox /usr/local/sbin/wget; mkdir -p /srv/www; echo yes >/srv/www/yes")
    shared.machine.put("/srv/probe", (templates_dir() / "share/probe.sh").read_bytes())
    shared.sh("systemd-run -q --unit=www busybox httpd -f -p 127.0.0.1:8080 -h /srv/www; sleep 0.5")
    said = {}
    for url in ("http://127.0.0.1:8080/yes", "http://127.0.0.1:8080/no", "http://127.0.0.1:8081/"):
        answer = shared.machine.run("sh", "/srv/probe", "http", url, "5", env={"PROBE_WITH": way})
        said[url] = (answer.status, answer.stderr.partition(": ")[2].strip())
    shared.sh("systemctl stop www; rm -r /srv/www /srv/probe /usr/local/sbin/wget")
    assert list(said.values()) == [(0, ""), (1, "answered with status 404"), (1, "connection refused")]


# --- lock


def test_one_at_a_time(unchanged: Target) -> None:
    install = unchanged.bring(SPEC)
    unchanged.sh("mkdir -pm 700 /run/conda-bundler")
    answer = unchanged.machine.run("flock", "/run/conda-bundler/lock", "sh", install)
    assert (answer.status, "another install is running" in answer.stderr) == (13, True)


def test_one_at_a_time_without_flock(target: Target) -> None:
    target.sh("rm /usr/bin/flock; mkdir -pm 700 /run/conda-bundler/lock.d")
    since = target.sh("set -- $(cat /proc/1/stat); shift 21; echo $1")
    target.machine.put("/run/conda-bundler/lock.d/owner", f"1 {since}\n".encode())
    held = target.install(SPEC)
    assert (held.status, "process 1" in held.stderr) == (13, True), held.stderr
    target.machine.put("/run/conda-bundler/lock.d/owner", b"1 99999999\n")  # somebody else's number by now
    assert target.install(SPEC, "--no-start").status == 0
    assert target.sh("ls -A /run/conda-bundler") == ""


# --- secrets


def test_secrets_given_kept_and_added(target: Target) -> None:
    token = "cluster+cookie/1234=="
    target.machine.put("/root/cookie", f"{token}\n".encode())
    target.machine.put("/root/short", b"short\n")
    target.machine.put("/root/other", b"another-cookie-of-16\n")
    second = but(SPEC, version="2.0", secrets=(COOKIE, Secret(name="KEY", bytes=16, format="hex")))

    assert target.install(SPEC, "--cookie-file", "/root/short").status == 2
    assert target.install(SPEC, "--secret", "NOPE=/root/cookie").status == 2
    first = target.install(SPEC, "--cookie-file=/root/cookie")
    assert first.status == 0, first.stderr
    assert f"RELEASE_COOKIE={token}" in target.sh("cat /etc/hello/secrets.env")
    assert target.install(SPEC, "--cookie-file=/root/cookie").status == 0
    differs = target.install(SPEC, "--cookie-file", "/root/other")
    assert (differs.status, "it was kept" in differs.stderr) == (2, True)

    upgrade = target.install(second)
    assert upgrade.status == 0, upgrade.stderr
    lines = target.sh("cat /etc/hello/secrets.env").splitlines()
    assert f"RELEASE_COOKIE={token}" in lines
    assert re.fullmatch("KEY=[0-9a-f]{32}", lines[-1])
    for answer in (first, differs, upgrade):
        assert token not in answer.stderr


def test_a_torn_secret_is_made_anew_and_a_missing_one_added(target: Target) -> None:
    assert target.install(SPEC).status == 0
    for torn in ("s/^\\(RELEASE_COOKIE=.\\{20\\}\\).*/\\1/", "s/=.*/=/", "/RELEASE/d"):
        target.sh(f"sed -i '{torn}' /etc/hello/secrets.env")
        assert target.install(SPEC).status == 0
        assert re.search("^RELEASE_COOKIE=[0-9a-f]{64}$", target.sh("cat /etc/hello/secrets.env"), re.MULTILINE)
        assert target.sh("stat -c '%a %U' /etc/hello/secrets.env") == "600 root"


def test_a_link_in_place_of_the_secrets_is_not_followed(target: Target) -> None:
    assert target.install(SPEC).status == 0
    target.sh("mv /etc/hello/secrets.env /srv/victim; ln -s /srv/victim /etc/hello/secrets.env; echo >/srv/victim")
    answer = target.install(but(SPEC, version="2.0"))
    assert (answer.status, "secrets.env is not a regular file" in answer.stderr) == (10, True)
    assert target.sh("cat /srv/victim") == ""


# --- health


def test_an_unhealthy_first_install_ends_stopped_and_disabled(target: Target) -> None:
    loud = but(SWITCHED, serve='#!/bin/sh\necho "my cookie is $RELEASE_COOKIE"\nwhile :; do sleep 1; done\n')
    target.machine.put("/srv/verdict", b"1\n")

    answer = target.install(loud)

    assert answer.status == 15, answer.stderr
    assert "my cookie is ***" in answer.stderr
    assert target.sh("cut -d= -f2 /etc/hello/secrets.env | tail -n1") not in answer.stderr
    assert target.sh("systemctl is-active hello; systemctl is-enabled hello || :") == "inactive\ndisabled"
    target.machine.put("/srv/verdict", b"0\n")
    assert target.install(loud).status == 0
    assert target.sh("systemctl is-active hello; systemctl is-enabled hello") == "active\nenabled"


@pytest.mark.parametrize(
    ("serve", "sentence"),
    [
        pytest.param("#!/bin/sh\nexit 1\n", "it did not start|it exited|was restarted", id="crashes"),
        pytest.param("no program\n", "it did not start", id="no-program"),
        pytest.param("#!/bin/sh\nsleep 1.5; exit 0\n", "it exited", id="ends-soon"),
    ],
)
def test_a_service_that_does_not_stay_up(target: Target, serve: str, sentence: str) -> None:
    spec = but(SPEC, serve=serve) if serve.startswith("#!") else but(SPEC, directives=("ExecStartPre=/bin/false",))
    answer = target.install(spec)
    assert answer.status == 15
    assert re.search(sentence, answer.stderr), answer.stderr


def test_an_unhealthy_upgrade_goes_back(target: Target) -> None:
    first = but(SWITCHED, services=("hello", "hello-old"))
    second = but(SWITCHED, version="2.0", services=("hello", "hello-new"), health="exit 1\n", timeout=1)
    target.machine.put("/srv/verdict", b"0\n")
    assert target.install(first).status == 0
    units = "cd /usr/local/lib/systemd/system; grep -H RELEASE= *; ls /etc/systemd/system/multi-user.target.wants"
    before = target.sh(units)

    answer = target.install(second)

    assert answer.status == 14, answer.stderr
    assert f"{first.release} is restored" in answer.stderr
    assert target.sh(units) == before
    assert target.sh("readlink /opt/hello/current") == f"releases/{first.release}"
    assert target.sh("systemctl is-active hello hello-old") == "active\nactive"
    assert first.release in target.sh("systemctl show -p ExecStart hello")
    assert target.sh("ls /var/lib/conda-bundler/hello") == "owned"


def test_an_upgrade_leaves_services_as_the_admin_had_them(target: Target) -> None:
    three = ("hello", "hello-b", "hello-c")
    assert target.install(but(SPEC, services=three)).status == 0
    target.sh("systemctl stop hello-b; systemctl disable hello-c; echo PORT=1 >>/etc/hello/hello.env")
    pid = target.sh("systemctl show -p MainPID hello")

    answer = target.install(but(SPEC, version="2.0", services=three))

    assert answer.status == 0, answer.stderr
    assert target.sh("systemctl is-active hello hello-b hello-c || :") == "active\ninactive\nactive"
    assert target.sh("systemctl is-enabled hello hello-b hello-c || :") == "enabled\nenabled\ndisabled"
    assert target.sh("systemctl show -p MainPID hello") != pid
    assert target.sh("tail -n 1 /etc/hello/hello.env") == "PORT=1"
    assert target.sh("cut -d' ' -f3 /opt/hello/history") == "installed\nupgraded"
