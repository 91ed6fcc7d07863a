"""Bundles to upgrade to, signed and spoiled, and a manage that looks at them, on no machine.

Their install.sh only says that it was run: manage has nothing else to do with what is in a bundle.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from installkit import Spec, script

from bundler.bundle.assemble import place
from bundler.bundle.identity import Identity
from bundler.installer.render import render_manage
from bundler.signing import openssl, ssh
from bundler.signing.statement import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CURRENT", "FILES", "TOP", "Form", "Server", "Signed", "keys", "make_bundle", "openssl_keys", "statement_of"]

Form = Literal["dir", "tar", "run"]
TOP = "hello-2.0-linux-64"
CURRENT = "1.0-aaaaaaaaaaaa"
INSTALL = """#!/bin/sh
NAME={name}
VERSION={version}
PLATFORM={platform}
RELEASE={version}-{build}
printf '%s\\n' "ran" "$@" >>"$UPGRADE_MARK"
exit "${{UPGRADE_STATUS:-0}}"
"""
FILES = (
    *("install.sh", "manage", "manifest.json", "SHA256SUMS", "payload.tar.gz", "units/hello.service"),
    *("config/hello.env", "launch/hello", "conda-lock.yml", "sbom.cdx.json", "provenance.json"),
)
"""One of each kind that a bundle has."""
KEYS = ("release", "ops", "ops2", "stranger", "expired", "future", "elsewhere", "revoked")
_KEYS = tempfile.TemporaryDirectory(prefix="keys.")  # which goes with the process
_OPTIONS = {"expired": ',valid-before="20200101"', "future": ',valid-after="20990101"'}


@cache
def keys() -> Path:
    """A private key of each of KEYS, and the files of allowed and of revoked ones."""
    room = Path(_KEYS.name)
    lines = []
    for name in KEYS:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", room / name, "-C", name], check=True)
        public = (room / f"{name}.pub").read_text()
        principal = "ops" if name == "ops2" else name
        space = "other" if name == "elsewhere" else "conda-bundler"
        if name != "stranger":
            lines.append(f'{principal}@example.org namespaces="{space}"{_OPTIONS.get(name, "")} {public}')
    (room / "allowed_signers").write_text("".join(lines))
    shutil.copy(room / "revoked.pub", room / "revoked_keys")
    return room


@cache
def openssl_keys() -> Path:
    """A private key ``NAME.key`` of release, ops and a stranger, and the directory of those that are allowed."""
    room = keys() / "openssl"
    (room / "allowed_keys").mkdir(parents=True)
    for name in ("release", "ops", "stranger"):
        key = room / f"{name}.key"
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
        if name != "stranger":
            public = room / f"allowed_keys/{name}@example.org.pem"
            subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    return room


def make_bundle(
    room: Path, form: Form, *, name: str = "hello", release: str = "2.0-bbbbbbbbbbbb", platform: str = "linux-64"
) -> Path:
    """A bundle of FILES, put together as a build does it."""
    version, build = release.rsplit("-", 1)
    new = room / "new"
    for path in FILES:
        (new / path).parent.mkdir(parents=True, exist_ok=True)
        (new / path).write_bytes(f"{path} of {name} {release}\n".encode() * 50)
    (new / "install.sh").write_text(INSTALL.format(name=name, version=version, build=build, platform=platform))
    identity = Identity(name=name, version=version, platform=platform, build_id=build, root=f"/opt/{name}")
    seal(new)
    bundle = place(new, identity, room, form=form).path
    shutil.rmtree(new, ignore_errors=True)
    return bundle


def seal(directory: Path) -> None:
    """SHA256SUMS as it has to be."""
    lines = "".join(f"{_sha256(directory / path)}  {path}\n" for path in sorted(FILES) if path != "SHA256SUMS")
    (directory / "SHA256SUMS").write_text(lines)


def statement_of(
    bundle: Path,
    files: Mapping[str, str],
    *,
    name: str = "hello",
    release: str = "2.0-bbbbbbbbbbbb",
    platform: str = "linux-64",
) -> str:
    """What would be signed of the bundle; ``files`` are the digests of those in it."""
    whole = () if bundle.is_dir() else ((bundle.name, _sha256(bundle)),)
    top = f"{name}-{release.rsplit('-', 1)[0]}-{platform}"
    inside = tuple((f"{top}/{path}", files[path]) for path in sorted(files))
    return Statement(name=name, release=release, platform=platform, files=(*whole, *inside)).text()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(kw_only=True)
class Signed:
    """A signed bundle, to be spoiled, on the medium that brought it."""

    room: Path
    form: Form
    name: str = "hello"
    release: str = "2.0-bbbbbbbbbbbb"
    platform: str = "linux-64"
    bundle: Path = field(init=False)
    digests: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.room.mkdir(parents=True)
        what = {"name": self.name, "release": self.release, "platform": self.platform}
        plain = make_bundle(self.room / "plain", "dir", **what)
        self.digests = {path: _sha256(plain / path) for path in FILES}
        self.bundle = make_bundle(self.room, self.form, **what)
        self.sign("release")

    @property
    def statement(self) -> Path:
        return self.bundle.with_name(f"{self.bundle.name}.statement")

    @property
    def signatures(self) -> Path:
        return self.bundle.with_name(f"{self.bundle.name}.statement.sig")

    @property
    def openssl_signatures(self) -> Path:
        return self.bundle.with_name(f"{self.bundle.name}.statement.openssl")

    def text(self) -> str:
        """The statement of the bundle as it is now, but for the files in a tar."""
        return statement_of(self.bundle, self.digests, name=self.name, release=self.release, platform=self.platform)

    def sign(self, *names: str, text: str | None = None) -> None:
        """Write the statement anew, or ``text``, and nobody else's signatures of it."""
        content = (self.text() if text is None else text).encode("utf-8", "surrogateescape")
        self.statement.write_bytes(content)
        self.signatures.write_text("".join(ssh.sign(content, keys() / name) for name in names))

    def sign_with_openssl(self, *names: str) -> None:
        """The same by openssl, and by nobody else."""
        self.signatures.unlink(missing_ok=True)
        content = self.statement.read_bytes()
        lines = (openssl.sign(content, str(openssl_keys() / f"{name}.key")) for name in names)
        self.openssl_signatures.write_text("".join(lines))

    def change_statement(self) -> None:
        """Another digest in it."""
        text = self.statement.read_text()
        self.statement.write_text(text.replace(self.digests["manage"], "0" * 64))

    def change(self, path: str, content: bytes | None = None) -> None:
        """Another byte in a file of the directory, or other content."""
        file = self.bundle / path
        old = file.read_bytes()
        file.write_bytes(old[:-2] + bytes([old[-2] ^ 1]) + old[-1:] if content is None else content)


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where hello 1.0 is installed."""

    room: Path
    shell: tuple[str, ...] = ("dash",)
    stubs: str = ""

    @classmethod
    def make(cls, room: Path, *, shell: tuple[str, ...] = ("dash",), stubs: str = "") -> Server:
        server = cls(room=room, shell=shell, stubs=stubs)
        release = server.root / "releases" / CURRENT
        release.mkdir(parents=True)
        (release / ".complete").touch()
        (server.root / "current").symlink_to(f"releases/{CURRENT}")
        server.trust.mkdir()
        for name in ("allowed_signers", "revoked_keys"):
            shutil.copy(keys() / name, server.trust)
        return server

    @property
    def root(self) -> Path:
        return self.room / "opt"

    @property
    def trust(self) -> Path:
        return self.room / "etc"

    @property
    def mark(self) -> Path:
        return self.room / "mark"

    def policy(self, *lines: str) -> None:
        (self.trust / "policy").write_text("".join(f"{line}\n" for line in lines))

    def allow_openssl_keys(self) -> None:
        """Nobody but their owners may sign from now on."""
        shutil.copytree(openssl_keys() / "allowed_keys", self.trust / "allowed_keys")
        for name in ("allowed_signers", "revoked_keys"):
            (self.trust / name).unlink()

    def environment(self, status: int = 0) -> dict[str, str]:
        """That manage is started in."""
        return os.environ | {"UPGRADE_MARK": str(self.mark), "UPGRADE_STATUS": str(status)}

    def words(self, *words: str | Path) -> list[str]:
        """The command line of manage, as rendered, with places of its own."""
        script_file = self.room / "manage"
        script_file.write_text(_manage().replace('\nmain "$@"\n', f'\n{self._stubs()}\nmain "$@"\n', 1))
        return [*self.shell, str(script_file), *map(str, words)]

    def manage(self, *words: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it; the new install.sh ends with ``status``."""
        return subprocess.run(
            self.words(*words), capture_output=True, text=True, check=False, env=self.environment(status), timeout=60
        )

    def ran(self) -> list[str] | None:
        """The words that the new install.sh was run with; None: it was not."""
        return self.mark.read_text().split("\n")[1:-1] if self.mark.exists() else None

    def left(self) -> list[str]:
        """What is in the root besides the release."""
        return sorted(path.name for path in self.root.iterdir() if path.name not in ("current", "releases"))

    def _stubs(self) -> str:
        return f"""
find_root() {{ ROOT='{self.root}' PLACE='{self.root}' RECORD='{self.room}/record'; }}
take_lock() {{ LOCKED=yes; rm -rf "$WORK"; mkdir -m 0700 "$WORK"; }}
drop_lock() {{ [ -z "$LOCKED" ] || rm -rf "$WORK"; LOCKED=; }}
WORK='{self.room}/work' TRUST_DIR='{self.trust}'
{self.stubs}"""


@cache
def _manage() -> str:
    return render_manage(script(Spec(), "0" * 64, {}))
