"""An upgrade links what earlier releases have of the new one, and never writes through a link; on real machines."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from bundlekit import build
from everywhere import everywhere
from installkit import Member, Spec, but
from targetkit import WEB, Target, good, ready

from bundler.machine import Machine, rootfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.e2e

MEMBERS = (
    Member(name="env/lib", kind=b"5", mode=0o755),
    Member(name="env/lib/big", content=b"big\n" * 250_000),
    Member(name="env/lib/a name 'with\" $signs", content=b"1"),
    Member(name="env/lib/v\u017eluto", content=b"2"),
    Member(name="env/lib/empty"),
    Member(name="env/lib/there", kind=b"2", link="../bin/tool"),
)
FIRST = but(WEB, members=MEMBERS)
SECOND = but(FIRST, version="2.0", serve=f"{WEB.serve}# newer\n")
THIRD = but(FIRST, version="3.0", serve=f"{WEB.serve}# newest\n")
MANY = 300  # directories of their own
FULLER = but(
    SECOND,
    members=(
        *MEMBERS,
        *(Member(name=f"env/lib/{number}", kind=b"5", mode=0o755) for number in range(MANY)),
        Member(name="env/lib/new", content=bytes(3 << 20)),
    ),
)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with Machine(rootfs("bookworm", include=("busybox",))) as machine:
        yield ready(machine, tmp_path)


def tree(target: Target, release: str, root: str = "/opt/hello") -> str:
    """Each path of a release with its kind, mode, owner, size, time and target, and each file's digest."""
    return target.sh(
        f"cd {root}/releases/{release} && find . -printf '%p %y %m %U %G %s %T@ %l\\n' | sort"
        " && find . -type f -exec sha256sum {} + | sort"
    )


def content(target: Target, release: str, root: str = "/opt/hello") -> str:
    """The same without times, and without what says when and from what it was made."""
    return target.sh(
        f"cd {root}/releases/{release} && find . -printf '%p %y %m %U %G %s %l\\n' | sort"
        " && find . -type f -exec sha256sum {} + | sort"
    )


def shared(target: Target, spec: Spec, root: str = "/opt/hello") -> set[str]:
    """What is a second name of something."""
    return set(target.sh(f"cd {root}/releases/{spec.release} && find . ! -type d -links +1").splitlines())


def written_kib(target: Target, spec: Spec) -> int:
    """What a release takes beside what it shares."""
    found = target.sh(f"cd /opt/hello/releases/{spec.release} && find . -type f -links 1 -printf '%k\\n'").split()
    return sum(map(int, found))


def verified(target: Target, *specs: Spec) -> None:
    for spec in specs:
        said = target.manage("verify", spec.release)
        assert said.status == 0, (spec.version, said.stdout, said.stderr)


LINKED = {
    *("./env/bin/tool", "./env/bin/tool-link", "./env/lib/big", "./env/lib/a name 'with\" $signs"),
    *("./env/lib/v\u017eluto", "./env/lib/empty", "./env/lib/there"),
    *("./share/beam", "./share/gpu", "./share/health", "./share/probe", "./share/watch"),
}


@pytest.mark.parametrize(
    "world", ["bookworm: busybox sh", "trixie: bash", *everywhere("bullseye: dash", "bookworm: dash")]
)
def test_there_and_back_again(tmp_path: Path, world: str) -> None:
    suite, shell = world.split(": ")
    with Machine(rootfs(suite, include=("busybox",))) as machine:
        ready(machine, tmp_path)
        target = Target(machine, tmp_path, tuple(shell.split()))
        # What a machine has that has only this one.
        good(target, SECOND)
        whole = content(target, SECOND.release)
        assert target.manage("uninstall").status == 0

        good(target, FIRST)
        before = tree(target, FIRST.release)
        assert shared(target, FIRST) == set()
        said = target.install(SECOND)
        assert said.status == 0, said.stderr
        assert "are the same in earlier releases, and are linked" in said.stderr
        assert target.serves(SECOND)
        assert content(target, SECOND.release) == whole
        assert shared(target, SECOND) == LINKED
        assert written_kib(target, SECOND) < 100
        assert tree(target, FIRST.release) == before
        verified(target, FIRST, SECOND)

        assert target.manage("rollback").status == 0
        assert target.serves(FIRST)
        assert tree(target, FIRST.release) == before
        kept = tree(target, SECOND.release)
        good(target, SECOND)
        good(target, THIRD, "--keep", "2")
        assert target.sh("ls /opt/hello/releases").split() == sorted([SECOND.release, THIRD.release])
        assert tree(target, SECOND.release) == kept
        assert shared(target, THIRD) == LINKED
        verified(target, SECOND, THIRD)
        assert target.manage("uninstall", "--purge", "--yes").status == 0
        assert target.sh("ls -A /opt") == ""


DAMAGES = {
    "content": ("printf 'BIG\\n' | dd of=env/lib/big conv=notrunc 2>/dev/null; touch -d @315532800 env/lib/big", "big"),
    "size": ("echo more >>env/lib/empty", "empty"),
    "mode": ("chmod 600 env/lib/empty", "empty"),
    "owner": ("chown 1 env/lib/empty", "empty"),
    "target": ("ln -sfn /etc/passwd env/lib/there", "there"),
    "kind": ("rm env/lib/empty; ln -s big env/lib/empty", "empty"),
    "missing": ("rm env/lib/empty", "empty"),
}


@pytest.mark.parametrize("trusting", [False, True])
def test_what_was_changed_since_is_not_taken(target: Target, trusting: bool) -> None:
    """Nor from the release that is installed again because of that."""
    good(target, FIRST)
    for number, (name, (damage, path)) in enumerate(DAMAGES.items()):
        if trusting and name == "content":
            continue  # which is what is trusted
        target.sh(f"cd /opt/hello/releases/{FIRST.release} && {damage}")
        spec = but(SECOND, version=f"2.{number}")
        said = target.install(spec, *["--trust-disk"] * trusting)
        assert said.status == 0, (name, said.stderr)
        assert f"warning: release {FIRST.release}: env/lib/{path} was changed since it was installed" in said.stderr
        assert shared(target, spec) >= LINKED - {f"./env/lib/{path}"}, name
        both = (f"/opt/hello/releases/{one.release}/env/lib/{path}" for one in (FIRST, spec))
        assert target.sh(f"[ {' -ef '.join(both)} ] || echo apart") == "apart"
        verified(target, spec)
        assert target.manage("verify", FIRST.release).status == 11
        again = target.install(FIRST, *["--trust-disk"] * trusting)
        assert again.status == 0, again.stderr
        assert "corrupted; reinstalling" in again.stderr
        verified(target, FIRST, spec)


def test_a_trusted_disk_is_not_read_again(target: Target) -> None:
    good(target, FIRST)
    target.sh(f"cd /opt/hello/releases/{FIRST.release} && {DAMAGES['content'][0]}")
    said = target.install(SECOND, "--trust-disk")
    assert said.status == 0, said.stderr
    assert f"--trust-disk: of {FIRST.release} only files with a new modification time are checked" in said.stderr
    assert shared(target, SECOND) == LINKED
    assert target.manage("verify").status == 11

    # What is repaired is read in any case.
    said = target.install(SECOND, "--trust-disk")
    assert said.status == 0, said.stderr
    verified(target, SECOND)
    assert target.manage("verify", FIRST.release).status == 11, "nothing was written through a link"


@pytest.mark.parametrize("shell", ["sh", "busybox sh"])
def test_where_no_links_can_be_made_files_are_copied(target: Target, shell: str) -> None:
    """A mount of its own is another filesystem to link(2)."""
    good(target, FIRST)
    before = tree(target, FIRST.release)
    place = f"/opt/hello/releases/{FIRST.release}"
    target.sh(f"mount --bind {place} {place}")
    said = Target(target.machine, target.room, tuple(shell.split())).install(SECOND)
    assert said.status == 0, said.stderr
    assert "are the same in earlier releases, and are copied" in said.stderr
    assert shared(target, SECOND) == set()
    target.sh(f"umount {place}")
    assert tree(target, FIRST.release) == before
    copied = [line for line in before.splitlines() if "./env/lib/" in line]
    assert len(copied) > len(MEMBERS)
    assert [line for line in tree(target, SECOND.release).splitlines() if "./env/lib/" in line] == copied
    verified(target, FIRST, SECOND)


@pytest.mark.parametrize("room", ["size=4200k", "size=64m,nr_inodes=220"])
def test_a_disk_that_gets_full_leaves_the_old_release(target: Target, room: str) -> None:
    target.sh(f"mkdir -p /opt/hello; mount -t tmpfs -o mode=755,{room} none /opt/hello")
    good(target, FIRST)
    before, served = tree(target, FIRST.release), target.sh("systemctl show -p MainPID --value hello")
    said = target.install(FULLER)
    assert said.status == 12, said.stderr
    assert "Check for a full or read-only disk" in said.stderr
    assert target.sh("ls -A /opt/hello/releases") == FIRST.release
    assert tree(target, FIRST.release) == before
    assert target.sh("systemctl show -p MainPID --value hello") == served
    verified(target, FIRST)


def test_what_is_linked_needs_no_space(target: Target) -> None:
    """And the check of the space knows that."""
    target.sh("mkdir -p /opt/hello; mount -t tmpfs -o mode=755,size=1700k none /opt/hello")
    first, second = (but(spec, payload_kib=1100, payload_files=20) for spec in (FIRST, SECOND))
    good(target, first)
    planned = target.install(second, "--dry-run")
    assert planned.status == 0, planned.stderr
    assert "files of earlier releases" in planned.stdout
    assert target.install(second, "--check").status == 0
    good(target, second)
    verified(target, first, second)
    third = target.install(but(THIRD, members=(*MEMBERS[:1], Member(name="env/lib/big", content=bytes(1 << 20)))))
    assert third.status in (10, 12), third.stderr
    assert target.serves(second)


def test_python_and_its_bytecode_at_another_root(
    hello: Path, local_channel: Path, bookworm: Path, tmp_path: Path
) -> None:
    """All that writes into a release after it was unpacked: the new root's path, bytecode, units, activation."""
    project = tmp_path / "project"
    shutil.copytree(hello.parent.parent, project, ignore=shutil.ignore_patterns("dist"))
    text = (project / "bundle.toml").read_text().replace("[bundle]", '[bundle]\nbytecode = "install"', 1)
    bundles = []
    for version in ("7.0", "7.1"):
        lines = [f'version = "{version}"' if line.startswith("version =") else line for line in text.splitlines()]
        (project / "bundle.toml").write_text("\n".join(lines) + "\n")
        bundles.append(build(project, local_channel, tmp_path / version))
    releases = [json.loads((bundle / "manifest.json").read_text())["release"] for bundle in bundles]
    with Machine(bookworm) as machine:
        target = Target(machine, tmp_path)
        for bundle in bundles:
            machine.copy_in(bundle, f"/root/{bundle.parent.name}")

        def install(version: str) -> str:
            said = machine.run("sh", f"/root/{version}/install.sh", "--prefix", "/srv/there")
            assert said.status == 0, said.stderr
            return said.stderr

        install("7.1")
        whole = content(target, releases[1], "/srv/there")
        assert machine.run("sh", "/srv/there/manage", "uninstall", "--purge", "--yes").status == 0
        install("7.0")
        before = tree(target, releases[0], "/srv/there")
        assert "are linked" in install("7.1")
        assert content(target, releases[1], "/srv/there") == whole
        assert tree(target, releases[0], "/srv/there") == before
        linked = target.sh(f"cd /srv/there/releases/{releases[1]} && find . -type f -links +1").splitlines()
        assert len(linked) > 500
        own = target.sh(f"cd /srv/there/releases/{releases[1]} && find . -name '*.pyc' -links 1").splitlines()
        assert len(own) > 50, "compiled here"
        for release in releases:
            said = machine.run("sh", "/srv/there/manage", "verify", release)
            assert said.status == 0, said.stdout + said.stderr
        assert machine.run("sh", "/srv/there/manage", "rollback").status == 0
        assert tree(target, releases[0], "/srv/there") == before
        assert machine.run("sh", "/srv/there/manage", "uninstall").status == 0
