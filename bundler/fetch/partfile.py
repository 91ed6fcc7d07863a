"""A file that comes in pieces: what has come so far, and whether the next piece belongs to it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from contextlib import contextmanager
from email.utils import parsedate_tz
from typing import TYPE_CHECKING, Any

from bundler.digests import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from urllib3.response import BaseHTTPResponse

    from bundler.fetch.credentials import Request

__all__ = ["ChangedFile", "PartFile"]

_CHUNK = 1 << 18


class ChangedFile(Exception):  # noqa: N818 -- no error: the download begins anew
    """What the server has is another file than the one that was begun with; the part is empty again."""


class PartFile:
    """What has come so far of a file, and by what the rest can be known to be the same file's.

    A note beside it holds the entity tag (or date) at the URL that it came from, and the whole file's size.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._note = path.with_name(f"{path.name}.note")
        self._digest = hashlib.sha256()
        self.pieced = False
        self.size = path.stat().st_size if path.exists() else 0

    @property
    def directory(self) -> Path:
        return self._path.parent

    def finish(self) -> str:
        """It is whole: forget what the rest was to be known by; its digest."""
        self._note.unlink(missing_ok=True)
        return self._digest.hexdigest()

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.size = 0

    def copy(self, source: Path) -> str:
        """Take a local file in one go; its digest. Raises OSError."""
        shutil.copyfile(source, self._path)
        return file_sha256(self._path)

    def headers(self, request: Request) -> dict[str, str]:
        """What asks for the rest, and for all of it should that be another file by now."""
        if not self.size:
            return {}
        note = self._read_note()
        validator = note.get("validator") if note.get("url") == _digest_of(request.url) else None
        return {"Range": f"bytes={self.size}-"} | ({"If-Range": validator} if validator else {})

    @contextmanager
    def receive(self, request: Request, response: BaseHTTPResponse) -> Iterator[Callable[[bytes], None]]:
        """A context whose value takes the answer's bytes. Raises :class:`ChangedFile` if they do not belong here."""
        if response.status == 206:
            self._check_rest(request, response)
            self.pieced = True
            with self._path.open("rb") as begun:
                for chunk in iter(lambda: begun.read(_CHUNK), b""):
                    self._digest.update(chunk)
        else:
            self.clear()
            length = response.headers.get("Content-Length")
            note = {"url": _digest_of(request.url), "validator": _validator(response), "total": length}
            self._note.write_text(json.dumps(note), encoding="utf-8")
        with self._path.open("ab") as file:

            def write(chunk: bytes) -> None:
                file.write(chunk)
                self._digest.update(chunk)
                self.size += len(chunk)

            yield write

    def _check_rest(self, request: Request, response: BaseHTTPResponse) -> None:
        note = self._read_note()
        found = re.fullmatch(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)", response.headers.get("Content-Range", ""))
        right = found and int(found[1]) == self.size and found[2] in ("*", note.get("total") or found[2])
        if note.get("url") == _digest_of(request.url):
            one, other = note.get("validator"), _validator(response)
            right = right and (one == other or None in (one, other))
        if not right:
            self.clear()
            raise ChangedFile

    def _read_note(self) -> dict[str, Any]:
        try:
            note = json.loads(self._note.read_bytes())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}


def _validator(response: BaseHTTPResponse) -> str | None:
    """A strong entity tag, else the date of the last change."""
    etag = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    date = response.headers.get("Last-Modified")
    return date if date and parsedate_tz(date) else None


def _digest_of(url: str) -> str:
    """A URL's name in a note: it may have a token in it."""
    return hashlib.sha256(url.encode()).hexdigest()
