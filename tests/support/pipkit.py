"""A project whose environment.yml asks for conda packages and wheels, and a channel on disk for it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner
from tinychannel import index, make_package

from bundler.fetch.channels import Access
from bundler.lock.condalock import LockRequest, read_lock, write_lockfile
from bundler.lock.watch import Watch

if TYPE_CHECKING:
    from pathlib import Path

    from pypikit import Index

    from bundler.errors import BundlerError
    from bundler.locked import LockedPackage

__all__ = ["Project", "conda_lock_calls_it_fresh", "listen", "make_channel"]


def make_channel(path: Path) -> Path:
    """A channel with a Python for two platforms, and a few packages that are Python projects."""
    for subdir in ("linux-64", "linux-aarch64"):
        make_package(path, "python", "3.11.7", subdir=subdir, build="h1_0_cpython")
    make_package(path, "pip", "24.0", depends=["python"], python=True)
    make_package(path, "leaf", "1.0", depends=["python"], python=True)
    make_package(path, "python-tzdata", "2026.6", depends=["python"], python=True)
    index(path)
    return path


def listen(patch: pytest.MonkeyPatch) -> list[str]:
    """A list of what conda-lock is started for from now on, in order."""
    found: list[str] = []
    run = Watch.run

    def listening(watch: Watch, argv: Any, **options: Any) -> Any:
        words = [str(word) for word in argv]
        found.extend(word for word in words[1:4] if word in ("lock", "render-lock-spec"))
        return run(watch, argv, **options)

    patch.setattr(Watch, "run", listening)
    return found


@dataclass(frozen=True)
class Project:
    """A directory with an environment.yml that takes conda packages and wheels."""

    path: Path
    channel: Path
    pypi: Index

    @classmethod
    def make(cls, path: Path, channel: Path, pypi: Index) -> Project:
        path.mkdir()
        return cls(path, channel, pypi)

    @property
    def environment(self) -> Path:
        return self.path / "environment.yml"

    @property
    def lockfile(self) -> Path:
        return self.path / "conda-lock.yml"

    def request(self, platforms: tuple[str, ...] = ("linux-64",), **options: Any) -> LockRequest:
        options = {"environments": (self.environment,), "access": Access(retries=0), **options}
        return LockRequest(lockfile=self.lockfile, platforms=platforms, **options)

    def asks_for(
        self, *wheels: str, conda: tuple[str, ...] = ("python",), index: str | None = None, **keys: Any
    ) -> Project:
        """Write the environment.yml; ``keys`` are others of it."""
        document = {
            "channels": [str(self.channel)],
            "dependencies": [*conda, {"pip": list(wheels)}],
            "pip-repositories": [index or self.pypi.url()],
            "allow-pypi-requests": False,
            **keys,
        }
        self.environment.write_text(yaml.safe_dump(document))
        return self

    def lock(self, request: LockRequest | None = None) -> dict[str, LockedPackage]:
        write_lockfile(request or self.request())
        return self.wheels()

    def wheels(self, platform: str = "linux-64") -> dict[str, LockedPackage]:
        packages = read_lock(self.lockfile, platform).packages
        return {package.name: package for package in packages if package.manager == "pip"}

    def fails(self, kind: type[BundlerError], request: LockRequest | None = None) -> str:
        """What locking says when it fails: in sentences, and the old lockfile is as it was."""
        self.lockfile.write_text("as it was")
        with pytest.raises(kind) as raised:
            write_lockfile(request or self.request())
        assert type(raised.value) is kind
        assert self.lockfile.read_text() == "as it was"
        text = raised.value.format_message()
        assert "Traceback" not in text
        assert "conda-bundler-lock-" not in text, "the name of a temporary directory"
        return text


def conda_lock_calls_it_fresh(directory: Path, *files: str, virtual: str = "2.28") -> bool:
    """Whether conda-lock leaves the lockfile of a directory as it is, on the user's own files and with a solver that
    refuses. Its command is called in this process, as its start takes two seconds.
    """
    lockfile, conda = directory / "conda-lock.yml", directory / "conda"
    conda.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'conda 24.1' && exit\nexit 1\n")
    conda.chmod(0o755)
    (directory / "names.json").write_text("{}")
    packages = {"__unix": "0", "__linux": "5.10", "__glibc": virtual}
    document = {
        "subdirs": {
            subdir: {"packages": packages | {"__archspec": f"1 {machine}"}}
            for subdir, machine in (("linux-64", "x86_64"), ("linux-aarch64", "aarch64"))
        }
    }
    (directory / "assumed.yml").write_text(yaml.safe_dump(document))
    before = lockfile.read_bytes()
    words = ["lock", "--check-input-hash", "--conda", str(conda), "--no-mamba", "--no-micromamba"]
    words += ["--pypi_to_conda_lookup_file", "names.json", "--virtual-package-spec", "assumed.yml"]
    words += [*(f"--file={file}" for file in files), "--platform=linux-64", "--platform=linux-aarch64"]
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # its own, of what it brings along
        patch.chdir(directory)
        from conda_lock.conda_lock import main  # type: ignore[import-untyped]

        done = CliRunner().invoke(main, [*words, "--lockfile", lockfile.name])
    return "Spec hash already locked" in done.output and lockfile.read_bytes() == before
