"""manage upgrade, on no machine: what it lets in, and attacks on a signed bundle, each refused before its code runs."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import shutil
import signal
import subprocess
import tarfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from shellkit import SHELL_IDS, SHELLS, THREE_SHELLS, shell_id, with_functions
from upgradekit import CURRENT, FILES, TOP, Form, Server, Signed, keys, openssl_keys, seal

from bundler.signing import ssh

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what is trusted has to be root's")

FORMS: tuple[Form, ...] = ("dir", "tar", "run")
RELEASE = "2.0-bbbbbbbbbbbb"


# --- what is let in


@pytest.mark.parametrize("shell", SHELLS, ids=SHELL_IDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_signed_bundle_is_installed_by_its_install_sh(form: Form, shell: tuple[str, ...], tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path, shell=shell), Signed(room=tmp_path / "usb", form=form)
    server.policy(
        "# both", "signatures required", "threshold 2 hel*", "threshold 9 other", "signer *@example.org h?llo"
    )
    signed.sign("release", "ops")
    words = ["--keep", "2", "--secret", "A=/b c", "--check", "--health-timeout=7"]
    done = server.manage("upgrade", *words, signed.bundle)
    assert done.returncode == 0, done.stderr
    assert server.ran() == ["--keep", "2", "--secret", "A=/b c", "--check", "--health-timeout", "7"]
    assert "is signed by release@example.org, ops@example.org" in done.stderr
    assert server.left() == []


def test_the_status_of_its_install_sh_is_that_of_manage(tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path), Signed(room=tmp_path / "usb", form="tar")
    assert server.manage("upgrade", signed.bundle, status=14).returncode == 14
    assert (server.ran(), server.left()) == ([], [])


def test_a_directory_that_was_unpacked_from_a_signed_tar(tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path), Signed(room=tmp_path / "usb", form="tar")
    subprocess.run(["tar", "-xf", signed.bundle], cwd=signed.room, check=True)
    done = server.manage("upgrade", f"{signed.room}/{TOP}/")
    assert (done.returncode, server.ran()) == (0, []), done.stderr


@pytest.mark.parametrize("shell", THREE_SHELLS, ids=shell_id)
def test_where_ssh_keygen_cannot_verify_openssl_does(shell: tuple[str, ...], tmp_path: Path) -> None:
    """As on a server with OpenSSH 8.0."""
    old = "need_keygen() { die 10 'cannot verify signatures'; }"
    server, signed = Server.make(tmp_path, shell=shell, stubs=old), Signed(room=tmp_path / "usb", form="tar")
    shutil.copytree(openssl_keys() / "allowed_keys", server.trust / "allowed_keys")
    server.policy("threshold 2", "signer *@example.org")
    signed.sign_with_openssl("stranger", "release", "ops")
    done = server.manage("upgrade", signed.bundle)
    assert (done.returncode, server.ran()) == (0, []), done.stderr
    assert "is signed by release@example.org, ops@example.org" in done.stderr


def test_one_signs_with_openssl_and_another_one_with_ssh(tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path), Signed(room=tmp_path / "usb", form="tar")
    server.policy("threshold 2")
    shutil.copytree(openssl_keys() / "allowed_keys", server.trust / "allowed_keys")
    signed.sign_with_openssl("release")
    for name in ("release", "ops"):
        signed.signatures.write_text(ssh.sign(signed.statement.read_bytes(), keys() / name))
        done = server.manage("upgrade", signed.bundle)
        assert done.returncode == (17 if name == "release" else 0), done.stderr


@pytest.mark.parametrize("form", FORMS)
def test_without_signatures_it_takes_a_word_of_the_operator(form: Form, tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path), Signed(room=tmp_path / "usb", form=form)
    shutil.rmtree(server.trust)
    assert "this server has no allowed signers" in server.manage("upgrade", signed.bundle).stderr
    signed.statement.unlink()
    done = server.manage("upgrade", signed.bundle)
    assert (done.returncode, server.ran()) == (17, None)
    assert "--unsigned" in done.stderr
    done = server.manage("upgrade", signed.bundle, "--unsigned")
    assert (done.returncode, server.ran()) == (0, []), done.stderr
    assert "the signatures of this bundle are not verified" in done.stderr


def test_a_policy_may_make_signatures_optional_for_some(tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path), Signed(room=tmp_path / "usb", form="tar")
    signed.statement.unlink()
    server.policy("signatures optional hel*")
    done = server.manage("upgrade", signed.bundle)
    assert (done.returncode, server.ran()) == (0, []), done.stderr
    for lines in (["signatures optional other"], ["signatures optional", "signatures required hello"]):
        server.policy(*lines)
        assert server.manage("upgrade", signed.bundle).returncode == 17


@pytest.mark.parametrize(("release", "options"), [(CURRENT, ()), ("0.9-cccccccccccc", ("--allow-downgrade",))])
def test_the_same_again_and_an_older_one_that_is_asked_for(
    release: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    server, signed = Server.make(tmp_path), Signed(room=tmp_path / "usb", form="run", release=release)
    done = server.manage("upgrade", signed.bundle, *options)
    assert (done.returncode, server.ran()) == (0, []), done.stderr


def test_what_a_run_that_was_cut_off_came_from_is_what_counts(tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path), Signed(room=tmp_path / "usb", form="tar", release="1.5-cccccccccccc")
    (tmp_path / "record").mkdir()
    (tmp_path / "record/transaction").write_text("action=rollback\nfrom=2.0-dddddddddddd\nto=1.0-aaaaaaaaaaaa\n")
    done = server.manage("upgrade", signed.bundle)
    assert (done.returncode, server.ran()) == (17, None)
    assert "1.5-cccccccccccc is older than the current release, 2.0-dddddddddddd" in done.stderr


@pytest.mark.parametrize("shell", THREE_SHELLS, ids=shell_id)
def test_what_was_looked_at_is_what_is_run(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Somebody changes the bundle at the last moment."""
    late = 'check_order() { echo "echo evil" >"$BUNDLE/install.sh"; }'
    server, signed = Server.make(tmp_path, shell=shell, stubs=late), Signed(room=tmp_path / "usb", form="dir")
    done = server.manage("upgrade", signed.bundle)
    assert (signed.bundle / "install.sh").read_text() == "echo evil\n"
    assert (done.returncode, done.stdout, server.ran()) == (0, "", []), done.stderr


@pytest.mark.parametrize("shell", THREE_SHELLS, ids=shell_id)
def test_a_signal_reaches_its_install_sh(shell: tuple[str, ...], tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path, shell=shell), Signed(room=tmp_path / "usb", form="dir")
    slow = (
        (signed.bundle / "install.sh")
        .read_text()
        .replace("exit ", "trap 'echo undone >>\"$UPGRADE_MARK\"; exit 143' TERM\n")
    )
    signed.change("install.sh", f"{slow}\nwhile :; do sleep 0.1; done\n".encode())
    seal(signed.bundle)
    done = subprocess.Popen(
        server.words("upgrade", "--unsigned", signed.bundle),
        env=server.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if server.mark.exists():
            break
        time.sleep(0.1)
    time.sleep(0.5)  # it sets its trap
    done.send_signal(signal.SIGTERM)
    _, said = done.communicate(timeout=60)
    assert (done.returncode, server.mark.read_text().split()[-1], server.left()) == (143, "undone", []), said


def test_the_copy_of_a_run_that_was_killed_goes_with_the_next(tmp_path: Path) -> None:
    server, signed = Server.make(tmp_path), Signed(room=tmp_path / "usb", form="tar")
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    for name in (f".upgrade.{gone}.abcdefgh", f".upgrade.{os.getpid()}.abcdefgh", ".upgrade.mine.abcdefgh"):
        (server.root / name).mkdir()
    assert server.manage("upgrade", signed.bundle).returncode == 0
    assert server.left() == [f".upgrade.{os.getpid()}.abcdefgh", ".upgrade.mine.abcdefgh"]


ORDER = (
    *("1.0.dev3", "1.0a1", "1.0a2", "1.0-beta2", "1.0~x", "1.0rc1", "1.0.0", "1.0+local", "1.0.post1", "1.0.1", "1.2"),
    *("1.10", "2", "v2", "10.0", "20261130081900123456788", "20261130081900123456789"),
)
"""Each is older than the next, but for a ~ and a v, which the test puts where they belong."""


@pytest.mark.parametrize("shell", THREE_SHELLS, ids=shell_id)
def test_the_order_of_versions(shell: tuple[str, ...]) -> None:
    rising = [one for one in ORDER if one not in ("1.0~x", "v2")]
    pairs = [(old, new, "newer") for old, new in itertools.pairwise(rising)]
    pairs += [("1.0", "1.0~x", "older"), ("1.0.dev1", "1.0~x", "older"), ("1", "v2", "older"), ("v1", "v2", "newer")]
    pairs += [("1.0", "1.0.0", "same"), ("01.2", "1.2", "same"), ("1.0b2", "1.0-beta2", "same"), ("0", "0.0", "same")]
    pairs += [("1.0.0rc1", "1.0", "newer"), ("1.0.0", "1.0.post1", "newer"), ("1.0RC1", "1.0rc1", "same")]
    steps = 'while [ $# -gt 0 ]; do version_order "$2" "$1"; version_order "$1" "$2"; shift 2; done'
    words = [*shell, "-c", with_functions(steps, of="manage"), "sh", *(word for pair in pairs for word in pair[:2])]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    mirrored = {"newer": "older", "older": "newer", "same": "same"}
    assert done.stdout.split() == [word for *_, said in pairs for word in (said, mirrored[said])]


# --- attacks


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What somebody does to the bundle, its statement or the server, and how that is answered."""

    do: Callable[[Signed, Server], None]
    says: str
    status: int = 11
    form: Form = "dir"
    options: tuple[str, ...] = ()
    name: str = "hello"
    release: str = RELEASE
    platform: str = "linux-64"


def nothing(_signed: Signed, _server: Server) -> None: ...


def flip(at: float) -> Callable[[Signed, Server], None]:
    def do(signed: Signed, _server: Server) -> None:
        content = bytearray(signed.bundle.read_bytes())
        content[int(len(content) * at)] ^= 1
        signed.bundle.write_bytes(content)

    return do


def resized(by: int) -> Callable[[Signed, Server], None]:
    def do(signed: Signed, _server: Server) -> None:
        os.truncate(signed.bundle, signed.bundle.stat().st_size + by)

    return do


def change(path: str) -> Callable[[Signed, Server], None]:
    return lambda signed, _server: signed.change(path)


def reseal(signed: Signed, _server: Server) -> None:
    signed.change("install.sh", (signed.bundle / "install.sh").read_bytes() + b"echo evil\n")
    seal(signed.bundle)


def swap_manifests(signed: Signed, _server: Server) -> None:
    other = Signed(room=signed.room / "other", form="dir", release="3.0-bbbbbbbbbbbb")
    shutil.copy(other.bundle / "manifest.json", signed.bundle)


def swap_signatures(signed: Signed, _server: Server) -> None:
    other = Signed(room=signed.room / "other", form=signed.form, release="3.0-bbbbbbbbbbbb")
    shutil.copy(other.signatures, signed.signatures)


def swap_statements(signed: Signed, server: Server) -> None:
    swap_signatures(signed, server)
    shutil.copy(next((signed.room / "other").glob("*.statement")), signed.statement)


def add(path: str, content: str = "[Service]\nExecStart=/bin/sh\n") -> Callable[[Signed, Server], None]:
    def do(signed: Signed, _server: Server) -> None:
        (signed.bundle / path).write_text(content)

    return do


def by(*names: str) -> Callable[[Signed, Server], None]:
    return lambda signed, _server: signed.sign(*names)


def openssl(
    *names: str,
    change: Callable[[str], str] = str,
    policy: tuple[str, ...] = (),
    then: Callable[[Path], object] = str,
) -> Callable[[Signed, Server], None]:
    """Signed by these, on a server that has such keys; with other signatures, and other keys there."""

    def do(signed: Signed, server: Server) -> None:
        server.allow_openssl_keys()
        server.policy(*policy)
        signed.sign_with_openssl(*names)
        signed.openssl_signatures.write_text(change(signed.openssl_signatures.read_text()))
        then(server.trust / "allowed_keys")

    return do


def openssl_of_another_statement(signed: Signed, server: Server) -> None:
    openssl("release")(signed, server)
    signed.change_statement()


def link_elsewhere(allowed: Path) -> None:
    allowed.rename(allowed.with_name("keys"))
    allowed.symlink_to("keys")


def said(change: Callable[[str], str]) -> Callable[[Signed, Server], None]:
    """Another statement, and somebody who may has signed it."""
    return lambda signed, _server: signed.sign("release", text=change(signed.text()))


def for_another_purpose(signed: Signed, _server: Server) -> None:
    words = ["ssh-keygen", "-Y", "sign", "-q", "-n", "file", "-f", str(keys() / "release")]
    done = subprocess.run(words, input=signed.statement.read_bytes(), capture_output=True, check=True)
    signed.signatures.write_bytes(done.stdout)


def damage_signature(signed: Signed, _server: Server) -> None:
    lines = signed.signatures.read_text().splitlines()
    signed.signatures.write_text("\n".join([lines[0], "!!!", *lines[2:], ""]))


def many_signatures(signed: Signed, _server: Server) -> None:
    signed.signatures.write_text(signed.signatures.read_text() * 65)


def policy(*lines: str, by: tuple[str, ...] = ("release",)) -> Callable[[Signed, Server], None]:
    def do(signed: Signed, server: Server) -> None:
        server.policy(*lines)
        signed.sign(*by)

    return do


def stripped(signed: Signed, server: Server) -> None:
    server.policy("signatures required")
    signed.statement.unlink()
    signed.signatures.unlink()


def one_key_two_names(signed: Signed, server: Server) -> None:
    """Whoever has this key would be two people."""
    server.policy("threshold 2")
    allowed = server.trust / "allowed_signers"
    allowed.write_text(allowed.read_text() + "twin@example.org " + (keys() / "release.pub").read_text())
    signed.sign("release", "release")


def trusted(name: str, spoil: Callable[[Path], None]) -> Callable[[Signed, Server], None]:
    """What others could do to a file that says whom this server trusts."""

    def do(_signed: Signed, server: Server) -> None:
        server.policy("signatures required")
        spoil(server.trust / name)

    return do


def linked(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def remove(path: str) -> Callable[[Signed, Server], None]:
    return lambda signed, _server: (signed.bundle / path).unlink()


def link(path: str, target: str) -> Callable[[Signed, Server], None]:
    """A link in the place of what is there, which stays within reach."""

    def do(signed: Signed, _server: Server) -> None:
        (signed.bundle / path).rename(signed.room / "elsewhere")
        (signed.bundle / path).symlink_to(target)

    return do


def fifo(signed: Signed, _server: Server) -> None:
    (signed.bundle / "manifest.json").unlink()
    os.mkfifo(signed.bundle / "manifest.json")


def sparse(path: str) -> Callable[[Signed, Server], None]:
    return lambda signed, _server: os.truncate(signed.bundle / path if path else signed.bundle, 1 << 42)


def tarred(change: Callable[[tarfile.TarFile], None], *, after: bool = True) -> Callable[[Signed, Server], None]:
    """A tar with something of its own, that somebody who may has signed without a look: our tools write none such."""

    def do(signed: Signed, _server: Server) -> None:
        with tarfile.open(signed.bundle) as old:
            members = [(one, old.extractfile(one).read() if one.isreg() else b"") for one in old]  # type: ignore[union-attr]
        with tarfile.open(signed.bundle, "w", format=tarfile.USTAR_FORMAT) as new:
            if not after:
                change(new)
            for one, content in members:
                new.addfile(one, io.BytesIO(content))
            if after:
                change(new)
        signed.sign("release")

    return do


def member(
    name: str, content: bytes = b"evil\n", kind: bytes = tarfile.REGTYPE, to: str = ""
) -> Callable[[tarfile.TarFile], None]:
    def do(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.type, info.linkname = len(content) if kind == tarfile.REGTYPE else 0, kind, to
        tar.addfile(info, io.BytesIO(content))

    return do


def compressed(signed: Signed, _server: Server) -> None:
    signed.bundle.write_bytes(gzip.compress(signed.bundle.read_bytes()))
    signed.sign("release")


def no_tar_in_it(signed: Signed, _server: Server) -> None:
    signed.bundle.write_text('#!/bin/sh\necho ran >>"$UPGRADE_MARK"\n')
    signed.sign("release")


def another_name(signed: Signed, _server: Server) -> None:
    for path in (signed.bundle, signed.statement, signed.signatures):
        path.rename(path.with_name(path.name.replace("hello-2.0", "hello-3.0")))
    signed.bundle = signed.bundle.with_name(signed.bundle.name.replace("hello-2.0", "hello-3.0"))


def says_more_than_it_is(signed: Signed, _server: Server) -> None:
    """An old bundle, and a statement that calls it a new one."""
    signed.sign(
        "release", text=signed.text().replace("# bundle hello 0.9-bbbbbbbbbbbb", "# bundle hello 3.0-bbbbbbbbbbbb")
    )


def not_ours(path: Path) -> None:
    os.chown(path, 1900000301, -1)


LINE = "0" * 64
CHANGED = "was changed after it was signed"
NOT_A_STATEMENT = "is not a conda-bundler statement: "
WRITABLE = "is writable by non-root users, so nothing in"
ATTACKS = {
    **{
        f"a-byte-of-{path.replace('/', '-')}": Attack(do=change(path), says=f"{TOP}/{path} {CHANGED}") for path in FILES
    },
    **{
        f"a-byte-of-the-{form}-at-{at}": Attack(form=form, do=flip(at), says=f"{TOP}.{form} {CHANGED}")
        for form in ("tar", "run")
        for at in (0.001, 0.3, 0.7, 0.9999)
    },
    "a-byte-more": Attack(form="tar", do=resized(1), says=f"{TOP}.tar {CHANGED}"),
    "a-byte-less": Attack(form="run", do=resized(-1), says=f"{TOP}.run {CHANGED}"),
    "install.sh-sealed-again": Attack(do=reseal, says=f"{TOP}/SHA256SUMS {CHANGED}"),
    "the-manifest-of-another-bundle": Attack(do=swap_manifests, says=f"{TOP}/manifest.json {CHANGED}"),
    "a-unit-more": Attack(do=add("units/evil.service"), says=f"{TOP}/units/evil.service does not belong to the bundle"),
    "a-hidden-file-more": Attack(do=add(".env"), says=f"{TOP}/.env does not belong to the bundle"),
    "a-file-less": Attack(do=remove("conda-lock.yml"), says="conda-lock.yml is missing from the bundle"),
    # who signed
    "a-stranger": Attack(status=17, do=by("stranger"), says="the key that signed it is not in"),
    "an-expired-key": Attack(status=17, do=by("expired"), says="the key that signed it has expired, according to"),
    "a-key-of-the-future": Attack(
        status=17, do=by("future"), says="the key that signed it is not valid yet, according to"
    ),
    "a-revoked-key": Attack(status=17, do=by("revoked"), says="the key of revoked@example.org is revoked"),
    "a-key-for-another-purpose": Attack(
        status=17, do=by("elsewhere"), says="does not allow the key that signed it to sign bundles"
    ),
    "a-signature-for-another-purpose": Attack(status=17, do=for_another_purpose, says="signed for a different purpose"),
    "a-signature-of-another-bundle": Attack(
        status=17, do=swap_signatures, says="the signature does not match this statement"
    ),
    "a-statement-of-another-version": Attack(do=swap_statements, form="tar", says="tar is not in hello-2.0"),
    "a-statement-of-another-version-for-a-directory": Attack(do=swap_statements, says=f"{TOP.replace('2.0', '3.0')}"),
    "a-damaged-signature": Attack(status=17, do=damage_signature, says="the signature is damaged"),
    "no-signature": Attack(status=17, do=by(), says="contains no signature"),
    "too-many-signatures": Attack(do=many_signatures, says="has more than 64 signatures"),
    "no-file-of-signatures": Attack(
        status=17, do=lambda signed, _server: signed.signatures.unlink(), says=f"{TOP}.statement.sig is missing"
    ),
    "no-statement": Attack(status=17, do=lambda signed, _server: signed.statement.unlink(), says="is not signed"),
    "signatures-stripped": Attack(status=17, do=stripped, says=f"{TOP} is not signed: {TOP}.statement is missing"),
    "signatures-stripped-and-unsigned-asked-for": Attack(
        status=17, do=stripped, options=("--unsigned",), says="requires signatures of hello; --unsigned is refused"
    ),
    "one-of-two": Attack(status=17, do=policy("threshold 2"), says="requires 2 signers, and 1 may sign hello here"),
    "one-of-two-and-a-stranger": Attack(
        status=17, do=policy("threshold 2", by=("release", "stranger")), says="requires 2 signers, and 1 may sign"
    ),
    "the-same-signature-twice": Attack(
        status=17, do=policy("threshold 2", by=("release", "release")), says="requires 2 signers, and 1 may sign"
    ),
    "two-keys-of-one-signer": Attack(
        status=17, do=policy("threshold 2", by=("ops", "ops2")), says="requires 2 signers, and 1 may sign"
    ),
    "one-key-with-two-names": Attack(status=17, do=one_key_two_names, says="requires 2 signers, and 1 may sign"),
    "a-signer-of-other-bundles": Attack(
        status=17,
        do=policy("signer release@example.org web-*", "signer ops@example.org"),
        says="does not allow release@example.org to sign hello",
    ),
    "openssl-a-stranger": Attack(status=17, do=openssl("stranger"), says="no key in"),
    "openssl-a-signature-of-another-statement": Attack(
        status=17,
        do=openssl_of_another_statement,
        says="no key in",
    ),
    "openssl-a-damaged-signature": Attack(
        status=17, do=openssl("release", change=lambda text: f"!{text}"), says=".statement.openssl is damaged"
    ),
    "openssl-a-signature-cut-off": Attack(
        status=17, do=openssl("release", change=lambda text: text[:40]), says="no key in"
    ),
    "openssl-no-signature": Attack(status=17, do=openssl(), says="it has no signature by the kind of key in"),
    "openssl-too-many-signatures": Attack(
        do=openssl("stranger", change=lambda text: text * 65), says=".openssl has more than 64 signatures"
    ),
    "openssl-the-same-signature-twice": Attack(
        status=17, do=openssl("release", "release", policy=("threshold 2",)), says="requires 2 signers, and 1 may sign"
    ),
    "openssl-one-key-with-two-names": Attack(
        status=17,
        do=openssl(
            "release",
            "release",
            policy=("threshold 2",),
            then=lambda allowed: shutil.copy(allowed / "release@example.org.pem", allowed / "a.pem"),
        ),
        says="requires 2 signers, and 1 may sign",
    ),
    "openssl-a-signer-of-other-bundles": Attack(
        status=17,
        do=openssl("release", policy=("signer release@example.org web-*", "signer ops@example.org")),
        says="release@example.org may not sign hello",
    ),
    "openssl-a-key-that-was-taken-away": Attack(
        status=17,
        do=openssl("release", then=lambda allowed: (allowed / "release@example.org.pem").unlink()),
        says="no key in",
    ),
    "openssl-a-key-that-others-can-write": Attack(
        status=10,
        do=openssl("release", then=lambda allowed: (allowed / "ops@example.org.pem").chmod(0o666)),
        says=WRITABLE,
    ),
    "openssl-keys-that-others-can-add": Attack(
        status=10, do=openssl("release", then=lambda allowed: allowed.chmod(0o777)), says=WRITABLE
    ),
    "openssl-keys-elsewhere": Attack(
        status=10, do=openssl("release", then=link_elsewhere), says="allowed_keys is not a directory"
    ),
    "openssl-a-key-of-nobody": Attack(
        status=10,
        do=openssl("release", then=lambda allowed: (allowed / "ops@example.org.pem").rename(allowed / "o ps.pem")),
        says="not the name of a signer",
    ),
    "openssl-signatures-where-only-ssh-counts": Attack(
        status=17,
        do=lambda signed, _server: signed.sign_with_openssl("release"),
        says="contains no signature",
    ),
    # which bundle
    "another-bundle": Attack(status=17, do=nothing, name="other", says="this is the bundle 'other', not hello"),
    "another-platform": Attack(
        status=17, do=nothing, platform="linux-aarch64", says="this bundle is for linux-aarch64, not for linux-64"
    ),
    "an-older-bundle-again": Attack(
        status=17, do=nothing, release="0.9-bbbbbbbbbbbb", says="0.9-bbbbbbbbbbbb is older than the current release"
    ),
    "a-pre-release-again": Attack(
        status=17, do=nothing, release="1.0rc3-bbbbbbbbbbbb", says="is older than the current"
    ),
    "an-older-build-again": Attack(
        status=17, do=nothing, release="1.0-bbbbbbbbbbbb", says="is a different build of the current version"
    ),
    "an-older-unsigned-bundle": Attack(
        status=17, do=nothing, release="0.9-bbbbbbbbbbbb", options=("--unsigned",), form="run", says="is older than"
    ),
    "an-old-bundle-that-is-called-new": Attack(
        do=says_more_than_it_is,
        form="tar",
        release="0.9-bbbbbbbbbbbb",
        says="install.sh belongs to hello 0.9-bbbbbbbbbbbb, but hello 3.0-bbbbbbbbbbbb was signed",
    ),
    "a-release-of-no-build": Attack(
        do=said(lambda text: text.replace(RELEASE, "2.0", 1)), says="not the name of a release: '2.0'"
    ),
    "another-name": Attack(do=another_name, form="tar", says="hello-3.0-linux-64.tar is not in"),
    # whom this server trusts
    "a-policy-of-a-group": Attack(status=10, do=trusted("policy", lambda path: path.chmod(0o664)), says=WRITABLE),
    "a-policy-of-all": Attack(status=10, do=trusted("policy", lambda path: path.chmod(0o646)), says=WRITABLE),
    "a-policy-of-another-user": Attack(status=10, do=trusted("policy", not_ours), says=WRITABLE),
    "a-link-to-a-policy": Attack(status=10, do=trusted("policy", linked), says="policy is not a regular file"),
    "a-directory-of-a-group": Attack(status=10, do=trusted("", lambda path: path.chmod(0o775)), says=WRITABLE),
    "a-directory-of-another-user": Attack(status=10, do=trusted(".", not_ours), says=WRITABLE),
    "signers-of-a-group": Attack(
        status=10, do=trusted("allowed_signers", lambda path: path.chmod(0o664)), says=WRITABLE
    ),
    "revoked-keys-of-all": Attack(status=10, do=trusted("revoked_keys", lambda path: path.chmod(0o666)), says=WRITABLE),
    "no-signers": Attack(
        status=10, do=trusted("allowed_signers", lambda path: path.unlink()), says="this server has no allowed signers"
    ),
    "an-unknown-word-in-the-policy": Attack(
        status=10, do=policy("", "signatues required"), says="policy, line 2: unknown word 'signatues'"
    ),
    "a-policy-of-windows": Attack(status=10, do=policy("signatures optional\r"), says="not plain text"),
    "a-threshold-of-none": Attack(status=10, do=policy("threshold 0"), says="not a number of signers: 0"),
    # what was signed
    "a-line-twice": Attack(
        do=said(lambda text: text + text.splitlines()[-1] + "\n"), says="units/hello.service is listed twice"
    ),
    "a-path-twice": Attack(
        do=said(lambda text: f"{text}{LINE}  {TOP}/install.sh\n"), says="install.sh is listed twice"
    ),
    "a-line-more": Attack(do=said(lambda text: f"{text}{LINE}  {TOP}/evil\n"), says="evil is missing from the bundle"),
    "a-comment-more": Attack(
        do=said(lambda text: f"{text}# x\n"), says=f"{NOT_A_STATEMENT}it has a line that is not a digest"
    ),
    "a-path-that-leads-up": Attack(
        do=said(lambda text: f"{text}{LINE}  {TOP}/../x\n"), says=f"{NOT_A_STATEMENT}it has a path outside the bundle"
    ),
    "an-absolute-path": Attack(
        do=said(lambda text: f"{text}{LINE}  /etc/passwd\n"), says=f"{NOT_A_STATEMENT}it has a path outside the bundle"
    ),
    "two-directories": Attack(
        do=said(lambda text: f"{text}{LINE}  other/x\n"), says=f"{NOT_A_STATEMENT}it covers more than one directory"
    ),
    "two-bundles": Attack(
        do=said(lambda text: f"{text}{LINE}  a.tar\n{LINE}  b.tar\n"),
        says=f"{NOT_A_STATEMENT}it covers more than one bundle file",
    ),
    "no-files": Attack(
        do=said(lambda text: "\n".join(text.splitlines()[:2]) + "\n"),
        says=f"{NOT_A_STATEMENT}it lists no files of a bundle",
    ),
    "one-line": Attack(do=said(lambda text: text.split("\n", 1)[0] + "\n"), says=f"{NOT_A_STATEMENT}it ends after"),
    "another-format": Attack(
        do=said(lambda text: text.replace("statement 1", "statement 2", 1)), says=f"{NOT_A_STATEMENT}its first line"
    ),
    "more-words-of-the-bundle": Attack(
        do=said(lambda text: text.replace("linux-64", "x linux-64", 1)), says=f"{NOT_A_STATEMENT}its second line"
    ),
    "lines-of-windows": Attack(
        do=said(lambda text: text.replace("\n", "\r\n")), says=f"{NOT_A_STATEMENT}it does not consist of lines of"
    ),
    "a-zero-byte": Attack(
        do=said(lambda text: text.replace("install.sh", "install.sh\0")),
        says=f"{NOT_A_STATEMENT}it does not consist of lines of",
    ),
    "no-end-of-the-last-line": Attack(
        do=said(lambda text: text[:-1]), says=f"{NOT_A_STATEMENT}it does not consist of lines of"
    ),
    "a-backslash": Attack(
        do=said(lambda text: text.replace("install.sh", "install\\.sh")),
        says=f"{NOT_A_STATEMENT}it has a line that is not",
    ),
    "a-huge-statement": Attack(do=said(lambda text: text + "#" * (1 << 20)), says=f"{TOP}.statement is too large"),
    # what lies there
    "a-link-for-install.sh": Attack(
        do=link("install.sh", "../elsewhere"), says="install.sh is missing from the bundle, or is not a regular"
    ),
    "a-link-for-a-directory": Attack(
        do=link("units", "../elsewhere"), says=f"{TOP}/units does not belong to the bundle"
    ),
    "a-link-to-a-file-of-roots": Attack(
        do=link("config/hello.env", "/etc/shadow"),
        says="config/hello.env is missing from the bundle, or is not a regular",
    ),
    "a-pipe-without-end": Attack(do=fifo, says="manifest.json is missing from the bundle, or is not a regular file"),
    "a-name-with-a-line-break": Attack(do=add("x\nhello"), says="does not belong to the bundle"),
    "a-name-like-an-option": Attack(do=add("--help"), says=f"{TOP}/--help does not belong to the bundle"),
    "a-name-in-colour": Attack(do=add("\x1b[31m"), says="does not belong to the bundle"),
    "a-huge-file": Attack(status=12, do=sparse("payload.tar.gz"), says="MiB are needed to check"),
    "a-huge-tar": Attack(status=12, do=sparse(""), form="tar", says="MiB are needed to check"),
    # a tar that was signed unseen
    "a-member-that-leads-up": Attack(do=tarred(member(f"{TOP}/../../x")), form="tar", says="is not a valid bundle"),
    "an-absolute-member": Attack(do=tarred(member("/etc/cron.d/x")), form="tar", says="is not a valid bundle"),
    "a-member-in-another-directory": Attack(
        do=tarred(member("other/x")), form="tar", says=f"contains files outside {TOP}"
    ),
    "a-member-twice": Attack(do=tarred(member(f"{TOP}/install.sh")), form="tar", says="install.sh is listed twice"),
    "a-member-more": Attack(
        do=tarred(member(f"{TOP}/evil")), form="tar", says=f"{TOP}/evil does not belong to the bundle"
    ),
    "a-link-that-leads-out": Attack(
        do=tarred(member(f"{TOP}/units", kind=tarfile.SYMTYPE, to="/etc"), after=False),
        form="tar",
        says="links or devices",
    ),
    "a-hard-link": Attack(
        do=tarred(member(f"{TOP}/evil", kind=tarfile.LNKTYPE, to=f"{TOP}/install.sh")),
        form="tar",
        says="is not a valid bundle",
    ),
    "a-device": Attack(do=tarred(member(f"{TOP}/null", kind=tarfile.CHRTYPE)), form="tar", says="links or devices"),
    "a-compressed-tar": Attack(do=compressed, form="tar", says="is not a valid bundle"),
    "a-script-without-a-tar": Attack(do=no_tar_in_it, form="run", says="it does not contain the offset of its tar"),
}


def test_there_are_attacks_of_all_kinds() -> None:
    assert len(ATTACKS) >= 90


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_before_any_of_its_code_runs(name: str, tmp_path: Path) -> None:
    attack = ATTACKS[name]
    shell = THREE_SHELLS[list(ATTACKS).index(name) % len(THREE_SHELLS)]
    server = Server.make(tmp_path, shell=shell)
    signed = Signed(
        room=tmp_path / "usb", form=attack.form, name=attack.name, release=attack.release, platform=attack.platform
    )
    attack.do(signed, server)
    done = server.manage("upgrade", signed.bundle, *attack.options)
    assert (done.returncode, server.ran(), server.left()) == (attack.status, None, []), done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("manage: error: ")]
    assert len(errors) == 1, done.stderr
    assert attack.says in errors[0]
    assert done.stderr.splitlines()[-1].startswith("  "), "what to do"
    assert done.stdout == ""
