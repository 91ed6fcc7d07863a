"""Tiny packages that exist to be solved for: several versions of one, and one for each platform."""

from __future__ import annotations

from model import Member, Package, Recipe

__all__ = ["recipes"]


def recipes() -> tuple[Recipe, ...]:
    """``tiny`` in three versions, ``tiny-user`` that wants an old one, ``archinfo`` for both platforms."""
    packages = (
        *(_noarch("tiny", version) for version in ("1.0", "1.1", "2.0")),
        _noarch("tiny-user", "1.0", depends=("tiny <2",)),
        *(_archinfo(subdir) for subdir in ("linux-64", "linux-aarch64")),
    )
    return tuple(_recipe(package) for package in packages)


def _recipe(package: Package) -> Recipe:
    key = f"{package.name} {package.version} {package.subdir}"
    return Recipe(key=key, inputs=key, make=lambda: package)


def _noarch(name: str, version: str, depends: tuple[str, ...] = ()) -> Package:
    return Package(
        name=name,
        version=version,
        license="BSD-3-Clause",
        summary="Nothing but its version",
        subdir="noarch",
        noarch="generic",
        depends=depends,
        members=(Member(path=f"share/{name}/version.txt", content=f"{version}\n".encode()),),
    )


def _archinfo(subdir: str) -> Package:
    return Package(
        name="archinfo",
        version="1.0",
        license="BSD-3-Clause",
        summary="Names the platform that it was made for",
        subdir=subdir,
        members=(Member(path="share/archinfo/subdir.txt", content=f"{subdir}\n".encode()),),
        archive=".tar.bz2",
    )
