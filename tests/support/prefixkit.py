"""A prefix of packages that a test has just made, and what would be packed of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lockkit import locked
from pypikit import make_wheel
from tinychannel import make_package

from bundler.errors import BundlerError, PrefixError
from bundler.fetch.channels import Access
from bundler.locked import Lock, LockedPackage
from bundler.pack.collect import collect
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress
from bundler.resources import cache_dir
from bundler.sharing.owners import Owners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bundler.prefix import Prefix

__all__ = ["BAKED", "SITE", "Steps", "conda", "install", "linked", "lock_of", "python_package", "refused", "wheel"]

BAKED = "/opt/hello/releases/1.0-0123456789ab/env"
SITE = "lib/python3.11/site-packages"

Tree = dict[str, tuple[int, bytes | str, str | None]]
"""Everything that would be packed, by path: mode, content or link target, and whose it is."""


@dataclass
class Steps(QuietProgress):
    """What progress is told."""

    told: list[str] = field(default_factory=list)

    def step(self, text: str) -> None:
        self.told.append(text)


def conda(tmp_path: Path, name: str, version: str = "1.0", **options: object) -> LockedPackage:
    make: Callable[..., Path] = make_package
    return locked(make(tmp_path / "channel", name, version, **options))


def python_package(tmp_path: Path) -> LockedPackage:
    return conda(tmp_path, "python", "3.11.7", subdir="linux-64", build="h1_0_cpython")


def wheel(tmp_path: Path, name: str = "app", version: str = "1.0", **options: object) -> LockedPackage:
    make: Callable[..., Path] = make_wheel
    return locked(make(tmp_path / "wheels", name, version, **options), name=name)


def lock_of(*packages: LockedPackage, platform: str = "linux-64") -> Lock:
    packages = tuple(replace(package, platform=platform) for package in packages)
    return Lock(path=Path("conda-lock.yml"), platform=platform, packages=packages)


def install(
    *packages: LockedPackage,
    platform: str = "linux-64",
    owners: Mapping[str, str] | None = None,
    progress: QuietProgress | None = None,
) -> Tree:
    lock, table = lock_of(*packages, platform=platform), Owners.of((owners or {}).items())
    access = Access(own=tuple(package.url for package in lock.packages))
    with make_prefix(lock, BAKED, progress or QuietProgress(), access, owners=table) as prefix:
        return linked(prefix)


def linked(prefix: Prefix) -> Tree:
    return {
        member.path.removeprefix("env/"): (member.mode, member.link or member.read(), member.package)
        for member in collect(prefix)
    }


def refused(
    *packages: LockedPackage, kind: type[BundlerError] = PrefixError, owners: Mapping[str, str] | None = None
) -> str:
    """What is said; nothing was linked by then, or all of it is gone."""
    with pytest.raises(kind) as caught:
        install(*packages, owners=owners)
    assert type(caught.value) is kind
    assert caught.value.remedy
    assert not list((cache_dir("prefix")).iterdir())
    return caught.value.format_message()
