"""Explain rattler's error messages to the author of an environment.yml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bundler.fetch.trust import certificate_hint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["explain_channel", "explain_unsatisfiable", "without_candidates"]


def without_candidates(text: str) -> tuple[str, ...]:
    """The specs without any package, from the solver's tree of reasons."""
    found = re.findall(r"No candidates were found for (\S.*?)\.?$", text, re.MULTILINE)
    found += re.findall(r"(?:─ |^)(\w.*?), for which no candidates were found", text, re.MULTILINE)
    return tuple(dict.fromkeys(spec.strip() for spec in found if not spec.startswith("__")))


def explain_unsatisfiable(
    text: str,
    *,
    platform: str,
    virtual: Mapping[str, str],
    channels: Sequence[str],
    elsewhere: Mapping[str, Sequence[str]],
) -> str:
    """The solver's tree of reasons, with additional information.

    That is the channels that were searched, the virtual packages, and ``elsewhere``: the other platforms that have a
    missing package, by its spec.
    """
    tree = text.removeprefix("Cannot solve the request because of: ").strip()
    lines = [re.sub(r"(?<=\S) \*(?=[ ,.])", "", tree)]
    for name in sorted(set(re.findall(r"\b__\w+", tree))):
        have = f"{name} is {virtual[name]}" if name in virtual else f"{name} is not available"
        lines.append(
            f"On {platform} {have}; [platforms.{platform}] in bundle.toml, or --virtual-packages, can say otherwise."
        )
    for spec, platforms in elsewhere.items():
        name = spec.removesuffix(" *")
        lines.append(f"The channels have {name} for {', '.join(platforms)}, but not for {platform}.")
    if "No candidates were found" in tree:
        lines.append(f"Channels searched: {', '.join(channels)}.")
    return "\n".join(lines)


def explain_channel(text: str, *, channel: str) -> str:
    """One sentence about a channel that cannot be read; ``text`` is rattler's chain of causes, one per line."""
    causes = [line.removeprefix("Caused by: ") for line in text.strip().splitlines()]
    detail = f"{causes[0]} ({causes[-1]})" if len(causes) > 1 else causes[0]
    if "certificate" in causes[-1].lower():
        detail += f"; {certificate_hint()}"
    if "could not find subdir" in text:
        return f"no channel {channel}: it has no noarch/repodata.json"
    if refused := re.search(r"\b(401|403) \w+", text):
        return f"channel {channel} denies access ({refused[0]})"
    if "parse" in text or "deserialize" in text:
        return f"channel {channel} is corrupted: {detail}"
    return f"channel {channel} cannot be reached: {detail}"
