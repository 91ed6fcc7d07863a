"""The recorded `pip:` lists: an index on loopback that says what PyPI said, and what uv by itself makes of it."""

from __future__ import annotations

import hashlib
import html
import json
import lzma
import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from packaging.utils import parse_wheel_filename
from pipkit import conda_lock_calls_it_fresh
from pypikit import Answering
from questionkit import wheel_question
from tinychannel import index, make_package

from bundler.lock.condalock import LockRequest, read_lock, write_lockfile
from bundler.lock.freshness.condalock import is_fresh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bundler.lock.pypi.uv import WheelQuestion

__all__ = [
    "MACHINES",
    "PYTHONS",
    "Recorded",
    "agree",
    "asks_numpy",
    "lock_request",
    "locked_as_uv_says",
    "make_conda",
    "question",
    "refused",
    "sections",
    "serve",
    "uv_says",
    "write_environment",
]

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HERE = Path(__file__).parents[1] / "recorded"
PYTHONS = ("3.10.19", "3.11.14", "3.12.12", "3.13.9", "3.14.0")
MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
_NUMPY = {"3.10": "2.2.6", "3.11": "2.4.6", "3.12": "2.5.5", "3.13": "2.5.5", "3.14": "2.5.5"}
_PIP = "26.0"
_GLIBC = 28  # 2.28, which is assumed of a server that nobody describes
_JSON = "application/vnd.pypi.simple.v1+json"


@cache
def sections() -> dict[str, list[str]]:
    """The lists that can be locked, by name."""
    found: dict[str, list[str]] = _document()["sections"]
    return found


@cache
def refused() -> dict[str, list[str]]:
    """Those that cannot, for want of a wheel."""
    found: dict[str, list[str]] = _document()["refused"]
    return found


def _document() -> dict[str, Any]:
    return tomllib.loads((_HERE / "sections.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file as an index shows it; ``metadata`` is None for one that nobody may choose."""

    name: str
    sha256: str
    python: str | None = None
    metadata: bytes | None = None
    yanked: str | None = None

    @property
    def path(self) -> str:
        return f"/files/{self.name}"


@cache
def _projects() -> dict[str, tuple[_File, ...]]:
    document = json.loads(lzma.decompress((_HERE / "index.json.xz").read_bytes()))
    return {name: tuple(_files(name, releases)) for name, releases in document.items()}


def _files(project: str, releases: Mapping[str, Any]) -> Iterator[_File]:
    for version, release in releases.items():
        for name, (sha256, *own) in release.get("wheels", {}).items():
            said = own[0] if own else release
            python = said.get("python")
            yield _File(name=name, sha256=sha256, python=python, metadata=_metadata(project, version, said))
        for name, sha256 in release.get("sources", {}).items():
            yield _File(name=name, sha256=sha256)
        for name, reason in release.get("yanked", {}).items():
            yield _File(name=name, sha256=hashlib.sha256(name.encode()).hexdigest(), yanked=reason)


def _metadata(project: str, version: str, said: Mapping[str, Any]) -> bytes:
    lines = ["Metadata-Version: 2.1", f"Name: {project}", f"Version: {version}"]
    lines += [f"Requires-Python: {said['python']}"] if "python" in said else []
    lines += [f"Provides-Extra: {extra}" for extra in said.get("extras", ())]
    lines += [f"Requires-Dist: {requirement}" for requirement in said.get("requires", ())]
    return "".join(f"{line}\n" for line in lines).encode()


@dataclass
class Recorded:
    """The index that runs: ``url`` is that of its pages, ``asked`` the paths that were asked for.

    With ``plain`` it has no JSON (PEP 691), but pages of HTML alone (PEP 503).
    """

    url: str = ""
    plain: bool = False
    asked: list[str] = field(default_factory=list)


class _Handler(Answering, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recorded: Recorded

    def do_GET(self) -> None:
        self.recorded.asked.append(self.path)
        _, _, rest = self.path.partition("/simple/")
        if (project := rest.strip("/")) in _projects():
            plain = self.recorded.plain or _JSON not in self.headers.get("Accept", "")
            page = _html(_projects()[project]) if plain else _json(project, _projects()[project])
            self._answer(200, page, "text/html; charset=utf-8" if plain else _JSON)
        elif (said := _said().get(self.path)) is not None:
            self._answer(200, said, "text/plain")
        else:
            self._answer(404, b"no wheel was recorded, only what is said of it", "text/plain")


@cache
def _said() -> dict[str, bytes]:
    """The files of metadata (PEP 658), by path."""
    files = (file for project in _projects().values() for file in project)
    return {f"{file.path}.metadata": file.metadata for file in files if file.metadata is not None}


def _json(project: str, files: Sequence[_File]) -> bytes:
    listed = [
        {
            "filename": file.name,
            "url": file.path,
            "hashes": {"sha256": file.sha256},
            "requires-python": file.python,
            "yanked": file.yanked or file.yanked is not None,
            "core-metadata": {"sha256": _digest(file.metadata)} if file.metadata else False,
        }
        for file in files
    ]
    return json.dumps({"meta": {"api-version": "1.1"}, "name": project, "files": listed}).encode()


def _html(files: Sequence[_File]) -> bytes:
    links = []
    for file in files:
        notes = [f'href="{file.path}#sha256={file.sha256}"']
        notes += [f'data-requires-python="{html.escape(file.python)}"'] if file.python else []
        notes += [f'data-core-metadata="sha256={_digest(file.metadata)}"'] if file.metadata else []
        notes += [f'data-yanked="{html.escape(file.yanked)}"'] if file.yanked is not None else []
        links.append(f"<a {' '.join(notes)}>{html.escape(file.name)}</a>")
    return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


def _digest(metadata: bytes) -> str:
    return hashlib.sha256(metadata).hexdigest()


@contextmanager
def serve(*, plain: bool = False) -> Iterator[Recorded]:
    """Serve what was recorded until the end of the ``with`` block."""
    recorded = Recorded(plain=plain)
    handler = type("Handler", (_Handler,), {"recorded": recorded})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        recorded.url = f"http://127.0.0.1:{server.server_port}/simple"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield recorded
        finally:
            server.shutdown()


def make_conda(channel: Path) -> None:
    """A channel of Pythons for both platforms, and of what people take from conda beside wheels: numpy and pip."""
    for subdir in MACHINES:
        for version in PYTHONS:
            make_package(channel, "python", version, subdir=subdir, build="h1_0_cpython")
    for short, version in _NUMPY.items():
        build = f"py{short.replace('.', '')}_0"
        make_package(channel, "numpy", version, depends=[f"python {short}.*"], python=True, build=build)
    make_package(channel, "pip", _PIP, depends=["python"], python=True)
    index(channel)


def uv_says(name: str, python: str, platform: str, url: str, cache: Path) -> dict[tuple[str, str], dict[str, str]]:
    """uv's own answer to a list, as people ask it: (name, version) -> files with their SHA-256.

    It may take nothing but the channel's versions of what conda brings. Raises AssertionError with what it prints.
    """
    conda = {"pip": _PIP, **({"numpy": _NUMPY[python.rpartition(".")[0]]} if asks_numpy(name) else {})}
    cache.mkdir(parents=True, exist_ok=True)
    bounds = cache / "bounds.txt"
    bounds.write_text("".join(f"{one}=={version}\n" for one, version in conda.items()))
    words: list[str | Path] = [
        Path(sys.executable).with_name("uv"),
        "pip",
        "compile",
        "-",
        "--quiet",
        "--format",
        "pylock.toml",
    ]
    words += ["--only-binary", ":all:", "--default-index", url, "--constraints", bounds]
    words += ["--python-version", python, "--python-platform", f"{MACHINES[platform]}-manylinux_2_{_GLIBC}"]
    environ = {"PATH": os.defpath, "HOME": os.environ["HOME"], "UV_CACHE_DIR": str(cache / "uv"), "UV_NO_CONFIG": "1"}
    environ |= {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
    wanted = "\n".join((sections() | refused())[name])
    done = subprocess.run(words, input=wanted, text=True, capture_output=True, check=False, timeout=300, env=environ)
    assert done.returncode == 0, done.stderr
    return {
        (one["name"], one["version"]): {
            re.sub(r".*/", "", wheel["url"]): wheel["hashes"]["sha256"] for wheel in one["wheels"]
        }
        for one in tomllib.loads(done.stdout).get("packages", ())
        if one["name"] not in conda
    }


def asks_numpy(name: str) -> bool:
    """Whether the environment of a list takes numpy from conda."""
    return name.startswith(("science-", "ai-"))


def write_environment(directory: Path, name: str, python: str, channel: Path, url: str) -> Path:
    """An environment.yml with a list."""
    conda = [f"python =={python}", *(["numpy"] if asks_numpy(name) else [])]
    document = {
        "channels": [channel.as_uri()],
        "dependencies": [*conda, {"pip": (sections() | refused())[name]}],
        "pip-repositories": [url],
        "allow-pypi-requests": False,
    }
    path = directory / "environment.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def question(name: str, python: str, platform: str, url: str, directory: Path) -> WheelQuestion:
    """What would be asked for a list beside the channel's packages."""
    conda = {"pip": _PIP, **({"numpy": _NUMPY[python.rpartition(".")[0]]} if asks_numpy(name) else {})}
    pip = (sections() | refused())[name]
    return wheel_question(pip, directory, url, python=python, platform=platform, conda=conda)


def agree(
    ours: Sequence[tuple[str, str, str, str | None]],
    theirs: Mapping[tuple[str, str], Mapping[str, str]],
    python: str,
    platform: str,
) -> None:
    """Our wheels (name, version, URL, SHA-256) are those that uv chose, and of each the file that pip would take."""
    assert {(name, version) for name, version, _, _ in ours} == theirs.keys() != set()
    for name, version, url, sha256 in ours:
        files = theirs[name, version]
        file = url.rpartition("/")[2]
        assert (file, sha256) == (pip_would_take(list(files), python, platform), files[file])


def pip_would_take(files: Sequence[str], python: str, platform: str) -> str:
    """The file that pip would install: it has an order of tags of its own."""
    from pip._internal.utils.compatibility_tags import get_supported

    old = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
    names = [name for minor in range(_GLIBC, 4, -1) for name in (f"manylinux_2_{minor}", old.get(minor)) if name]
    platforms = [f"{name}_{MACHINES[platform]}" for name in [*names, "linux"]]
    version = "".join(python.split(".")[:2])
    ranks = {str(tag): rank for rank, tag in enumerate(get_supported(version, platforms, "cp"))}
    best = {file: min(ranks.get(str(tag), len(ranks)) for tag in parse_wheel_filename(file)[3]) for file in files}
    return min(best, key=lambda file: best[file])


def lock_request(room: Path, name: str, python: str, channel: Path, url: str) -> LockRequest:
    """To lock a list in ``room``, for both platforms."""
    environment = write_environment(room, name, python, channel, url)
    return LockRequest(environments=(environment,), lockfile=room / "conda-lock.yml", platforms=tuple(MACHINES))


def locked_as_uv_says(request: LockRequest, name: str, python: str, url: str, cache: Path) -> None:
    """Lock it: the lockfile has what uv chooses by itself, and we and conda-lock call it fresh."""
    write_lockfile(request)
    for platform in request.platforms:
        packages = read_lock(request.lockfile, platform).packages
        found = [(one.name, one.version, one.url, one.sha256) for one in packages if one.manager == "pip"]
        agree(found, uv_says(name, python, platform, url, cache), python, platform)
    assert is_fresh(request)
    assert conda_lock_calls_it_fresh(request.lockfile.parent, request.environments[0].name)
