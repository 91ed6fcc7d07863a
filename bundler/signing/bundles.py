"""Sign bundles and verify their signatures; the statement and its signatures are files next to the bundle.

Each tool that signs has its own file of signatures: ``NAME.sig`` is ssh-keygen's, ``NAME.openssl`` openssl's.
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
    """The files that signing has written."""

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
    """Who may sign, and how many signers are required.

    ``allowed`` and ``revoked`` are ssh-keygen's files of allowed signers and of revoked keys, ``keys`` is a directory
    of public keys for openssl. Without ``allowed`` no SSH signature counts, without ``keys`` none by openssl.
    """

    allowed: Path | None = None
    revoked: Path | None = None
    keys: Path | None = None
    threshold: int = 1


def sign_bundle(path: Path, key: Key) -> Signed:
    """Write a bundle's statement next to it, and add a signature of that to the existing ones.

    Raises what :func:`~bundler.reader.open.open_bundle`, :func:`bundler.signing.ssh.sign` and
    :func:`bundler.signing.openssl.sign` raise.
    """
    path = path.resolve()
    return sign_statement(path, make_statement(open_bundle(path)), key)


def sign_statement(path: Path, said: Statement, key: Key) -> Signed:
    """The same with a statement made earlier; the bundle may have changed since."""
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
    """Write ``content`` and, with ``key``, add a signature of it; return all signatures of this content, by suffix.

    Signatures of different content are removed. Raises :class:`ConfigError`.
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
    """The permitted signers of the bundle. Raises :class:`VerificationError` if there are too few, or it was changed.

    The statement's signatures are verified first, then all of the bundle's bytes are compared with the statement;
    nothing in the bundle is parsed before that.
    """
    path = path.resolve()
    statement = _statement_of(path)
    said, content = read_statement(statement)
    found = signers_of(content, statement, trust)
    if len(found) < trust.threshold:
        names = ", ".join(signer.principal for signer in found) or "nobody"
        trusted = filter(None, (trust.allowed, trust.keys))
        raise VerificationError(
            f"permitted signers: {printable(names)}; {trust.threshold} required",
            where=str(statement),
            remedy=f"{' and '.join(map(str, trusted))} lists who may sign. Get the bundle from one of them.",
        )
    _compare(said, path)
    return found


def signers_of(content: bytes, statement: Path, trust: Trust) -> tuple[Signer, ...]:
    """The permitted signers of ``content``, each once, even if they used several keys.

    Their signatures are in files next to ``statement``. Raises what :func:`bundler.signing.ssh.signers` and
    :func:`bundler.signing.openssl.signers` raise.
    """
    found: list[Signer] = []
    if trust.allowed:
        found += ssh.signers(content, _read(_beside(statement, ssh.ENDING)), trust.allowed, revoked=trust.revoked)
    if trust.keys:
        found += openssl.signers(content, _read(_beside(statement, openssl.ENDING)), trust.keys)
    return tuple(_different(found))


def _different(signers: Iterable[Signer]) -> list[Signer]:
    """A signer with several keys counts once, and so does a key with several names."""
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
    """Raise :class:`VerificationError` unless the files are exactly those in the statement."""
    wanted = dict(said.files)
    if path.is_dir():  # the .tar that it was unpacked from may be gone
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
            f"the statement belongs to a different bundle: {said.name} {said.release} {said.platform}", where=str(path)
        )


def _refuse_others(wanted: Mapping[str, str], found: Mapping[str, str], path: Path) -> None:
    problems = [f"{name} is not in the statement" for name in found if not wanted.get(name)]
    problems += [f"{name} is missing" for name in wanted.keys() - found.keys()]
    problems += [f"{name} was changed" for name in found if wanted.get(name) and wanted[name] != found[name]]
    if problems:
        raise VerificationError(
            printable("; ".join(sorted(problems)[:5])),
            where=str(path),
            remedy="The bundle is not the one that was signed. Copy it again, or get it from somebody you trust.",
        )


def _beside(path: Path, ending: str = STATEMENT) -> Path:
    return path.with_name(f"{path.name}{ending}")


def _statement_of(path: Path) -> Path:
    """Its path; a directory that was unpacked from a signed .tar or .run may use that file's."""
    endings = ("", ".tar", ".run") if path.is_dir() else ("",)
    there = (_beside(path, f"{ending}{STATEMENT}") for ending in endings)
    return next((statement for statement in there if statement.exists()), _beside(path))


def _kept(content: bytes, statement: Path, ending: str) -> str:
    """The existing signatures, if they are of this content."""
    try:
        if statement.read_bytes() != content:
            return ""
        return _beside(statement, ending).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
