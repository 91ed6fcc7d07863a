"""Where credentials for a host are looked for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from bundler.fetch.credentials import Credentials, own_request

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize(
    ("url", "gets"),
    [
        ("https://h.example/c", True),
        ("https://h.example:443/c", True),
        ("http://h.example:8080/c", True),
        ("http://h.example/c", False),
        ("https://h.example:8080/c", False),
        ("http://h.example:8081/c", False),
        ("https://other.example/c", False),
    ],
)
def test_what_is_stored_for_a_host_is_for_servers_that_the_user_names(
    url: str, gets: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine h.example login me password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    credentials = Credentials({"http://h.example:8080"})
    assert (credentials.request(url).authorization is not None) is gets
