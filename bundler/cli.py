"""Click only: options -> configuration, results -> text or JSON.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bundler import __version__
from bundler.errors import BundlerError, ConfigError
from bundler.fetch.trust import adopt_certificates
from bundler.printable import counted, printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundler.config.overrides import Overrides
    from bundler.config.project import BundleConfig

__all__ = ["cli", "main"]

_DIRECTORY = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)
_BUNDLE = click.Path(exists=True, path_type=Path)
_EXIT_SMOKE = 8


def main() -> None:
    """The command ``conda-bundler``."""
    # A CI job that is cancelled gets SIGTERM: as an exception it lets temporary directories and machines go.
    # So does a terminal that is closed: what we have started is in sessions of its own, and ends by us alone.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    adopt_certificates()
    try:
        cli(prog_name="conda-bundler")
    except SystemExit as end:
        if "rattler" not in sys.modules:
            raise
        # Not through the interpreter's own end: py-rattler's threads still use it then, and now and then a build that
        # is done dies with SIGSEGV. All that is ours is closed by now.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="conda-bundler")
def cli() -> None:
    """Turn an environment.yml into one file that installs and runs as a systemd service without a network."""


def _command(function: Callable[..., Any]) -> Callable[..., None]:
    """What every command has: -q, -v, --debug, --json, and errors as sentences.

    The function returns a pair: lines for people, and the document that ``--json`` prints; a third element is the
    exit status where it is not 0.
    """

    @cli.command(function.__name__.replace("_", "-"))
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else there.")
    @click.option("-q", "--quiet", is_flag=True, help="No progress.")
    @click.option("-v", "--verbose", is_flag=True, help="Show the commands that are run.")
    @click.option("--debug", is_flag=True, help="Show their output and, on errors, the traceback.")
    @functools.wraps(function)
    def wrapped(as_json: bool, quiet: bool, verbose: bool, debug: bool, **options: Any) -> None:
        _set_up_output(verbose=verbose, debug=debug)
        try:
            lines, document, *status = function(quiet=quiet, **options)
        except BundlerError as error:
            _fail(error, as_json=as_json, debug=debug)
        except click.ClickException:
            raise
        except Exception as error:  # noqa: BLE001 -- the last place where a bug can become a sentence
            bug = BundlerError(
                f"{type(error).__name__}: {error}",
                where="a bug in conda-bundler",
                remedy="Run it again with --debug and report the traceback.",
            )
            _fail(bug, as_json=as_json, debug=debug)
        else:
            text = json.dumps(document, indent=2, sort_keys=True) if as_json else printable_lines("\n".join(lines))
            click.echo(text)
            sys.exit(status[0] if status else 0)

    return wrapped


def _fail(error: BundlerError, *, as_json: bool, debug: bool) -> None:
    if debug:
        logging.getLogger("bundler").exception("traceback")
    if as_json:
        click.echo(json.dumps({"error": error.document()}, indent=2, sort_keys=True))
    error.show()
    sys.exit(error.exit_code)


class _Printable(logging.Formatter):
    """For what other programs say, and for tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


def _set_up_output(*, verbose: bool, debug: bool) -> None:
    level = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Printable("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("bundler").setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs URLs, and what is secret in them
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False


def _project(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which project: a directory with a bundle.toml, or the command line instead of one."""
    for option in reversed(
        (
            click.argument("directory", type=_DIRECTORY, default=".", metavar="[DIR]"),
            click.option(
                "--environment",
                "environments",
                type=_FILE,
                multiple=True,
                help="The environment.yml; may be given again. Together with --name it does without a bundle.toml.",
            ),
            click.option("--name", help="The bundle's name."),
            click.option("--bundle-version", "version", metavar="VERSION", help="The bundle's version, a tag in CI."),
            click.option("--command", metavar="COMMAND", help="The service's command, quoted as for a shell."),
            click.option(
                "--platform",
                "platforms",
                multiple=True,
                metavar="SUBDIR",
                help="linux-64, linux-aarch64 …, or all that bundle.toml names; may be given again.",
            ),
            click.option(
                "--channel",
                "channels",
                multiple=True,
                metavar="URL",
                help="Instead of the environment spec's channels; may be given again, the first has priority.",
            ),
            click.option(
                "--virtual-packages",
                type=_FILE,
                help="What the target has (glibc, CUDA …), for the solver: conda-lock's virtual-packages.yml.",
            ),
            click.option(
                "--solver",
                default="rattler",
                show_default=True,
                metavar="NAME|PATH",
                help="rattler (built in), or a conda, mamba or micromamba.",
            ),
            click.option("--offline", is_flag=True, help="Use caches and local files only; says what is missing."),
        )
    ):
        function = option(function)
    return function


def _duration(_context: click.Context, _option: click.Parameter, value: str) -> float:
    from bundler.durations import parse_duration

    try:
        return parse_duration(value)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from wrong


_LOCK_TIMEOUT = click.option(
    "--lock-timeout",
    default="10m",
    show_default=True,
    metavar="DURATION",
    callback=_duration,
    help="Give up a lock that takes longer: minutes, or 90s, 10m, 1h30m.",
)


def _load(directory: Path, options: dict[str, Any]) -> BundleConfig:
    from bundler.config.project import load_config

    return load_config(directory, _overrides(directory, options))


def _overrides(directory: Path, options: dict[str, Any]) -> Overrides:
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


@_command
@click.argument("directory", type=_DIRECTORY, default=".", metavar="[DIR]")
@click.option(
    "--from",
    "starting_point",
    type=click.Choice(["asgi", "elixir", "job", "jupyter", "service"]),
    default="service",
    show_default=True,
    help="What the project is to be.",
)
def init(directory: Path, quiet: bool, starting_point: str) -> Any:
    """Write a commented bundle.toml, an environment.yml and a small program to start from; overwrites nothing."""
    from bundler.starting_points import start

    written = [str(path) for path in start(directory, starting_point)]
    return [f"wrote {path}" for path in written], {"written": written}


@_command
def schema(quiet: bool) -> Any:
    """Print the JSON schema of bundle.toml, for editors."""
    from bundler.config.schema import make_schema

    document = make_schema()
    return [json.dumps(document, indent=2, sort_keys=True)], document


@_command
@_project
@click.option("--check", is_flag=True, help="Only say whether the lockfile is fresh: exit 4 if it is not.")
@click.option("--update", multiple=True, metavar="PACKAGE", help="Move only this package; may be given again.")
@_LOCK_TIMEOUT
def lock(directory: Path, quiet: bool, check: bool, update: tuple[str, ...], solver: str, **options: Any) -> Any:
    """Lock environment.yml: every package of every platform, by URL and hash."""
    from dataclasses import replace

    timeout = options.pop("lock_timeout")
    if check:
        return _check_lock(directory, _overrides(directory, options), solver, timeout)

    from bundler.lock.fit.check import refuse_foreign
    from bundler.lock.request import lock_request

    config = _load(directory, options)
    request = lock_request(config, solver, timeout)

    from bundler.lock.condalock import write_lockfile
    from bundler.lock.read import read_lock
    from bundler.progress import make_progress

    refuse_foreign(config.lockfiles)
    # An update leaves other platforms as they are; a whole lockfile is for all of them.
    platforms = config.platforms if update else config.project_platforms
    progress = make_progress(quiet=quiet)
    progress.step(f"Locking {config.spec_name} for {', '.join(platforms)}")
    write_lockfile(replace(request, platforms=platforms), progress, update=update)
    lockfiles = replace(config.lockfiles, wheels=None)
    counts = {platform: len(read_lock(lockfiles, platform).packages) for platform in platforms}
    told = ", ".join(f"{counted(count, 'package')} for {platform}" for platform, count in counts.items())
    return [f"{config.lockfile}: {told}"], {"lockfile": str(config.lockfile), "packages": counts}


def _check_lock(directory: Path, overrides: Overrides, solver: str, timeout: float) -> Any:
    from dataclasses import replace

    from bundler.lock.fit.check import check_fits
    from bundler.lock.quick import NotPlainError, plain_request

    try:
        request, lockfiles = plain_request(directory, overrides, solver)
        return check_fits(replace(request, timeout=timeout), lockfiles)
    except NotPlainError:
        from bundler.config.project import load_config
        from bundler.lock.request import injected_lockfiles, lock_request

        config = load_config(directory, overrides)
        return check_fits(lock_request(config, solver, timeout), injected_lockfiles(config))


@_command
@_project
@click.option("--format", "form", type=click.Choice(["tar", "run", "dir"]), default="tar", show_default=True)
@click.option("--output-dir", "output", type=_DIRECTORY, default=Path("dist"), show_default=True)
@click.option(
    "--compression",
    type=click.Choice(["gzip", "zstd", "xz", "none"]),
    help="Of the payload; by default zstd if the bundle can bring zstd for servers that lack it, else gzip.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Threads that compress; all processors if it is not given.")
@click.option(
    "--category",
    "--extras",
    "categories",
    multiple=True,
    metavar="NAME",
    help="Add the dependencies of this category of environment.yml; may be given again.",
)
@click.option("--dev-dependencies/--no-dev-dependencies", default=False, help="Whether to add those of category dev.")
@click.option("--relock", is_flag=True, help="Lock again if the lockfile is stale, instead of exiting with 4.")
@_LOCK_TIMEOUT
def build(directory: Path, quiet: bool, output: Path, **options: Any) -> Any:
    """Build the bundle: lock if there is no lockfile, link, pack, write it to the output directory."""
    from bundler.build import BuildOptions
    from bundler.build import build as run_build
    from bundler.progress import make_progress

    config = _load(directory, options)
    choices = BuildOptions(output=output.resolve(), **options)
    bundles = run_build(config, choices, make_progress(quiet=quiet))
    lines = [f"{bundle.path}  {bundle.size / 1e6:.1f} MB  {bundle.identity.release}" for bundle in bundles]
    return lines, {"bundles": [bundle.document() for bundle in bundles]}


@_command
@click.argument("bundle", type=_BUNDLE)
def inspect(bundle: Path, quiet: bool) -> Any:
    """Show what is in BUNDLE (.tar, .run or directory): packages, units and how they are confined, sizes, needs."""
    from bundler.bundle.inspect import inspect as look

    inspection = look(bundle)
    return inspection.lines(), inspection.document()


@_command
@click.argument("bundle", type=_BUNDLE)
def verify(bundle: Path, quiet: bool) -> Any:
    """Compare BUNDLE with all that it says of itself; exits with 7, naming what is wrong. Installs nothing."""
    from bundler.bundle.verify import verify as compare
    from bundler.progress import make_progress

    verification = compare(bundle, make_progress(quiet=quiet))
    return verification.lines(), verification.document()


@_command
@click.argument("old", type=_BUNDLE)
@click.argument("new", type=_BUNDLE)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if they differ.")
def diff(old: Path, new: Path, quiet: bool, exit_code: bool) -> Any:
    """Show what changes from bundle OLD to bundle NEW: packages, sizes, units, defaults, secrets, your files."""
    from bundler.bundle.diff import diff as compare

    difference = compare(old, new)
    return difference.lines(), difference.document(), int(exit_code and difference.different)


@_command
@click.argument("bundle", type=_BUNDLE)
@click.option("--suite", default="bookworm", show_default=True, help="The Debian that is booted.")
@click.option("--rootfs", type=click.Path(exists=True, path_type=Path), help="A directory or tar instead of a suite.")
@click.option("--include", multiple=True, metavar="PACKAGE", help="A Debian package to have there; repeatable.")
@click.option("--timeout", type=float, default=180, show_default=True, help="Seconds for the installation.")
@click.option("--keep-going", is_flag=True, help="After a failed install, start and check every service all the same.")
@click.option("--shell", is_flag=True, help="Open a root shell on the machine after the checks.")
def smoke(bundle: Path, quiet: bool, **options: Any) -> Any:
    """Boot a throwaway machine without network, with real systemd; install BUNDLE there and report."""
    from bundler.progress import make_progress
    from bundler.smoke.run import SmokeOptions
    from bundler.smoke.run import smoke as run_smoke

    report = run_smoke(bundle, SmokeOptions(**options), make_progress(quiet=quiet))
    return report.lines(), report.document(), 0 if report.healthy else _EXIT_SMOKE
