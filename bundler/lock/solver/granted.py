"""Convert specs for rattler, check what it ignores in them, and return placeholders for packages not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rattler import Channel, MatchSpec
from rattler.exceptions import InvalidChannelError, InvalidMatchSpecError

from bundler.lock.solver.absent import absent_package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rattler import RepoDataRecord

    from bundler.lock.solver.sources import Source

__all__ = ["UnreadableSpecError", "absent", "match_spec", "not_granted", "whole_specs"]


class UnreadableSpecError(ValueError):
    """A spec that rattler cannot use, with the reason."""


def whole_specs(texts: Iterable[str], whole: Mapping[str, str], sources: Sequence[Source]) -> Iterator[MatchSpec]:
    """The specs ``texts`` from conda-lock; those that it has truncated are replaced with the ``whole`` ones, by name.

    Raises :class:`UnreadableSpecError`.
    """
    for text in texts:
        spec = match_spec(text, sources)
        given = whole.get(spec.name.normalized)
        yield match_spec(given, sources, strict=True) if given else spec


def match_spec(text: str, sources: Iterable[Source], *, strict: bool = False) -> MatchSpec:
    """A spec with its channel's full URL, of which conda-lock keeps only the last part.

    No package matches a channel that is not in ``sources``; if ``strict``, it is an error. Raises
    :class:`UnreadableSpecError`.
    """
    channel, separator, rest = text.partition("::")
    separator = "" if "[" in channel else separator
    base = next((source.base for source in sources if separator and _is_called(source, channel)), None)
    if separator and base is None and strict:
        raise UnreadableSpecError(f"`{text}`: the channel {channel} is not one of the channels in use")
    try:
        return MatchSpec(f"{base}::{rest}" if base else text)
    except InvalidMatchSpecError as invalid:
        raise UnreadableSpecError(f"`{text}` is not a valid match spec: {str(invalid).splitlines()[0]}") from invalid


def _is_called(source: Source, channel: str) -> bool:
    if source.public.endswith(f"/{channel}"):
        return True
    try:
        return "://" in channel and Channel(channel).base_url.rstrip("/") == source.public
    except InvalidChannelError:
        return False


def not_granted(specs: Iterable[MatchSpec], records: Iterable[RepoDataRecord]) -> Iterator[str]:
    """A sentence for each of ``specs`` that is not fulfilled because the solver ignored a part of it."""
    found = {record.name.normalized: record for record in records}
    for spec in specs:
        record = found.get(spec.name.normalized)
        if record is None:
            continue
        if spec.subdir and spec.subdir != record.subdir:
            yield (
                f"`{spec}`: the selected package, {record.file_name}, is in {record.subdir}; specify the build as well"
            )
        elif spec.file_name and spec.file_name != record.file_name:
            yield f"`{spec}`: the selected package is {record.file_name}"
        elif missing := sorted(set(spec.extras or ()) - set(record.extra_depends)):
            there = ", ".join(sorted(record.extra_depends)) or "none"
            yield f"`{spec}`: {record.file_name} has no extra {', '.join(missing)} (available: {there})"


def absent(specs: Iterable[MatchSpec], records: Iterable[RepoDataRecord]) -> list[dict[str, Any]]:
    """Placeholders for packages whose condition does not hold, since conda-lock expects one for each name."""
    there = {record.name.normalized for record in records}
    names = dict.fromkeys(spec.name.normalized for spec in specs if spec.condition)
    return [absent_package(name) for name in names if name not in there]
