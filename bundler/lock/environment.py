"""What is checked of an environment.yml before conda-lock, which answers a mistake in it with a traceback, sees it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bundler.channels import VARIABLE
from bundler.errors import ConfigError
from bundler.lock.lockfile import load_yaml

__all__ = ["Environment", "check_environment"]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A checked environment.yml.

    ``data`` is the file as read; ``overrides`` are the channels that replace its own, local ones as ``file://`` URLs;
    ``variables`` are the environment variables that channel URLs name, with their values; ``pip_variables`` the names
    of those in ``pip-repositories:``.
    """

    path: Path
    data: bytes
    overrides: tuple[str, ...]
    variables: dict[str, str]
    pip_variables: tuple[str, ...]


def check_environment(path: Path, channels: tuple[str, ...] = ()) -> Environment:
    """Read and check ``path``; ``channels`` replace those that it names.

    Raises :class:`ConfigError`, with all mistakes at once.
    """
    data, document = _read(path)
    mistakes = [*_dependency_mistakes(document), *([] if channels else _channel_mistakes(document))]
    if mistakes:
        raise ConfigError("; ".join(mistakes), where=str(path))
    overrides = tuple(_local_as_url(channel) for channel in channels if channel != "nodefaults")
    used = overrides or tuple(document["channels"])
    return Environment(
        path=path,
        data=data,
        overrides=overrides,
        variables=_variables(used, path),
        pip_variables=tuple(VARIABLE.findall(str(document.get("pip-repositories")))),
    )


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        data = path.read_bytes()
        document = load_yaml(data)
    except FileNotFoundError as missing:
        raise ConfigError("there is no such file", where=str(path)) from missing
    except OSError as failed:
        raise ConfigError(f"cannot be read: {failed.strerror}", where=str(path)) from failed
    except (yaml.YAMLError, ValueError) as damaged:
        raise ConfigError(f"not YAML: {' '.join(str(damaged).split())}", where=str(path)) from damaged
    if not isinstance(document, dict):
        kind = {list: "a list", str: "a text", type(None): "nothing"}.get(
            type(document), f"a {type(document).__name__}"
        )
        raise ConfigError(
            f"holds {kind}, where a mapping with `channels:` and `dependencies:` is wanted", where=str(path)
        )
    return data, document


def _dependency_mistakes(document: dict[str, Any]) -> list[str]:
    if "dependencies" not in document:
        return ["has no `dependencies:`"]
    dependencies = document["dependencies"]
    if not isinstance(dependencies, list) or not dependencies:
        return ["`dependencies:` is not a list of packages"]
    return [
        f"entry {number} of `dependencies:` is neither a package nor a `pip:` list: {entry!r}"
        for number, entry in enumerate(dependencies, start=1)
        if not isinstance(entry, str) and not (isinstance(entry, dict) and _is_texts(entry.get("pip")))
    ]


def _channel_mistakes(document: dict[str, Any]) -> list[str]:
    channels = document.get("channels")
    if channels is None:
        return ["names no `channels:` (give one there, or with --channel)"]
    if not _is_texts(channels):
        return ["`channels:` is not a list of names or URLs"]
    if not set(channels) - {"nodefaults"}:
        return ["`channels:` is empty (give one there, or with --channel)"]
    return []


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value)


def _local_as_url(channel: str) -> str:
    """A channel that is a path is meant from where the user stands; conda-lock runs elsewhere."""
    if re.match(r"\.{1,2}(/|$)|[/~]", channel):
        return Path(channel).expanduser().resolve().as_uri()
    return channel


def _variables(channels: tuple[str, ...], path: Path) -> dict[str, str]:
    """The variables that the channels on the network name; nothing secret may stand in a URL itself."""
    variables: dict[str, str] = {}
    for channel in channels:
        if not re.match(r"https?://", channel):
            continue
        url = urlsplit(channel)
        token = re.search(r"/t/([^/]+)/", url.path + "/")
        if any(secret and "$" not in secret for secret in (url.password, token and token[1])):
            public = f"{url.scheme}://{url.hostname}"
            raise ConfigError(
                f"a password or token stands in the URL of a channel on {public}, and would so be in the lockfile",
                where=str(path),
                remedy="Write the name of an environment variable in its place: https://${USER_NAME}:${PASSWORD}@…",
            )
        for name in VARIABLE.findall(channel):
            if name not in os.environ:
                raise ConfigError(
                    f"the channel {channel} needs the environment variable {name}, which is not set", where=str(path)
                )
            variables[name] = os.environ[name]
    return variables
