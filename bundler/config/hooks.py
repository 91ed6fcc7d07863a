"""``[hooks]`` of bundle.toml, and a service's ``before_start``: programs that run at an upgrade or a start."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from bundler.config.fields import Model, Name, Word

__all__ = ["Argv", "Commands", "HookTable", "HooksTable"]


Argv = Annotated[tuple[Word, ...], Field(min_length=1)]


def _commands(value: Any) -> Any:
    """Convert a single command to a list of one."""
    return [value] if isinstance(value, list | tuple) and value and isinstance(value[0], str) else value


Commands = Annotated[tuple[Argv, ...], BeforeValidator(_commands, json_schema_input_type=Argv | tuple[Argv, ...])]
"""One command, as a list of words, or several."""


class HookTable(Model):
    """A hook with more settings than its command."""

    command: Argv
    """The command, as a list; the program is looked up as in ``services.<unit>.command``."""
    timeout: Annotated[int, Field(ge=1, le=86400)] = 300
    """Seconds after which the hook is ended and counts as failed."""


def _form(value: Any) -> str:
    return "[table]" if isinstance(value, dict | HookTable) else "[argv]"


_Hook = Annotated[
    Annotated[Argv, Tag("[argv]")] | Annotated[HookTable, Tag("[table]")],
    Discriminator(_form),
]


class HooksTable(Model):
    """Programs that run when a release is activated, such as database migrations; they run as one of its services."""

    service: Name | None = None
    """The service whose user, environment and sandbox the hooks have; required if there are several services."""
    before_switch: _Hook | None = None
    """Run while the previous release still serves; if it fails, that release stays active."""
    after_switch: _Hook | None = None
    """Run when the services are healthy; if it fails, the previous release is restored."""
    back: _Hook | None = None
    """Run before a rollback from this release to an earlier one."""

    @property
    def given(self) -> dict[str, HookTable]:
        """The defined hooks, by key."""
        found = {key: getattr(self, key) for key in ("before_switch", "after_switch", "back")}
        return {
            key: hook if isinstance(hook, HookTable) else HookTable(command=hook)
            for key, hook in found.items()
            if hook is not None
        }
