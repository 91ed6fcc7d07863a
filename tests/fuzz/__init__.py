"""What `make fuzz` runs: a target for each parser of bytes that come from somewhere else."""

from __future__ import annotations

from fuzz import bundles, configs, lockfiles, packages, shell, trust

__all__ = ["TARGETS"]

TARGETS = (*lockfiles.TARGETS, *packages.TARGETS, *bundles.TARGETS, *configs.TARGETS, *shell.TARGETS, *trust.TARGETS)
