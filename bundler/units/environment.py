"""A service's environment variables and secrets, and how a program on the BEAM is started with them.

Later sources override earlier ones: activation, ``[config]``, the service's ``environment``, the operator's file,
secrets. All are EnvironmentFiles, which override ``Environment=`` (systemd.exec(5)). The one with the secrets belongs
to root and is read by PID 1; neither ``systemctl show`` nor ``systemctl cat`` prints it. A credential is a file that
only the service's user can read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.config.users import user_of
from bundler.errors import ConfigError
from bundler.units.instances import own_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from bundler.config.project import BundleConfig, Secret, Service
    from bundler.units.context import UnitContext
    from bundler.units.unitfile import Lines

__all__ = ["beam_variables", "environment_directives", "launcher", "stopper"]

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment_directives(context: UnitContext, unit: str) -> Lines:
    """The environment directives of ``unit``, which is the service's own or that of its health check."""
    config, service, release = context.config, context.service, context.release
    credentials, variables, withheld = _secrets(config, service)
    secrets_file = (("EnvironmentFile", f"/etc/{config.name}/secrets.env"),) if variables else ()
    return (
        ("Environment", f"PATH={release}/env/bin:{_SYSTEM_PATH}"),
        # C.UTF-8 is in every glibc; a killed Python loses its buffered output; the release is read-only.
        ("Environment", "LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1"),
        ("Environment", f"HOME=/var/lib/{user_of(config, service)}"),
        # The path is systemd's. Its specifier %d is newer than credentials.
        *(("Environment", f"{name}_FILE=/run/credentials/{unit}/{name}") for name in credentials),
        ("EnvironmentFile", f"{release}/config/activation.env"),
        ("EnvironmentFile", f"{release}/config/{config.name}.env"),
        ("EnvironmentFile", f"{release}/config/{own_name(service.unit)}.env"),
        ("EnvironmentFile", f"-/etc/{config.name}/{config.name}.env"),
        *secrets_file,
        # secrets.env also has the secrets of other services and of the previous release.
        *((("UnsetEnvironment", " ".join(withheld)),) if withheld and variables else ()),
        *(("LoadCredential", f"{name}:/etc/{config.name}/credentials/{name}") for name in credentials),
    )


def beam_variables(context: UnitContext) -> dict[str, str]:
    """Default variables of a program on the BEAM, before the service's own ``environment``.

    A release writes its boot files to RELEASE_TMP. Distribution would listen on all interfaces, so it is off unless
    bundle.toml enables it. ``share/beam`` turns ERL_DIST_LISTEN and ERL_DIST_PORT into flags, and appends the address
    to a RELEASE_NODE without one, which may be the operator's.
    """
    config, service = context.config, context.service
    release = config.release
    variables = {"RELEASE_DISTRIBUTION": release.distribution, "RELEASE_TMP": context.places["runtime"]}
    if release.distribution == "none":
        return variables
    variables |= {"ERL_DIST_LISTEN": release.listen, "ERL_DIST_PORT": str(release.port)}
    if "RELEASE_NODE" in {name for name, _ in config.config}:
        return variables
    loopback = release.distribution == "sname" and release.listen.startswith("127.")
    return variables | {"RELEASE_NODE": f"{service.name}@localhost" if loopback else service.name}


def launcher(context: UnitContext, program: str) -> tuple[str, ...]:
    """The words that come before ``program``, the absolute path of the service's command.

    A program on the BEAM gets its cookie in a file. Raises :class:`ConfigError` for a Mix release with a different
    profile.
    """
    service, release = context.service, context.release
    if service.table.profile == "beam":
        return ("/bin/sh", f"{release}/share/beam")
    if service.table.profile == "python" and program.startswith(
        tuple(f"{release}/{root}/bin/" for root in _releases(context.executables or ()))
    ):
        raise ConfigError(
            "the command belongs to an Elixir release",
            where=context.key("profile"),
            remedy='Set profile = "beam": it sets the release\'s directories and hides the cookie from ps.',
        )
    return ()


def stopper(context: UnitContext) -> str:
    """``ExecStop=``: a virtual machine ignores signals while it boots, so systemd would wait until the time-out."""
    return f"/bin/sh {context.release}/share/beam --stop" if context.service.table.profile == "beam" else ""


def _releases(executables: Collection[str]) -> set[str]:
    """Mix releases, by their paths below the release's directory: each has ``releases/<version>/elixir``."""
    found = (re.fullmatch(r"(app/.+)/releases/[^/]+/elixir", path) for path in executables)
    return {match[1] for match in found if match}


def _secrets(config: BundleConfig, service: Service) -> tuple[list[str], list[str], list[str]]:
    """Names of secrets: those delivered as credentials, as variables, and those to be kept out of the environment."""
    wanted = service.table.secrets

    def gets(secret: Secret) -> bool:
        return wanted is None or secret.name in wanted

    credentials = [secret.name for secret in config.secrets if secret.delivery == "credential" and gets(secret)]
    variables = [secret.name for secret in config.secrets if secret.delivery == "environment" and gets(secret)]
    withheld = [secret.name for secret in config.secrets if secret.name not in variables]
    return credentials, variables, withheld
