"""Where a command's program is: in the environment's bin/, among [files], or on the server already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from bundler.units.context import Locations

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
"""Programs that servers have, and where: as every distribution has them, merged /usr or not."""


def find_program(program: str, where: Locations, executables: AbstractSet[str]) -> str | None:
    """Its absolute path on the target; None if it is in neither place, or is to be in the release and is not.

    ``executables`` are paths below the release.
    """
    if program.startswith("/"):
        inside = where.inside(program)
        return program if inside is None or inside in executables else None
    candidates = (f"env/bin/{program}", f"app/{program}")
    return next((where.of(candidate) for candidate in candidates if candidate in executables), None)


def check_path(path: str, *, where: str) -> None:
    """Raise :class:`ConfigError` for a program's path that no command line of systemd's can have.

    ``$$`` stands for ``$`` in arguments alone; of a program the one would be looked for with both, and its own name be
    read as variables (systemd.service(5), "Command lines").
    """
    if "$" in path:
        raise ConfigError(
            f"the program's path {path} has a `$` in it, which systemd would read as a variable",
            where=where,
            remedy="Give the file another name; in [files] its destination is its name on the server.",
        )


def missing_program(program: str, *, where: str) -> ConfigError:
    """The sentence for one that :func:`find_program` has not found."""
    if program in SERVER_PROGRAMS:
        return ConfigError(
            f"{program!r} is not in the environment's bin/ or among [files], but servers have it",
            where=where,
            remedy=f"Write {SERVER_PROGRAMS[program]}/{program} for the server's own.",
        )
    return ConfigError(
        f"there is no program {program!r} in the environment's bin/ or among [files]",
        where=where,
        remedy="Add the package that has it to the environment, or the file to [files] (and make it executable); for a"
        " program of the server's own write its absolute path.",
    )
