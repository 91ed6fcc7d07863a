"""Query channels for related channels and add these: the part of ``[channels] relations`` that uses the network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rattler.exceptions import GatewayError

from bundler.fetch.channels import public_url
from bundler.lock.solver.offline import asked_subdirs
from bundler.lock.solver.relations import Relations, RelationsError
from bundler.lock.solver.solving import Question, SolveError, answering
from bundler.lock.solver.sources import blame, find_source, make_gateway

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rattler.networking.fetch_repo_data import CacheAction

    from bundler.lock.solver.relations import Followed
    from bundler.lock.solver.sources import Source

__all__ = ["with_relations"]


async def with_relations(question: Question) -> tuple[Question, tuple[Followed, ...]]:
    """The question with related channels added, and the added channels. Raises :class:`SolveError`.

    They get only the credentials that rattler's own stores have for them.
    """
    sources = {public_url(source.public).rstrip("/"): source for source in question.sources}
    relations = Relations(named=tuple(sources))
    pending = list(sources)
    try:
        for channel in pending:
            for base, overrides in await _declared(sources[channel], question, relations):
                relations.add(channel, base, overrides)
            for stranger in relations.strangers():
                if stranger not in sources:
                    _refuse_credentials(stranger, sources)
                    sources[stranger] = find_source(stranger, {}, question.access)
                    pending.append(stranger)
        ordered = tuple(sources[channel] for channel in relations.order())
    except RelationsError as wrong:
        raise SolveError("relations", str(wrong)) from wrong
    return replace(question, sources=ordered), relations.followed()


def _refuse_credentials(stranger: str, sources: Mapping[str, Source]) -> None:
    """Refuse channels below one with a password, since that password would be sent to them."""
    for channel, source in sources.items():
        if source.own != public_url(source.own) and stranger.startswith(f"{channel}/"):
            raise RelationsError(
                f"channel {channel}, which has credentials, is named together with {stranger} below it"
            )


async def _declared(
    source: Source, question: Question, relations: Relations
) -> Sequence[tuple[str | None, str | None]]:
    """``base`` and ``overrides`` of each subdir that has them."""
    named_by = next((one.of for one in relations.followed() if one.channel == source.given), None)
    try:
        return await _asked(replace(question, sources=(source,)), check=named_by is not None)
    except SolveError as failed:
        if named_by is None:
            raise
        raise SolveError(failed.kind, f"{failed} (channel {named_by} names it)") from failed


async def _asked(question: Question, *, check: bool) -> Sequence[tuple[str | None, str | None]]:
    (source,) = await answering(question)
    action: CacheAction = "cache-or-fetch"
    while True:
        gateway = make_gateway([source], question.access, action)
        try:
            subdirs = asked_subdirs(source, question.platform, question.access)
            if check:  # a channel that does not exist has no relations
                await gateway.names(sources=[source.reached], platforms=subdirs, channel_relations="disabled")
            found = [await gateway.channel_relations(source.reached, subdir) for subdir in subdirs]
            return [(one.base, one.overrides) for one in found if one]
        except GatewayError as failed:
            if "304 Not Modified" in str(failed) and action != "no-cache":  # see solving
                action = "no-cache"
                continue
            _, reason = await blame(failed, [source], subdirs, question.access)
            elsewhere = source.elsewhere()
            if elsewhere is None:
                raise SolveError("channel", reason) from failed
            source = elsewhere
