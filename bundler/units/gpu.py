"""The unit that makes the GPU's device files before a service with ``gpu = true`` starts (share/gpu)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundler.units.sandbox import gpu_confinement

if TYPE_CHECKING:
    from bundler.units.context import UnitContext
    from bundler.units.unitfile import Sections

__all__ = ["gpu_sections"]


def gpu_sections(context: UnitContext) -> Sections:
    """The oneshot. It runs as root, which is required to create devices, but runs none of the bundle's own code."""
    return {
        "Unit": (
            ("Description", f"Device files of NVIDIA's driver for {context.description}"),
            ("RequiresMountsFor", context.release),
            ("StartLimitIntervalSec", "0"),  # once for each start of the service
        ),
        "Service": (
            ("Type", "oneshot"),
            ("ExecStart", f"/bin/sh {context.release}/share/gpu"),
            ("TimeoutStartSec", "120"),
            ("LogLevelMax", "notice"),
            ("SyslogLevel", "notice"),
            *gpu_confinement(),
        ),
    }
