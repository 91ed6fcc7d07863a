"""SSH signatures by ssh-keygen(1), which every server has, in the namespace ``conda-bundler``.

Keys may be ed25519, ecdsa or rsa, on a security key (``sk-``), or in an agent (then the public key's file is given).
The file of allowed signers lists principals, keys, ``valid-after=`` and ``valid-before=``: see "ALLOWED SIGNERS" in
ssh-keygen(1).
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bundler.errors import ConfigError, VerificationError
from bundler.process import ToolFailed, find_tool, run

__all__ = ["BEGIN", "ENDING", "NAMESPACE", "Signer", "sign", "signers"]

NAMESPACE = "conda-bundler"
ENDING = ".sig"
"""What the name of a file of such signatures ends with, after that of the statement."""
BEGIN = "-----BEGIN SSH SIGNATURE-----"
"""The first line of each of them."""
_BLOCK = re.compile(rf"{BEGIN}\n[A-Za-z0-9+/=\n]+-----END SSH SIGNATURE-----\n?")
_MANY = 64
"""The maximum number of signatures that are verified."""


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A signer: the principal in the file of allowed signers, and the fingerprint of the key."""

    principal: str
    key: str

    def __str__(self) -> str:
        return f"{self.principal} ({self.key})"


def sign(content: bytes, key: Path) -> str:
    """The armored signature of ``content``. ssh-keygen asks on the terminal for a passphrase or a touch.

    Raises :class:`ConfigError` if the key cannot sign, :class:`MissingToolError` without ssh-keygen.
    """
    program = find_tool("ssh-keygen", package="openssh-client", purpose="signing a bundle")
    if not key.is_file():
        raise ConfigError("no such key", where=str(key), remedy="Make one: ssh-keygen -t ed25519 -f KEY")
    with tempfile.TemporaryDirectory() as room:
        signed = Path(room) / "statement"
        signed.write_bytes(content)
        try:
            run([program, "-Y", "sign", "-q", "-f", key, "-n", NAMESPACE, signed])
        except ToolFailed as failed:
            raise ConfigError(
                f"the key cannot sign: {failed.tail(2)}",
                where=str(key),
                remedy="Give a private key, or the public key of one that ssh-agent holds.",
            ) from failed
        return Path(f"{signed}.sig").read_text(encoding="ascii")


def signers(content: bytes, signatures: str, allowed: Path, *, revoked: Path | None = None) -> tuple[Signer, ...]:
    """The permitted signers of ``content``, one for each signature that counts. Other signatures are ignored.

    Raises :class:`VerificationError` if a file cannot be read, :class:`MissingToolError` without ssh-keygen.
    """
    program = find_tool("ssh-keygen", package="openssh-client", purpose="verifying a signature")
    for path in filter(None, (allowed, revoked)):
        if not path.is_file():
            raise VerificationError("no such file", where=str(path))
    found: list[Signer] = []
    with tempfile.TemporaryDirectory() as room:
        signed, signature = Path(room) / "statement", Path(room) / "signature"
        signed.write_bytes(content)
        for block in _BLOCK.findall(signatures)[:_MANY]:
            signature.write_text(block, encoding="ascii")
            if signer := _of_block(program, signed, signature, allowed, revoked):
                found.append(signer)
    return tuple(found)


def _of_block(program: str, signed: Path, signature: Path, allowed: Path, revoked: Path | None) -> Signer | None:
    """The signer of one signature, if permitted now: ssh-keygen checks validity, namespace and revocation."""
    words: list[str | Path] = [program, "-Y", "find-principals", "-f", allowed, "-s", signature]
    for line in run(words, check=False).stdout.splitlines():
        principal = line.split(",")[0]
        words = [program, "-Y", "verify", "-f", allowed, "-I", principal, "-n", NAMESPACE, "-s", signature]
        with signed.open("rb") as content:
            words += ["-r", revoked] if revoked else []
            done = run(words, check=False, stdin=content)
        key = re.search(r"with (\S+) key (\S+)", done.stdout)
        if done.status == 0 and key:
            return Signer(principal=principal, key=f"{key[1]} {key[2]}")
    return None
