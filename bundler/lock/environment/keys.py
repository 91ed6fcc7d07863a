"""The keys of an environment.yml besides its dependencies: what they may hold, and which mean nothing here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundler.platforms import MACHINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["key_mistakes", "keys_passed_over"]

_KNOWN = (
    *("name", "prefix", "channels", "dependencies", "variables", "platforms", "category"),
    *("pip-repositories", "allow-pypi-requests"),
)


def key_mistakes(document: dict[str, Any]) -> Iterator[str]:
    """A sentence for each key whose value cannot be what it has to be."""
    if not isinstance(document.get("category"), (str, type(None))):
        yield f"`category:` is {document['category']!r}, and must be a single name"
    if "pip" in document:
        yield "`pip:` is a top-level key; move it into `dependencies:` as `- pip:`"
    channels = document.get("channels")
    if isinstance(channels, list) and channels.count("nodefaults") > 1:
        yield "`channels:` lists nodefaults twice; remove one"


def keys_passed_over(document: dict[str, Any], platforms: Sequence[str]) -> Iterator[str]:
    """A sentence for each key that a user may expect something of. Names such as `x-common` are for YAML's anchors."""
    for key in document:
        if key not in _KNOWN and not str(key).startswith(("x-", "_", ".", "<<")):
            yield f"`{key}:` is unknown here and is ignored"
    named = document.get("platforms")
    listed = [str(one) for one in named] if isinstance(named, list) else []
    if listed and set(MACHINES) & set(listed) != set(platforms):
        yield (
            f"`platforms:` lists {', '.join(listed)}, but the lockfile is for {', '.join(sorted(set(platforms)))}, "
            "set by [bundle] platforms in bundle.toml or --platform"
        )
