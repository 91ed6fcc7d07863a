"""The same packages are packed to the same files from version to version, or ``PACKING`` says that they are not.

Releases share an environment on the server by its id. Were its files others under the same id, install.sh would refuse
a bundle that is right.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from prefixkit import conda, install, python_package, wheel
from tinychannel import PLACEHOLDER, File, Link

from bundler.bundle.identity import PACKING

if TYPE_CHECKING:
    from pathlib import Path

PACKED = {1: "a4a3214269500882464409637c64a54b1be6178760012a0a3ea50cd03c5fe760"}
"""By PACKING, what of :func:`environment` is packed."""
OF_THIS_RUN = {"url", "channel", "sha256", "md5", "size", "timestamp", "paths_data", "build_number"}
"""What a record in conda-meta says of the archive, which this test has just made."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_BUNDLER_CACHE", str(tmp_path / "cache"))


def environment(tmp_path: Path) -> list[Any]:
    """What is packed of packages of each kind, by path, mode and content; of a record what is not of this run."""
    native = {
        "bin/tool": File(content=f"#!{PLACEHOLDER}/bin/sh\n".encode(), mode=0o755, prefix="text"),
        "lib/tool.bin": File(content=f"\x7fELF{PLACEHOLDER}/share\0tail".encode(), prefix="binary"),
        "lib/link": Link(f"{PLACEHOLDER}/bin/tool"),
        "share/own": b"tool's",
    }
    module = {"site-packages/pure.py": b"X = 1\n"}
    tree = install(
        python_package(tmp_path),
        conda(tmp_path, "tool", files=native),
        conda(tmp_path, "pure", python=True, files=module, entry_points=["pure = pure:main"]),
        wheel(tmp_path, "app", files={"app.py": b"X = 2\n"}, scripts={"app": "app:main"}),
    )
    return [[path, mode, _content(path, content)] for path, (mode, content, _) in sorted(tree.items())]


def _content(path: str, content: bytes | str) -> Any:
    if not path.startswith("conda-meta/") or isinstance(content, str):
        return content if isinstance(content, str) else hashlib.sha256(content).hexdigest()
    record = json.loads(content)
    assert "channel" in record
    return {key: value for key, value in record.items() if key not in OF_THIS_RUN}


def test_what_is_packed_is_what_this_number_of_packing_has_always_packed(tmp_path: Path) -> None:
    packed = environment(tmp_path)
    digest = hashlib.sha256(json.dumps(packed, sort_keys=True).encode()).hexdigest()
    assert digest == PACKED[PACKING], "raise PACKING in bundler/bundle/identity.py, and note its digest here"
