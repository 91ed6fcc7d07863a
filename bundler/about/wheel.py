"""A wheel -> :class:`Facts`: its METADATA, the texts and SBOMs in its ``.dist-info`` (PEP 639, PEP 770), its libraries.

What builds wheels (auditwheel) puts the shared libraries that it bundles into ``NAME.libs``, an older one into
``NAME/.libs``.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from bundler.about.facts import LARGEST, Facts, Library, Text, decoded
from bundler.digests import stream_sha256
from bundler.licenses.expression import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

__all__ = ["NotAWheel", "wheel_facts"]

_OLD_TEXT = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*", re.IGNORECASE)
_LIBRARY = re.compile(r"(?:.*/)?[^/]*\.libs/[^/]+\.so(?:\.[\w.]+)?")
_MOST = 4000
"""Texts and SBOMs of a wheel, and its libraries."""
_READ = 1 << 30
"""Bytes of libraries that are read for their digests: a small wheel may unpack to any number."""


class NotAWheel(ValueError):  # noqa: N818 -- never shown: who reads a wheel says which one it is
    """No zip file that can be read, or one without METADATA."""


def wheel_facts(path: Path) -> Facts:
    """Raises :class:`NotAWheel`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _facts(archive)
    # RuntimeError: a member is encrypted; NotImplementedError: it is compressed in some rare way
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, LookupError, ValueError) as error:
        raise NotAWheel(str(error)) from error
    except RuntimeError as error:
        raise NotAWheel(str(error)) from error


def _facts(archive: zipfile.ZipFile) -> Facts:
    names = archive.namelist()
    top = next((name.rpartition("/")[0] for name in names if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)), None)
    if top is None:
        raise NotAWheel("it has no METADATA")
    message = HeaderParser().parsestr(_read(archive, f"{top}/METADATA"))
    inside = [name.removeprefix(f"{top}/") for name in sorted(names) if name.startswith(f"{top}/")][:_MOST]
    texts = [name for name in inside if name.startswith("licenses/") and not name.endswith("/")]
    texts = texts or [name for name in inside if _OLD_TEXT.fullmatch(name)]
    sboms = [name for name in inside if name.startswith("sboms/") and not name.endswith("/")]
    return Facts(
        license=_license(message),
        texts=tuple(Text(name.removeprefix("licenses/"), _read(archive, f"{top}/{name}")) for name in texts),
        maker=_maker(message),
        homepage=_homepage(message),
        summary=" ".join((message["Summary"] or "").split()),
        sboms=tuple(Text(name.removeprefix("sboms/"), _read(archive, f"{top}/{name}")) for name in sboms),
        libraries=tuple(_libraries(archive)),
    )


def _libraries(archive: zipfile.ZipFile) -> Iterator[Library]:
    left = _READ
    for name in sorted({name for name in archive.namelist() if _LIBRARY.fullmatch(name)})[:_MOST]:
        size = archive.getinfo(name).file_size
        digest = ""
        if size <= left:
            left -= size
            with archive.open(name) as file:
                digest = stream_sha256(file)
        yield Library(name, digest)


def _read(archive: zipfile.ZipFile, name: str) -> str:
    return decoded(archive.read(name)) if archive.getinfo(name).file_size <= LARGEST else ""


def _license(message: Message) -> str:
    """The expression; else the older field, if that is a license's name; else what the classifiers name."""
    if expression := message["License-Expression"]:
        return str(expression)
    older = " ".join(str(message["License"] or "").split())
    if older and not normalize(older).unknown:
        return older
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in map(str, message.get_all("Classifier", ()))
        if text.startswith("License :: ") and text != "License :: OSI Approved"
    ]
    known = [text for text in classifiers if not normalize(text).unknown]
    if known and len(known) == len(classifiers):
        return " AND ".join(normalize(text).expression for text in known)
    return older if older and older.upper() != "UNKNOWN" else " AND ".join(classifiers)


def _maker(message: Message) -> str:
    """A name without its address."""
    for key in ("Author", "Maintainer", "Author-email", "Maintainer-email"):
        text = " ".join(str(message[key] or "").split())
        name = re.sub(r"<[^>]*>", "", text).strip(' ",')
        if name and name.upper() != "UNKNOWN" and "@" not in name:
            return name
    return ""


def _homepage(message: Message) -> str:
    listed = [str(text).partition(",") for text in message.get_all("Project-URL", ())]
    named = {label.strip().casefold(): url.strip() for label, _, url in listed}
    urls = (message["Home-page"], *(named.get(label) for label in ("homepage", "home", "source", "repository")))
    return next((str(url) for url in urls if url and re.fullmatch(r"https?://[!#-;=?-Z_a-z~]+", str(url))), "")
