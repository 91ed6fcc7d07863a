"""Sign bundles and verify their signatures; the statement and its signatures are files next to the bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bundler.atomic import write_file
from bundler.digests import file_sha256
from bundler.errors import ConfigError, VerificationError
from bundler.printable import counted, printable
from bundler.reader.open import open_bundle, translated
from bundler.signing import ssh
from bundler.signing.statement import SIGNATURES, STATEMENT, Statement, make_statement, read_statement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bundler.signing.ssh import Signer

__all__ = ["Signed", "Trust", "check_signed", "sign_bundle", "sign_statement", "signers_of", "write_signed"]


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
    """Who may sign (ssh-keygen's files of allowed signers and of revoked keys), and how many signers are required."""

    allowed: Path
    revoked: Path | None = None
    threshold: int = 1


def sign_bundle(path: Path, key: Path) -> Signed:
    """Write a bundle's statement next to it, and add a signature of that to the existing ones.

    Raises what :func:`~bundler.reader.open.open_bundle` and :func:`~bundler.signing.ssh.sign` raise.
    """
    path = path.resolve()
    return sign_statement(path, make_statement(open_bundle(path)), key)


def sign_statement(path: Path, said: Statement, key: Path) -> Signed:
    """The same with a statement made earlier; the bundle may have changed since."""
    statement, signatures = _beside(path)
    known = write_signed(said.text().encode(), statement, signatures, key)
    return Signed(
        bundle=str(path),
        statement=str(statement),
        signatures=str(signatures),
        count=known.count("-----BEGIN SSH SIGNATURE-----"),
    )


def write_signed(content: bytes, statement: Path, signatures: Path, key: Path | None) -> str:
    """Write ``content`` and, with ``key``, add a signature of it; return all signatures of this content.

    Signatures of different content are removed. Raises :class:`ConfigError`.
    """
    known = _signatures_of(content, statement, signatures) + (ssh.sign(content, key) if key else "")
    try:
        write_file(statement, content, sync=True)
        if known:
            write_file(signatures, known.encode("ascii", "replace"), sync=True)
        else:
            signatures.unlink(missing_ok=True)
    except OSError as failed:
        raise ConfigError(f"cannot be written: {failed.strerror}", where=str(statement)) from failed
    return known


def check_signed(path: Path, trust: Trust) -> tuple[Signer, ...]:
    """The permitted signers of the bundle. Raises :class:`VerificationError` if there are too few, or it was changed.

    The statement's signatures are verified first, then all of the bundle's bytes are compared with the statement;
    nothing in the bundle is parsed before that.
    """
    path = path.resolve()
    statement, signatures = _statement_of(path)
    said, content = read_statement(statement)
    found = signers_of(content, signatures, trust)
    if len(found) < trust.threshold:
        names = ", ".join(signer.principal for signer in found) or "nobody"
        raise VerificationError(
            f"permitted signers: {printable(names)}; {trust.threshold} required",
            where=str(signatures),
            remedy=f"{trust.allowed} lists who may sign, and until when. Get the bundle from one of them.",
        )
    _compare(said, path)
    return found


def signers_of(content: bytes, signatures: Path, trust: Trust) -> tuple[Signer, ...]:
    """The permitted signers of ``content``. Raises what :func:`bundler.signing.ssh.signers` raises."""
    try:
        signed = signatures.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        signed = ""
    except OSError as failed:
        raise VerificationError(f"cannot be read: {failed.strerror}", where=str(signatures)) from failed
    return ssh.signers(content, signed, trust.allowed, revoked=trust.revoked)


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


def _beside(path: Path, ending: str = "") -> tuple[Path, Path]:
    """The paths of a bundle's statement and signatures; with ``ending``, those of a directory's .tar or .run."""
    return path.with_name(f"{path.name}{ending}{STATEMENT}"), path.with_name(f"{path.name}{ending}{SIGNATURES}")


def _statement_of(path: Path) -> tuple[Path, Path]:
    """The same; a directory that was unpacked from a signed .tar or .run may use that file's."""
    endings = ("", ".tar", ".run") if path.is_dir() else ("",)
    there = (_beside(path, ending) for ending in endings if _beside(path, ending)[0].exists())
    return next(there, _beside(path))


def _signatures_of(content: bytes, statement: Path, signatures: Path) -> str:
    """The existing signatures, if they are of this content."""
    try:
        return signatures.read_text(encoding="ascii", errors="replace") if statement.read_bytes() == content else ""
    except OSError:
        return ""
