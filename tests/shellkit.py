"""What tests of the scripts' partials share: the shells that they run in, and their text."""

from __future__ import annotations

from bundler.resources import templates_dir

__all__ = ["SHELLS", "SHELL_IDS", "partials"]

# What install.sh, manage and the head of a .run must run under.
SHELLS = (("dash",), ("bash", "--posix"), ("bash",), ("busybox", "sh"))
SHELL_IDS = ("dash", "bash-posix", "bash", "busybox")


def partials(*names: str) -> str:
    """The text of these partials: of lib/ or install/ by their name alone, of manage/ with the room before it."""
    rooms = ("lib", "install", ".")
    found = [
        next(path for room in rooms if (path := templates_dir() / room / f"{name}.sh").is_file()) for name in names
    ]
    return "".join(path.read_text() for path in found)
