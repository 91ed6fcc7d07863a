"""Where a conda Python looks for noarch packages and wheels, as its own package says (CEP 17)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["site_packages_of", "usual_site_packages"]


def usual_site_packages(version: str) -> str:
    """``lib/python3.11/site-packages`` for ``3.11.7``."""
    return f"lib/python{'.'.join(str(version).split('.')[:2])}/site-packages"


def site_packages_of(python: Mapping[str, Any]) -> str:
    """The directory below the prefix; ``python`` is the package's index.json, or its record.

    Packages of free-threaded builds name one of their own.
    """
    return str(python.get("python_site_packages_path") or usual_site_packages(python["version"])).strip("/")
