"""Values -> install.sh and unit files, through the templates.

Templates use ``<{ value }>`` and ``<% block %>``, since shell itself writes ``${#x}`` and ``{…}``. In shell
every value goes through the ``sh`` filter, in units through what :mod:`bundler.units.service` has escaped.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import shlex
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import jinja2

from bundler.elf import platform_bytes
from bundler.installer.partials import partials_of
from bundler.resources import templates_dir
from bundler.units.sandbox import installer_confinement

if TYPE_CHECKING:
    from bundler.config.project import Secret
    from bundler.installer.launcher import Launcher
    from bundler.installer.requirements import Requirements
    from bundler.units.newer import Newer
    from bundler.units.unitfile import Unit

__all__ = [
    "CLIENTS",
    "PROGRAMS",
    "InstallDecompressor",
    "InstallScript",
    "InstallService",
    "RunScript",
    "carries",
    "carries_its_digest",
    "render_environment",
    "render_init",
    "render_install",
    "render_launcher",
    "render_manage",
    "render_programs",
    "render_run",
    "render_unit",
]

CLIENTS = ("python", "erl")
"""The programs of an environment that the probe can ask with."""
PROGRAMS = ("beam", "gpu", "probe", "watch")
"""What a release brings along for its units to run, below ``share/``."""
_PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class InstallService:
    """What install.sh must know of one service."""

    unit: str
    health_unit: str
    """The oneshot that probes the service once; empty if it has no health check."""
    start_period: float
    timeout: float
    url: str = ""
    """What the probe asks (``http://…``, ``tcp://…``), ``${PORT}`` and its like not expanded; empty: no port at all."""


@dataclass(frozen=True, kw_only=True)
class InstallDecompressor:
    """What install.sh must know of the bundle's own decompressor; all of it is empty if there is none.

    ``program`` is a path in the bundle, in the directory ``directory``, which has all that belongs to it and takes
    ``kib``. ``loader`` and ``glibc`` are what the machine must have for it.
    """

    program: str = ""
    directory: str = ""
    loader: str = ""
    glibc: str = ""
    kib: int = 0


@dataclass(frozen=True, kw_only=True)
class InstallScript:
    """Everything that install.sh and manage carry in their headers.

    ``files`` are (sha256, path) of every file of the bundle but install.sh, SHA256SUMS and the payload, sorted by
    path. ``payload_parts`` are (sha256, offset, length) of each part, in bytes, if the payload has several.
    ``payload_kib`` counts each file rounded up to blocks of 4 KiB. ``longest`` is how many bytes the release's
    path may have, 0 if there is no limit. ``needs`` is what preflight asks of the machine. ``units`` are file names
    below ``units/``. ``clients`` are those of CLIENTS that the environment has, ``networks`` the services whose
    ``network`` is confined, ``newer`` what an older systemd does not know of the units.
    """

    name: str
    version: str
    description: str
    platform: str
    needs: Requirements
    build_id: str
    release: str
    root: str
    user: str
    tool_version: str
    payload: str
    payload_sha256: str
    tree_digest: str
    unpacked_sha256: str
    payload_codec: str
    payload_files: int
    payload_kib: int
    longest: int
    units: tuple[str, ...]
    services: tuple[InstallService, ...]
    secrets: tuple[Secret, ...]
    files: tuple[tuple[str, str], ...]
    payload_parts: tuple[tuple[str, int, int], ...] = ()
    clients: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    newer: tuple[Newer, ...] = ()
    decompressor: InstallDecompressor = InstallDecompressor()
    uid: int | None = None
    """The number of ``user`` and of its group; None: the next that is free."""
    own_users: tuple[str, ...] = ()
    """Users that single services have, and their numbers if they are said: ``name:uid``."""
    update: tuple[str, ...] = ()
    """The releases of which an update leaves out what they all have; none: the payload is whole."""
    sisters: tuple[str, ...] = ()
    """Services that share ``user`` and do not all get the same secrets."""


@dataclass(frozen=True, kw_only=True)
class RunScript:
    """What the script at the head of a ``.run`` must know of the tar behind it; in bytes, from the tar's beginning.

    ``head`` is all that comes before the payload's entry, ``payload`` is where its content begins.
    """

    bundle: str
    head: int
    head_sha256: str
    payload: int
    payload_size: int
    tar_size: int


def render_install(script: InstallScript) -> str:
    """The text of install.sh. It carries its own digest: SHA-256 of itself with that value left empty."""
    text = _templates().get_template("install/install.sh.j2").render(script=script, partials=partials_of("install"))
    return text.replace(_own_line(""), _own_line(hashlib.sha256(text.encode()).hexdigest()), 1)


def carries_its_digest(install: bytes) -> bool:
    """Whether an install.sh, of whichever version, has its own digest in it."""
    before, mark, rest = install.partition(_own_line("")[:-2].encode())
    said, after = rest[:64], rest[64:]
    return bool(mark) and hashlib.sha256(before + mark + after).hexdigest().encode() == said


def carries(install: str, path: str, digest: str) -> bool:
    """Whether an install.sh, of whichever version, says that the bundle's file ``path`` has this digest."""
    return f'\n    "$1" {shlex.quote(digest)} {shlex.quote(path)}\n' in install


def _own_line(digest: str) -> str:
    return f"\nSELF_SHA256='{digest}'\n"


def render_manage(script: InstallScript) -> str:
    """The text of manage. It knows the bundle, not the release: what a release consists of stands in the release."""
    return _templates().get_template("manage/manage.j2").render(script=script, partials=partials_of("manage"))


def render_run(run: RunScript) -> bytes:
    """The script at the head of a ``.run``, filled up to the offset at which it says that the tar begins."""
    template = _templates().get_template("run/run.sh.j2")
    for offset in itertools.count(_PAGE, _PAGE):
        text = template.render(run=run, tar=offset).encode()
        if len(text) <= offset:
            return text.ljust(offset, b"\n")
    raise AssertionError  # count has no end


def render_launcher(launcher: Launcher) -> str:
    """What ``manage run`` runs for a service where there is no systemd."""
    return _templates().get_template("launch/launcher.sh.j2").render(launcher=launcher)


def render_programs() -> dict[str, bytes]:
    """The text of each of PROGRAMS, which see."""
    plain = {name: templates_dir() / "share" / f"{name}.sh" for name in PROGRAMS}
    return {name: path.read_bytes() if path.is_file() else _program(name) for name, path in plain.items()}


def _program(name: str) -> bytes:
    return _templates().get_template(f"share/{name}.sh.j2").render().encode()


def render_unit(unit: Unit) -> str:
    """The text of one unit file."""
    return _templates().get_template("units/unit.j2").render(unit=unit)


def render_environment(entries: tuple[tuple[str, str], ...], *, comment: str) -> str:
    """The text of an EnvironmentFile (systemd.exec(5)): each value double-quoted, escaped as facts need it."""
    return _templates().get_template("units/environment.j2").render(entries=entries, comment=comment)


def render_init(template: str, *, name: str) -> str:
    """A file that a project starts from; in ``module`` the name stands as Python and Elixir have names."""
    return _templates().get_template(f"init/{template}").render(name=name, module=name.replace("-", "_"))


@cache
def _templates() -> jinja2.Environment:
    # Nothing that is rendered is HTML: autoescape would corrupt every quote.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.FileSystemLoader(templates_dir()),
        undefined=jinja2.StrictUndefined,
        variable_start_string="<{",
        variable_end_string="}>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["installer_confinement"] = installer_confinement
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    environment.filters["env"] = _environment_value
    environment.filters["elf"] = platform_bytes
    return environment


def _environment_value(value: str) -> str:
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'
