"""``[hooks]`` of bundle.toml, and a service's ``before_start``: programs that run beside a start or an upgrade."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from bundler.config.fields import Model, Name, Word

__all__ = ["Argv", "Commands", "HookTable", "HooksTable"]


Argv = Annotated[tuple[Word, ...], Field(min_length=1)]


def _commands(value: Any) -> Any:
    """One command stands for a list of one."""
    return [value] if isinstance(value, list | tuple) and value and isinstance(value[0], str) else value


Commands = Annotated[tuple[Argv, ...], BeforeValidator(_commands, json_schema_input_type=Argv | tuple[Argv, ...])]
"""One argv or several."""


class HookTable(Model):
    """A hook that says more than its command."""

    command: Argv
    """argv of the program; the first word is looked up as in ``services.<unit>.command``."""
    timeout: Annotated[int, Field(ge=1, le=86400)] = 300
    """Seconds after which it is ended and has failed."""


def _form(value: Any) -> str:
    return "[table]" if isinstance(value, dict | HookTable) else "[argv]"


_Hook = Annotated[
    Annotated[Argv, Tag("[argv]")] | Annotated[HookTable, Tag("[table]")],
    Discriminator(_form),
]


class HooksTable(Model):
    """What a release has to do when it takes over, such as migrating a database; run as one of its services."""

    service: Name | None = None
    """Whose user, environment and confinement they have; it has to be said if there are several services."""
    before_switch: _Hook | None = None
    """While the release before still serves, which goes on if this fails."""
    after_switch: _Hook | None = None
    """When the services are healthy; if it fails, the release before comes back."""
    back: _Hook | None = None
    """When the release is left for one that was there before it."""

    @property
    def given(self) -> dict[str, HookTable]:
        """By key, those that there are."""
        found = {key: getattr(self, key) for key in ("before_switch", "after_switch", "back")}
        return {
            key: hook if isinstance(hook, HookTable) else HookTable(command=hook)
            for key, hook in found.items()
            if hook is not None
        }
