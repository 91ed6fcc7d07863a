"""Is the code that root runs ours? install.sh and manage of a bundle, against what our own templates make.

Digests say that a bundle is whole; whoever changes install.sh can make them anew. So it is rendered again, of the
bundle's own manifest and digests, and has to be the same to the last byte.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from bundler import __version__
from bundler.bundle.assemble import INSTALL, MANAGE
from bundler.bundle.scripts import install_script, launcher_texts
from bundler.installer.render import render_install, render_manage
from bundler.platforms import MACHINES
from bundler.printable import printable
from bundler.resources import templates_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundler.bundle.index import Manifest

__all__ = ["differing_programs", "is_our_version"]


def is_our_version(manifest: Manifest) -> bool:
    """Whether this very version has made the bundle, with these very templates: then its programs can be compared.

    Between two releases, checkouts of one version differ.
    """
    return manifest.made_by == f"conda-bundler {__version__}" and manifest.templates_sha256 == templates_digest()


def differing_programs(
    manifest: Manifest, digests: Mapping[str, str], units: Mapping[str, str], programs: Mapping[str, str]
) -> Iterator[str]:
    """A sentence for each of install.sh, manage and the launchers that is not what we write of all these."""
    if manifest.platform not in MACHINES:
        yield f"unknown platform {manifest.platform!r} in the manifest (conda-bundler {__version__})"
        return
    script = install_script(manifest, digests, units)
    try:
        written = {INSTALL: render_install(script), MANAGE: render_manage(script), **launcher_texts(manifest, units)}
    except UnicodeEncodeError as error:
        character = error.object[error.start : error.end]
        yield f"the manifest or a file name contains {character!r}, which is not allowed in {INSTALL}"
        return
    except ValueError as error:
        yield f"a unit cannot be read: {error}"
        return
    for name in sorted(programs.keys() ^ written.keys()):
        yield f"{name} is missing" if name in written else f"{name} is none of the files that this manifest names"
    for name in sorted(programs.keys() & written.keys()):
        expected = written[name]
        if programs[name] != expected:
            yield (
                f"{name} differs from the one that conda-bundler {__version__} generates from this manifest"
                f" ({_difference(programs[name], expected)})"
            )


def _difference(found: str, expected: str) -> str:
    """The first line that differs, but for the program's own digest, which differs as soon as anything does."""
    lines = enumerate(zip_longest(found.split("\n"), expected.split("\n"), fillvalue=""), start=1)
    differing = [(number, one, other) for number, (one, other) in lines if one != other]
    number, one, other = next((line for line in differing if not line[2].startswith("SELF_SHA256=")), differing[0])
    return f"line {number} is {_shown(one)} instead of {_shown(other)}"


def _shown(line: str) -> str:
    return repr(printable(line if len(line) <= 80 else f"{line[:77]}..."))
