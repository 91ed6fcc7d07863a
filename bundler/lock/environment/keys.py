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
        yield f"`category:` is {document['category']!r}, and has to be one name"
    if "pip" in document:
        yield "`pip:` stands beside `dependencies:`; write it in that list, as `- pip:`"
    channels = document.get("channels")
    if isinstance(channels, list) and channels.count("nodefaults") > 1:
        yield "`channels:` names nodefaults twice; leave out one"


def keys_passed_over(document: dict[str, Any], platforms: Sequence[str]) -> Iterator[str]:
    """A sentence for each key that a user may expect something of. Names such as `x-common` are for YAML's anchors."""
    for key in document:
        if key not in _KNOWN and not str(key).startswith(("x-", "_", ".", "<<")):
            yield f"`{key}:` means nothing here and is passed over"
    named = document.get("platforms")
    listed = [str(one) for one in named] if isinstance(named, list) else []
    if listed and set(MACHINES) & set(listed) != set(platforms):
        yield (
            f"`platforms:` has {', '.join(listed)}; what is locked for is {', '.join(sorted(set(platforms)))}, "
            "by [bundle] platforms in bundle.toml or --platform"
        )
