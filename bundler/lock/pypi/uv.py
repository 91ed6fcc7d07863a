"""Solve ``pip:`` lists with uv, for the server's Python and platform, in addition to the conda packages.

A project that is a conda package is not installed twice: uv sees it in a separate index, which is searched first and
has only conda's version, without dependencies, since conda has solved those. The real indexes are searched for that
version only if an extra of it is required.

uv is run twice. The first run solves, and returns the dependencies and indexes; the second is pinned to that solution
and returns URLs and digests.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker
from packaging.utils import InvalidWheelFilename, canonicalize_name
from packaging.version import InvalidVersion, Version

from bundler.cooldown import DEFAULT
from bundler.errors import LockError, MissingToolError
from bundler.lock.pypi.indexdates import dates_differ, write_indexes
from bundler.lock.pypi.indexes import secrets_of, written_url
from bundler.lock.pypi.notes import index_notes, warning_notes, without_warnings
from bundler.lock.unify import LockedWheel
from bundler.locked import LockedPackage
from bundler.lockfiles.checked import BadEntry, checked
from bundler.process import hide, run
from bundler.resources import cache_dir
from bundler.wheels.interpreter import best_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from bundler.fetch.channels import Access
    from bundler.lock.pypi.indexes import Source
    from bundler.process import Finished
    from bundler.wheels.python import Python
    from bundler.wheels.requirements import PipList, Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Solution", "UvFailed", "WheelQuestion", "find_wheels", "uv_command"]

_PASSED_ON = ("HOME", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "TMPDIR")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_NO_WHEEL = "building from source is disabled"
_DIGESTS = ("sha384", "sha512", "blake2b")
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[([^\]]*)\])?\s*(?:==\s*([^\s;]+)|@\s*(\S+)).*")


class UvFailed(Exception):  # noqa: N818 -- never shown: bundler.lock.pypi.explain makes sentences of it
    """uv found no solution, or failed; ``text`` is its output."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, kw_only=True)
class WheelQuestion:
    """The problem to solve for one platform.

    ``provided`` are the conda packages that are Python projects, by the project's name; ``sources`` are the indexes in
    search order, ``links`` pages and directories of wheels; the public index comes last, if at all. ``kept`` are
    versions to keep if possible; ``barred`` are constraints against versions that do not support this Python;
    ``injected`` names need not have a wheel. ``interpreter`` claims to be ``python`` on a machine with ``glibc``;
    ``run`` runs uv.
    """

    python: Python
    glibc: tuple[int, int]
    interpreter: Path
    wanted: PipList
    provided: Mapping[str, LockedPackage]
    sources: tuple[Source, ...]
    links: tuple[Source, ...]
    public_index: bool
    access: Access
    kept: Mapping[str, str] = field(default_factory=dict)
    barred: tuple[str, ...] = ()
    injected: frozenset[str] = frozenset()
    exclude_newer: Mapping[str, str | None] = field(default_factory=dict)
    run: Callable[..., Finished] = run


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The wheels, and the dependencies of each project, including conda's. ``notes`` are for the user."""

    wheels: tuple[LockedWheel, ...]
    needs: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Pin:
    """A line of uv's output."""

    name: str
    extras: tuple[str, ...]
    version: str | None
    needed_by: tuple[str, ...]
    index: str | None


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """Settings for a run of uv: ``real`` are provided projects to search in real indexes, ``barred`` constraints
    against versions without a wheel; with ``sources``, such versions may be chosen.
    """

    real: frozenset[str] = frozenset()
    barred: tuple[str, ...] = ()
    sources: bool = False


def find_wheels(question: WheelQuestion, directory: Path) -> Solution:
    """Solve; ``directory`` is for uv's files. Raises :class:`UvFailed`, :class:`LockError`.

    A project without any wheel is in the solution with its source, so that the caller can report all of them at once.
    """
    hide(secrets_of((*question.sources, *question.links)))
    try:
        return _solve(question, directory, _Attempt())
    except UvFailed as failed:
        if _NO_WHEEL not in failed.text:
            raise
        return _with_sources(question, directory, failed)


def _with_sources(question: WheelQuestion, directory: Path, failed: UvFailed) -> Solution:
    """Solve although some projects have no wheel. Nothing is built: uv uses the metadata of source distributions."""
    attempt, first = _Attempt(sources=True), None
    while True:
        try:
            found = _solve(question, directory, attempt)
        except UvFailed:
            if first is None:
                raise failed from None
            return first
        first = first or found
        wrong = [w for w in found.wheels if not w.url.endswith(".whl") and w.name not in question.injected]
        if not wrong or not question.injected:
            return found
        barred = (*attempt.barred, *(f"{wheel.name}!={wheel.version}" for wheel in wrong))
        attempt = replace(attempt, barred=barred)


def _solve(question: WheelQuestion, directory: Path, attempt: _Attempt) -> Solution:
    pins, notes = _pins(question, directory, attempt)
    extras = {pin.name for pin in pins if pin.extras and pin.name in question.provided}
    if extras - attempt.real:
        return _solve(question, directory, replace(attempt, real=attempt.real | extras))
    fixed = [f"{pin.name}=={pin.version}" for pin in pins if pin.version]
    _write_lines(directory / "constraints.in", [*_constraints(question, attempt), *fixed])
    try:  # the first run has cached enough, unless uv has to compute a digest itself
        answer = _uv(question, directory, attempt, ["--format", "pylock.toml", "--offline"])
    except UvFailed:
        answer = _uv(question, directory, attempt, ["--format", "pylock.toml"])
    indexes = {pin.name: pin.index for pin in pins if pin.name not in question.provided}
    packages = [one for one in tomllib.loads(answer.stdout).get("packages", ()) if one["name"] not in question.provided]
    return Solution(
        wheels=tuple(_wheel(one, question, indexes) for one in packages),
        needs=_needs(pins),
        notes=(*notes, *index_notes(indexes, len(question.sources) + question.public_index)),
    )


def _pins(question: WheelQuestion, directory: Path, attempt: _Attempt) -> tuple[list[_Pin], tuple[str, ...]]:
    """The pins of uv's solution, and its warnings."""
    _write_lines(directory / "requirements.in", [one.text for one in question.wanted.requirements])
    _write_lines(directory / "constraints.in", _constraints(question, attempt))
    _write_index(directory / "conda", question.provided, attempt.real)
    answer = directory / "pins.txt"
    _write_lines(answer, [f"{name}=={version}" for name, version in question.kept.items()])
    options = ["--format", "requirements.txt", "--no-header", "--no-strip-extras", "--emit-index-annotation"]
    options += ["--annotation-style", "split", "--output-file", answer.name]
    printed = _uv(question, directory, attempt, options).stderr
    return list(_read_pins(answer.read_text(encoding="utf-8"))), warning_notes(printed)


def _constraints(question: WheelQuestion, attempt: _Attempt) -> list[str]:
    """The constraints, including conda's versions, since links are searched in addition to any index."""
    versions = {name: _version(package) for name, package in question.provided.items()}
    conda = [f"{name}=={version}" for name, version in versions.items() if version]
    barred = (*question.barred, *attempt.barred)
    return [*question.wanted.constraints, *(conda if question.links or attempt.real else ()), *barred]


def _uv(question: WheelQuestion, directory: Path, attempt: _Attempt, options: Sequence[str]) -> Finished:
    argv: list[str | Path] = [uv_command(), "pip", "compile", "requirements.in"]
    argv += ["--constraints", "constraints.in"] if (directory / "constraints.in").stat().st_size else []
    argv += ["--python", question.interpreter, "--color", "never"]
    argv += ["--no-build-isolation"] if attempt.sources else ["--only-binary", ":all:"]
    argv += ["--prerelease", "allow"] if question.wanted.pre else []
    argv += ["--offline"] if question.access.offline and "--offline" not in options else []
    excluded = [name for name, package in question.provided.items() if not _version(package)]
    if excluded:
        _write_lines(directory / "excluded.in", excluded)
        argv += ["--excludes", "excluded.in"]
    if newest := question.exclude_newer.get(DEFAULT):
        argv += ["--exclude-newer", newest]
        # the placeholders for conda's packages have no upload time
        known = [name for name in question.provided if name not in attempt.real]
        argv += [word for name in known for word in ("--exclude-newer-package", f"{name}=false")]
    finished = question.run([*argv, *options], env=_environ(question, directory), cwd=directory, check=False)
    if finished.status != 0:
        failure = without_warnings(finished.stderr).strip()
        raise UvFailed(failure or f"it exited with {finished.status} and no output")
    return finished


def _environ(question: WheelQuestion, directory: Path) -> dict[str, str]:
    """The environment of uv: none of the user's settings, but the indexes' credentials, which the command line must not
    contain.
    """
    environ = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.lower() in _PROXIES}
    return environ | {
        "PATH": os.defpath,
        **_indexes(question, directory),
        "UV_FIND_LINKS": ",".join(source.own for source in question.links),
        "UV_CACHE_DIR": str(cache_dir("uv")),
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_SYSTEM_CERTS": "1",
        "UV_HTTP_RETRIES": str(question.access.retries),
        "UV_HTTP_TIMEOUT": str(max(1, round(question.access.read_timeout))),
    }


def _indexes(question: WheelQuestion, directory: Path) -> dict[str, str]:
    conda = (directory / "conda").as_uri()
    if dates_differ(question.exclude_newer, question.sources, public_index=question.public_index):
        file = directory / "uv.toml"
        write_indexes(file, conda, question.sources, question.exclude_newer, public_index=question.public_index)
        return {"UV_CONFIG_FILE": str(file), "UV_PREVIEW_FEATURES": "index-exclude-newer"}
    indexes = [conda, *(source.own for source in question.sources)]
    last = {} if question.public_index else {"UV_DEFAULT_INDEX": indexes.pop()}
    return {"UV_NO_CONFIG": "1", "UV_INDEX": " ".join(indexes), **last}


def uv_command() -> str:
    """The uv next to our own interpreter, or else the installed package's, or the one on the PATH."""
    beside = Path(sys.executable).parent / "uv"
    if beside.is_file():
        return str(beside)
    if importlib.util.find_spec("uv"):
        from uv import find_uv_bin

        return str(find_uv_bin())
    if found := shutil.which("uv"):
        return found
    raise MissingToolError("uv is missing; it is required for `pip:` lists", remedy="Install it: pip install uv")


def _write_index(directory: Path, provided: Mapping[str, LockedPackage], real: Collection[str]) -> None:
    """Write an index (PEP 503) of the projects that conda provides, except ``real`` ones, each with an empty wheel."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, package in provided.items():
        version = _version(package)
        if version is None or name in real:
            continue
        stem = f"{name.replace('-', '_')}-{version}"
        home = directory / name
        home.mkdir()
        with zipfile.ZipFile(home / f"{stem}-py3-none-any.whl", "w") as wheel:
            about = f"{stem}.dist-info"
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
        link = f'<a href="{stem}-py3-none-any.whl">{stem}-py3-none-any.whl</a>'
        (home / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>", encoding="utf-8")


def _version(package: LockedPackage) -> str | None:
    """A conda package's version as a PEP 440 version; None if it is not one."""
    try:
        return str(Version(package.version))
    except InvalidVersion:
        return None


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _read_pins(text: str) -> Iterator[_Pin]:
    """Parse uv's requirements.txt with its comments: `# via` the dependents, `# from` the index."""
    blocks = re.findall(r"^([^\s#].*)\n((?:[ \t]+#.*\n?)*)", text, re.MULTILINE)
    for line, comments in blocks:
        pin = _PIN.fullmatch(line)
        if pin is None:
            raise LockError(f"cannot parse a line of uv's output: {line}", remedy="Please report it.")
        notes = [re.sub(r"^\s*#\s*", "", comment) for comment in comments.splitlines()]
        index = next((note.removeprefix("from ") for note in notes if note.startswith("from ")), None)
        users = [note.removeprefix("via").strip() for note in notes if not note.startswith("from ")]
        yield _Pin(
            name=canonicalize_name(pin[1]),
            extras=tuple(extra.strip() for extra in (pin[2] or "").split(",") if extra.strip()),
            version=pin[3],
            needed_by=tuple(canonicalize_name(u.partition("[")[0]) for u in users if u and not u.startswith("-")),
            index=index,
        )


def _needs(pins: Iterable[_Pin]) -> dict[str, tuple[str, ...]]:
    needs: dict[str, tuple[str, ...]] = {}
    for pin in pins:
        for user in pin.needed_by:
            needs[user] = (*needs.get(user, ()), pin.name)
    return needs


def _wheel(package: Mapping[str, Any], question: WheelQuestion, indexes: Mapping[str, str | None]) -> LockedWheel:
    """The file of a package in pylock.toml that pip would choose on the server, for the lockfile."""
    name, version = package["name"], package.get("version", "")
    direct = _named_directly(name, question)
    if direct and name not in question.injected:
        _check_named(direct.url or "", question)
    if direct or "wheels" not in package:
        file = package.get("archive") or package["sdist"]
        url = re.sub(r"#.*", "", direct.url or "") if direct else file["url"]
        return LockedWheel(
            name=name,
            version=version,
            url=url if direct else written_url(url, _asked(question, indexes.get(name))),
            sha256=file.get("hashes", {}).get("sha256"),
            direct=direct.url if direct else None,
        )
    allowed = {digest for one in question.wanted.requirements if one.name == name for digest in one.hashes}
    files = {unquote(urlsplit(one["url"]).path.rpartition("/")[2]): one for one in package["wheels"]}
    fitting = {
        file: one for file, one in files.items() if not allowed or one.get("hashes", {}).get("sha256") in allowed
    }
    if not fitting:
        raise LockError(f"no wheel of {name} {version} matches its --hash: {', '.join(files)}")
    try:
        best = best_wheel(fitting, question.python, question.glibc)
    except InvalidWheelFilename as error:
        raise _unlockable(f"the URL of a wheel of {name} {version}: {error}") from error
    if best is None:
        raise LockError(
            f"uv chose {', '.join(fitting)}, which does not fit {question.python}", remedy="Please report it."
        )
    chosen = fitting[best]
    hashes = chosen.get("hashes", {})
    wheel = LockedWheel(
        name=name,
        version=version,
        url=written_url(chosen["url"], _asked(question, indexes.get(name))),
        sha256=hashes.get("sha256"),
        digests=tuple((algorithm, digest) for algorithm, digest in hashes.items() if algorithm in _DIGESTS),
    )
    _check_listed(wheel, question)
    return wheel


def _check_listed(wheel: LockedWheel, question: WheelQuestion) -> None:
    """Refuse URLs from an index that no lockfile may contain, before anything is downloaded from there.

    That is, URLs with variables, and local files.
    """
    try:
        checked(
            LockedPackage(
                name=wheel.name,
                version=wheel.version,
                manager="pip",
                platform=question.python.platform,
                url=wheel.url,
                sha256=wheel.sha256,
                md5=None,
                depends=(),
            ),
            as_locked=True,
        )
    except BadEntry as bad:
        raise _unlockable(str(bad)) from bad
    sources = (*question.sources, *question.links)
    if wheel.url.startswith("file:") and not any(source.public.startswith("file:") for source in sources):
        raise _unlockable(f"{wheel.name}: {wheel.url} is a file of this machine")
    question.access.named(wheel.url, where=f"the wheel of {wheel.name} {wheel.version} on its package index")


def _unlockable(reason: str) -> LockError:
    return LockError(
        f"a package index lists what no lockfile may contain: {reason}",
        remedy="Find out whether the index can be trusted, and tell whoever runs it.",
    )


def _named_directly(name: str, question: WheelQuestion) -> Requirement | None:
    """The requirement that gives a wheel of a project by URL; if there are several, the one for this platform."""
    for one in question.wanted.requirements:
        marker = one.text.partition(" ;")[2].strip()
        if one.name == name and one.url and (not marker or Marker(marker).evaluate(dict(question.python.markers))):
            return one
    return None


def _check_named(url: str, question: WheelQuestion) -> None:
    """Check that a wheel given by URL fits; uv accepts any."""
    file = unquote(urlsplit(url).path.rpartition("/")[2])
    if best_wheel([file], question.python, question.glibc) is None:
        glibc = ".".join(map(str, question.glibc))
        raise LockError(
            f"`pip:` names {file}, which does not fit {question.python} with glibc {glibc}",
            remedy="Use a wheel for this Python and platform. A marker restricts an entry to one platform: ; "
            "platform_machine == 'aarch64'",
        )


def _asked(question: WheelQuestion, index: str | None) -> tuple[Source, ...]:
    """The sources that a wheel may come from, the index that uv reported first."""
    sources = (*question.sources, *question.links)
    return tuple(sorted(sources, key=lambda source: source.public != (index or "").rstrip("/")))
