"""Signatures of bundles, with real keys: what is signed, who may sign, and what no signature covers is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from smallbundle import TOP, build, command, make_channel, make_project, reseal

from bundler.errors import BundlerError, ConfigError, VerificationError
from bundler.signing.bundles import Trust, check_signed, sign_bundle
from bundler.signing.statement import read_statement

pytestmark = pytest.mark.usefixtures("own_cache")

FORMS = ("dir", "tar", "run")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("signed")
    channel, project = make_channel(room / "channel"), make_project(room / "project")
    return {form: build(project, channel, form) for form in FORMS}


@dataclass(frozen=True, kw_only=True)
class People:
    """Keys, and the file of those who may sign with them."""

    room: Path
    lines: list[str] = field(default_factory=list)

    def key(self, name: str, kind: str = "ed25519", options: str = 'namespaces="conda-bundler"') -> Path:
        """A new key, and its line among the allowed signers; none if ``options`` is "stranger"."""
        path = self.room / f"{name.split('@', maxsplit=1)[0]}-{kind}"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path, "-C", name], check=True)
        if options != "stranger":
            self.lines.append(f"{name} {options} {Path(f'{path}.pub').read_text()}".replace("  ", " "))
            self.allowed.write_text("".join(self.lines))
        return path

    @property
    def allowed(self) -> Path:
        return self.room / "allowed_signers"

    def trust(self, threshold: int = 1, revoked: Path | None = None) -> Trust:
        return Trust(allowed=self.allowed, threshold=threshold, revoked=revoked)


@pytest.fixture
def people(tmp_path: Path) -> People:
    room = tmp_path / "people"
    room.mkdir()
    (room / "allowed_signers").touch()
    return People(room=room)


@pytest.fixture
def tar(bundles: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copy(bundles["tar"], tmp_path))


def refused(path: Path, trust: Trust) -> str:
    with pytest.raises(VerificationError) as caught:
        check_signed(path, trust)
    return caught.value.format_message()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_who_signed_is_said(bundles: dict[str, Path], tmp_path: Path, people: People, form: str, kind: str) -> None:
    copy = tmp_path / bundles[form].name
    (shutil.copytree if form == "dir" else shutil.copy)(bundles[form], copy)
    sign_bundle(copy, people.key("release@example.org", kind))
    (signer,) = check_signed(copy, people.trust())
    assert signer.principal == "release@example.org"
    assert signer.key.split()[0] == kind.upper()
    assert signer.key.split()[1].startswith("SHA256:")


def test_the_commands(bundles: dict[str, Path], tar: Path, people: People) -> None:
    done = command("sign", tar, "--key", people.key("release@example.org"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["count"] == 1
    done = command("verify", tar, "--allowed-signers", people.allowed, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["signers"][0].startswith("release@example.org (ED25519 SHA256:")
    done = command("verify", bundles["run"], "--allowed-signers", people.allowed)
    assert (done.returncode, "no such statement" in done.stderr) == (7, True)
    assert command("verify", tar, "--signatures", "2").returncode == 2


def test_a_server_needs_openssh_and_coreutils_alone(tar: Path, people: People) -> None:
    """The lines of docs/how-to/sign.md."""
    sign_bundle(tar, people.key("release@example.org"))
    statement = tar.with_name(f"{tar.name}.statement")
    with statement.open("rb") as content:
        done = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", people.allowed, "-I", "release@example.org", "-n", "conda-bundler",
             "-s", f"{statement}.sig"], stdin=content, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert 'Good "conda-bundler" signature' in done.stdout
    words = ["sha256sum", "--check", "--ignore-missing", statement.name]
    done = subprocess.run(words, cwd=tar.parent, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tar.name}: OK\n"
    subprocess.run(["tar", "-xf", tar.name], cwd=tar.parent, check=True)
    done = subprocess.run(words, cwd=tar.parent, capture_output=True, text=True, check=True)
    assert f"{TOP}/install.sh: OK" in done.stdout
    assert [signer.principal for signer in check_signed(tar.parent / TOP, people.trust())] == ["release@example.org"]


def test_two_of_three(tar: Path, people: People) -> None:
    first, second = people.key("a@example.org"), people.key("b@example.org")
    sign_bundle(tar, first)
    assert "permitted signers: a@example.org; 2 required" in refused(tar, people.trust(2))
    sign_bundle(tar, first)
    assert "2 required" in refused(tar, people.trust(2)), "one person twice is one"
    sign_bundle(tar, people.key("a@example.org", "ecdsa"))
    assert "2 required" in refused(tar, people.trust(2)), "one person with two keys is one"
    sign_bundle(tar, people.key("stranger@example.org", options="stranger"))
    assert "2 required" in refused(tar, people.trust(2)), "a stranger is nobody"
    sign_bundle(tar, second)
    assert [one.principal for one in check_signed(tar, people.trust(2))] == ["a@example.org", "b@example.org"]


class TestOpenssl:
    """For servers whose ssh-keygen cannot verify signatures."""

    @pytest.fixture
    def pem(self, tmp_path: Path) -> Path:
        """Who may sign."""
        (tmp_path / "pem").mkdir()
        return tmp_path / "pem"

    def key(self, pem: Path, name: str, algorithm: str = "EC", *, allowed: bool = True) -> str:
        private = pem.with_name(f"{name}-{algorithm}.key")
        option = "ec_paramgen_curve:P-256" if algorithm == "EC" else "rsa_keygen_bits:2048"
        words: list[str | Path] = [
            "openssl",
            "genpkey",
            "-quiet",
            "-algorithm",
            algorithm,
            "-pkeyopt",
            option,
            "-out",
            private,
        ]
        subprocess.run(words, check=True)
        if allowed:
            subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", pem / f"{name}.pem"], check=True)
        return str(private)

    @pytest.mark.parametrize("algorithm", ["EC", "RSA"])
    def test_who_signed_is_said(self, tar: Path, pem: Path, algorithm: str) -> None:
        key = self.key(pem, "release@example.org", algorithm)
        sign_bundle(tar, key)
        assert sign_bundle(tar, key).count == 2
        (signer,) = check_signed(tar, Trust(keys=pem))
        assert str(signer).startswith("release@example.org (openssl SHA256:")

    def test_who_may_not(self, tar: Path, pem: Path) -> None:
        self.key(pem, "release")
        sign_bundle(tar, self.key(pem, "stranger", allowed=False))
        assert "permitted signers: nobody; 1 required" in refused(tar, Trust(keys=pem))

    def test_what_is_no_signature_of_it(self, tar: Path, pem: Path) -> None:
        sign_bundle(tar, self.key(pem, "release"))
        signatures = tar.with_name(f"{tar.name}.statement.openssl")
        for damage in ("", "\n", "????\n", "AAAA\n", signatures.read_text()[4:]):
            signatures.write_text(damage)
            assert "permitted signers: nobody" in refused(tar, Trust(keys=pem))

    def test_a_person_is_one_whatever_he_signs_with(self, tar: Path, pem: Path, people: People) -> None:
        sign_bundle(tar, people.key("a"))
        sign_bundle(tar, self.key(pem, "a"))
        trust = Trust(allowed=people.allowed, keys=pem, threshold=2)
        assert "permitted signers: a; 2 required" in refused(tar, trust)
        key = self.key(pem, "b")
        sign_bundle(tar, key)
        assert [one.principal for one in check_signed(tar, trust)] == ["a", "b"]
        shutil.copy(pem / "b.pem", pem / "c.pem")
        assert "permitted signers: a, b; 3 required" in refused(tar, Trust(keys=pem, threshold=3))

    def test_the_commands(self, tar: Path, pem: Path) -> None:
        key = self.key(pem, "release")
        done = command("sign", tar, "--key", f"openssl:{key}")
        assert (done.returncode, ".statement.openssl: 1 signature of" in done.stdout) == (0, True), done.stderr
        done = command("verify", tar, "--allowed-keys", pem)
        assert (done.returncode, "release (openssl SHA256:" in done.stdout) == (0, True), done.stderr
        done = command("sign", tar, "--key", f"openssl:{pem}/none")
        assert (done.returncode, "the key cannot sign" in done.stderr) == (2, True), done.stderr

    def test_another_bundle_under_that_name_keeps_no_signature(self, tar: Path, pem: Path, people: People) -> None:
        sign_bundle(tar, self.key(pem, "release"))
        sign_bundle(tar, people.key("release"))
        statement = tar.with_name(f"{tar.name}.statement")
        statement.write_text(statement.read_text() + "# changed\n")
        sign_bundle(tar, people.key("release", "ecdsa"))
        assert not statement.with_name(f"{statement.name}.openssl").exists()


@pytest.mark.parametrize(
    "options",
    [
        "stranger",
        'namespaces="git"',
        'valid-before="20200101"',
        'valid-after="20990101"',
        "cert-authority",
    ],
)
def test_who_may_not_sign_now(tar: Path, people: People, options: str) -> None:
    sign_bundle(tar, people.key("release@example.org", options=options))
    assert "permitted signers: nobody; 1 required" in refused(tar, people.trust())


def test_a_revoked_key(tar: Path, people: People) -> None:
    key, revoked = people.key("release@example.org"), people.room / "revoked"
    sign_bundle(tar, key)
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, f"{key}.pub"], check=True)
    assert check_signed(tar, people.trust())
    assert "permitted signers: nobody" in refused(tar, people.trust(revoked=revoked))


def signed_text(text: bytes, key: Path, namespace: str) -> bytes:
    path = key.with_name("text")
    path.write_bytes(text)
    subprocess.run(["ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", namespace, path], check=True)
    return Path(f"{path}.sig").read_bytes()


def test_a_signature_for_something_else(tar: Path, people: People) -> None:
    key = people.key("release@example.org", options="")
    sign_bundle(tar, key)
    statement, signatures = tar.with_name(f"{tar.name}.statement"), tar.with_name(f"{tar.name}.statement.sig")
    signatures.write_bytes(signed_text(statement.read_bytes(), key, "git"))
    assert "permitted signers: nobody" in refused(tar, people.trust())
    signatures.write_bytes(signed_text(b"another text\n", key, "conda-bundler"))
    assert "permitted signers: nobody" in refused(tar, people.trust())
    for damage in (b"", b"-----BEGIN SSH SIGNATURE-----\n\n-----END SSH SIGNATURE-----\n", b"\xff" * 1000):
        signatures.write_bytes(damage)
        assert "permitted signers: nobody" in refused(tar, people.trust())
    signatures.unlink()
    assert "permitted signers: nobody" in refused(tar, people.trust())


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("at", [0.5, 0.999], ids=["payload", "after-the-end"])
def test_a_changed_byte_of_the_tar(tar: Path, people: People, at: float) -> None:
    sign_bundle(tar, people.key("release@example.org"))
    flip(tar, int(tar.stat().st_size * at))
    assert f"{tar.name} was changed" in refused(tar, people.trust())


def change_header(tar: Path) -> None:
    """Another mode of a file, which no digest of a file covers."""
    with tarfile.open(tar) as members:
        member = members.getmembers()[1]
    content = bytearray(tar.read_bytes())
    header = bytearray(content[member.offset : member.offset + 512])
    header[100:107] = b"0000777"
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    content[member.offset : member.offset + 512] = header
    tar.write_bytes(content)


def test_a_changed_header_of_the_tar(tar: Path, people: People) -> None:
    sign_bundle(tar, people.key("release@example.org"))
    change_header(tar)
    assert f"{tar.name} was changed" in refused(tar, people.trust())


def test_a_bundle_by_another_name(tar: Path, people: People) -> None:
    sign_bundle(tar, people.key("release@example.org"))
    other = tar.with_name("other.tar")
    for ending in ("", ".statement", ".statement.sig"):
        tar.with_name(f"{tar.name}{ending}").rename(f"{other}{ending}")
    assert "other.tar is not in the statement" in refused(other, people.trust())


@pytest.fixture
def unpacked(bundles: dict[str, Path], tmp_path: Path, people: People) -> Path:
    copy = Path(shutil.copytree(bundles["dir"], tmp_path / TOP))
    sign_bundle(copy, people.key("release@example.org"))
    return copy


def test_files_of_a_directory(unpacked: Path, people: People) -> None:
    (unpacked / "units" / "evil.service").write_text("[Service]\nExecStart=/bin/sh\n")
    assert f"{TOP}/units/evil.service is not in the statement" in refused(unpacked, people.trust())
    (unpacked / "units" / "evil.service").unlink()
    flip(unpacked / "install.sh", 100)
    assert f"{TOP}/install.sh was changed" in refused(unpacked, people.trust())
    flip(unpacked / "install.sh", 100)
    (unpacked / "conda-lock.yml").unlink()
    assert f"{TOP}/conda-lock.yml is missing" in refused(unpacked, people.trust())


def test_another_sbom_in_a_bundle_that_was_sealed_again(unpacked: Path, people: People) -> None:
    sbom = unpacked / "sbom.cdx.json"
    sbom.write_text(sbom.read_text().replace("tool", "toil"))
    reseal(unpacked, sbom={"path": sbom.name, "sha256": hashlib.sha256(sbom.read_bytes()).hexdigest()})
    assert command("verify", unpacked).returncode == 0, "all that speaks for it is the signature"
    assert f"{TOP}/sbom.cdx.json was changed" in refused(unpacked, people.trust())
    sbom.unlink()
    assert f"{TOP}/sbom.cdx.json is missing" in refused(unpacked, people.trust())


def test_signing_a_directory_leaves_the_statement_of_its_tar_alone(tar: Path, people: People) -> None:
    key = people.key("release@example.org")
    sign_bundle(tar, key)
    subprocess.run(["tar", "-xf", tar.name], cwd=tar.parent, check=True)
    sign_bundle(tar.parent / TOP, key)
    assert check_signed(tar, people.trust())
    assert check_signed(tar.parent / TOP, people.trust())


def test_another_bundles_statement(bundles: dict[str, Path], unpacked: Path, tmp_path: Path, people: People) -> None:
    other = Path(shutil.copytree(unpacked, tmp_path / "other" / TOP))
    for ending in (".statement", ".statement.sig"):
        shutil.copy(tmp_path / f"{TOP}{ending}", tmp_path / "other" / f"{TOP}{ending}")
    assert check_signed(other, people.trust()), "the same bytes elsewhere are the same bundle"
    manifest = (other / "manifest.json").read_text()
    (other / "manifest.json").write_text(manifest.replace('"version": "', '"version": "9'))
    assert f"{TOP}/manifest.json was changed" in refused(other, people.trust())


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("statement 1", "statement 2"),
        lambda text: text.replace("linux-64", "linux-64 x", 1),
        lambda text: text + "\n",
        lambda text: text[:-1],
        lambda text: text + text.splitlines()[-1] + "\n",
        lambda text: text.replace("  ", " *", 1),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "",
        lambda text: text + "#" * (1 << 20),
        lambda text: text + f"{'0' * 64}  {'x' * ((1 << 20) - len(text) - 66)}\n",  # one byte too many
        lambda text: text.replace("install.sh", "install\udcff.sh"),
        lambda text: text.replace("install.sh", "install\\.sh"),
        lambda text: "\n".join(text.splitlines()[:2]) + "\n",
    ],
)
def test_what_is_no_statement(tar: Path, people: People, change: object) -> None:
    sign_bundle(tar, people.key("release@example.org"))
    path = tar.with_name(f"{tar.name}.statement")
    assert callable(change)
    path.write_text(change(path.read_text()), newline="", errors="surrogateescape")
    with pytest.raises(VerificationError, match="not a conda-bundler statement"):
        read_statement(path)
    assert "not a conda-bundler statement" in refused(tar, people.trust())


def test_a_statement_is_the_same_every_time(tar: Path, people: People) -> None:
    path = tar.with_name(f"{tar.name}.statement")
    sign_bundle(tar, people.key("a@example.org"))
    first = path.read_bytes()
    sign_bundle(tar, people.key("b@example.org"))
    assert path.read_bytes() == first
    statement, _ = read_statement(path)
    assert (statement.name, statement.platform) == ("small", "linux-64")
    inside = {f"{TOP}/{name}" for name in ("install.sh", "manifest.json", "sbom.cdx.json")}
    assert {*inside, tar.name} <= {name for name, _ in statement.files}


def test_signing_another_bundle_drops_the_signatures_of_the_one_before(tar: Path, people: People) -> None:
    key = people.key("a@example.org")
    sign_bundle(tar, key)
    change_header(tar)
    assert sign_bundle(tar, key).count == 1
    assert sign_bundle(tar, key).count == 2


def test_a_key_that_cannot_sign(tar: Path, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    key = people.key("a@example.org")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    for damage in ("", "no key\n"):
        key.write_text(damage)
        with pytest.raises(ConfigError, match="the key cannot sign"):
            sign_bundle(tar, key)
    assert not tar.with_name(f"{tar.name}.statement").exists()
    key.unlink()
    with pytest.raises(ConfigError, match="no such key"):
        sign_bundle(tar, key)


def test_a_key_in_an_agent(tar: Path, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = people.key("a@example.org")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", tmp_path / "agent"], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        for _ in range(100):
            done = subprocess.run(["ssh-add", "-q", key], env=os.environ, capture_output=True, check=False)
            if done.returncode == 0:
                break
        assert done.returncode == 0, done.stderr
        key.unlink()
        sign_bundle(tar, Path(f"{key}.pub"))
    finally:
        agent.kill()
        agent.wait()
    assert check_signed(tar, people.trust())


def test_build_signs(tmp_path: Path, people: People) -> None:
    channel, project = make_channel(tmp_path / "channel"), make_project(tmp_path / "project")
    key = people.key("release@example.org")
    done = command(
        "build", project, "--channel", channel.as_uri(), "--output-dir", tmp_path / "dist", "--sign-key", key, "--json"
    )
    assert done.returncode == 0, done.stderr
    path = Path(json.loads(done.stdout)["bundles"][0]["path"])
    assert check_signed(path, people.trust())


def test_what_is_no_bundle(tmp_path: Path, people: People) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"no tar")
    with pytest.raises(BundlerError, match="not a bundle"):
        sign_bundle(path, people.key("a@example.org"))
