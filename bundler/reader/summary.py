"""What `build` says at its end of each bundle: what it is, how large, and what to do with it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from bundler.platforms import runs_here
from bundler.printable import counted
from bundler.reader.inspect import inspect
from bundler.reader.telling import columns, size

if TYPE_CHECKING:
    from bundler.bundle.assemble import Bundle

__all__ = ["summary"]

_WITH_SUDO = 'sudo "$(command -v conda-bundler)"'
"""sudo has a search path of its own, without what a user or a virtual environment has installed."""


def summary(bundle: Bundle) -> list[str]:
    """Lines for people; what is in it is read from the bundle itself."""
    found = inspect(bundle.path)
    manifest, payload = found.manifest, found.manifest.payload
    files = counted(payload.files, "file or link", "files and links")
    packages = counted(len(manifest.packages), "package")
    rows = [
        ("contains", f"{packages}; {files}, {size(payload.unpacked_size)} unpacked"),
        ("services", ", ".join(service.unit.removesuffix(".service") for service in manifest.services)),
    ]
    if runs_here(bundle.identity.platform):
        program = _WITH_SUDO if os.geteuid() else "conda-bundler"
        rows.append(("try it here", f"{program} smoke {shlex.quote(str(bundle.path))}"))
    rows.append(("on the server", f"{_install(bundle, found.form)}  (as root)"))
    return [f"{bundle.path}  {size(bundle.size)}  {bundle.identity.release}", *columns(rows)]


def _install(bundle: Bundle, form: str) -> str:
    name = shlex.quote(bundle.path.name)
    if form == "run":
        return f"sh {name}"
    unpack = f"tar -xf {name} && " if form == "tar" else ""
    return f"{unpack}sh {shlex.quote(bundle.identity.bundle_name)}/install.sh"
