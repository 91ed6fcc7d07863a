"""Signing a bundle, and finding out who signed one: the statement and its signatures lie beside it.

Each tool that signs has a file of its own for its signatures: ``NAME.sig`` has those of ssh-keygen, ``NAME.openssl``
those of openssl.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bundler.atomic import write_file
from bundler.digests import file_sha256
from bundler.errors import ConfigError, VerificationError
from bundler.printable import counted, printable
from bundler.reader.open import open_bundle, translated
from bundler.signing import openssl, ssh
from bundler.signing.statement import STATEMENT, Statement, make_statement, read_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundler.signing.ssh import Signer

__all__ = ["Key", "Signed", "Trust", "check_signed", "sign_bundle", "sign_statement", "signers_of", "write_signed"]

Key: TypeAlias = Path | str
"""What signs: the file of an SSH key, or what openssl calls a key, a file or a URI."""
_ENDINGS = (ssh.ENDING, openssl.ENDING)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What signing has written."""

    bundle: str
    statement: str
    signatures: str
    count: int

    def lines(self) -> tuple[str, ...]:
        """For people."""
        return (f"{self.signatures}: {counted(self.count, 'signature')} of {self.statement}",)

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whose signatures count, and how many are needed.

    ``allowed`` and ``revoked`` are ssh-keygen's files of allowed signers and of revoked keys, ``keys`` is a directory
    of public keys for openssl. Without ``allowed`` no SSH signature counts, without ``keys`` none by openssl.
    """

    allowed: Path | None = None
    revoked: Path | None = None
    keys: Path | None = None
    threshold: int = 1


def sign_bundle(path: Path, key: Key) -> Signed:
    """Write the statement of a bundle beside it, and a signature of it, beside those that it has.

    Raises what :func:`~bundler.reader.open.open_bundle`, :func:`bundler.signing.ssh.sign` and
    :func:`bundler.signing.openssl.sign` raise.
    """
    path = path.resolve()
    return sign_statement(path, make_statement(open_bundle(path)), key)


def sign_statement(path: Path, said: Statement, key: Key) -> Signed:
    """The same with a statement that was made before, whatever the bundle is by now."""
    statement = _beside(path)
    written = write_signed(said.text().encode(), statement, key)
    return Signed(
        bundle=str(path),
        statement=str(statement),
        signatures=str(signatures_of(statement, key)),
        count=sum(text.count(ssh.BEGIN if ending == ssh.ENDING else "\n") for ending, text in written.items()),
    )


def signatures_of(statement: Path, key: Key) -> Path:
    """The file that a signature by ``key`` is in."""
    return _beside(statement, openssl.ENDING if isinstance(key, str) else ssh.ENDING)


def write_signed(content: bytes, statement: Path, key: Key | None) -> dict[str, str]:
    """Write ``content``, and with ``key`` a signature of it, beside those that this very content has.

    All of these are returned, by what the names of their files end with. Signatures of what was there before are
    removed. Raises :class:`ConfigError`.
    """
    signatures = {ending: _kept(content, statement, ending) for ending in _ENDINGS}
    if isinstance(key, str):
        signatures[openssl.ENDING] += openssl.sign(content, key)
    elif key:
        signatures[ssh.ENDING] += ssh.sign(content, key)
    try:
        write_file(statement, content, sync=True)
        for ending, text in signatures.items():
            if text:
                write_file(_beside(statement, ending), text.encode("ascii", "replace"), sync=True)
            else:
                _beside(statement, ending).unlink(missing_ok=True)
    except OSError as failed:
        raise ConfigError(f"cannot be written: {failed.strerror}", where=str(statement)) from failed
    return signatures


def check_signed(path: Path, trust: Trust) -> tuple[Signer, ...]:
    """Those who signed the bundle as it lies there. Raises :class:`VerificationError` if they are too few.

    First the signatures of the statement are looked at, then the bundle is compared with it byte for byte; nothing in
    it is read before that.
    """
    path = path.resolve()
    statement = _statement_of(path)
    said, content = read_statement(statement)
    found = signers_of(content, statement, trust)
    if len(found) < trust.threshold:
        names = ", ".join(signer.principal for signer in found) or "nobody"
        trusted = filter(None, (trust.allowed, trust.keys))
        raise VerificationError(
            f"signed by {printable(names)} of those who may sign; {trust.threshold} must have",
            where=str(statement),
            remedy=f"Who may sign is in {' and '.join(map(str, trusted))}. Get the bundle from somebody who may.",
        )
    _compare(said, path)
    return found


def signers_of(content: bytes, statement: Path, trust: Trust) -> tuple[Signer, ...]:
    """Those who signed ``content``, and may, each once, however many keys they have.

    The signatures lie beside ``statement``. Raises what :func:`bundler.signing.ssh.signers` and
    :func:`bundler.signing.openssl.signers` raise.
    """
    found: list[Signer] = []
    if trust.allowed:
        found += ssh.signers(content, _read(_beside(statement, ssh.ENDING)), trust.allowed, revoked=trust.revoked)
    if trust.keys:
        found += openssl.signers(content, _read(_beside(statement, openssl.ENDING)), trust.keys)
    return tuple(_different(found))


def _different(signers: Iterable[Signer]) -> list[Signer]:
    """A person with two keys is one, and so are two names for one key."""
    found: list[Signer] = []
    for signer in signers:
        if not any(signer.principal == other.principal or signer.key == other.key for other in found):
            found.append(signer)
    return found


def _read(signatures: Path) -> str:
    try:
        return signatures.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as failed:
        raise VerificationError(f"cannot be read: {failed.strerror}", where=str(signatures)) from failed


def _compare(said: Statement, path: Path) -> None:
    """Raise :class:`VerificationError` if there is anything but what the statement says, or less."""
    wanted = dict(said.files)
    if path.is_dir():  # the .tar that it came in need not be here any more
        bundle = open_bundle(path)
        inside = {name: digest for name, digest in wanted.items() if "/" in name}
        _refuse_others(inside, dict(make_statement(bundle).files), path)
    else:
        with translated(path):
            _refuse_others({path.name: wanted.get(path.name, "")}, {path.name: file_sha256(path)}, path)
        bundle = open_bundle(path)
    there = bundle.manifest
    if (said.name, said.release, said.platform) != (there.name, there.release, there.platform):
        raise VerificationError(
            f"the statement is of another bundle: {said.name} {said.release} {said.platform}", where=str(path)
        )


def _refuse_others(wanted: Mapping[str, str], found: Mapping[str, str], path: Path) -> None:
    problems = [f"{name} is not in the statement" for name in found if not wanted.get(name)]
    problems += [f"{name} is missing" for name in wanted.keys() - found.keys()]
    problems += [f"{name} was changed" for name in found if wanted.get(name) and wanted[name] != found[name]]
    if problems:
        raise VerificationError(
            printable("; ".join(sorted(problems)[:5])),
            where=str(path),
            remedy="The bundle is not what was signed. Copy it again, or get it from somebody whom you trust.",
        )


def _beside(path: Path, ending: str = STATEMENT) -> Path:
    return path.with_name(f"{path.name}{ending}")


def _statement_of(path: Path) -> Path:
    """Where it lies; a directory that was unpacked from a signed .tar or .run need have none of its own."""
    endings = ("", ".tar", ".run") if path.is_dir() else ("",)
    there = (_beside(path, f"{ending}{STATEMENT}") for ending in endings)
    return next((statement for statement in there if statement.exists()), _beside(path))


def _kept(content: bytes, statement: Path, ending: str) -> str:
    """The signatures that this very statement has already."""
    try:
        if statement.read_bytes() != content:
            return ""
        return _beside(statement, ending).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
