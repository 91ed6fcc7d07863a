"""The tree of a payload is the tree that `conda-pack --dest-prefix` leaves, but for a written list of differences.

At other roots, after a real install, the same is looked at in tests/e2e/test_payload.py.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from differential import conda_packs, contents, differences
from rattler import PackageName, Version, solve
from rattler.package import BuildString
from rattler.platform import Subdir
from rattler.virtual_package import GenericVirtualPackage

from bundler.locked import Lock, LockedPackage
from bundler.pack.codecs import CODECS
from bundler.pack.payload import PackOptions, make_payload
from bundler.prefix import make_prefix
from bundler.progress import QuietProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

BAKED = "/opt/hello/releases/1.0-0123456789ab/env"
ENVIRONMENTS = {"python": ["python", "uvicorn", "httptools", "greeting"], "without python": ["greeting", "archinfo"]}


def locked(channel: Path, specs: Sequence[str]) -> Lock:
    """The solution as a lock, without conda-lock: it is not what is tested here."""
    libc = os.confstr("CS_GNU_LIBC_VERSION")
    assert libc is not None
    glibc = GenericVirtualPackage(PackageName("__glibc"), Version(libc.split()[1]), BuildString("0"))
    records = asyncio.run(
        solve([channel.as_uri()], list(specs), platforms=[Subdir.current(), Subdir("noarch")], virtual_packages=[glibc])
    )
    packages = tuple(
        LockedPackage(
            name=record.name.normalized,
            version=str(record.version),
            manager="conda",
            platform=str(Subdir.current()),
            url=record.url,
            sha256=record.sha256.hex() if record.sha256 else None,
            md5=None,
            depends=(),
        )
        for record in sorted(records, key=lambda record: record.name.normalized)
    )
    return Lock(path=Path("conda-lock.yml"), platform=str(Subdir.current()), packages=packages)


def ours(lock: Lock, room: Path) -> Path:
    with make_prefix(lock, BAKED, QuietProgress()) as prefix:
        payload = make_payload(prefix, (), room, PackOptions(codec=CODECS["gzip"](), bytecode="none"), QuietProgress())
    subprocess.run(["tar", "-xpf", payload.path, "-C", room], check=True, umask=0o022)
    return room / "env"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_tree_is_conda_packs(name: str, local_channel: Path, tmp_path: Path) -> None:
    lock = locked(local_channel, ENVIRONMENTS[name])
    (tmp_path / "ours").mkdir()
    mine = contents(ours(lock, tmp_path / "ours"))
    assert differences(mine, contents(conda_packs(lock, tmp_path, BAKED))) == set()
    assert len(mine) > (1000 if name == "python" else 8)
    headers = {content[4:8] for path, (content, _) in mine.items() if path.endswith(".pyc")}
    assert headers <= {b"\x01\0\0\0"}
