"""What ``conda activate`` would set, for services that nobody activates an environment for.

conda's order (conda/activate.py): ``CONDA_PREFIX`` and its like, the variables in ``etc/conda/env_vars.d/*.json``,
those of ``conda-meta/state``, then the scripts in ``etc/conda/activate.d``. All but the scripts is data and is read
here, so that the target needs nothing to read JSON with; ``templates/lib/activation.sh`` runs the scripts there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from bundler.errors import ConfigError, PackError
from bundler.installer.render import render_environment
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

__all__ = ["Activation", "Script", "is_plain", "read_activation", "spec_variables"]

_UNSET = "***unset***"
"""conda's word, as a value, for a variable that activation takes away."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""What systemd allows in no variable: control characters other than tab and line break, and what is no UTF-8."""

_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_BASHISM = re.compile(
    r"""
      \[\[ | == | <<< | [<>]\( | &> | \|& | \+= | \$['"] | (?<!\$)\(\(
    | \b\w+=\( | \w\[[^]]*\]=
    | (?:^|[;&|({]|\b(?:then|do|else)\b)\s*
      (?:function|source|declare|typeset|shopt|pushd|popd|let|select|mapfile|readarray|coproc)\s
    | \$\{(?:!|\#?\w+\[|\w+(?:/|\^|,|@|:[^-=?+]))
    | \$\{?(?:BASH|RANDOM|FUNCNAME|PIPESTATUS|EPOCH|SRANDOM)
    """,
    re.VERBOSE | re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class Script:
    """One of ``etc/conda/activate.d``: its path below the release, and whether any POSIX shell understands it."""

    path: str
    plain: bool


@dataclass(frozen=True, kw_only=True)
class Activation:
    """What activation sets. ``unset`` are variables that it takes away; none of them is in ``variables``."""

    variables: tuple[tuple[str, str], ...]
    unset: tuple[str, ...]
    scripts: tuple[Script, ...]

    def below(self, defaults: Iterable[tuple[str, str]]) -> Activation:
        """With ``defaults`` for what activation neither sets nor takes away."""
        said = {*self.unset, *(name for name, _ in self.variables)}
        new = tuple((name, value) for name, value in defaults if name not in said)
        return replace(self, variables=(*new, *self.variables))

    def files(self) -> dict[str, str]:
        """What the release has of it: an EnvironmentFile that every unit names, and the scripts for install.sh.

        They lie in ``config/``, where install.sh fits paths to another root.
        """
        lines = (f"{'sh' if script.plain else 'bash'} {script.path}\n" for script in self.scripts)
        return {
            "config/activation.env": render_environment(self.variables, comment="What activation sets"),
            "config/activation.list": "".join(lines),
        }


def read_activation(prefix: Path, baked: str, *, shipped: AbstractSet[str], variables: Mapping[str, str]) -> Activation:
    """Read what the environment at ``prefix`` brings; its files carry the path ``baked``.

    ``shipped`` are the paths below the release that the payload has: what is left out sets nothing. ``variables`` are
    environment.yml's, which ``conda env create`` would write to conda-meta/state. Raises :class:`PackError` for what
    cannot be read.
    """
    found: dict[str, str] = {"CONDA_PREFIX": baked, "CONDA_DEFAULT_ENV": baked, "CONDA_SHLVL": "1"}
    for path in sorted((prefix / "etc/conda/env_vars.d").glob("*.json")):
        if f"env/{path.relative_to(prefix).as_posix()}" in shipped:
            found |= _checked(_mapping(path), path)
    state = prefix / "conda-meta/state"
    if state.is_file():
        found |= _checked(_mapping(state).get("env_vars", {}), state)
    found |= variables
    scripts = [f"env/etc/conda/activate.d/{path.name}" for path in (prefix / "etc/conda/activate.d").glob("*.sh")]
    return Activation(
        variables=tuple((name, value) for name, value in found.items() if value != _UNSET),
        unset=tuple(name for name, value in found.items() if value == _UNSET),
        scripts=tuple(_script(prefix, path) for path in sorted(scripts) if path in shipped),
    )


def spec_variables(environments: Iterable[tuple[Path, bytes]], categories: Collection[str] = ()) -> dict[str, str]:
    """``variables:`` of the environment files that are of ``categories`` or ``main``; where two set one, the last
    counts.

    Raises :class:`ConfigError` if they are none.
    """
    found: dict[str, str] = {}
    for environment, text in environments:
        try:
            document = load_yaml(text)
        except (ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot be read: {error}", where=str(environment)) from error
        if isinstance(document, dict) and (document.get("category") or "main") in {"main", *categories}:
            try:
                found |= _checked(document.get("variables") or {}, environment)
            except PackError as error:
                raise ConfigError(f"variables: {error.message}", where=str(environment)) from error
    return found


def is_plain(text: str) -> bool:
    """Whether a script has nothing that is bash's alone. In doubt it has: where there is a bash, that runs it."""
    return not _BASHISM.search(_COMMENT.sub("", text))


def _script(prefix: Path, path: str) -> Script:
    if re.search(r"[\x00-\x1f\\]| $", path):
        raise PackError("an activation script has a name that no list can hold", where=repr(path))
    text = (prefix / path.removeprefix("env/")).read_bytes().decode("utf-8", "replace")
    return Script(path=path, plain=is_plain(text))


def _mapping(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PackError(f"cannot be read: {error}", where=str(path), remedy="Repair its package.") from error
    if not isinstance(document, dict):
        raise PackError("holds no mapping of variables", where=str(path), remedy="Repair its package.")
    return document


def _checked(entries: Any, path: Path) -> dict[str, str]:
    """The variables, as text: conda, too, writes whatever it finds there with ``str``."""
    if not isinstance(entries, dict):
        raise PackError("holds no mapping of variables", where=str(path))
    found = {}
    for name, value in entries.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PackError(f"{name!r} cannot be the name of a variable", where=str(path))
        if not isinstance(value, (str, int, float)) or _UNFIT.search(str(value)):
            raise PackError(f"a service cannot have the value of {name}: {value!r}", where=str(path))
        found[name] = str(value)
    return found
