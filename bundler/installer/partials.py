"""Which partials install.sh and manage are put together from, in which order.

``templates/lib/`` has what both of them share, ``templates/install/`` and ``templates/manage/`` what is one's alone.
Their top level only sets variables: the order is for whoever reads the script, but for what makes the shell ours and
the header, which come before all of them, and the call of ``main``, which comes after.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["INSTALL", "LIB", "MANAGE", "partials_of"]

LIB = (
    *("printable", "say", "programs", "paths", "image-paths", "running", "lock", "write", "files"),
    *("inventory", "ownership", "transaction", "history", "tree", "secrets"),
    *("system-user", "existing-user", "own-users"),
    *("units", "instances", "environment-files", "odd-settings", "ports", "sockets"),
    *("nobody", "activation", "gpu"),
    *("confinement", "boot-guard", "hooks", "without-systemd"),
    *("start", "health-gate", "workers", "change-over", "go-back", "in-use"),
)

INSTALL = (
    *("run-file", "arguments", "self-check", "new-secrets"),
    *("preflight", "prepared-directories", "chosen-user", "clashes", "check-image", "check-sockets"),
    *("check-own-users", "shared-users"),
    *("systemd-version", "hardware", "networks", "libraries"),
    *("verify-bundle", "decompressor", "relocate", "bytecode"),
    *(
        "segments",
        "reuse",
        "update-lists",
        "unpack",
        "stage",
        "plain-tree",
        "unpacked-listing",
        "fresh-tree",
        "operator-settings",
    ),
    *("image", "undo", "prune", "dry-run", "main"),
)

MANAGE = (
    *("commands", "arguments", "status", "releases", "recover", "rollback", "verify-release", "rotate-secret"),
    "restart",
    *("run-directories", "leftover-files", "bundle-copy", "uninstall", "first-boot"),
    *("policy", "statement", "signatures", "openssl-signatures", "version-order", "upgrade"),
    *("run", "before-start", "old-releases", "become-user", "terminal-relay", "exec"),
    *("redact", "support-bundle", "main"),
)


def partials_of(script: Literal["install", "manage"]) -> tuple[str, ...]:
    """The files below templates/ of which install.sh, or manage, consists, in order."""
    own = INSTALL if script == "install" else MANAGE
    return (*(f"lib/{name}.sh" for name in LIB), *(f"{script}/{name}.sh" for name in own))
