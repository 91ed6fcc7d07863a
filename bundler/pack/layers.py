"""The two payloads of a bundle: the environment, which releases share, and what is a release's own."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["APP", "ENVIRONMENT", "LAYERS", "TABLE", "WHOLE", "Layer"]

TABLE = ("limits", "text", "binary")
"""The files of a relocation table."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One of a bundle's payloads.

    ``tops`` are the directories at its top. ``base`` is the one of them that the target keeps apart from the others,
    and lists by itself; empty if it is all of them. ``told`` is the directory for what the target is told of it.
    """

    name: str
    tops: frozenset[str]
    base: str
    told: str

    @property
    def digests(self) -> str:
        """The file that says every other file's digest."""
        return f"{self.told}/digests"

    @property
    def bytecode(self) -> str:
        """The file that names the modules which the target compiles."""
        return f"{self.told}/bytecode"

    @property
    def relocation(self) -> str:
        """The directory of the relocation table."""
        return f"{self.told}/relocation"

    @property
    def reserved(self) -> frozenset[str]:
        """What may be in ``told`` of the environment, where the target adds files of its own."""
        return frozenset(
            {self.digests, self.bytecode, self.relocation, *(f"{self.relocation}/{name}" for name in TABLE)}
        )

    def below(self, path: str) -> str:
        """A path of the payload's, as the target lists it."""
        return path.removeprefix(self.base)


ENVIRONMENT = Layer(name="environment", tops=frozenset({"env"}), base="env/", told="env/.conda-bundler")
APP = Layer(name="app", tops=frozenset({"app", "share"}), base="", told="share")
WHOLE = Layer(name="payload", tops=frozenset({"env", "app", "share"}), base="", told="share")
"""The one payload of a bundle that an older version has made."""
LAYERS = {one.name: one for one in (ENVIRONMENT, APP, WHOLE)}
