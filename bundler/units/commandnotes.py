"""Notes of ``build`` on shell syntax in command lines, which are run without a shell.

A word such as ``&&`` may be a genuine argument, so it is not an error; but if it is not, nothing on the server would
say so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig, Service

__all__ = ["command_notes"]

_OPERATOR = re.compile(r"&&|\|\|?|&|;|\d?>>?&?|\d?>&[012]|&>>?|<{1,3}")
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def command_notes(config: BundleConfig) -> tuple[str, ...]:
    """A sentence for each command line with such words."""
    return tuple(
        f"{where}: {sentence}"
        for service in config.services
        for where, words in _lines(config, service)
        for sentence in _of_line(words, _variables(config, service))
    )


def _lines(config: BundleConfig, service: Service) -> Iterator[tuple[str, tuple[str, ...]]]:
    where, table = f"services.{service.name}", service.table
    yield f"{where}.command", table.command
    yield from ((f"{where}.before_start", words) for words in table.before_start)
    if isinstance(table.reload, tuple):
        yield f"{where}.reload", table.reload
    if table.health and table.health.command:
        yield f"{where}.health.command", table.health.command
    yield from ((f"hooks.{hook.key}", hook.table.command) for hook in config.hooks if hook.service is service)


def _variables(config: BundleConfig, service: Service) -> set[str]:
    return {
        *(name for name, _ in config.config),
        *(secret.name for secret in config.secrets),
        *service.table.environment,
        "HOME",
    }


def _of_line(words: tuple[str, ...], variables: set[str]) -> Iterator[str]:
    read = [word for index, word in enumerate(words) if index and words[index - 1] != "-c"]  # that is a program's text
    operators = [word for word in read if _OPERATOR.fullmatch(word)]
    if operators:
        yield (
            f"no shell is used, so the program gets {' and '.join(dict.fromkeys(operators))} as an argument. To use a"
            ' shell: ["/bin/sh", "-c", "…"]'
        )
    if not operators and "-c" not in words:
        meant = [name for word in read for name in _VARIABLE.findall(word) if name in variables]
        for name in dict.fromkeys(meant):
            yield f"${name} is not expanded; write ${{{name}}}"
