"""What somebody may have laid in the way of install.sh, and two of it at once.

What is refused before anything is changed, hostile payloads, and a hostile environment: see test_install.py.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from installkit import COOKIE, Spec, but
from targetkit import WEB, Target, changes, good, ready
from waiting import until

from bundler.config.project import Secret
from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

SPEC = Spec(health="exit 0\n")
# An upgrade that writes each of the files that an upgrade may write.
NEXT = but(SPEC, version="2.0", secrets=(COOKIE, Secret(name="KEY", bytes=16, format="hex")))
RELEASES = "/opt/hello/releases"
UNITS = "/usr/local/lib/systemd/system"
TEMPORARY = (
    f"{RELEASES}/.{NEXT.release}.partial",
    f"{RELEASES}/{NEXT.release}",
    "/opt/hello/.current.new",
    "/opt/hello/.history.new",
    "/opt/hello/.manage.new",
    "/etc/hello/.secrets.env.new",
    f"{UNITS}/.hello.service.new",
    f"{UNITS}/.hello-health.service.new",
    "/var/lib/conda-bundler/hello/.owned.new",
    "/var/lib/conda-bundler/hello/.transaction.new",
)


@pytest.fixture(scope="module")
def system() -> Path:
    return rootfs("bookworm", include=("busybox",))


@pytest.fixture
def target(system: Path, tmp_path: Path) -> Iterator[Target]:
    with Machine(system) as machine:
        yield Target(machine, tmp_path)


@pytest.mark.parametrize("kind", ["directory", "file", "nothing"])
def test_links_under_temporary_names_are_not_followed(target: Target, kind: str) -> None:
    assert target.install(SPEC).status == 0
    lay = {"directory": "mkdir -p $v; echo kept >$v/kept", "file": "echo kept >$v", "nothing": ":"}[kind]
    target.sh("mkdir /srv/victims")
    for number, name in enumerate(TEMPORARY):
        target.sh(f"v=/srv/victims/{number}; {lay}; ln -sT $v {name}")
    victims = target.sh("find /srv/victims -printf '%p %y %m %T@ %s\\n' | sort")

    answer = target.install(NEXT)

    assert target.sh("find /srv/victims -printf '%p %y %m %T@ %s\\n' | sort") == victims
    if answer.status == 0:
        assert target.current() == NEXT.release
        assert target.serves(NEXT)
    else:  # what is no file of ours it may also refuse
        assert answer.status in (10, 12), answer.stderr
        assert target.serves(SPEC)


def test_a_link_in_place_of_its_run_directory_is_not_followed(target: Target) -> None:
    target.sh("mkdir -m 755 /srv/victim; ln -s /srv/victim /run/conda-bundler")
    answer = target.install(SPEC)
    assert answer.status == 12, answer.stderr
    assert target.sh("find /srv/victim -mindepth 1; stat -c %a /srv/victim") == "755"


@pytest.mark.parametrize("shell", ["dash", "bash", "bash --posix"])
def test_functions_of_the_caller_are_not_called(target: Target, shell: str) -> None:
    """Where /bin/sh is bash it takes functions from the environment: of a profile, say."""
    install = target.bring(SPEC)
    names = "tar mv cat sha256sum systemctl say test which umask"
    evil = f'for name in {names}; do eval "$name() {{ echo $name >>/srv/was-run; }}; export -f $name"; done'
    answer = target.machine.run("bash", "-c", f"{evil}; export PS4='$(echo ps4 >>/srv/was-run)'; {shell} {install}")
    assert (answer.status, target.sh("ls /srv")) == (0, ""), answer.stderr + target.sh("cat /srv/was-run || :")


@pytest.mark.parametrize(
    "prefix", ["/", "/opt", "/usr", "/etc", "/var/lib", "/home", "/opt/", "/opt/../usr", "opt/x", ""]
)
def test_a_prefix_that_is_not_the_bundles_own_is_refused(target: Target, prefix: str) -> None:
    before = target.listing()
    answer = target.install(SPEC, "--prefix", prefix)
    assert answer.status in (2, 10), answer.stderr
    assert changes(before, target.listing()) == []


def test_a_prefix_below_what_others_can_write_is_refused(target: Target) -> None:
    target.sh("mkdir -m 1777 /srv/open; mkdir /srv/open/inner")
    answer = target.install(SPEC, "--prefix", "/srv/open/inner/hello")
    assert (answer.status, "/srv/open is writable by non-root users" in answer.stderr) == (10, True), answer.stderr


def test_without_systemctl_nothing_is_changed(target: Target) -> None:
    install = target.bring(SPEC)
    target.sh("mv /usr/bin/systemctl /root/systemctl")
    before = target.listing()
    answer = target.machine.run("sh", install)
    assert (answer.status, "systemctl" in answer.stderr) == (10, True), answer.stderr
    assert changes(before, target.listing()) == []


@pytest.mark.parametrize("flock", ["flock", "mkdir"])
def test_two_at_once(target: Target, flock: str) -> None:
    """Of the same bundle, of two versions, of two bundles: each ends well or says that another one runs."""
    if flock == "mkdir":
        target.sh("rm /usr/bin/flock")
    assert target.install(SPEC).status == 0
    other = Spec(name="other", services=("other",), health="exit 0\n")
    installs = [target.bring(spec) for spec in (NEXT, NEXT, other, NEXT)]
    with ThreadPoolExecutor(len(installs)) as pool:
        answers = list(pool.map(lambda install: target.machine.run("sh", install), installs))
    statuses = [answer.status for answer in answers]
    assert set(statuses) <= {0, 13}, [answer.stderr for answer in answers]
    assert 0 in statuses
    assert target.serves(SPEC) or target.serves(NEXT)
    for spec in (NEXT, other):
        assert target.install(spec).status == 0
        assert target.serves(spec)
    assert target.sh("ls -A /run/conda-bundler") in ("", "lock")


@pytest.mark.parametrize("name", ["systemd", "credentials", "conda-bundler"])
def test_the_systems_own_directories_are_not_given_away(target: Target, name: str) -> None:
    """systemd would make /run/systemd the service's own."""
    for spec in (but(SPEC, services=(name,)), but(SPEC, name=name, services=("own",))):
        answer = target.install(spec)
        assert answer.status == 10, answer.stderr
        assert (
            f"{name} is reserved for the system" in answer.stderr or f"/run/{name}, which is reserved" in answer.stderr
        )
    owners = target.sh("stat -c %u:%g /run/systemd /run/conda-bundler /run/credentials 2>/dev/null; :")
    assert set(owners.split()) == {"0:0"}


@pytest.mark.parametrize("credential", [False, True])
def test_what_a_service_puts_in_the_place_of_its_directories_is_not_given_to_it(
    target: Target, credential: bool
) -> None:
    delivery = "credential" if credential else "environment"
    tables = f'[secrets]\nTOKEN = {{ delivery = "{delivery}" }}\n[services.hello]\ncommand = ["serve"]\n'
    tables += 'profile = "generic"\nworking_directory = "{state}/a/desk"\n'
    tables += 'unit = { Service = { StateDirectory = "hello/b/more" } }\n'
    secrets = (Secret(name="TOKEN", bytes=32, format="hex", delivery=delivery),)
    serve = "#!/bin/sh\npwd >/var/lib/hello/pwd\nwhile :; do sleep 1; done\n"
    good(target, Spec(tables=tables, serve=serve, secrets=(COOKIE, *secrets)))
    assert target.sh("cat /var/lib/hello/pwd; stat -c %U /var/lib/hello/a /var/lib/hello/b/more").split() == [
        "/var/lib/hello/a/desk",
        "hello",
        "hello",
    ]
    for inner in ("a/desk", "b/more"):
        target.sh(f"mkdir -p /srv/victim/{inner.split('/')[1]}/x; rm -rf /var/lib/hello/{inner.split('/')[0]}")
        target.sh(f"ln -s /srv/victim /var/lib/hello/{inner.split('/')[0]}")
    target.sh("chown -hR hello:hello /var/lib/hello; chmod 755 /srv/victim")
    target.sh("systemctl restart hello; sleep 1")
    assert set(target.sh("find /srv/victim -printf '%u\n'").split()) == {"root"}


# Somebody's own systemd has a unit of the same name: its control group ends as ours does.
FOREIGN = """
mkdir -p /sys/fs/cgroup/foreign/hello.service
echo $$ >/sys/fs/cgroup/foreign/hello.service/cgroup.procs
until busybox httpd -f -p 127.0.0.1:8000 -h /srv/www; do sleep 0.05; done >/dev/null 2>&1
"""


def test_a_foreign_unit_of_the_same_name_is_not_the_service(target: Target) -> None:
    ready(target.machine, target.room)
    good(target, WEB)
    target.machine.put("/root/foreign", FOREIGN.encode())
    target.sh("setsid sh /root/foreign </dev/null >/dev/null 2>&1 & sleep 0.5")
    # A release that never listens: whoever does is somebody else.
    answer = target.install(but(WEB, version="2.0", serve="#!/bin/sh\nwhile :; do sleep 1; done\n"))
    assert answer.status == 14, answer.stderr
    assert "somebody else listens on 127.0.0.1:8000" in answer.stderr


# A user of the server, who tries to get the service's port all the time.
TAKE = "until busybox httpd -f -p 127.0.0.1:8000 -h /srv/www; do :; done >/dev/null 2>&1"


def test_a_user_who_takes_the_port_is_named_and_the_service_comes_back_when_he_has_gone(target: Target) -> None:
    ready(target.machine, target.room)
    good(target, WEB)
    target.sh(f"systemd-run -q --unit=stranger --uid=nobody sh -c '{TAKE}'")
    answer = target.install(but(WEB, version="2.0"))
    assert answer.status == 14, answer.stderr
    stranger = rf"\(process \d+ of uid {target.sh('id -u nobody')}, busybox\)"
    ended = r"(?:it exited|it did not start: [^\n]*[^.])"  # as systemd happens to see it
    why = rf"hello.service is not healthy: {ended}; somebody else listens on 127\.0\.0\.1:8000 {stranger}\n"
    for told in answer.stderr.split("rolling back to"):  # of the release that came, and of the one before
        assert re.search(rf"{why}  Stop that program, then run the same command again\.", told), answer.stderr
    assert f"rollback to {WEB.release} failed" in answer.stderr
    target.sh("systemctl stop stranger")
    assert until(lambda: target.machine.run("systemctl", "is-active", "hello").status == 0)
    assert target.serves(WEB)
    good(target, but(WEB, version="2.0"))
