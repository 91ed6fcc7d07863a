"""What a recipe hands to the archive writer: a package and its files, all in memory."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bundler.errors import BundlerError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EPOCH",
    "HERE",
    "PLACEHOLDER",
    "SUBDIR",
    "SUBDIRS",
    "ChannelError",
    "Member",
    "Package",
    "Recipe",
]

# Every file of every archive has this mtime, and so every .pyc names it: nothing depends on the clock.
EPOCH = 1_700_000_000

# 255 characters, as conda-build pads its build prefix: room for whatever prefix comes later.
PLACEHOLDER = ("/home/builder/channel/work/_h_env" + "_placehold" * 26)[:255]

HERE = platform.machine()
SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
SUBDIR = SUBDIRS.get(HERE, "unsupported")


class ChannelError(BundlerError):
    """The channel cannot be made on this machine, or one of its packages came out wrong."""

    exit_code = 5


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of a package, or a symbolic link if it has a ``target``."""

    path: str
    content: bytes = b""
    executable: bool = False
    target: str | None = None
    placeholder: Literal["text", "binary"] | None = None  # how PLACEHOLDER in it is to be replaced


@dataclass(frozen=True, kw_only=True)
class Package:
    """A conda package, complete but for its build string's hash, which is made from its content."""

    name: str
    version: str
    license: str
    summary: str
    members: tuple[Member, ...]
    licenses: tuple[Member, ...] = ()
    subdir: str = SUBDIR
    noarch: Literal["generic", "python"] | None = None
    depends: tuple[str, ...] = ()
    entry_points: tuple[str, ...] = ()  # noarch python only; native packages ship their scripts
    home: str | None = None
    build_prefix: str = ""  # "py311": stands before the hash in the build string
    build_suffix: str = ""  # "_cpython": stands after the build number
    archive: Literal[".conda", ".tar.bz2"] = ".conda"
    quick: bool = False  # compressed as little as possible


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make one package, and a text that changes whenever the package would."""

    key: str
    inputs: str
    make: Callable[[], Package]
