"""Wheels of PyPI, fetched once, and a package index of them on loopback: PEP 503, with metadata files (PEP 658)."""

from __future__ import annotations

import hashlib
import html
import shutil
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from bundler.digests import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["fetch_wheels", "make_index", "serve"]

_OLDEST_GLIBC = 5  # 2.5, which is manylinux1's


def fetch_wheels(pins: Path, room: Path, *, python: str, glibc: int) -> None:
    """Have pip fetch the wheels that ``pins`` lists by their digests into ``room``, unless they are there.

    They are for CPython ``python`` on x86-64 with glibc 2.``glibc``.
    """
    wanted = sum(1 for line in pins.read_text().splitlines() if not line.startswith("#"))
    if room.is_dir() and len(list(room.glob("*.whl"))) == wanted:
        return
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(glibc, _OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")]
    partial_room = room.with_name(f".{room.name}.partial")
    shutil.rmtree(partial_room, ignore_errors=True)
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    words += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--implementation", "cp"]
    words += ["--python-version", python, *(f"--platform={platform}" for platform in platforms)]
    subprocess.run([*words, "--dest", partial_room, "--requirement", pins], check=True, timeout=3600)
    shutil.rmtree(room, ignore_errors=True)
    partial_room.rename(room)


def make_index(wheels: Path, index: Path) -> None:
    """Lay out an index of the files in ``wheels``: pages below ``simple/``, hard links and metadata in ``files/``."""
    shutil.rmtree(index, ignore_errors=True)
    files = index / "files"
    files.mkdir(parents=True)
    pages: dict[str, list[str]] = {}
    for wheel in sorted(wheels.glob("*.whl")):
        (files / wheel.name).hardlink_to(wheel)
        metadata = _metadata(wheel)
        (files / f"{wheel.name}.metadata").write_bytes(metadata)
        digest = file_sha256(wheel)
        about = f"sha256={hashlib.sha256(metadata).hexdigest()}"
        link = (
            f'<a href="/files/{wheel.name}#sha256={digest}" data-core-metadata="{about}">{html.escape(wheel.name)}</a>'
        )
        pages.setdefault(str(parse_wheel_filename(wheel.name)[0]), []).append(link)
    for project, links in pages.items():
        page = index / "simple" / project / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
        return archive.read(names[0])


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        pass


@contextmanager
def serve(index: Path) -> Iterator[str]:
    """Serve an index until the end of the ``with`` block; the URL of its pages."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=index)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple"
        finally:
            server.shutdown()
