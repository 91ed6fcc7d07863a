"""conda-lock's content hash of an environment, wheels and all.

conda-lock computes it when it writes a lockfile, and here it writes one without wheels. But it tells what it hashes:
`conda-lock render-lock-spec` prints the specs, and the solver that it calls gets the virtual packages. That the hash is
put together as this conda-lock does it is not taken for granted: without the wheels it has to come out as the one that
conda-lock has just written.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Any

from bundler.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["content_hash", "content_hashes", "glibc_of_platform", "is_hash_of"]

_SUBDIRS = ("noarch", "linux-aarch64", "linux-ppc64le", "linux-64", "osx-64", "osx-arm64", "win-64")
"""What its channel of virtual packages has whether any is named or not."""
_EPOCH = 1577854800000
"""The timestamp of all of them."""
_OPTIONAL = ("markers", "subdirectory")
"""Fields of a spec that are later than the hash, and left out of it where they say nothing."""


def content_hash(
    spec: Mapping[str, Any], solved: Mapping[str, Any], platform: str, virtual: Path, known: str, *, where: str
) -> str:
    """The hash for ``platform`` of ``spec``, as ``render-lock-spec`` prints it.

    ``virtual`` is the channel of virtual packages that conda-lock made, ``known`` the hash that it wrote for what it
    has ``solved``, without wheels. Raises :class:`LockError` if this conda-lock hashes in a way that we do not know.
    """
    for packages, sparse in _ways(virtual, platform):
        if _hash(solved, platform, packages, sparse=sparse, wheels=False) == known:
            return _hash(spec, platform, packages, sparse=sparse, wheels=True)
    raise LockError(
        "the installed conda-lock computes its content hash in an unknown way",
        where=where,
        remedy="Install the conda-lock version that conda-bundler requires, or report this.",
    )


def is_hash_of(solved: Mapping[str, Any], platform: str, virtual: Path, known: str | None) -> bool:
    """Whether conda-lock writes ``known`` for what it has ``solved``, without wheels; see :func:`content_hash`."""
    return any(
        _hash(solved, platform, packages, sparse=sparse, wheels=False) == known
        for packages, sparse in _ways(virtual, platform)
    )


def _ways(virtual: Path, platform: str) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """The virtual packages and the fields of specs as this or that version of conda-lock hashes them."""
    repodata = {name: _repodata(virtual, name) for name in ("noarch", platform)}
    suffixed = {name: _suffixed(data) for name, data in repodata.items()}
    return itertools.product((suffixed, repodata), (True, False))


def content_hashes(spec: Mapping[str, Any], platform: str, virtual: Mapping[str, Mapping[str, str]]) -> frozenset[str]:
    """All hashes that conda-lock takes for that of ``spec`` on ``platform``: those of its versions 2 to 4.

    ``virtual`` are the virtual packages of each subdir, as virtual-packages.yml has them: name -> ``VERSION [BUILD]``.
    """
    repodata = {name: _made(name, virtual) for name in ("noarch", platform)}
    suffixed = {name: _suffixed(data) for name, data in repodata.items()}
    return frozenset(
        _hash(spec, platform, packages, sparse=sparse, wheels=True)
        for packages in (repodata, suffixed)
        for sparse in (True, False)
    )


def glibc_of_platform(virtual: Path, platform: str) -> str | None:
    """The version of ``__glibc`` in that channel; None if it has none."""
    records = [record for name in ("noarch", platform) for record in _packages(_repodata(virtual, name)).values()]
    return next((str(record["version"]) for record in records if record.get("name") == "__glibc"), None)


def _hash(spec: Mapping[str, Any], platform: str, virtual: Mapping[str, Any], *, sparse: bool, wheels: bool) -> str:
    named = [one for one in spec["dependencies"][platform] if wheels or one["manager"] != "pip"]
    named.sort(key=lambda one: (one["manager"], one["name"]))
    content = {
        "channels": [_compact(channel) for channel in spec["channels"]],
        "specs": [
            _sparse(one) if sparse else one for one in sorted(named, key=lambda one: (one["manager"], one["name"]))
        ],
        "virtual_package_hash": virtual,
    }
    if spec.get("pip_repositories"):
        content["pip_repositories"] = [_compact(repository) for repository in spec["pip_repositories"]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _compact(value: Mapping[str, Any]) -> str:
    """As pydantic writes JSON: there channels and indexes are hashed as text."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _sparse(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if value is not None or name not in _OPTIONAL}


def _made(subdir: str, virtual: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The repodata of one subdir of the channel that conda-lock makes; empty if it makes none."""
    if subdir not in (*_SUBDIRS, *virtual):
        return {}
    packages = {}
    for name, text in virtual.get(subdir, {}).items():
        version, _, build = text.partition(" ")
        packages[f"{name}-{version}-{build or 0}.tar.bz2"] = {
            "name": name,
            "version": version,
            "build_string": build,
            "build_number": 0,
            "noarch": "",
            "depends": [],
            "timestamp": _EPOCH,
            "package_type": "virtual_system",
            "build": build or "0",
            "subdir": subdir,
        }
    return {"info": {"subdir": subdir}, "packages": packages}


def _suffixed(repodata: Mapping[str, Any]) -> dict[str, Any]:
    """With the build number behind the build string, as conda-lock 2 wrote it and later ones hash it."""
    packages = {}
    for file, record in _packages(repodata).items():
        if record["build_string"]:
            build = f"{record['build_string']}_{record['build_number']}"
            packages[f"{record['name']}-{record['version']}-{build}.tar.bz2"] = {**record, "build": build}
        else:
            packages[file] = record
    return {**repodata, "packages": packages} if "packages" in repodata else dict(repodata)


def _packages(repodata: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = repodata.get("packages", {})
    return found


def _repodata(virtual: Path, subdir: str) -> dict[str, Any]:
    file = virtual / subdir / "repodata.json"
    found: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {}
    return found
