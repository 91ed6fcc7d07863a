"""Real wheels of a few bytes, and a real package index (PEP 503) on loopback that serves what lies in a directory."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import re
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Answering", "Index", "ZipEntry", "make_sdist", "make_wheel", "serve_index"]

_MOMENT = (2020, 2, 2, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class ZipEntry:
    """A file of a wheel with more to it than its content; ``mode`` has the file type's bits, too."""

    content: bytes
    mode: int = 0o100644


def make_wheel(  # noqa: PLR0913 -- a wheel has this many sides, and each is given by its name
    directory: Path,
    name: str,
    version: str,
    *,
    files: Mapping[str, bytes | ZipEntry] | None = None,
    requires: Sequence[str] = (),
    requires_python: str | None = None,
    scripts: Mapping[str, str] | None = None,
    tag: str = "py3-none-any",
    metadata: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a wheel and return its path.

    ``files`` are paths in the archive; ``scripts`` are console entry points, ``command: "module:function"``;
    ``metadata`` are files of its .dist-info, instead of what would be written.
    """
    stem = f"{re.sub(r'[-.]+', '_', name)}-{version}"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {requires_python}"] if requires_python else []
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    pure = "true" if tag.endswith("-any") else "false"
    about = {
        "METADATA": "".join(f"{line}\n" for line in lines).encode(),
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode(),
    }
    if scripts:
        points = "".join(f"{command} = {place}\n" for command, place in scripts.items())
        about["entry_points.txt"] = f"[console_scripts]\n{points}".encode()
    entries: dict[str, bytes | ZipEntry] = dict(files or {f"{stem.partition('-')[0]}/__init__.py": b""})
    entries |= {f"{stem}.dist-info/{file}": content for file, content in (about | dict(metadata or {})).items()}
    path = directory / f"{stem}-{tag}.whl"
    directory.mkdir(parents=True, exist_ok=True)
    _write(path, entries, f"{stem}.dist-info/RECORD")
    return path


def _write(path: Path, entries: Mapping[str, bytes | ZipEntry], record: str) -> None:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, given in entries.items():
            entry = given if isinstance(given, ZipEntry) else ZipEntry(content=given)
            info = zipfile.ZipInfo(name, _MOMENT)
            info.external_attr = entry.mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(entry.content).digest()).rstrip(b"=").decode()
            writer.writerow([name, f"sha256={digest}", len(entry.content)])
        if record not in entries:
            writer.writerow([record, "", ""])
            archive.writestr(zipfile.ZipInfo(record, _MOMENT), rows.getvalue())


def make_sdist(directory: Path, name: str, version: str) -> Path:
    """Write a source distribution whose metadata can be had without running it."""
    stem = f"{name}-{version}"
    about = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(f"{stem}/PKG-INFO")
        member.size = len(about)
        archive.addfile(member, io.BytesIO(about.encode()))
    return path


@dataclass
class Index:
    """What runs. ``password`` is asked of user ``me``, below ``/closed`` alone; ``asked`` are the paths that were,
    ``sent`` is how many bytes went out in pieces.

    ``algorithm`` is that of the files' hashes; empty: there are none. ``broken`` is the status of all answers, if any.
    ``lies`` is whether the hashes are those of other files, ``metadata`` whether each wheel's metadata can be had by
    itself (PEP 658), ``pieces`` whether files can be had in pieces (Range); ``said`` is what metadata files hold
    instead, by the wheel; ``yanked`` are file names (PEP 592).
    ``everywhere`` is the file that lies at each path below ``/files``, if one does.
    With ``uploaded``, the times of some files, pages are JSON (PEP 700). ``pages`` are other answers for some projects:
    status, type and content.
    """

    directory: Path
    port: int = 0
    password: str = ""
    algorithm: str = "sha256"
    broken: int = 0
    lies: bool = False
    metadata: bool = False
    pieces: bool = False
    said: dict[str, bytes] = field(default_factory=dict)
    yanked: set[str] = field(default_factory=set)
    pages: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    uploaded: dict[str, str] = field(default_factory=dict)
    everywhere: Path | None = None
    asked: list[str] = field(default_factory=list)
    sent: int = 0

    def url(self, credentials: str = "", *, closed: bool = False) -> str:
        return f"http://{credentials}127.0.0.1:{self.port}/{'closed' if closed else 'open'}/simple"


class Answering(BaseHTTPRequestHandler):
    """One that answers, to HEAD as to GET, and keeps no log."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        raise NotImplementedError

    def _answer(self, status: int, body: bytes, kind: str = "text/html") -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        pass


class _Handler(Answering):
    index: Index

    def do_GET(self) -> None:
        self.index.asked.append(self.path)
        wanted = "Basic " + base64.b64encode(f"me:{self.index.password}".encode()).decode()
        if self.path.startswith("/closed/") and self.headers["Authorization"] != wanted:
            self._answer(401, b"")
            return
        if self.index.broken:
            self._answer(self.index.broken, b"")
            return
        top, *rest = self.path.strip("/").split("/")
        if rest[:1] == ["simple"] and rest[-1] in self.index.pages:
            status, kind, content = self.index.pages[rest[-1]]
            self._answer(status, content, kind)
        elif rest[:1] == ["simple"] and len(rest) == 2:
            self._page(top, rest[1])
        elif rest[:1] == ["files"] and self.index.everywhere:
            self._file(self.index.everywhere.read_bytes())
        elif rest[:1] == ["files"] and (self.index.directory / rest[1]).is_file():
            self._file((self.index.directory / rest[1]).read_bytes())
        elif rest[:1] == ["files"] and self.index.metadata and rest[1].endswith(".whl.metadata"):
            wheel = rest[1].removesuffix(".metadata")
            self._answer(200, self.index.said.get(wheel) or _metadata(self.index.directory / wheel))
        else:
            self._answer(404, b"")

    def _file(self, content: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"] or "")
        if wanted is None or not self.index.pieces:
            self._answer(200, content)
            return
        size = len(content)
        first = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
        last = min(size - 1, int(wanted[2])) if wanted[1] and wanted[2] else size - 1
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last + 1 - first))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[first : last + 1])
            self.index.sent += last + 1 - first

    def _page(self, top: str, project: str) -> None:
        if self.index.uploaded:
            self._json_page(top, project)
            return
        links = []
        for path in sorted(self.index.directory.iterdir()):
            if re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower() == project:
                name = self.index.algorithm
                content = b"other" if self.index.lies else path.read_bytes()
                fragment = f"#{name}={hashlib.new(name, content).hexdigest()}" if name else ""
                apart = ' data-core-metadata="true"' if self.index.metadata else ""
                apart += ' data-yanked="broken"' if path.name in self.index.yanked else ""
                links.append(f'<a href="/{top}/files/{path.name}{fragment}"{apart}>{html.escape(path.name)}</a>')
        self._answer(200 if links else 404, f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode())

    def _json_page(self, top: str, project: str) -> None:
        files = [
            {
                "filename": path.name,
                "url": f"/{top}/files/{path.name}",
                "hashes": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
                **({"upload-time": self.index.uploaded[path.name]} if path.name in self.index.uploaded else {}),
            }
            for path in sorted(self.index.directory.iterdir())
            if re.sub(r"[-_.]+", "-", path.name.split("-")[0]).lower() == project
        ]
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": files}
        self._answer(200 if files else 404, json.dumps(page).encode(), "application/vnd.pypi.simple.v1+json")


def _metadata(path: Path) -> bytes:
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")))


@contextmanager
def serve_index(directory: Path) -> Iterator[Index]:
    """Serve the wheels and source distributions in ``directory`` until the end of the ``with`` block."""
    directory.mkdir(parents=True, exist_ok=True)
    index = Index(directory)
    handler = type("Handler", (_Handler,), {"index": index})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        index.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield index
        finally:
            server.shutdown()
