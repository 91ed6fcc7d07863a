"""The users that services run as: the bundle's, or the service's own (``own_user``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.config.reserved import is_reserved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.bundleconfig import BundleConfig
    from bundler.config.services import Service

__all__ = ["user_of", "user_problems"]

_LONGEST = 31
"""The maximum length of a user's name (useradd(8), systemd's valid_user_group_name)."""


def user_of(config: BundleConfig, service: Service) -> str:
    """The user that ``service`` runs as; its directories below /var have the same name."""
    return f"{config.name}-{service.name}" if service.table.own_user else config.name


def user_problems(config: BundleConfig) -> Iterator[str]:
    """Problems with the services' own users."""
    numbers = {config.bundle.uid: "bundle.uid"} if config.bundle.uid else {}
    for service in config.services:
        where, table, user = f"services.{service.name}", service.table, user_of(config, service)
        if table.uid and not table.own_user:
            yield f"{where}.uid: is the number of the service's own user; add own_user = true, or set bundle.uid"
        if table.uid and (holder := numbers.setdefault(table.uid, f"{where}.uid")) != f"{where}.uid":
            yield f"{where}.uid: {table.uid} is {holder} already; each user needs a number of its own"
        if not table.own_user:
            continue
        if len(user) > _LONGEST:
            yield f"{where}.own_user: {user!r} has more than {_LONGEST} characters; give the service a shorter name"
        if is_reserved(user):
            yield f"{where}.own_user: servers have a user or directories called {user!r} already; rename the service"
