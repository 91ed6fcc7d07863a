"""Specs that say more than conda-lock passes on: `python[version=">=3.10", build_number=">=3", md5=…]`.

conda-lock knows of a package its name, version, build and channel. It drops other keys without a word, or reads a part
of them as the name. So it is shown a spec without them, and our solver gets the whole one beside its command line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bundler.errors import without_credentials

__all__ = ["LongSpec", "MalformedSpecError", "read_spec"]

_BRACKETS = re.compile(r"(?P<head>[^\[]*)\[(?P<keys>.*)\]")
_PAIR = re.compile(r"""\s*(?P<key>\w+)\s*=\s*(?P<value>"[^"]*"|'[^']*'|\[[^\[\]]*\]|[^,"'\[\]]*?)\s*(?:,|$)""")
_URL = re.compile(r"(?P<channel>\w+://\S+?)/(?P<subdir>[^/\s]+)/(?P<file>[^/\s#]+)(?:#(?P<digest>\S*))?")
_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)(?:\.conda|\.tar\.bz2)")
_PASSED_ON = ("version", "build", "channel")
"""The keys that conda-lock keeps."""
_SOLVED = (
    *("build_number", "extras", "fn", "flags", "license", "license_family", "md5"),
    *("sha256", "subdir", "track_features", "url", "when"),
)
"""Those that our solver goes by besides."""
_DIGESTS = {32: "md5", 64: "sha256"}
_ANACONDAS = re.compile(r"(?:https://repo\.anaconda\.com/)?(pkgs/(?:main|r|msys2))")
_DEFAULTS = re.compile(r"(?:https://conda\.anaconda\.org/)?defaults")
_SUBDIR = re.compile(r"(?P<channel>.+)/(?P<subdir>noarch|(?:linux|osx|win|emscripten|wasi|freebsd|zos)-\w+)")


class MalformedSpecError(ValueError):
    """A spec that means nothing here: what is wrong with it, and what to write."""


@dataclass(frozen=True, kw_only=True)
class LongSpec:
    """An entry of ``dependencies:``.

    ``shown`` is what conda-lock is given of ``text``, and reads as it would read ``text`` itself if it can; ``whole``
    what rattler is given, None if it is enough what conda-lock makes of ``shown``. ``unseen`` are the keys that
    conda-lock does not know of.
    """

    text: str
    shown: str
    whole: str | None = None
    unseen: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The package's, as channels have it; empty if it begins with none."""
        head = (self.whole or self.shown).partition("[")[0].rpartition("::")[2]
        return re.split(r"[\s=<>!~|,]", head, maxsplit=1)[0].lower()

    @property
    def is_conditional(self) -> bool:
        """Whether it may be that the package is not wanted."""
        return "when" in self.unseen


def read_spec(text: str) -> LongSpec:
    """What is to be done with ``text``. Raises :class:`MalformedSpecError`."""
    text = text.strip()
    if "::" not in text and (text.endswith((".conda", ".tar.bz2")) or _URL.fullmatch(text)):
        return _of_url(text, text)
    brackets = _BRACKETS.fullmatch(text)
    if brackets is None:
        if set("[]") & set(text):
            raise MalformedSpecError(f"`{text}` has an unmatched bracket")
        if "(" in text:
            raise MalformedSpecError(f"`{text}` has parentheses; write `name >=1,<2`, or `name[version='>=1,<2']`")
        if re.search(r";\s*if\b|\s+if\s", text):
            raise MalformedSpecError(f"`{text}` has a condition; write it as `name[when='…']`")
        if re.search(r";|\s@\s|^\w+\+\w+://", text):
            raise MalformedSpecError(f"`{without_credentials(text)}` is for pip; write it below `- pip:`")
        if single := re.fullmatch(r"([\w./-]+):\s*([^:\s/].*)", text):
            raise MalformedSpecError(f"`{text}` has a single colon; write `{single[1]}::{single[2]}`")
        if "===" in text:
            raise MalformedSpecError(f"`{text}` has `===`, which is pip's; write `{text.replace('===', '==')}`")
        return _named(text, text)
    return _bracketed(text, brackets["head"].strip(), _pairs(text, brackets["keys"]))


def _named(text: str, rest: str) -> LongSpec:
    """A spec without keys; of the channel that it may name conda-lock keeps a short name."""
    channel, separator, name = rest.partition("::")
    if separator and _DEFAULTS.fullmatch(channel):
        raise MalformedSpecError(
            f"`{text}` names the channel `defaults`, which stands for two channels; write `pkgs/main::{name}`, or "
            f"`pkgs/r::{name}`"
        )
    if separator and (found := _SUBDIR.fullmatch(channel)):
        inside = f"{found['channel']}::{name}[subdir={found['subdir']}]"
        return LongSpec(text=text, shown=text, whole=inside, unseen=("subdir",))
    if separator and (found := _ANACONDAS.fullmatch(channel)):
        return LongSpec(
            text=text, shown=text, whole=f"https://repo.anaconda.com/{found[1]}::{name}", unseen=("channel",)
        )
    return LongSpec(text=text, shown=text)


def _pairs(text: str, keys: str) -> dict[str, str]:
    """The keys between the brackets with their values, quotes and all."""
    found: dict[str, str] = {}
    place = 0
    while keys[place:].strip():
        pair = _PAIR.match(keys, place)
        if re.fullmatch(r"[\w\s,.-]+", keys):
            raise MalformedSpecError(
                f"`{text}`: an extra of a wheel belongs below `- pip:`, one of a conda package is `[extras=[{keys}]]`"
            )
        if pair is None or not pair["value"]:
            raise MalformedSpecError(
                f"`{text}` has a syntax error at `{keys[place:].strip()}`; write `[key='value', …]`, with quotes "
                "around a value that has commas"
            )
        key, place = pair["key"], pair.end()
        if key in found:
            raise MalformedSpecError(f"`{text}` has `{key}` twice")
        if key not in (*_PASSED_ON, *_SOLVED):
            raise MalformedSpecError(
                f"`{text}` has the key `{key}`, which is not supported; supported keys: "
                f"{', '.join(sorted((*_PASSED_ON, *_SOLVED)))}"
            )
        found[key] = pair["value"]
    return found


def _bracketed(text: str, head: str, pairs: dict[str, str]) -> LongSpec:
    channel, separator, rest = head.rpartition("::")
    if subdir := _SUBDIR.fullmatch(channel):
        if "subdir" in pairs:
            raise MalformedSpecError(f"`{text}` has `subdir` before and inside the brackets; remove one")
        channel, pairs = subdir["channel"], pairs | {"subdir": subdir["subdir"]}
    name, *given = rest.split(None, 2) or [""]
    name, operator = re.findall("^([^=<>!~]*)([=<>!~]*)", name)[0]
    if not re.fullmatch(r"[\w.-]+", name):
        raise MalformedSpecError(f"`{text}` does not start with a package name")
    outside = {"version": bool(given or operator), "build": len(given) > 1, "channel": bool(separator)}
    if twice := [key for key, is_given in outside.items() if is_given and key in pairs]:
        raise MalformedSpecError(f"`{text}` has `{twice[0]}` before and inside the brackets; remove one")
    if "url" in pairs:
        if others := sorted({*pairs} - {"url", "md5", "sha256"}):
            raise MalformedSpecError(f"`{text}` has `url`, which makes `{'`, `'.join(others)}` redundant")
        return _of_url(text, _unquoted(pairs["url"]), name, {k: v for k, v in pairs.items() if k != "url"})
    kept = [f"{key}={value}" for key, value in pairs.items() if key in _PASSED_ON]
    shown = head + (f"[{','.join(kept)}]" if kept else "")
    if "fn" in pairs:
        pairs = _by_file(text, name, pairs, outside)
    unseen = tuple(sorted(key for key in pairs if key not in _PASSED_ON))
    channel = _unquoted(pairs.pop("channel", channel))
    named = _named(text, f"{channel}::{name}") if channel else None
    if not unseen and (named is None or named.whole is None):
        return LongSpec(text=text, shown=shown)
    if named is not None and named.whole is not None:
        channel, unseen = named.whole.rpartition("::")[0], (*unseen, "channel")
    inside = ",".join(f"{key}={value}" for key, value in pairs.items())
    whole = f"{channel}::{rest}" if channel else rest
    return LongSpec(text=text, shown=shown, whole=whole + (f"[{inside}]" if inside else ""), unseen=unseen)


def _by_file(text: str, name: str, pairs: dict[str, str], outside: dict[str, bool]) -> dict[str, str]:
    """With the version and the build that a file's name says."""
    file = _FILE.fullmatch(_unquoted(pairs["fn"]))
    if file is None or file["name"] != name.lower():
        raise MalformedSpecError(f"`{text}`: `fn` is not a file of {name}")
    said = {"version": f'"=={file["version"]}"', "build": f'"{file["build"]}"'}
    if twice := [key for key in said if outside[key] or key in pairs]:
        raise MalformedSpecError(f"`{text}` has `fn`, which already implies its {twice[0]}; remove one")
    return said | pairs


def _of_url(text: str, url: str, name: str = "", digests: dict[str, str] | None = None) -> LongSpec:
    """The package at a URL: its version and build, from that channel."""
    found, safe = _URL.fullmatch(url), without_credentials(text)
    if found is None:
        kind = "no URL of a package in a channel" if "://" in url else "a file"
        raise MalformedSpecError(
            f"`{safe}` is {kind}; name the file in [bundle] inject of bundle.toml, the package here"
        )
    file = _FILE.fullmatch(found["file"])
    if file is None or (name and file["name"] != name.lower()):
        raise MalformedSpecError(f"`{safe}` is no URL of a conda package{f' {name}' if name else ''}")
    if safe != text:
        raise MalformedSpecError(
            f"`{safe}` has a credential; write `{file['name']} =={file['version']} {file['build']}`"
        )
    if digest := found["digest"]:
        algorithm = _DIGESTS.get(len(digest.rpartition(":")[2]))
        if algorithm is None or digests:
            raise MalformedSpecError(f"`{text}` ends in a digest that is neither an MD5 nor a SHA-256")
        digests = {algorithm: digest.rpartition(":")[2]}
    keys: dict[str, str] = {"version": f'"=={file["version"]}"', "build": f'"{file["build"]}"'}
    keys |= {"subdir": found["subdir"], **(digests or {})}
    inside = ",".join(f"{key}={value}" for key, value in keys.items())
    return LongSpec(
        text=text,
        shown=name or text.partition("#")[0],
        whole=f"{found['channel']}::{file['name']}[{inside}]",
        unseen=("url", *sorted(digests or {})),
    )


def _unquoted(value: str) -> str:
    return value[1:-1] if value[:1] in {'"', "'"} else value
