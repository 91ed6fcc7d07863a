"""How a service is stopped: which processes get which signal, and how long systemd waits (systemd.kill(5)).

Only the main process gets the signal at first, so that it can let its workers finish. A shell does not do that: it
exits at once without passing the signal on, and its children would be killed in the middle of their work. So if a shell
stays the main process, all of the service's processes get the signal; the build says so, because ``exec`` is better.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.units.unitfile import fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig, Service
    from bundler.units.contents import Contents
    from bundler.units.unitfile import Lines

__all__ = ["ending_notes", "stopping"]

_SHELLS = frozenset({"ash", "bash", "dash", "ksh", "mksh", "sh", "zsh"})
_SIMPLE = re.compile(r"[^;|&\n]*")
"""A single command, which every shell executes in its own process."""
_EXEC = re.compile(r"(?:^|[;&|({\n]|\b(?:then|do|else))[ \t]*exec[ \t]+[^\s<>&0-9]")


def stopping(service: Service, contents: Contents) -> Lines:
    """The lines of ``[Service]``. If the OOM killer kills one process, the others go on."""
    table = service.table
    lines = (
        ("KillMode", "control-group" if _staying(service, contents) else "mixed"),
        ("KillSignal", table.kill_signal),
        ("TimeoutStopSec", str(table.stop_timeout or "")),
        ("OOMPolicy", "continue"),
    )
    return tuple((key, value) for key, value in lines if value)


def ending_notes(config: BundleConfig, contents: Contents) -> Iterator[str]:
    """A note for each service whose main process is a shell."""
    for service in config.services:
        staying = _staying(service, contents)
        if staying:
            yield (
                f"services.{service.name}.command: {staying} remains the main process and does not pass signals on, so"
                " all processes are signalled at once on stop. Write exec before its last command, so that the program"
                " gets the signal and can let its workers finish"
            )


def _staying(service: Service, contents: Contents) -> str:
    """The shell or the script that remains the main process; empty if there is none."""
    if service.table.profile == "beam":
        return ""  # its start scripts are known
    program, *rest = (fill(word, {"app": "app", "env": "env", **_ELSEWHERE}) for word in service.table.command)
    if program.rpartition("/")[2] not in _SHELLS:
        return _wrapper(program, contents)
    for index, word in enumerate(rest):
        if re.fullmatch(r"-[a-z]*c", word):
            text = rest[index + 1] if index + 1 < len(rest) else ""
            return "" if _SIMPLE.fullmatch(text.strip()) or _EXEC.search(text) else program
        if not word.startswith("-"):
            return _wrapper(word, contents)
    return ""


_ELSEWHERE = dict.fromkeys(("root", "state", "cache", "runtime", "instance"), "")


def _wrapper(program: str, contents: Contents) -> str:
    """``program`` as a path below the release, if it is a script that remains the main process."""
    while program.startswith("./"):
        program = program[2:]
    candidates = (f"env/bin/{program}", f"app/{program}", program)
    return next((path for path in candidates if path in contents.wrappers), "")
