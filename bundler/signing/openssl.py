"""Signatures by openssl(1), for servers whose ssh-keygen cannot verify any (OpenSSH 8.1 and older).

Keys are RSA or ECDSA, in PEM. A file of signatures has one a line: base64 of what ``openssl dgst -sha256 -sign``
writes. Who may sign is a directory of public keys, each in a file that is called after its owner: ``NAME.pem``.
"""

from __future__ import annotations

import base64
import hashlib
import tempfile
from pathlib import Path

from bundler.errors import ConfigError, VerificationError
from bundler.process import ToolFailed, find_tool, run
from bundler.signing.ssh import Signer

__all__ = ["ENDING", "sign", "signers"]

ENDING = ".openssl"
"""What the name of a file of such signatures ends with, after that of the statement."""
_MANY = 64
"""Signatures that are looked at."""


def sign(content: bytes, key: str) -> str:
    """A signature of ``content``, as a line.

    ``key`` is a private key: a file, or a URI for which openssl has a provider, as ``pkcs11:token=release``. openssl
    asks on the terminal for a passphrase or a PIN. Raises :class:`ConfigError` if the key cannot sign,
    :class:`MissingToolError` without openssl.
    """
    program = find_tool("openssl", package="openssl", purpose="signing a bundle with this key")
    with tempfile.TemporaryDirectory() as room:
        signed, signature = Path(room) / "statement", Path(room) / "signature"
        signed.write_bytes(content)
        try:
            run([program, "dgst", "-sha256", "-sign", key, "-out", signature, signed])
        except ToolFailed as failed:
            raise ConfigError(
                f"the key cannot sign: {failed.tail(2)}",
                where=key,
                remedy="Give an RSA or ECDSA private key: openssl ecparam -name prime256v1 -genkey -noout -out KEY",
            ) from failed
        return base64.b64encode(signature.read_bytes()).decode() + "\n"


def signers(content: bytes, signatures: str, allowed: Path) -> tuple[Signer, ...]:
    """The owners of the keys in the directory ``allowed`` that have signed ``content``, in the signatures' order.

    Raises :class:`VerificationError` if there is no such directory, :class:`MissingToolError` without openssl.
    """
    program = find_tool("openssl", package="openssl", purpose="verifying a signature")
    if not allowed.is_dir():
        raise VerificationError("there is no such directory", where=str(allowed))
    found: list[Signer] = []
    with tempfile.TemporaryDirectory() as room:
        signed, signature = Path(room) / "statement", Path(room) / "signature"
        signed.write_bytes(content)
        for line in signatures.splitlines()[:_MANY]:
            signature.write_bytes(_decoded(line))
            for key in sorted(allowed.glob("*.pem")):
                words: list[str | Path] = [program, "dgst", "-sha256", "-verify", key, "-signature", signature, signed]
                if run(words, check=False).status == 0:
                    found.append(Signer(principal=key.stem, key=_fingerprint(program, key, Path(room))))
    return tuple(found)


def _decoded(line: str) -> bytes:
    """The signature; nothing, which no key has made, if it is none."""
    try:
        return base64.b64decode(line, validate=True)
    except ValueError:
        return b""


def _fingerprint(program: str, key: Path, room: Path) -> str:
    """``openssl SHA256:…``, of the public key itself, whatever is around it in the file."""
    plain = room / "key"
    run([program, "pkey", "-pubin", "-in", key, "-outform", "DER", "-out", plain])
    digest = base64.b64encode(hashlib.sha256(plain.read_bytes()).digest()).decode().rstrip("=")
    return f"openssl SHA256:{digest}"
