"""What others have done with a bundle, for `verify` to tell: built it again, tested it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rebuilt", "Tested"]


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """It was built again, and is the same to the last byte; where ``signatures`` are, if that was signed."""

    project: str
    signatures: str | None = None

    def line(self) -> str:
        """For people."""
        signed = f"; signed in {self.signatures}" if self.signatures else ""
        return f"  rebuilt from {self.project}: the same bytes{signed}"


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a statement beside the bundle says of a smoke test. It counts unless there is a ``problem`` with it.

    ``result`` is PASSED or FAILED, ``failed`` are the tests that were, ``signers`` those who signed it.
    """

    path: str
    result: str = ""
    system: str = ""
    failed: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    problem: str = ""

    def line(self) -> str:
        """For people."""
        if self.problem:
            return f"  smoke test: not verified: {self.problem} ({self.path})"
        failed = f" ({', '.join(self.failed)})" if self.failed else ""
        return f"  smoke test: {self.result}{failed} on {self.system}; signed by {', '.join(self.signers)}"
