"""What is said of a file that is no environment.yml: what it seems to be, and what to do with it."""

from __future__ import annotations

import codecs
import re

import yaml

from bundler.config.lockfiles import EXPLICIT, UV, kind_of_text
from bundler.errors import ConfigError

__all__ = ["checked_encoding", "no_mapping", "not_yaml"]

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TOML = re.compile(r"(?:\s*#.*\n|\s*\n)*(?:\[\[?[\w.\"-]+\]\]?|[\w.\"-]+\s*=\s*[\"'\[{\d])")
_REMEDIES = {
    "unhashable key": "Write keys as plain strings.",
    "determine a constructor": "Remove the tag (!!…), and write its value as a plain string, list or mapping.",
}
_REQUIREMENT = re.compile(r"\s*(?:#.*|-[-\w]+\s.*|[\w.-]+(?:\[[\w,.\s-]+\])?\s*(?:[=<>!~;@].*)?)?")


def checked_encoding(data: bytes, name: str) -> bytes:
    """``data`` if it is UTF-8. Raises :class:`ConfigError`; ``name`` is the file's."""
    found = None
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        found = "UTF-32"
    elif data.startswith(_UTF_16):
        found = "UTF-16"
    elif b"\0" in data[:2]:
        found = "UTF-16BE" if data[:1] == b"\0" else "UTF-16LE"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        found = found or "an unknown encoding"
    if found is None:
        return data
    raise ConfigError(
        f"is encoded in {found}, not UTF-8",
        remedy="Save it as UTF-8, for instance with: "
        f"iconv -f {found if found.startswith('UTF') else 'LATIN1'} -t UTF-8 {name} > new.yml",
    )


def not_yaml(data: bytes, error: Exception) -> ConfigError:
    """The error for ``data`` that a YAML reader has refused."""
    text, reason = data.decode("utf-8-sig"), " ".join(str(error).split())
    if other := _other_format(text):
        return other
    if "{{" in text or "{%" in text:
        return ConfigError(
            "is a template with {{ … }} or {% … %}; templates are not rendered",
            remedy="Write the rendered text instead.",
        )
    if "but found another document" in reason:
        return ConfigError("contains several YAML documents; only one is allowed", remedy="Keep one of them.")
    plain = "not plain YAML" if isinstance(error, yaml.constructor.ConstructorError) else "not YAML"
    remedy = next((remedy for words, remedy in _REMEDIES.items() if words in reason), None)
    if _character(text, error) == "\t":
        remedy = "YAML does not allow tabs for indentation: use spaces."
    return ConfigError(f"{plain}: {reason}", remedy=remedy)


def _character(text: str, error: Exception) -> str:
    """Where the reader has stopped; empty if it does not say."""
    mark = getattr(error, "problem_mark", None)
    lines = text.splitlines()
    return lines[mark.line][mark.column : mark.column + 1] if mark and mark.line < len(lines) else ""


def no_mapping(data: bytes, document: object) -> ConfigError:
    """The error for ``data`` that is YAML, but no mapping."""
    if isinstance(document, str) and (other := _other_format(data.decode("utf-8-sig"))):
        return other
    kind = {list: "a list", str: "a text", type(None): "nothing"}.get(type(document), f"a {type(document).__name__}")
    return ConfigError(f"holds {kind}; expected a mapping with `channels:` and `dependencies:`")


def _other_format(text: str) -> ConfigError | None:
    kind = kind_of_text(text.encode())
    if kind is EXPLICIT:
        return ConfigError(
            "is an @EXPLICIT file, not an environment.yml", remedy="Set it as [bundle] lockfile in bundle.toml."
        )
    if _TOML.match(text):
        named = "a uv.lock or a pylock.toml" if kind is UV or "lock-version" in text else "TOML"
        return ConfigError(
            f"is {named}, not an environment.yml",
            remedy="Set another tool's lockfile as [bundle] lockfile; copy the channels and dependencies of a "
            "pyproject.toml or pixi.toml into an environment.yml.",
        )
    lines = text.splitlines()
    if any(line.strip() for line in lines) and all(_REQUIREMENT.fullmatch(line) for line in lines):
        return ConfigError(
            "is a pip requirements file, not an environment.yml",
            remedy="Write an environment.yml with python and, below `- pip:`, `-r` with this file's name.",
        )
    return None
