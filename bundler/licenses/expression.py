"""Convert a package's license field to an SPDX expression.

conda's field is free text ("BSD 3-Clause", "GPLv2+", "MIT/X11"), and so is the older one of wheels. Unambiguous text is
converted to SPDX identifiers; ambiguous text ("BSD") is not guessed, but becomes a ``LicenseRef-`` that counts as
unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from license_expression import Licensing

__all__ = ["NO_LICENSE", "License", "licensing", "normalize", "single"]

_PROPRIETARY = "LicenseRef-scancode-proprietary-license"
_PUBLIC_DOMAIN = "LicenseRef-scancode-public-domain"
_LOOSE = {
    "apache2": "Apache-2.0",
    "apache20": "Apache-2.0",
    "apachelicense2": "Apache-2.0",
    "apachev2": "Apache-2.0",
    "apachesoftware20": "Apache-2.0",
    "asl2": "Apache-2.0",
    "asl20": "Apache-2.0",
    "agplv3": "AGPL-3.0-only",
    "agpl3": "AGPL-3.0-only",
    "agplv3+": "AGPL-3.0-or-later",
    "2clausebsd": "BSD-2-Clause",
    "bsd2": "BSD-2-Clause",
    "bsd2clause": "BSD-2-Clause",
    "simplifiedbsd": "BSD-2-Clause",
    "3clausebsd": "BSD-3-Clause",
    "bsd3": "BSD-3-Clause",
    "bsd3clause": "BSD-3-Clause",
    "modifiedbsd": "BSD-3-Clause",
    "newbsd": "BSD-3-Clause",
    "boost": "BSL-1.0",
    "boost10": "BSL-1.0",
    "boostsoftware10": "BSL-1.0",
    "cc0": "CC0-1.0",
    "gplv2": "GPL-2.0-only",
    "gpl2": "GPL-2.0-only",
    "gplv2+": "GPL-2.0-or-later",
    "gpl2+": "GPL-2.0-or-later",
    "gpl>=2": "GPL-2.0-or-later",
    "gplv2orlater": "GPL-2.0-or-later",
    "gplv3": "GPL-3.0-only",
    "gpl3": "GPL-3.0-only",
    "gplv3+": "GPL-3.0-or-later",
    "gpl3+": "GPL-3.0-or-later",
    "gpl>=3": "GPL-3.0-or-later",
    "gplv3orlater": "GPL-3.0-or-later",
    "isciscl": "ISC",
    "gnuafferogeneralpublicv3agplv3": "AGPL-3.0-only",
    "gnuafferogeneralpublicv3orlateragplv3+": "AGPL-3.0-or-later",
    "gnugeneralpublicv2gplv2": "GPL-2.0-only",
    "gnugeneralpublicv2orlatergplv2+": "GPL-2.0-or-later",
    "gnugeneralpublicv3gplv3": "GPL-3.0-only",
    "gnugeneralpublicv3orlatergplv3+": "GPL-3.0-or-later",
    "gnulessergeneralpublicv2lgplv2": "LGPL-2.0-only",
    "gnulessergeneralpublicv2orlaterlgplv2+": "LGPL-2.0-or-later",
    "gnulessergeneralpublicv3lgplv3": "LGPL-3.0-only",
    "gnulessergeneralpublicv3orlaterlgplv3+": "LGPL-3.0-or-later",
    "lgpl": "LGPL-2.0-or-later",
    "lgpl>=2": "LGPL-2.0-or-later",
    "lgplv2": "LGPL-2.0-only",
    "lgpl2": "LGPL-2.0-only",
    "lgplv2+": "LGPL-2.0-or-later",
    "lgplv21": "LGPL-2.1-only",
    "lgpl21": "LGPL-2.1-only",
    "lgplv21+": "LGPL-2.1-or-later",
    "lgplv3": "LGPL-3.0-only",
    "lgpl3": "LGPL-3.0-only",
    "lgplv3+": "LGPL-3.0-or-later",
    "mitx11": "MIT",
    "x11mit": "MIT",
    "expat": "MIT",
    "mpl2": "MPL-2.0",
    "mpl20": "MPL-2.0",
    "mozillapublic20": "MPL-2.0",
    "mozillapublic20mpl20": "MPL-2.0",
    "openssl": "OpenSSL",
    "psf": "PSF-2.0",
    "psf2": "PSF-2.0",
    "psfl": "PSF-2.0",
    "pythonsoftwarefoundation": "PSF-2.0",
    "publicdomain": _PUBLIC_DOMAIN,
    "proprietary": _PROPRIETARY,
    "sqliteblessing": "blessing",
    "tclt": "TCL",
    "tcltk": "TCL",
    "unlicense": "Unlicense",
    "unlicenseunlicense": "Unlicense",
    "zlib": "Zlib",
    "zopepublic21": "ZPL-2.1",
}
"""Identifiers by the text without spaces and punctuation; each has only one meaning."""
_NOISE = re.compile(r"\b(the|licen[sc]ed?|version|software licen[sc]e)\b", re.IGNORECASE)
_KEPT = re.compile(r"[^a-z0-9+>=]")
_SPLIT = re.compile(r"\s*([()])\s*|\s+(AND|OR|WITH)\s+|\s*(&|\||;|,)\s*", re.IGNORECASE)
_JOINED = {"&": "AND", ",": "AND", ";": "AND", "|": "OR"}
"""All licenses of a list apply, unless it says otherwise."""
_LONGEST = 400
"""The maximum length of a license's name; some packages have the license's text in this field."""


@dataclass(frozen=True, kw_only=True)
class License:
    """``said`` is the package's own text, ``expression`` the SPDX expression; it is empty if the field is.

    ``unknown`` are the parts of ``said`` that are not recognized: each is a ``LicenseRef-`` in ``expression``.
    """

    said: str
    expression: str
    unknown: tuple[str, ...] = ()


NO_LICENSE = License(said="", expression="")


@cache
def licensing() -> Licensing:
    """The library's SPDX licenses and exceptions, loaded on first use."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


@cache
def normalize(said: str) -> License:
    """The expression for a package's license field. It never fails."""
    text = " ".join(said.split())
    if not text:
        return NO_LICENSE
    if len(text) > _LONGEST:  # the text of a license instead of its name
        return _unknown(text, f"{text[:40].rstrip()} …")
    if whole := _known(text):
        return License(said=text, expression=whole)
    return _taken_apart(text)


def single(text: str) -> str | None:
    """The license that ``text`` is the SPDX name of, possibly with an exception; None if it is none or several."""
    found = _parsed(text)
    if found is None or found.literals != {found}:
        return None
    if not licensing().unknown_license_keys(found):
        return str(found.render())
    return text if re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", text) else None


def _known(text: str) -> str | None:
    """The expression, if all of its licenses are known."""
    bare = " ".join(_NOISE.sub("", text).split())
    for one in (text, bare):
        parsed = _parsed(one)
        if parsed is not None and not licensing().unknown_license_keys(parsed):
            return str(parsed.render())
    return _LOOSE.get(_KEPT.sub("", bare.casefold()))


def _parsed(text: str) -> Any:
    from license_expression import ExpressionError, ExpressionParseError

    odd = (AssertionError, AttributeError, TypeError)  # raised by boolean.py, for example for unbalanced parentheses
    try:
        return licensing().parse(text, strict=True)
    except (ExpressionError, ExpressionParseError, *odd):
        return None


def _taken_apart(text: str) -> License:
    """Convert each operand separately."""
    words, unknown = [], []
    for piece in filter(None, (one and one.strip() for one in _SPLIT.split(text))):
        if piece in "()":
            words.append(piece)
        elif piece in _JOINED or piece.upper() in ("AND", "OR", "WITH"):
            words.append(_JOINED.get(piece, piece.upper()))
        else:
            known = _known(piece)
            words.append(known or _reference(piece))
            unknown += [] if known else [piece]
    parsed = _parsed(" ".join(words))
    if parsed is None:
        return _unknown(text, text)
    return License(said=text, expression=str(parsed.render()), unknown=tuple(dict.fromkeys(unknown)))


def _unknown(text: str, name: str) -> License:
    return License(said=text, expression=_reference(name), unknown=(name,))


def _reference(name: str) -> str:
    """A ``LicenseRef-`` for a name that SPDX does not have."""
    if re.fullmatch(r"LicenseRef-[A-Za-z0-9.-]+", name):
        return name
    return "LicenseRef-" + (re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-") or "unknown")
