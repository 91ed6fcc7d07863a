"""Where a command's program is: in the environment's bin/, among [files], or on the server."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["SERVER_PROGRAMS", "check_path", "find_program", "missing_program"]

SERVER_PROGRAMS = {
    **dict.fromkeys(
        """
        bash cat chgrp chmod chown cp date dd df echo false grep gzip ln ls mkdir mknod mktemp mv ps pwd rm rmdir sed sh
        sleep stty sync tar touch true uname
        """.split(),  # noqa: SIM905
        "/bin",
    ),
    **dict.fromkeys(
        """
        awk basename cut dirname du env expr find flock head id install logger mkfifo nice nohup nproc od openssl perl
        printf realpath renice sha256sum sort stat stdbuf systemctl systemd-cat systemd-notify tail tee test timeout tr
        truncate uniq wc xargs
        """.split(),  # noqa: SIM905
        "/usr/bin",
    ),
}
"""Programs that every distribution has, and their directories, which are the same with and without merged /usr."""


_SHELLS_OWN = frozenset(
    """
    . alias case cd declare dirs do eval exec exit export fc for function if let local popd pushd read readonly return
    set shift shopt source then trap typeset ulimit umask unalias unset until wait while { (
    """.split()  # noqa: SIM905
)
_RUNNERS = frozenset("conda hatch mamba micromamba pdm pipenv pixi poetry pyenv rye uv virtualenv".split())  # noqa: SIM905
_OTHER_USERS = frozenset("chpst doas gosu runuser setpriv setuidgid su su-exec sudo".split())  # noqa: SIM905


def find_program(program: str, release: str, executables: AbstractSet[str]) -> str | None:
    """Its absolute path on the server; None if it is neither in env/bin nor in app, or not where its path says.

    ``release`` is the release's path on the server, ``executables`` are paths below it.
    """
    if program.startswith("/"):
        inside = program.removeprefix(f"{release}/")
        return program if inside == program or inside in executables else None
    while program.startswith("./"):
        program = program[2:].lstrip("/")
    candidates = (f"env/bin/{program}", f"app/{program}")
    return next((f"{release}/{candidate}" for candidate in candidates if candidate in executables), None)


def check_path(path: str, *, where: str) -> None:
    """Raise :class:`ConfigError` for a program's path that systemd's command lines cannot express.

    ``$$`` means ``$`` only in arguments; in the program's path, both would be kept, and a single ``$`` would begin a
    variable (systemd.service(5), "Command lines").
    """
    if "$" in path:
        raise ConfigError(
            f"the program's path {path} contains a `$`, which systemd would read as a variable",
            where=where,
            remedy="Rename the file; for one in [files], change its destination.",
        )


def missing_program(program: str, *, where: str, executables: AbstractSet[str] = frozenset()) -> ConfigError:
    """The error for a program that :func:`find_program` has not found."""
    if program in SERVER_PROGRAMS:
        return ConfigError(
            f"{program!r} is not in the environment's bin/ or among [files], but servers have it",
            where=where,
            remedy=f"To use the server's, write {SERVER_PROGRAMS[program]}/{program}.",
        )
    return ConfigError(
        f"there is no program {program!r} in the environment's bin/ or among [files]",
        where=where,
        remedy=_meant(program)
        or _nearest(program, executables)
        + "Add the package that provides it to the environment, or the file to [files] (and make it executable); for a"
        " program on the server, write its absolute path.",
    )


def _meant(program: str) -> str:
    """What to do about a first word that cannot be a program's name; empty if it can."""
    name, _, value = program.partition("=")
    words = program.split()
    meanings = (
        (
            bool(re.match(r"[A-Za-z_][A-Za-z0-9_]*=", program)),
            f"To set a variable: environment = {{ {name} = {json.dumps(value)} }}. The first word is the program.",
        ),
        (
            program.startswith(("~", "$")),
            "~ and $ are not expanded in a program's path: {state} is the service's home, and {app} contains [files].",
        ),
        (len(words) > 1, f"Write each word as a separate string: {json.dumps(words, ensure_ascii=False)}."),
        (
            program in _SHELLS_OWN,
            (
                f"{program!r} is a shell built-in: use working_directory for cd, environment for export, or run a"
                ' shell: ["/bin/sh", "-c", "…"].'
            ),
        ),
        (
            program in _RUNNERS,
            f"The environment is already active on the server: omit {program!r} and write the command that it runs.",
        ),
        (
            program in _OTHER_USERS,
            (
                f"Services run as the bundle's own user: omit {program!r}. To run them as a different user: install.sh"
                " --user NAME."
            ),
        ),
    )
    return next((sentence for applies, sentence in meanings if applies), "")


def _nearest(program: str, executables: AbstractSet[str]) -> str:
    """``Did you mean …?``, or nothing if no program in the bundle has a similar name."""
    names = {path.removeprefix("env/bin/").removeprefix("app/"): path for path in sorted(executables)}
    found = difflib.get_close_matches(program.lower(), names, n=1, cutoff=0.75)
    return f"Did you mean {found[0]!r}? " if found else ""
