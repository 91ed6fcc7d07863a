"""Where credentials for a host are looked for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from bundler.fetch.credentials import Credentials, own_request

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_asking_the_keyring_starts_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a compiler nor a linker, with which ctypes looks for libraries."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "keyring"]:
        monkeypatch.delitem(sys.modules, name)
    started: list[Any] = []

    def refuse(words: Any, **_options: Any) -> Any:
        started.append(words)
        raise OSError("no such program")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setenv("HOME", str(tmp_path))
    url = "https://nowhere.invalid/channel"
    assert Credentials().request(url) == own_request(url)
    assert started == []
