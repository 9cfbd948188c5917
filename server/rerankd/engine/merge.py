"""From a provider's reply to the caller's ranking."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence

from rerankd.errors import Reason, ServiceError
from rerankd_adapters.base import ProviderReply

RankedPair = tuple[float, int]
"""(negated relevance score, index): sorts best first, equal scores by index."""


def check_reply(reply: ProviderReply, documents: int, provider: str, top_n: int | None = None) -> None:
    """Raise unless the reply scores documents of the call, each once, with finite numbers.

    Args:
        reply: What the provider answered.
        documents: Documents in the call.
        provider: Named in the error.
        top_n: Results the call asked for; a provider may leave out the rest.

    Raises:
        ServiceError: `PROVIDER_BAD_RESPONSE`.
    """
    indices, scores = reply.indices, reply.scores
    if len(indices) != len(scores):
        raise _bad_reply(provider, f"{len(indices)} indices for {len(scores)} scores")
    needed = documents if top_n is None else min(top_n, documents)
    if not needed <= len(indices) <= documents:
        raise _bad_reply(provider, f"{len(indices)} scores for {documents} documents")
    if len(set(indices)) != len(indices):
        raise _bad_reply(provider, "an index twice")
    if indices and not (min(indices) >= 0 and max(indices) < documents):
        raise _bad_reply(provider, f"an index outside 0..{documents - 1}")
    if not all(map(math.isfinite, scores)):
        raise _bad_reply(provider, "a score that is not a finite number")


def _bad_reply(provider: str, what: str) -> ServiceError:
    return ServiceError(
        Reason.PROVIDER_BAD_RESPONSE,
        f"provider {provider} broke its contract: it answered {what}",
        metadata={"provider": provider, "fault": what},
    )


def join(parts: Sequence[tuple[range, ProviderReply]]) -> ProviderReply:
    """Join the replies to the chunks of one request into the reply to all of it.

    Args:
        parts: Positions in the request and the checked reply of each chunk, n >= 1, in request order.
    """
    if len(parts) == 1:
        return parts[0][1]
    replies = [reply for _, reply in parts]
    costs = [reply.cost_usd for reply in replies]
    return ProviderReply(
        indices=[chunk.start + index for chunk, reply in parts for index in reply.indices],
        scores=[score for reply in replies for score in reply.scores],
        model=replies[0].model,
        prompt_tokens=sum(reply.prompt_tokens for reply in replies),
        completion_tokens=sum(reply.completion_tokens for reply in replies),
        search_units=sum(reply.search_units for reply in replies),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        warnings=list(dict.fromkeys(warning for reply in replies for warning in reply.warnings)),
        stages=[stage for reply in replies for stage in reply.stages],
    )


def rank(
    indices: Sequence[int], scores: Sequence[float], top_n: int | None, threshold: float | None
) -> list[RankedPair]:
    """Order by (-score, index), drop scores below `threshold`, keep the first `top_n`."""
    pairs: Iterable[RankedPair] = zip((-score for score in scores), indices, strict=True)
    if threshold is not None:
        pairs = [pair for pair in pairs if -pair[0] >= threshold]
    if top_n is not None and top_n * 8 < len(indices):
        return heapq.nsmallest(top_n, pairs)
    return sorted(pairs)[:top_n]
