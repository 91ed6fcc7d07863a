"""Every way to fail, with its exit code.

Each error is a sentence: what is wrong, where (file and key, package, step) and what to do about it.
Tool failures are translated where the tool is called, with ``raise ... from``.
"""

from __future__ import annotations

import re
from typing import IO, Any

import click

from bundler.printable import printable, printable_lines

__all__ = [
    "BundlerError",
    "ConfigError",
    "DamagedCacheError",
    "LicenseError",
    "LockError",
    "MissingToolError",
    "PackError",
    "PrefixError",
    "SmokeError",
    "StaleLockError",
    "VerificationError",
    "without_credentials",
]


class BundlerError(click.ClickException):
    """Base of all expected failures.

    ``where`` is the file and key, the package or the step; ``remedy`` is what the user can do.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.where = where
        self.remedy = remedy

    def format_message(self) -> str:
        """The sentence for people: ``where: message``, then the remedy on a line of its own.

        What an archive or a server has put into it is printable, though its line breaks in the message stay.
        """
        message, where = printable_lines(self.message), printable(self.where or "")
        text = f"{where}: {message}" if where else message
        return f"{text}\n  {printable_lines(self.remedy)}" if self.remedy else text

    def document(self) -> dict[str, Any]:
        """The same for ``--json``."""
        return {
            "kind": type(self).__name__,
            "exit_code": self.exit_code,
            "message": self.message,
            "where": self.where,
            "remedy": self.remedy,
        }

    def show(self, file: IO[Any] | None = None) -> None:
        click.secho("error: ", fg="red", bold=True, nl=False, err=file is None, file=file)
        click.echo(self.format_message(), err=file is None, file=file)


class ConfigError(BundlerError):
    """The command line, bundle.toml or environment.yml is wrong."""

    exit_code = 2


class LockError(BundlerError):
    """The environment cannot be locked: unsatisfiable, unknown channel, no answer."""

    exit_code = 3


class StaleLockError(BundlerError):
    """The lockfile is out of date with the environment spec."""

    exit_code = 4


class PrefixError(BundlerError):
    """The environment could not be made: a download failed, a hash differs."""

    exit_code = 5


class DamagedCacheError(PrefixError):
    """``path`` in the cache's copies of ``packages`` (``name-version-build``) is not what the archives declare."""

    def __init__(self, path: str, *, packages: tuple[str, ...]) -> None:
        super().__init__(
            f"{printable(path)} in the package cache does not match its package's checksum",
            where=", ".join(packages),
            remedy="Use another build of the package; if the package is correct, find out which program writes to the "
            "package cache.",
        )
        self.packages = packages


class PackError(BundlerError):
    """The payload or the bundle could not be written, or a package's link script failed."""

    exit_code = 6


class VerificationError(BundlerError):
    """A bundle is not what its manifest says."""

    exit_code = 7


class LicenseError(VerificationError):
    """A package's license is not one that bundle.toml lets into the bundle."""


class SmokeError(BundlerError):
    """The bundle was installed on a throwaway machine and is not healthy there."""

    exit_code = 8


class MissingToolError(BundlerError):
    """A program or a right that this step needs is missing."""

    exit_code = 9


def without_credentials(text: str) -> str:
    """``text`` without the users, passwords, tokens and queries that the URLs in it may carry."""
    text = re.sub(r"//[^/\s?#]*@", "//…@", text)
    text = re.sub(r"(https?://[^\s?#]*\?)[^\s#'\"`),;]+", r"\1…", text, flags=re.IGNORECASE)
    return re.sub(r"/t/[^/\s]+", "/t/…", text)
