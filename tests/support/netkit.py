"""A cable between throwaway machines, which have no network of their own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundler.machine import Machine

__all__ = ["join"]


def join(addresses: Mapping[Machine, str]) -> None:
    """Lay a cable between two running machines; each gets its IPv4 address in one /24.

    Both ends lie in the machines' own namespaces from the first moment and end with them, however that comes: there is
    nothing to be removed. A machine that boots anew has a new namespace, and no cable any more.
    """
    first, second = addresses
    ends = ("name", "cable", "netns", str(first.leader), "type", "veth")
    peer = ("peer", "name", "cable", "netns", str(second.leader))
    subprocess.run(["ip", "link", "add", *ends, *peer], check=True)
    for machine, address in addresses.items():
        for words in (("address", "add", f"{address}/24", "dev", "cable"), ("link", "set", "cable", "up")):
            done = machine.run_on_its_network("ip", *words)
            assert done.status == 0, done.stderr
