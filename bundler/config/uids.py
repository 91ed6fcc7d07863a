"""The allowed uids.

By systemd's list (https://systemd.io/UIDS-GIDS) and Debian's policy, 9.2.2, distributions allocate those below 100;
60000 to 65535 are for Debian, homes, ``DynamicUser=`` and nobody; and those from 524288 on are for containers.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

__all__ = ["Uid"]

_FREE = ((100, 59999), (65536, 524287))


def _uid(value: int) -> int:
    if not any(lowest <= value <= highest for lowest, highest in _FREE):
        spans = " or ".join(f"{lowest} to {highest}" for lowest, highest in _FREE)
        raise ValueError(f"{value} is reserved for root, the distribution or containers; use one from {spans}")
    return value


Uid = Annotated[int, AfterValidator(_uid)]
