"""Rebuild a bundle from its own lockfile and the project's sources, and compare the bytes.

The options of `build` are in the bundle's provenance. The project provides bundle.toml, the environment files, the
files of ``[files]`` and the packages of ``[bundle] inject``; the bundle provides the lockfile.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from bundler.build import BuildOptions, build
from bundler.bundle.provenance import PROVENANCE, WITHOUT_SUBJECT, told
from bundler.config.overrides import CONFIG_NAME, Overrides
from bundler.config.project import load_config
from bundler.errors import ConfigError, MissingToolError, VerificationError
from bundler.printable import counted, printable
from bundler.reader.documents import provenance_of
from bundler.reader.open import open_bundle
from bundler.reader.rendered import is_our_version
from bundler.reader.tree import read_tree
from bundler.reader.witnesses import Rebuilt
from bundler.scratch import scratch
from bundler.signing.bundles import sign_statement
from bundler.signing.statement import make_statement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bundler.bundle.provenance import Statement
    from bundler.config.project import BundleConfig
    from bundler.progress import Progress
    from bundler.reader.open import OpenBundle
    from bundler.signing.bundles import Key

__all__ = ["rebuild"]

_SHOWN = 80
_EPOCH = "SOURCE_DATE_EPOCH"
_DISTRUST = "The same inputs give the same bytes, so the bundle was changed or built from others. Do not install it."


def rebuild(
    path: Path, project: Path, progress: Progress, *, channels: tuple[str, ...] = (), key: Key | None = None
) -> Rebuilt:
    """Rebuild ``path`` from ``project`` and compare; with ``key``, sign it if it is identical.

    ``channels`` are those that the build was given instead of environment.yml's: a bundle must not decide which
    environment variables its lockfile may use. The signature covers the digests of the rebuild. Raises
    :class:`VerificationError` with what differs, :class:`MissingToolError` if a different version built the bundle, and
    what a build raises.
    """
    path = path.resolve()
    bundle = open_bundle(path)
    if not is_our_version(bundle.manifest):
        raise MissingToolError(
            f"cannot be rebuilt with this conda-bundler: it was built by {bundle.manifest.made_by}, or a checkout "
            "with other templates",
            where=str(path),
            remedy="Install the version that built it, and run this again.",
        )
    said = provenance_of(bundle)
    with scratch("rebuild") as room, _epoch(said.parameters.source_date_epoch):
        config = replace(_config(bundle, said, project, room), channels=channels)
        options = BuildOptions(
            output=room / "dist",
            form=bundle.form,
            compression=said.parameters.compression,
            builder=said.builder,
            as_locked=True,
        )
        (built,) = build(config, options, progress)
        again = built.path.rename(built.path.with_name(path.name))  # the bundle may have been renamed
        ours = make_statement(open_bundle(again))
        if ours != make_statement(bundle):
            raise _differing(bundle, open_bundle(again), project)
        signed = sign_statement(path, ours, key) if key else None
    return Rebuilt(project=str(project), signatures=signed.signatures if signed else None)


@contextlib.contextmanager
def _epoch(given: int | None) -> Iterator[None]:
    """Use the bundle's own SOURCE_DATE_EPOCH, or none."""
    before = os.environ.pop(_EPOCH, None)
    if given is not None:
        os.environ[_EPOCH] = str(given)
    try:
        yield
    finally:
        os.environ.pop(_EPOCH, None)
        if before is not None:
            os.environ[_EPOCH] = before


def _config(bundle: OpenBundle, said: Statement, project: Path, room: Path) -> BundleConfig:
    """The project's configuration as the bundle was built with it, with the bundle's lockfiles."""
    parameters = said.parameters
    if parameters.source == CONFIG_NAME and not (project / CONFIG_NAME).is_file():
        raise ConfigError(f"no {CONFIG_NAME}", where=str(project), remedy="Give the directory that it was built from.")
    given = Overrides(
        name=parameters.name,
        version=parameters.version or None,
        command=parameters.command,
        platforms=(parameters.platform,),
        categories=parameters.categories,
    )
    named = replace(given, environments=tuple(project / name for name in said.environments))
    config = load_config(project, given if parameters.source == CONFIG_NAME else named)
    if said.environments != tuple(told(path, config.directory) for path in config.environments):
        config = load_config(project, named)
    if config.source != parameters.source:
        raise ConfigError(f"there is a {CONFIG_NAME}, but the bundle was built without one", where=str(project))
    names = [path.name for path in config.lockfiles.files if path.name in bundle.pieces]
    lock = room / "lock"
    lock.mkdir()
    for name in names:
        (lock / name).write_bytes(bundle.read(name))
    conda = tuple(lock / path.name for path in config.lockfiles.conda if path.name in names)
    if not conda:
        wanted = config.lockfiles.told
        raise ConfigError(f"the bundle has no lockfile {wanted}, which {config.source} names", where=str(bundle.path))
    wheels = lock / config.lockfiles.wheels.name if config.lockfiles.wheels else None
    return replace(config, lockfiles=replace(config.lockfiles, conda=conda, wheels=wheels))


def _differing(bundle: OpenBundle, again: OpenBundle, project: Path) -> VerificationError:
    """The error: how many files differ, the first of them, and the inputs that differ."""
    names = bundle.pieces.keys() | again.pieces.keys()
    differing = [name for name in names if _digest(bundle, name) != _digest(again, name)]
    if not differing:
        sentence = "the rebuild has the same files, but other bytes around them"
        return VerificationError(sentence, where=str(bundle.path), remedy=_DISTRUST)
    first = min(differing, key=lambda name: _rank(bundle, again, name))
    inputs = _other_inputs(bundle, again)
    sentence = f"the rebuild is different: {len(differing)} of {counted(len(names), 'file')} differ"
    sentence += f", first {printable(_difference(bundle, again, first))}"
    if not inputs:
        return VerificationError(sentence, where=str(bundle.path), remedy=_DISTRUST)
    return VerificationError(
        f"{sentence}; changed inputs: {printable(', '.join(inputs))}",
        where=str(bundle.path),
        remedy=f"Check out in {project} what the bundle was built from, and run this again.",
    )


def _digest(bundle: OpenBundle, name: str) -> str:
    return bundle.pieces[name].sha256() if name in bundle.pieces else ""


def _rank(bundle: OpenBundle, again: OpenBundle, name: str) -> tuple[bool, bool, bool, bool, str]:
    """The order of differing files: informative ones first, those with other files' digests or the release last."""
    payload = name == bundle.manifest.payload.path
    both = name in bundle.pieces and name in again.pieces
    release_alone = both and not payload and _text(bundle, name) == _text(again, name)
    return release_alone, name in WITHOUT_SUBJECT, name != PROVENANCE, payload, name


def _text(bundle: OpenBundle, name: str) -> str:
    """Its text with ``{release}`` for the release, which changes with any input."""
    return bundle.text(name).replace(bundle.manifest.release, "{release}")


def _other_inputs(bundle: OpenBundle, again: OpenBundle) -> list[str]:
    """The names of the inputs that differ, by the provenance of both."""
    before, after = ({one.name: one for one in provenance_of(each).dependencies} for each in (bundle, again))
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _difference(bundle: OpenBundle, again: OpenBundle, name: str) -> str:
    for one, where in ((bundle, "in the bundle"), (again, "in the rebuild")):
        if name not in one.pieces:
            return f"{name}, which is missing {where}"
    if name == bundle.manifest.payload.path == again.manifest.payload.path:
        return f"{name}: {_in_payload(bundle, again)}"
    before, after = _text(bundle, name), _text(again, name)
    if before == after:
        before, after = bundle.text(name), again.text(name)
    if "\0" in before + after:
        return name
    lines = itertools.zip_longest(before.split("\n"), after.split("\n"), fillvalue="")
    number, old, new = next((number, old, new) for number, (old, new) in enumerate(lines, 1) if old != new)
    return f"{name}: line {number} is {old[:_SHOWN]!r} in the bundle, {new[:_SHOWN]!r} in the rebuild"


def _in_payload(bundle: OpenBundle, again: OpenBundle) -> str:
    before, after = ({one.path: one for one in read_tree(each).entries} for each in (bundle, again))
    paths = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    if not paths:
        return "the same files, compressed differently"
    first = min(paths, key=lambda path: (path.startswith("share/"), path))
    return f"{counted(len(paths), 'file')}, first {first}"
