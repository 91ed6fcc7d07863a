"""The executable that conda-lock calls instead of conda, and how the two sides of it talk.

conda-lock knows nothing but a path and the exit status; it prints a failed command with all its arguments. So what else
our solver has to know comes in a settings file, and what went wrong comes back in a report file.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bundler import __version__

__all__ = [
    "Failure",
    "SolverSettings",
    "read_failure",
    "recording",
    "write_launcher",
    "write_refusing_launcher",
    "write_wrapper",
]

# This very package, wherever it is: a second copy may be installed, or none and this one came by PYTHONPATH.
_MAIN = """\
import importlib.util
import sys
spec = importlib.util.spec_from_file_location("bundler", {init!r}, submodule_search_locations=[{package!r}])
sys.modules["bundler"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["bundler"])
from bundler.lock.shim.conda import main
main(sys.argv[1:], settings_file={settings!r})
"""
_RECORD = """\
for word do
    case $word in {made}/*) [ -d {record} ] || cp -R "${{word#file://}}" {record} ;; esac
done
"""
_VERSION = """\
if [ "$1" = --version ]; then echo "conda-bundler {version}"; exit 0; fi
"""  # conda-lock asks each time, and a Python with the solver takes half a second to start
_REFUSE = ": >{asked}\nexit 1\n"


@dataclass(frozen=True, kw_only=True)
class SolverSettings:
    """What the solver is told beside its command line.

    ``variables`` are the values of the ``${NAME}`` in channel URLs. ``keep`` are, for each platform, the URLs of
    packages that shall stay as they are if they can; ``update`` the names of those that shall move. ``access`` are the
    fields of an :class:`~bundler.fetch.channels.Access`, those that are not as they are by default. ``report`` is where
    a failure is written to; nothing is taken that is newer than the date that ``exclude_newer`` has for
    its channel.
    ``tools`` is a directory: ``PLATFORM.json`` in it will have the packages that the
    decompressor needs beside the environment. ``relations`` is one, too: where channels that others name are taken in,
    which these are (:class:`~bundler.lock.solver.relations.Followed`); without it none is. What it does is appended to
    the file ``status``. ``specs`` are, for each platform, what stands in the place of the specs that conda-lock gives
    for the packages of these names. ``asked`` is a directory: to ``PLATFORM.json`` in it a line is added for each
    question that was answered, with the answer.
    """

    variables: dict[str, str] = field(default_factory=dict)
    keep: dict[str, list[str]] = field(default_factory=dict)
    update: list[str] = field(default_factory=list)
    access: dict[str, Any] = field(default_factory=dict)
    report: str | None = None
    tools: str | None = None
    relations: str | None = None
    status: str | None = None
    exclude_newer: dict[str, str | None] = field(default_factory=dict)
    specs: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: str | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why the solver gave up: ``kind`` is unsatisfiable, channel, relations, offline, disk, spec, platform or bug."""

    kind: str
    platform: str
    message: str


def write_launcher(directory: Path, settings: SolverSettings, record: str = "") -> Path:
    """Write an executable ``conda`` into ``directory`` that runs our solver with these settings; return its path.

    ``record`` is what else it does, see :func:`recording`.
    """
    settings_file = directory / "settings.json"
    settings_file.touch(mode=0o600)  # it holds channel credentials
    settings_file.write_text(json.dumps(asdict(settings)), encoding="utf-8")
    main = directory / "launch.py"
    package = Path(__file__).resolve().parents[2]
    text = _MAIN.format(init=str(package / "__init__.py"), package=str(package), settings=str(settings_file))
    main.write_text(text, encoding="utf-8")
    # /bin/sh, as an interpreter's path may be longer than a #! line can be, or have a space in it
    command = f"exec {shlex.quote(sys.executable)} {shlex.quote(str(main))}"
    return _executable(directory / "conda", f'{_VERSION.format(version=__version__)}{record}{command} "$@"\n')


def write_wrapper(directory: Path, solver: Path, status: Path, record: str) -> Path:
    """The same for another ``solver``; what is being done is in ``status``.

    The name stays: conda-lock treats ``mamba*`` and ``*micromamba`` differently.
    """
    told = f"asking {solver.name} for a solution, for "
    record += f'echo {shlex.quote(told)}"$CONDA_SUBDIR" >>{shlex.quote(str(status))}\n'
    return _executable(directory / solver.name, f'{record}exec {shlex.quote(str(solver))} "$@"\n')


def recording(temporary: Path, record: Path) -> str:
    """Shell that copies the channel of virtual packages, which conda-lock makes in ``temporary``, to ``record``.

    Its content is part of conda-lock's hash, and conda-lock removes it at its end.
    """
    return _RECORD.format(made=shlex.quote(f"file://{temporary}"), record=shlex.quote(str(record)))


def write_refusing_launcher(directory: Path, asked: Path) -> Path:
    """The same for an executable that solves nothing, and makes the file ``asked`` when it is asked to."""
    script = _VERSION.format(version="check") + _REFUSE.format(asked=shlex.quote(str(asked)))
    return _executable(directory / "conda", script)


def read_failure(report: Path) -> Failure | None:
    """What the solver wrote into its report, if it failed."""
    return Failure(**json.loads(report.read_text(encoding="utf-8"))) if report.exists() else None


def _executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
    path.chmod(0o755)
    return path
