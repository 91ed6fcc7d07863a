"""Is the code that root runs ours? install.sh and manage of a bundle, against what our own templates make.

Digests say that a bundle is whole; whoever changes install.sh can make them anew. So its text is compared with a
rendering of this version's templates: all but the values in its header, each of which must be a single quoted word,
which no shell runs. What the values are is held to the manifest in :mod:`bundler.bundle.verify`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler import __version__
from bundler.resources import templates_digest
from bundler.target.render import InstallScript, render_install, render_manage
from bundler.target.requirements import Requirements

if TYPE_CHECKING:
    from bundler.bundle.index import Manifest

__all__ = ["header_keys", "is_our_install", "is_our_manage", "is_our_version"]

_WORD = r"""(?:[\w@%+=:,./-]+|'[^']*'(?:"'"'[^']*')*)"""
"""What :func:`shlex.quote` makes."""
_VALUE = re.compile(rf"^([A-Z][A-Z0-9_]*)={_WORD}?(?= #|$)", re.MULTILINE | re.ASCII)
_ROW = re.compile(rf'^    "\$1"(?: {_WORD})+\n(?:\n(?=    "\$1"|\}}))?', re.MULTILINE | re.ASCII)
_HEADER = re.compile(r"\n# --- what this bundle is -.*?(?=\n# --- )", re.DOTALL)


def is_our_version(manifest: Manifest) -> bool:
    """Whether this very version has made the bundle, with these very templates: then its programs can be compared.

    Between two releases, checkouts of one version differ.
    """
    return manifest.made_by == f"conda-bundler {__version__}" and manifest.templates_sha256 == templates_digest()


def is_our_install(text: str) -> bool:
    """Whether an install.sh is ours but for the values in its header."""
    return _without_values(text) == _without_values(render_install(_script("x")))


def is_our_manage(text: str, name: str) -> bool:
    """Whether this is the manage of a bundle of this name."""
    return text == render_manage(_script(name))


def header_keys(text: str) -> tuple[str, ...]:
    """The variables that an install.sh sets in its header."""
    found = _HEADER.search(text)
    return tuple(match[1] for match in _VALUE.finditer(found[0])) if found else ()


def _without_values(text: str) -> str:
    """In the header a value is left out, and so is each row of a list."""
    return _HEADER.sub(lambda header: _ROW.sub("", _VALUE.sub(r"\1=", header[0])), text, count=1)


def _script(name: str) -> InstallScript:
    return InstallScript(
        name=name,
        version="",
        description="",
        platform="linux-64",
        needs=Requirements(machines=("x86_64",)),
        build_id="",
        release="",
        root="",
        user=name,
        tool_version=__version__,
        payload="",
        payload_sha256="",
        tree_digest="",
        unpacked_sha256="",
        payload_codec="",
        payload_files=0,
        payload_kib=0,
        longest=0,
        units=(),
        services=(),
        secrets=(),
        files=(),
    )
