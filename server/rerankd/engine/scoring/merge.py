"""Merges the replies to the chunks of one request."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from operator import add

from rerankd_adapters.base import ProviderReply


def merge_replies(parts: Sequence[tuple[range, ProviderReply]]) -> ProviderReply:
    """Merge the replies to the chunks of one request into one reply.

    Args:
        parts: n chunks, n >= 1, in request order: positions in the request, and the checked reply.
    """
    if len(parts) == 1:
        return parts[0][1]
    replies = [reply for _, reply in parts]
    costs = [reply.cost_usd for reply in replies]
    return ProviderReply(
        indices=list(chain.from_iterable(map(add, reply.indices, repeat(chunk.start)) for chunk, reply in parts)),
        scores=list(chain.from_iterable(reply.scores for reply in replies)),
        model=replies[0].model,
        prompt_tokens=sum(reply.prompt_tokens for reply in replies),
        completion_tokens=sum(reply.completion_tokens for reply in replies),
        search_units=sum(reply.search_units for reply in replies),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        warnings=list(dict.fromkeys(warning for reply in replies for warning in reply.warnings)),
        stages=[stage for reply in replies for stage in reply.stages],
    )
