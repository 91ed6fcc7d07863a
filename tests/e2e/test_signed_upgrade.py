"""manage upgrade on a real machine: signed bundles are installed, all others leave it as it is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from everywhere import everywhere
from installkit import Spec, but, write_bundle, write_run
from targetkit import WEB, Target, changes, good, ready
from upgradekit import keys, statement_of

from bundler.bundle.assemble import place
from bundler.bundle.identity import Identity
from bundler.machine import Machine, rootfs
from bundler.signing import ssh

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.machine import Answer

pytestmark = pytest.mark.e2e

USB = "/mnt/usb"


def signed(target: Target, spec: Spec, form: str, *signers: str, spoil: int = 0) -> str:
    """Bring a bundle, with a byte of it changed after it was signed if ``spoil`` says which; its path there."""
    room = target.room / "-".join((spec.release, form, *signers))
    plain = write_bundle(spec, room / "plain")
    files = {
        path.relative_to(plain).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in plain.rglob("*")
        if path.is_file()
    }
    identity = Identity(
        name=spec.name, version=spec.version, platform="linux-64", build_id=spec.build_id, root=f"/opt/{spec.name}"
    )
    file = write_run(spec, room / "run") if form == "run" else place(plain, identity, room, form="tar").path
    text = statement_of(file, files, name=spec.name, release=spec.release)
    if spoil:
        content = bytearray(file.read_bytes())
        content[spoil] ^= 1
        file.write_bytes(content)
    there = f"{USB}/{spec.version}/{file.name}"
    target.sh(f"rm -rf {USB}/{spec.version}; mkdir -p {USB}/{spec.version}")
    statement = room / "statement"
    statement.write_text(text)
    signatures = room / "signatures"
    signatures.write_text("".join(ssh.sign(text.encode(), keys() / signer) for signer in signers))
    for source, goal in ((file, there), (statement, f"{there}.statement"), (signatures, f"{there}.statement.sig")):
        target.machine.copy_in(source, goal)
    return there


def upgrade(target: Target, *words: str) -> Answer:
    """``manage upgrade``, which leaves nothing beside the releases."""
    answer = target.manage("upgrade", *words)
    assert target.sh("ls -A /opt/hello").split() == ["current", "history", "manage", "releases"]
    return answer


@pytest.mark.parametrize("shell", ["busybox sh", *everywhere("dash", "bash")])
def test_only_what_is_signed_as_the_server_wants(tmp_path: Path, shell: str) -> None:
    with Machine(rootfs("bookworm", include=("busybox", "openssh-client"))) as machine:
        target = Target(machine, tmp_path, tuple(shell.split()))
        ready(machine, tmp_path)
        good(target, WEB)
        first = signed(target, WEB, "tar", "release")
        second = but(WEB, version="2.0")

        file = signed(target, second, "tar", "release")
        nobody = upgrade(target, file)
        assert (nobody.status, "this server has no allowed signers" in nobody.stderr) == (10, True), nobody.stderr
        target.machine.copy_in(keys() / "allowed_signers", "/root/allowed_signers")
        target.sh("install -D -m 0644 /root/allowed_signers /etc/conda-bundler/allowed_signers")
        done = upgrade(target, file, "--keep", "2")
        assert (done.status, target.current(), target.serves(second)) == (0, second.release, True), done.stderr
        assert "is signed by release@example.org" in done.stderr

        refused(target, second, first)

        ill = signed(target, but(WEB, version="3.0", health="exit 1\n", timeout=1), "run", "release", "ops")
        failed = upgrade(target, ill)
        assert (failed.status, target.current(), target.serves(second)) == (14, second.release, True), failed.stderr

        third = but(WEB, version="3.1")
        done = upgrade(target, signed(target, third, "run", "release", "ops"))
        assert (done.status, target.serves(third)) == (0, True), done.stderr
        back = upgrade(target, signed(target, WEB, "tar", "release", "ops"), "--allow-downgrade")
        assert (back.status, target.serves(WEB)) == (0, True), back.stderr

        target.sh("mkdir /opt/hello/.upgrade.999999999.abcdefgh")  # of a run that was killed
        assert target.manage("uninstall", "--purge", "--yes").status == 0
        assert target.sh("ls -d /opt/hello /run/conda-bundler/work 2>/dev/null || :") == ""


def refused(target: Target, current: Spec, older: str) -> None:
    """Each leaves the machine as it is. From here on the policy requires two signers."""
    third = but(WEB, version="3.0")
    spoiled = signed(target, third, "run", "release", "ops", spoil=20000)
    one = signed(target, but(third, version="3.2"), "tar", "release")
    target.sh("echo 'threshold 2 hel*' >/etc/conda-bundler/policy; sync")
    before = target.listing()
    for words, status, sentence in (
        ([spoiled], 11, "was changed after it was signed"),
        ([one], 17, "requires 2 signers, and 1 may sign hello here"),
        ([one, "--unsigned"], 17, "--unsigned is refused"),
        ([older], 17, "requires 2 signers"),
        (["/opt"], 17, "opt is not signed"),
    ):
        answer = upgrade(target, *words)
        assert (answer.status, sentence in answer.stderr) == (status, True), answer.stderr
    assert changes(before, target.listing()) == []
    target.sh("chmod g+w /etc/conda-bundler/policy")
    answer = upgrade(target, one)
    assert (answer.status, "is writable by non-root users" in answer.stderr) == (10, True), answer.stderr
    target.sh("chmod g-w /etc/conda-bundler/policy")
    assert target.serves(current)
