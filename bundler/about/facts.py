"""What one package says of itself, for SBOMs and licenses; not what decides how it is installed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Facts", "Inner", "Library", "Source", "Text", "decoded"]

LARGEST = 1 << 20
"""Bytes of a license's text, a recipe, an SBOM that is taken."""


@dataclass(frozen=True)
class Text:
    """A file's name and text; ``text`` is empty if it is too large to be taken."""

    name: str
    text: str


@dataclass(frozen=True)
class Source:
    """What a recipe was built of."""

    url: str
    sha256: str = ""


@dataclass(frozen=True)
class Inner:
    """A Python project that lies in a package, by its metadata directory at ``path``."""

    name: str
    version: str
    path: str


@dataclass(frozen=True)
class Library:
    """A shared library that a wheel bundles, by its path in the wheel; ``sha256`` is empty if it was not read."""

    path: str
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """``license`` is the package's own text; ``timestamp`` is when it was built, in seconds, 0 if it does not say.

    ``inner`` are Python projects in a conda package, ``sboms`` those that a wheel brings (PEP 770), ``libraries`` those
    that it bundles.
    """

    license: str = ""
    texts: tuple[Text, ...] = ()
    maker: str = ""
    homepage: str = ""
    summary: str = ""
    timestamp: int = 0
    depends: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    inner: tuple[Inner, ...] = ()
    sboms: tuple[Text, ...] = ()
    libraries: tuple[Library, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Facts:
        """Of what :meth:`document` has made."""
        made = {
            "texts": tuple(Text(**one) for one in document["texts"]),
            "sources": tuple(Source(**one) for one in document["sources"]),
            "inner": tuple(Inner(**one) for one in document["inner"]),
            "sboms": tuple(Text(**one) for one in document["sboms"]),
            "libraries": tuple(Library(**one) for one in document["libraries"]),
            "depends": tuple(document["depends"]),
        }
        return cls(**document | made)


def decoded(content: bytes) -> str:
    """A text that is UTF-8, or else Latin-1, as old licenses are; without what no JSON reader likes."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return "".join(char for char in text.replace("\r\n", "\n") if char >= " " or char in "\n\t\f").replace("\f", "\n")
