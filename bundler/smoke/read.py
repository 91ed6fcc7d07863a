"""Parse the output of programs on the machine, and mask secrets in it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from bundler.smoke.report import HttpAnswer, ServiceReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundler.machine import Answer

__all__ = ["expand", "mask", "parse_answer", "parse_exposure", "parse_os", "parse_secrets", "parse_show"]


def parse_show(unit: str, text: str) -> ServiceReport:
    """Parse the output of ``systemctl show``: ``Key=value`` lines. Keys that systemd does not know are missing."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return ServiceReport(
        unit=unit,
        load_state=values.get("LoadState", "unknown"),
        active_state=values.get("ActiveState", "unknown"),
        sub_state=values.get("SubState", "unknown"),
        kind=values.get("Type", ""),
        result=values.get("Result", "success"),
        main_pid=int(values.get("MainPID") or 0),
        restarts=int(values.get("NRestarts") or 0),
    )


def parse_exposure(text: str) -> str:
    """``1.4 OK`` from systemd-analyze's ``→ Overall exposure level for hello.service: 1.4 OK 🙂``; empty if none."""
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+) ([A-Z]+)", text)
    return f"{found[1]} {found[2]}" if found else ""


def parse_os(text: str) -> str:
    """``Debian GNU/Linux 12 (bookworm)`` from os-release(5); empty if that has no name."""
    found = re.search(r"^PRETTY_NAME=(?:\"(.*)\"|'(.*)'|(.*))$", text, re.MULTILINE)
    return next(filter(None, found.groups()), "") if found else ""


def expand(template: str, environment: str) -> str | None:
    """``template`` with ``${NAME}`` replaced from ``environment``, as in /proc/PID/environ; None if one is missing.

    Also None for ``unix:…``, which is not a URL: only the service's own health unit checks a Unix socket.
    """
    if template.startswith("unix:"):
        return None
    values = dict(word.split("=", 1) for word in environment.split("\0") if "=" in word)
    names = re.findall(r"\$\{(\w+)\}", template)
    if any(name not in values for name in names):
        return None
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], template)


def parse_answer(url: str, answer: Answer, hidden: Sequence[str]) -> HttpAnswer:
    """Parse the client's output: a line with the status, then the beginning of the body; or why there is none."""
    status, _, body = answer.stdout.partition("\n")
    if answer.status != 0 or not status.isdigit():
        reason = answer.stderr.strip().splitlines()[-1:] or ["no answer"]
        return HttpAnswer(url=url, status=0, body=mask(reason[0], hidden))
    return HttpAnswer(url=url, status=int(status), body=mask(body, hidden))


def parse_secrets(text: str) -> tuple[str, ...]:
    """The values in an EnvironmentFile (systemd.exec(5)), whose quoting is close enough to the shell's."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = text.split()
    values = [line for word in words for line in word.partition("=")[2].splitlines()]
    return tuple(sorted((value for value in values if len(value) > 3), key=len, reverse=True))


def mask(text: str, hidden: Iterable[str]) -> str:
    """``text`` with every secret value starred out."""
    for value in hidden:
        text = text.replace(value, "***")
    return text
