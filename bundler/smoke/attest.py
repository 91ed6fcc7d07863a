"""The result of a smoke test as a file next to the bundle: an in-toto Statement (v1) with a test result (v0.1).

It contains the bundle's digests, the machine, and the tests that passed and failed, but no time, path or process. So a
second test of the same bundle on the same system yields the same bytes, and can add a signature to them.
Format: in-toto's "Statement", "ResourceDescriptor" and the predicate "Test Result".
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from bundler import __version__
from bundler.bundle.assemble import SUMS, checksums
from bundler.bundle.intoto import STATEMENT_TYPE, Part, Resource, StatementType
from bundler.digests import file_sha256
from bundler.errors import BundlerError, ConfigError, VerificationError
from bundler.foreign import from_json
from bundler.printable import counted, printable
from bundler.reader.open import open_bundle, translated
from bundler.reader.witnesses import Tested
from bundler.signing.bundles import signatures_of, signers_of, write_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundler.progress import Progress
    from bundler.reader.open import OpenBundle
    from bundler.signing.bundles import Key, Trust
    from bundler.smoke.report import SmokeReport

__all__ = ["Attestation", "attested", "make_attestation", "read_attestation", "tested"]

ENDING = ".smoke.json"
"""The suffix of its name, after the bundle's."""
_LARGEST = 1 << 20
_SYSTEM = "urn:conda-bundler:smoke:system"


class Outcome(Part):
    """The predicate. A smoke test has no warnings."""

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: tuple[Resource, ...]
    passed_tests: tuple[str, ...] = ()
    failed_tests: tuple[str, ...] = ()


class Attestation(Part):
    """The whole statement."""

    type: StatementType
    subject: Annotated[tuple[Resource, ...], Field(min_length=1)]
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"]
    predicate: Outcome

    @property
    def system(self) -> str:
        """The system that it was tested on, for people."""
        found = next((one for one in self.predicate.configuration if one.annotations.get("role") == "system"), None)
        if found is None:
            return "an unnamed system"
        versions = (f"{name} {found.annotations[name]}" for name in ("systemd", "kernel") if name in found.annotations)
        return ", ".join((found.name or "an unnamed system", *versions))

    def text(self) -> str:
        """The file's content."""
        document = self.model_dump(by_alias=True, exclude_defaults=True)
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def make_attestation(subjects: tuple[tuple[str, str], ...], report: SmokeReport) -> Attestation:
    """The statement for the report of a bundle with these digests."""
    tests = report.tests()
    annotations: dict[str, int | str] = {"role": "system", "systemd": report.systemd, "kernel": report.kernel}
    annotations |= {"suite": report.suite} if report.suite else {}
    annotations |= {"packages": " ".join(report.include)} if report.include else {}
    return Attestation(
        type=STATEMENT_TYPE,
        subject=tuple(Resource(name=name, digest={"sha256": digest}) for name, digest in subjects),
        predicate_type="https://in-toto.io/attestation/test-result/v0.1",
        predicate=Outcome(
            result="PASSED" if report.healthy else "FAILED",
            configuration=(
                Resource(name=report.os, uri=_SYSTEM, annotations=annotations),
                Resource(
                    name="conda-bundler", uri=f"pkg:pypi/conda-bundler@{__version__}", annotations={"role": "tool"}
                ),
            ),
            passed_tests=tuple(name for name, passed in tests if passed),
            failed_tests=tuple(name for name, passed in tests if not passed),
        ),
    )


def attested(
    path: Path, smoke: Callable[[], SmokeReport], progress: Progress, *, key: Key | None = None
) -> SmokeReport:
    """Run ``smoke`` on the bundle at ``path``, and write its result, passed or failed, to a statement next to it.

    With ``key`` it is signed. An earlier statement is replaced; its signatures are kept only if it is the same. Raises
    :class:`ConfigError` if it cannot be written or signed, :class:`VerificationError` if the bundle is damaged or was
    changed meanwhile, and what ``smoke`` raises.
    """
    path = path.resolve()
    if not os.access(path.parent, os.W_OK):
        raise ConfigError(
            "the statement cannot be written next to the bundle",
            where=str(path.parent),
            remedy="Copy the bundle first.",
        )
    subjects = _subjects(open_bundle(path))
    report = smoke()
    statement = path.with_name(f"{path.name}{ENDING}")
    try:
        if not _is_still(path, subjects):
            raise VerificationError(
                "the bundle was changed while it was tested",
                where=str(path),
                remedy="Test it again, and do not change it meanwhile.",
            )
        write_signed(make_attestation(subjects, report).text().encode(), statement, key)
    except BundlerError:
        for line in report.lines():  # do not lose the result of minutes of work
            progress.step(line)
        raise
    return replace(report, attested=(str(statement), *([str(signatures_of(statement, key))] if key else [])))


def _is_still(path: Path, subjects: tuple[tuple[str, str], ...]) -> bool:
    try:
        return _subjects(open_bundle(path)) == subjects
    except VerificationError:
        return False


def read_attestation(content: bytes) -> Attestation:
    """Parse a statement. Raises :class:`ValueError` with the reason if it is not one."""
    found = from_json(Attestation, content)
    result, failed = found.predicate.result, len(found.predicate.failed_tests)
    if (result == "PASSED") == bool(failed):
        raise ValueError(f"its result is {result}, but it lists {counted(failed, 'failed test')}")
    return found


def tested(path: Path, trust: Trust) -> Tested | None:
    """The statement on a smoke test of the bundle at ``path``, and its signers; None if there is none.

    The bundle has been verified already: of a directory, only SHA256SUMS is compared. Such a statement is optional, so
    its problems are reported instead of raised.
    """
    path = path.resolve()
    endings = ("", ".tar", ".run") if path.is_dir() else ("",)
    statements = [path.with_name(f"{path.name}{ending}{ENDING}") for ending in endings]
    statement = next((one for one in statements if one.exists()), None)
    if statement is None:
        return None
    try:
        with statement.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"larger than {counted(_LARGEST, 'byte')}")
        said = read_attestation(content)
        signers = signers_of(content, statement, trust)
        problem = "" if _is_about(said, path) else "it belongs to a different bundle"
    except OSError as error:
        return Tested(path=str(statement), problem=f"it cannot be read: {error.strerror}")
    except (ValueError, VerificationError) as error:
        return Tested(path=str(statement), problem=printable(f"it is invalid: {error}"))
    if not problem and not signers:
        problem = "it is not signed by a permitted signer"
    return Tested(
        path=str(statement),
        result=said.predicate.result,
        system=printable(said.system),
        failed=tuple(map(printable, said.predicate.failed_tests)),
        signers=tuple(map(str, signers)),
        problem=problem,
    )


def _is_about(said: Attestation, path: Path) -> bool:
    """Whether one of its subjects is the bundle: the file, or the SHA256SUMS of a directory."""
    digest = file_sha256(path / SUMS if path.is_dir() else path)
    return digest in {one.digest.get("sha256") for one in said.subject}


def _subjects(bundle: OpenBundle) -> tuple[tuple[str, str], ...]:
    """The subjects of a statement on ``bundle``: the SHA-256 of the file, and of SHA256SUMS, which covers all others.

    A directory has only the latter, so it matches the statement of the .tar that it was unpacked from. Raises
    :class:`VerificationError` if SHA256SUMS does not match the files in the bundle.
    """
    with translated(bundle.path):
        digests = {name: piece.sha256() for name, piece in bundle.pieces.items()}
        sums = digests.pop(SUMS, "")
        if bundle.odd or not sums or bundle.read(SUMS) != checksums(digests):
            raise VerificationError(
                f"{SUMS} does not match the files in the bundle",
                where=str(bundle.path),
                remedy="Run conda-bundler verify to see what is wrong.",
            )
        whole = () if bundle.form == "dir" else ((bundle.path.name, file_sha256(bundle.path)),)
    return (*whole, (f"{bundle.top}/{SUMS}", sums))
