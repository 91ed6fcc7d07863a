"""Which channels and package indexes ``[lock] exclude_newer`` may name: those that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.cooldown import DEFAULT, from_text
from bundler.errors import ConfigError, without_credentials
from bundler.fetch.channels import public_url
from bundler.plainyaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.lock.environment.check import Environment

__all__ = ["PUBLIC_INDEX", "check_places"]

PUBLIC_INDEX = "https://pypi.org/simple"
_ANACONDA = "https://conda.anaconda.org"
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


def check_places(said: str, environment: Environment) -> None:
    """Raises :class:`ConfigError` if ``said`` names what is no channel and no index of ``environment``."""
    known = dict.fromkeys(_known(environment))
    strangers = [place for place in from_text(said) if place != DEFAULT and place not in known]
    if strangers:
        raise ConfigError(
            f"lock.exclude_newer: {', '.join(map(without_credentials, strangers))} is not a channel or package index "
            "of the environment",
            where="bundle.toml",
            remedy=f"There are {', '.join(map(without_credentials, known))}; `{DEFAULT}` applies to all without a key "
            "of their own.",
        )


def _known(environment: Environment) -> Iterator[str]:
    documents = [load_yaml(data) for _, data in environment.files]
    written = [one for document in documents for one in document.get("channels") or ()]
    for channel in (*environment.overrides, *written):
        if channel == "defaults":
            yield from _DEFAULTS
            continue
        yield public_url(channel).rstrip("/")
        if "://" not in channel and not channel.startswith((".", "/")):
            yield f"{_ANACONDA}/{channel}"
    wheels = environment.pip_list()
    if environment.public_index:
        yield PUBLIC_INDEX
    for index in (*environment.repositories, *wheels.indexes, *filter(None, [wheels.index_url])):
        yield public_url(index).rstrip("/")
