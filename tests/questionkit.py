"""What uv is asked for a `pip:` list, without conda-lock: conda's packages are given, no lockfile is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundler.fetch.channels import Access
from bundler.lock.explain_uv import explain_uv
from bundler.lock.indexes import find_source
from bundler.lock.interpreter import write_interpreter
from bundler.lock.lockfile import LockedPackage
from bundler.lock.requirements import read_pip_list
from bundler.lock.uv import Solution, UvFailed, WheelQuestion, find_wheels
from bundler.resources import cache_dir
from bundler.wheels.python import Python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["answer", "wheel_question"]


def wheel_question(
    pip: Sequence[str],
    directory: Path,
    *indexes: str,
    python: str = "3.11.7",
    platform: str = "linux-64",
    conda: Mapping[str, str] | None = None,
    **options: Any,
) -> WheelQuestion:
    """The question for a list; ``conda`` are versions of what conda brings, ``options`` other fields of it.

    ``indexes`` are asked first, then those of the list; a server has glibc 2.28.
    """
    target = Python.of({"version": python, "build": "h1_0_cpython"}, platform)
    wanted = read_pip_list(pip, directory / "environment.yml", "main")
    assert not wanted.mistakes, wanted.mistakes
    return WheelQuestion(
        python=target,
        glibc=(2, 28),
        interpreter=write_interpreter(cache_dir("pythons"), target, (2, 28)),
        wanted=wanted,
        provided={name: _conda_package(name, version, platform) for name, version in (conda or {}).items()},
        sources=tuple(map(find_source, (*indexes, *wanted.indexes))),
        links=tuple(map(find_source, wanted.find_links)),
        public_index=False,
        access=Access(retries=0),
        **options,
    )


def _conda_package(name: str, version: str, platform: str) -> LockedPackage:
    return LockedPackage(
        name=name,
        version=version,
        manager="conda",
        platform=platform,
        url=f"https://127.0.0.1/noarch/{name}-{version}-0.conda",
        sha256=None,
        md5=None,
        depends=("python",),
    )


def answer(question: WheelQuestion, directory: Path) -> Solution:
    """uv's, or the sentence that the user gets instead, raised."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        return find_wheels(question, directory)
    except UvFailed as failed:
        raise explain_uv(failed.text, question, "environment.yml: dependencies: pip") from failed
