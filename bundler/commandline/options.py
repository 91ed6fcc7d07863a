"""Options that several commands have, and the configuration that comes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.config.overrides import Overrides
    from bundler.config.project import BundleConfig

__all__ = [
    "BUILDER",
    "BUNDLE",
    "DIRECTORY",
    "KEY_FILE",
    "LOCK_TIMEOUT",
    "SIGNING_KEY",
    "load",
    "overrides",
    "project_options",
]

DIRECTORY = click.Path(file_okay=False, path_type=Path)
BUNDLE = click.Path(exists=True, path_type=Path)
KEY_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_BY_OPENSSL = "openssl:"


class SigningKey(click.Path):
    """The file of an SSH key, or ``openssl:`` before what openssl calls a key: a file, or a URI."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A path; what stands behind ``openssl:``, as a string."""
        if isinstance(value, str) and value.startswith(_BY_OPENSSL):
            return value.removeprefix(_BY_OPENSSL)
        return super().convert(value, param, ctx)


SIGNING_KEY = SigningKey(exists=True, dir_okay=False, path_type=Path)


def project_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which project: a directory with a bundle.toml, or the command line instead of one."""
    for option in reversed(
        (
            click.argument("directory", type=DIRECTORY, default=".", metavar="[DIR]"),
            click.option(
                "--environment",
                "environments",
                type=_FILE,
                multiple=True,
                help="Read this environment.yml; repeatable. With --name, no bundle.toml is needed.",
            ),
            click.option("--name", help="Set the bundle's name."),
            click.option("--bundle-version", "version", metavar="VERSION", help="Set the bundle's version."),
            click.option("--command", metavar="COMMAND", help="Set the service's command, quoted as in a shell."),
            click.option(
                "--platform",
                "platforms",
                multiple=True,
                metavar="SUBDIR",
                help="Use only this platform (linux-64, linux-aarch64 …), or all in bundle.toml; repeatable.",
            ),
            click.option(
                "--channel",
                "channels",
                multiple=True,
                metavar="URL",
                help="Replace environment.yml's channels; repeatable, the first has the highest priority.",
            ),
            click.option(
                "--virtual-packages",
                type=_FILE,
                help="Read what the servers have (glibc, CUDA …) from conda-lock's virtual-packages.yml.",
            ),
            click.option(
                "--solver",
                default="rattler",
                show_default=True,
                metavar="NAME|PATH",
                help="Solve with this program: rattler (built in), conda, mamba or micromamba.",
            ),
            click.option("--offline", is_flag=True, help="Use only caches and local files; name what is missing."),
        )
    ):
        function = option(function)
    return function


def _duration(_context: click.Context, _option: click.Parameter, value: str) -> float:
    from bundler.commandline.durations import parse_duration

    try:
        return parse_duration(value)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from wrong


def _uri(_context: click.Context, _option: click.Parameter, value: str) -> str:
    import re

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", value):
        raise click.BadParameter(f"{value!r} is not a URI; write https://… or urn:…")
    return value


BUILDER = click.option(
    "--builder",
    default="urn:conda-bundler:builder:local",
    show_default=True,
    metavar="URI",
    callback=_uri,
    help="Name who builds, such as a CI system, in the provenance.",
)
LOCK_TIMEOUT = click.option(
    "--lock-timeout",
    default="10m",
    show_default=True,
    metavar="DURATION",
    callback=_duration,
    help="Stop locking after this time: minutes, or 90s, 10m, 1h30m.",
)


def load(directory: Path, options: dict[str, Any]) -> BundleConfig:
    """The project's configuration; takes the options of :func:`project_options` out of ``options``."""
    from bundler.config.project import load_config

    return load_config(directory, overrides(directory, options))


def overrides(directory: Path, options: dict[str, Any]) -> Overrides:
    """What the command line says instead of bundle.toml. Raises :class:`ConfigError`."""
    import shlex

    from bundler.config.overrides import Overrides

    try:
        command = tuple(shlex.split(options.pop("command") or ""))
    except ValueError as error:
        raise ConfigError(f"not a command: {error}", where="--command") from error
    if not directory.is_dir():
        raise ConfigError("no such directory", where=str(directory))
    return Overrides(
        environments=options.pop("environments"),
        name=options.pop("name"),
        version=options.pop("version"),
        command=command,
        platforms=options.pop("platforms"),
        channels=options.pop("channels"),
        virtual_packages=options.pop("virtual_packages"),
        categories=options.pop("categories", ()) + (("dev",) if options.pop("dev_dependencies", False) else ()),
        offline=options.pop("offline"),
    )
