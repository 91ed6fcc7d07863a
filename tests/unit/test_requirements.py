"""requirements.txt: what `make` installs is pinned, has digests, and is what pyproject.toml asks for."""

from __future__ import annotations

import re
import sys
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parent.parent.parent
# One requirement a line; its digests follow on lines of their own.
_ENTRIES = re.findall(
    r"^(\S[^\n]*?) \\\n((?:    --hash=\S+(?: \\)?\n)+)", (CHECKOUT / "requirements.txt").read_text(), re.MULTILINE
)
PINNED = [Requirement(entry) for entry, _ in _ENTRIES]


def _asked_for() -> list[Requirement]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    extras = chain.from_iterable(project["project"]["optional-dependencies"].values())
    words = [*project["project"]["dependencies"], *project["build-system"]["requires"], *extras]
    return [Requirement(word) for word in words]


def test_every_requirement_is_one_version_with_sha256_digests() -> None:
    lines = [line for line in (CHECKOUT / "requirements.txt").read_text().splitlines() if line and line[0] not in " #"]
    assert len(lines) == len(_ENTRIES) > 50
    for entry, digests in _ENTRIES:
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[^ ;]+( ; .+)?", entry)
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in digests.replace("\\", " ").split())


def test_what_pyproject_asks_for_is_there_in_a_version_that_fits() -> None:
    versions: dict[str, list[str]] = {}
    for pinned in PINNED:
        (pin,) = pinned.specifier
        versions.setdefault(canonicalize_name(pinned.name), []).append(pin.version)
    for asked in _asked_for():
        found = versions.get(canonicalize_name(asked.name), [])
        assert found, f"{asked.name} is not in requirements.txt: make requirements"
        assert all(asked.specifier.contains(version, prereleases=True) for version in found), asked.name
