"""Completion as people use it: a real shell, the script that `conda-bundler completion` prints, and Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from terminalkit import Screen

_WORDS = ("conda-bundler", "build", "--format", "dir", "--output-dir", "there/")
_SHELLS = {
    "bash": (
        ("bash", "--noprofile", "--norc", "-i"),
        "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'",
    ),
    "zsh": (("zsh", "-f", "-i"), "autoload -Uz compinit && compinit -D; bindkey -e; unset zle_bracketed_paste"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one other and a file in it, where conda-bundler is on PATH."""
    (tmp_path / "there").mkdir()
    (tmp_path / "thereby").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb")
    return tmp_path


def need(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is missing; tests/tools installs it")


@pytest.mark.parametrize("shell", _SHELLS)
def test_tab_completes_commands_options_values_and_paths(place: Path, shell: str) -> None:
    need(shell)
    words, settings = _SHELLS[shell]
    screen = Screen(words)
    try:
        for line in (settings, f'eval "$(conda-bundler completion {shell})"', "printf '<%s>' set up"):
            screen.press(line.encode() + b"\n")
        assert screen.shows("<set><up>"), screen.text
        typed = ("conda-bundler", " bui", " --form", " di", " --output-d", " the")
        for word, whole in zip(typed, _WORDS, strict=True):
            screen.press(word.encode() + (b"" if word == whole else b"\t"))
            assert screen.shows(whole.rstrip("/")), screen.text
        # What stands there is run as the words of another command.
        screen.press(b"\x01printf '<%s>' \n")
        # zsh takes the slash back that it has added.
        assert screen.shows("".join(f"<{word}>" for word in _WORDS).removesuffix("/>")), screen.text
    finally:
        screen.close()


def fish(line: str) -> list[str]:
    program = "conda-bundler completion fish | source; complete --do-complete $argv[1]"
    done = subprocess.run(["fish", "--no-config", "-c", program, line], capture_output=True, text=True, check=True)
    return [one.partition("\t")[0] for one in done.stdout.splitlines()]


def test_fish_completes_commands_options_values_and_paths(place: Path) -> None:
    need("fish")
    assert fish("conda-bundler bui") == ["build"]
    assert fish("conda-bundler build --form") == ["--format"]
    assert fish("conda-bundler build --format ") == ["dir", "run", "tar"]
    assert fish("conda-bundler build --output-dir the") == ["there/"]
