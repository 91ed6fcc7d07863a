"""Where a bundle can go: beside others, into an image, on a machine without systemd; and what a dry run says."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from everywhere import everywhere
from installkit import Spec, but, write_bundle
from targetkit import WEB, Target, changes, good, ready
from waiting import until

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

OTHER = but(WEB, name="other", services=("other",), config='PORT="8001"\n')
# What systemd.exec(5) says of an EnvironmentFile, and what its parser does beyond that.
NASTY = r"""# a comment with a 'quote
; another one
PORT="8000"
PLAIN=some words@
SINGLE='$HOME `id` \ "x"'
DOUBLE="a \"quote\", a \$dollar, a \`tick\`, a \\ and a \n"
LINES="one
two"
JOINED=one\
two
ESCAPED=a\ b\\c\"d
TWO='one'"two" three
 INDENTED = spaced
EMPTY=
HASH=a#b ; c
PERCENT=50% off %n %%
UNICODE=žluťoučký
IFS=:
PATH=/usr/bin:/bin
PORT="8000"
2BAD=no
BAD-NAME=no
no equals sign
LAST="no line break""".replace("@", "   ")
DUMP = "#!/bin/sh\nenv -0 >/var/lib/hello/environment\nexec sleep 1000\n"
SYSTEMDS_OWN = ("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        yield ready(machine, tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One machine with hello on it, which nothing here may change."""
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        target = ready(machine, tmp_path_factory.mktemp("bundles"))
        good(target, WEB)
        yield target


@pytest.fixture
def unchanged(shared: Target) -> Iterator[Target]:
    before = shared.listing()
    yield shared
    assert changes(before, shared.listing()) == []
    assert shared.serves(WEB)


# --- several bundles


def test_bundles_live_side_by_side(target: Target) -> None:
    good(target, WEB)
    good(target, OTHER)
    assert (target.serves(WEB), target.serves(OTHER)) == (True, True)
    assert target.sh("stat -c %U /proc/$(systemctl show -p MainPID --value other)") == "other"

    gone = target.manage("uninstall", "--purge", "--yes", name="other")

    assert gone.status == 0, gone.stderr
    assert target.serves(WEB)
    assert target.manage("verify").status == 0
    assert target.sh("ls /var/lib/conda-bundler") == "hello"


CLASHES = {
    "unit": (but(OTHER, services=("hello",)), (), "hello.service that belongs to the bundle 'hello'"),
    "port": (
        but(OTHER, config='PORT="8000"\n'),
        (),
        "the port 8000 of other.service is also used by hello.service, which belongs to the bundle 'hello'",
    ),
    "inside": (OTHER, ("--prefix", "/opt/hello/other"), "/opt/hello/other is inside /opt/hello, which belongs to"),
    "root": (OTHER, ("--prefix", "/opt/hello"), "/opt/hello exists and belongs to the bundle 'hello'"),
}


@pytest.mark.parametrize(("spec", "options", "sentence"), CLASHES.values(), ids=CLASHES.keys())
def test_a_clash_names_the_other_owner(unchanged: Target, spec: Spec, options: tuple[str, ...], sentence: str) -> None:
    answer = unchanged.install(spec, *options)
    assert (answer.status, sentence in answer.stderr) == (10, True), answer.stderr
    assert answer.stderr.count("'hello'") >= 1


def test_a_port_that_somebody_else_has(unchanged: Target) -> None:
    unchanged.sh("systemd-run -q --unit=stranger busybox httpd -f -p 127.0.0.1:8001 -h /srv; sleep 0.5")
    answer = unchanged.install(OTHER)
    unchanged.sh("systemctl stop stranger")
    assert answer.status == 10
    assert "the port 8001 of other.service is already in use (process " in answer.stderr
    assert "busybox)" in answer.stderr


@pytest.mark.parametrize(
    ("prefix", "status"),
    [
        ("/", 2),
        ("/opt", 10),
        ("/usr", 10),
        ("/usr/local/lib", 10),
        ("/etc/x", 10),
        ("/var/lib", 10),
        ("/tmp/x", 10),
        ("/run/x", 10),
        ("/home/x", 10),
        ("/opt/../etc", 2),
        ("x", 2),
        ("/opt/a b", 2),
        ("/opt/$(id)", 2),
    ],
)
def test_what_cannot_be_a_root(unchanged: Target, prefix: str, status: int) -> None:
    assert unchanged.install(OTHER, "--prefix", prefix).status == status


def test_an_empty_directory_of_the_operators_can_be_the_root(target: Target) -> None:
    target.sh("mkdir -p /srv/full/x /srv/empty")
    refused = target.install(OTHER, "--prefix", "/srv/full", "--check")
    assert (refused.status, "/srv/full exists" in refused.stderr) == (10, True)
    assert target.install(OTHER, "--prefix", "/srv/empty", "--check").status == 0


@pytest.mark.parametrize(
    ("place", "mount", "said"),
    [
        ("/opt", "-t tmpfs -o mode=0755,noexec none", "programs cannot run below PLACE: it is mounted noexec"),
        ("/opt", "-t tmpfs -o mode=0755,ro none", "PLACE is not writable"),
        ("/opt", "-t tmpfs none", "PLACE is writable by non-root users"),
        ("/opt", "-t tmpfs -o mode=0755,uid=65534 none", "PLACE is writable by non-root users"),
        ("/var/lib", "-t tmpfs -o mode=0755,ro none", "PLACE is not writable"),
        ("/var/lib", "-t tmpfs none", "PLACE is empty, but writable by non-root users"),
    ],
)
def test_a_volume_that_will_not_do(unchanged: Target, place: str, mount: str, said: str) -> None:
    volume = f"{place}/{OTHER.name}"
    unchanged.sh(f"mkdir {volume}; mount {mount} {volume}")
    refused = unchanged.install(OTHER)
    unchanged.sh(f"umount {volume}; rmdir {volume}")
    assert (refused.status, said.replace("PLACE", volume) in refused.stderr) == (10, True), refused.stderr


# --- dry run


def test_a_dry_run_says_each_step_and_touches_nothing(unchanged: Target) -> None:
    first = unchanged.install(OTHER, "--dry-run")
    assert first.status == 0, first.stderr
    assert [line.split()[:2] for line in first.stdout.splitlines()] == [
        ["would", "unpack"],
        ["would", "generate"],
        ["would", "write"],
        ["would", "create"],
        ["would", "write"],
        ["would", "write"],
        ["would", "write"],
        ["would", "switch"],
        ["would", "enable"],
        ["would", "start"],
        ["would", "remove"],
    ]
    upgrade = unchanged.install(but(WEB, version="2.0", services=("web",)), "--dry-run")
    assert "would stop, disable and remove /usr/local/lib/systemd/system/hello.service\n" in upgrade.stdout
    assert f"would switch /opt/hello/current from {WEB.release} to releases/2.0-" in upgrade.stdout
    restart = unchanged.install(but(WEB, version="2.0"), "--dry-run")
    assert f"would restart hello.service and wait until it is healthy; roll back to {WEB.release}" in restart.stdout
    assert unchanged.install(WEB, "--dry-run").stdout == "is already installed\n"
    assert unchanged.install(but(OTHER, services=("hello",)), "--dry-run").status == 10
    assert unchanged.sh("ls -A /run/conda-bundler") in ("", "lock")


# --- keep


def test_old_releases_go_but_not_one_that_a_process_uses(target: Target) -> None:
    specs = [but(Spec(), version=f"{number}.0") for number in range(1, 7)]
    good(target, specs[0])
    # A process of another sort, long after the service itself has moved on.
    target.sh(f"systemd-run -q --unit=old {specs[0].release_dir}/app/serve")
    for spec in specs[1:5]:
        good(target, spec)
    assert target.sh("ls /opt/hello/releases").split() == [spec.release for spec in (specs[0], *specs[2:5])]
    target.sh("systemctl stop old")
    good(target, specs[5], "--keep", "1")
    assert target.sh("ls -A /opt/hello/releases").split() == [spec.release for spec in specs[4:6]]
    assert target.sh("grep -c ^release /var/lib/conda-bundler/hello/owned") == "2"


# --- image


@pytest.mark.parametrize("suite", ["trixie", *everywhere("bookworm")])
def test_an_image_gets_user_and_secrets_at_its_first_boot(tmp_path: Path, suite: str) -> None:
    system = rootfs(suite, include=("busybox",))
    bundle = write_bundle(WEB, tmp_path / "bundle")
    state = into_image(system, bundle, tmp_path)
    for secret in ("secrets.env", "/var/lib/conda-bundler/hello/transaction"):
        assert not (state / "etc/hello" / secret.lstrip("/")).exists()
    (state / "srv/www").mkdir(parents=True)
    (state / "srv/www/yes").write_text("yes\n")
    with Machine(system, state=state) as machine:
        target = Target(machine, tmp_path)
        assert target.serves(WEB)
        assert target.manage("verify").status == 0
        assert target.status()["healthy"]
        cookie = target.sh("sed -n 's/^RELEASE_COOKIE=//p' /etc/hello/secrets.env")
        assert len(cookie) == 64
        assert target.sh("stat -c '%a %U' /etc/hello/secrets.env") == "600 root"
        machine.reboot()
        assert target.serves(WEB)
        assert target.sh("sed -n 's/^RELEASE_COOKIE=//p' /etc/hello/secrets.env") == cookie
        good(target, but(WEB, version="2.0"))  # which has no use for the unit of the first boot
        assert target.sh("ls /usr/local/lib/systemd/system") == "hello-health.service\nhello.service"
        assert target.manage("uninstall").status == 0
        assert target.sh("find /etc/systemd/system -name 'hello*'") == ""


# Fails until there is a file that only the admin can make.
UNREADY = '#!/bin/sh\necho run >>"$STATE_DIRECTORY/runs"\n[ -e /etc/ready ]\n'
HOOKED = Spec(hooks=(("before-switch", UNREADY),))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Target]:
    """The first boot of an image, at which a hook has failed."""
    system = rootfs("bookworm", include=("busybox",))
    state = into_image(system, write_bundle(HOOKED, tmp_path / "bundle"), tmp_path)
    with Machine(system, state=state) as machine:
        target = Target(machine, tmp_path)
        assert until(lambda: is_active(target, "hello-first-boot") == "failed")
        yield target


def is_active(target: Target, unit: str) -> str:
    return target.machine.run("systemctl", "is-active", unit).stdout.strip()


def runs(target: Target) -> int:
    return target.sh("cat /var/lib/hello/runs").count("run")


def is_told(target: Target) -> bool:
    told = target.manage("status")
    return told.status == 3 and "to run it again: systemctl start hello-first-boot" in told.stdout


def test_a_hook_that_fails_at_the_first_boot_holds_the_services_back(held: Target) -> None:
    assert is_told(held)
    assert held.status()["pending"] == "first-boot"
    assert (runs(held), is_active(held, "hello")) == (1, "inactive")
    said = held.sh("journalctl -u hello-first-boot -o cat --no-pager")
    assert "it runs again at the next boot, or: systemctl start hello-first-boot" in said
    assert held.machine.run("systemctl", "start", "hello-first-boot").status != 0
    assert (runs(held), is_active(held, "hello"), is_told(held)) == (2, "inactive", True)
    held.sh("touch /etc/ready; systemctl start hello-first-boot")
    assert until(lambda: is_active(held, "hello") == "active")
    assert (held.status()["healthy"], runs(held)) == (True, 3)
    held.machine.reboot()
    assert until(lambda: is_active(held, "hello") == "active")
    assert runs(held) == 3  # done once for all


def test_it_runs_again_at_the_next_boot_or_with_another_bundle(held: Target) -> None:
    held.machine.reboot()
    assert until(lambda: is_active(held, "hello-first-boot") == "failed")
    assert (runs(held), is_active(held, "hello"), is_told(held)) == (2, "inactive", True)
    failed = held.install(but(HOOKED, version="2.0"))
    assert (failed.status, is_active(held, "hello"), is_told(held)) == (16, "inactive", True), failed.stderr
    good(held, but(HOOKED, version="3.0", hooks=()))
    assert (is_active(held, "hello"), held.status()["healthy"]) == ("active", True)


def test_an_image_opens_its_sockets_at_its_first_boot(tmp_path: Path) -> None:
    spec = Spec(
        services=("web",), tables='[services.web]\ncommand = ["serve"]\nsocket = "{runtime}/web.sock"\nretry = false\n'
    )
    system = rootfs("bookworm", include=("busybox",))
    state = into_image(system, write_bundle(spec, tmp_path / "bundle"), tmp_path)
    with Machine(system, state=state) as machine:
        target = Target(machine, tmp_path)
        assert target.sh("systemctl is-active web.socket web") == "active\nactive"
        assert target.sh("stat -c '%U %a' /run/web/web.sock") == "hello 660"
        assert target.sh("systemctl show -p NRestarts --value web") == "0"


def test_in_an_image_all_of_an_install_section_is_linked(target: Target) -> None:
    overrides = (
        'WantedBy = "graphical.target"\nRequiredBy = "a.target b.target"\nUpheldBy = "c.target"\n'
        'Alias = "greeter.service"\nAlso = "cron.service"\n'
    )
    table = '[services.hello]\ncommand = ["serve"]\nretry = false\n'
    spec = but(Spec(), tables=f"{table}[services.hello.unit.Install]\n{overrides}")
    target.sh("mkdir -p /root/image/usr/bin /root/image/etc /root/image/var/lib; cp /etc/os-release /root/image/etc")
    done = target.install(spec, "--root", "/root/image")
    assert (done.status, "cron.service is not enabled together with hello.service" in done.stderr) == (0, True)
    listing = "cd /root/image/etc/systemd/system; find . -type l | grep -v first-boot | sort"
    assert target.sh(listing).split() == [
        "./a.target.requires/hello.service",
        "./b.target.requires/hello.service",
        "./c.target.upholds/hello.service",
        "./graphical.target.wants/hello.service",
        "./greeter.service",
        "./multi-user.target.wants/hello.service",
    ]
    other = spec.tables.replace("services.hello", "services.other")
    done = target.install(but(spec, version="2.0", services=("other",), tables=other), "--root", "/root/image")
    assert done.status == 0, done.stderr
    assert "hello.service" not in target.sh(listing)
    assert target.sh("readlink /root/image/etc/systemd/system/greeter.service").endswith("/other.service")
    target.sh("rm -r /root/image")


def into_image(system: Path, bundle: Path, room: Path) -> Path:
    """Install into an image that lies over ``system``; what differs, for Machine's ``state``."""
    script = (
        'mount -t tmpfs none "$1"; mkdir "$1/upper" "$1/work" "$1/image" "$1/run";'
        ' mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" overlay "$1/image";'
        ' mount --bind "$1/run" /run; sh "$3/install.sh" --root "$1/image"; umount "$1/image"; cp -a "$1/upper" "$4"'
    )
    (room / "room").mkdir()
    subprocess.run(
        ["unshare", "-m", "sh", "-euc", script, "sh", room / "room", system, bundle, room / "state"], check=True
    )
    return room / "state"


def test_an_image_takes_no_secret(tmp_path: Path) -> None:
    bundle = write_bundle(WEB, tmp_path / "bundle")
    (tmp_path / "cookie").write_text("a-cookie-of-many-letters\n")
    words = ("sh", bundle / "install.sh", "--root", tmp_path, "--cookie-file", tmp_path / "cookie")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, "no secret can be given" in done.stderr) == (2, True)


# --- without systemd


@pytest.mark.parametrize(
    ("suite", "shell"),
    [
        ("bullseye", "/bin/dash"),
        ("bookworm", "/bin/busybox"),
        pytest.param("bookworm", "/bin/dash", marks=pytest.mark.everywhere),
        pytest.param("trixie", "/bin/bash", marks=pytest.mark.everywhere),
    ],
)
def test_the_launcher_sets_what_the_unit_sets(tmp_path: Path, suite: str, shell: str) -> None:
    spec = but(
        Spec(),
        serve=DUMP,
        config=NASTY,
        directives=("Environment=G=\"g %% g\" 'H=h \\\\ h' I=$x", "UMask=0077", "CacheDirectory=hello hello-more"),
    )
    with Machine(rootfs(suite, include=("busybox",))) as machine:
        target = Target(machine, tmp_path)
        good(target, spec)
        by_systemd = environment(target)
        target.sh(f"systemctl stop hello; rm -rf /var/cache/hello /var/cache/hello-more; ln -sf {shell} /bin/sh")
        target.sh("STRAY=x setsid /opt/hello/manage run hello >/dev/null 2>&1 & sleep 2")
        modes = target.sh("stat -c '%a %U' /var/lib/hello/environment /var/cache/hello-more")
        by_launcher = environment(target)
        assert target.sh("rm /opt/hello/current/launch/hello && pkill -u hello; ls /opt/hello/current/launch") == ""
        target.sh("STRAY=x setsid /opt/hello/manage run hello >/dev/null 2>&1 & sleep 2")
        by_unit = environment(target)  # as of a release of conda-bundler 0.1, which had no launchers
    assert modes == "600 hello\n755 hello"
    assert by_systemd["JOINED"] == "onetwo"  # so that the comparison is about something
    assert by_launcher == by_systemd
    assert by_unit == by_systemd


def environment(target: Target) -> dict[str, str]:
    raw = target.machine.read("/var/lib/hello/environment") or b""
    target.sh("rm -f /var/lib/hello/environment")
    entries = dict(entry.partition("=")[::2] for entry in raw.decode().split("\0") if entry)
    return {name: value for name, value in entries.items() if name not in (*SYSTEMDS_OWN, "PWD", "SHLVL", "_")}


def test_without_systemd_nothing_of_systemd_is_written(target: Target) -> None:
    before = target.listing()
    good(target, OTHER, "--no-systemd")
    assert target.sh("find /etc/systemd /usr/local/lib -name '*other*'") == ""
    target.sh("systemd-run -q --unit=by-hand /opt/other/bin/run-other; sleep 1")
    assert target.sh("busybox wget -q -O - http://127.0.0.1:8001/yes") == "yes"
    assert target.sh("stat -c %U /proc/$(systemctl show -p MainPID --value by-hand)") == "other"
    assert target.sh("systemctl show -p MainPID --value by-hand | xargs -I@ cat /proc/@/cmdline | tr '\\0' ' '") == (
        "busybox httpd -f -p 127.0.0.1:8001 -h /srv/www"
    )

    good(target, but(OTHER, version="2.0"))  # it knows by its record how it is installed
    assert target.sh("find /etc/systemd /usr/local/lib -name '*other*'") == ""
    assert target.manage("rollback", name="other").status == 0
    assert target.sh("readlink /opt/other/current") == f"releases/{OTHER.release}"

    runs = target.manage("uninstall", "--purge", "--yes", name="other")
    assert (runs.status, "still run" in runs.stderr) == (10, True)
    target.sh("systemctl stop by-hand")
    assert target.manage("uninstall", "--purge", "--yes", name="other").status == 0
    left = {line.split()[0] for line in changes(before, target.listing())}
    assert {path for path in left if not path.startswith(("/etc/passwd", "/etc/group", "/etc/shadow"))} <= {
        "/etc/gshadow",
        "/etc/gshadow-",
    }
