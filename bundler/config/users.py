"""As whom services run: the bundle's user, or one of a service's own (``own_user``); which numbers a user may have.

By systemd's list (https://systemd.io/UIDS-GIDS) and Debian's policy, 9.2.2: below 100 each number is a distribution's,
from 60000 to 65535 are those of Debian, of homes, of ``DynamicUser=`` and nobody's, and from 524288 on containers'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from bundler.config.reserved import is_reserved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundler.config.project import BundleConfig
    from bundler.config.services import Service

__all__ = ["Uid", "user_of", "user_problems"]

_FREE = ((100, 59999), (65536, 524287))
_LONGEST = 31
"""Characters that the name of a user may have (useradd(8), systemd's valid_user_group_name)."""


def _uid(value: int) -> int:
    if not any(lowest <= value <= highest for lowest, highest in _FREE):
        spans = " or ".join(f"{lowest} to {highest}" for lowest, highest in _FREE)
        raise ValueError(f"{value} is reserved: for root, a distribution or containers; write one from {spans}")
    return value


Uid = Annotated[int, AfterValidator(_uid)]


def user_of(config: BundleConfig, service: Service) -> str:
    """The user that ``service`` runs as, whose name its directories below /var have as well."""
    return f"{config.name}-{service.name}" if service.table.own_user else config.name


def user_problems(config: BundleConfig) -> Iterator[str]:
    """What is wrong with services' own users, a sentence each."""
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
