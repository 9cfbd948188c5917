"""The longest useful wait for a deployment, from the latency learnt of it and of its peers."""

from __future__ import annotations

from typing import Final

from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.settings import AdaptiveTimeoutSettings

_CUT_OFF_BEFORE_DOUBLING: Final = 4
"""Attempts ended one after the other before the limit doubles."""
_MAX_DOUBLINGS: Final = 10


def limit_s(deployment: Deployment, size: int, options: AdaptiveTimeoutSettings) -> float:
    """Return the limit of an attempt in seconds, from the latency learnt of replies to calls of this size.

    It allows for what the fastest answering peer needs, so a model that became slow everywhere is not cut off. Without
    a peer that could answer, the limit doubles with each attempt beyond four that it has ended since the last reply.

    Args:
        deployment: The attempt's.
        size: Of the chunk, by its `size`.
        options: Of the model.
    """
    learnt = deployment.latency_by_size
    usual_s = learnt.high_s(size) or 0.0
    if deployment.peers:
        usual_s = max(usual_s, _fastest_s(deployment, size))
    limited_s = max(options.multiple * usual_s, options.min_s if learnt.is_settled else options.initial_s)
    doublings = deployment.cut_off - _CUT_OFF_BEFORE_DOUBLING
    if doublings > 0 and deployment.is_last_available:
        limited_s *= 2.0 ** min(doublings, _MAX_DOUBLINGS)
    return min(limited_s, options.max_s)


def _fastest_s(deployment: Deployment, size: int) -> float:
    """Return what the fastest peer that answers needs for a call of a size, in seconds; 0 if that is not known."""
    answering = [peer for peer in deployment.peers if not peer.cut_off and not peer.breaker.is_tripped]
    return min((high_s for peer in answering if (high_s := peer.latency_by_size.high_s(size)) is not None), default=0.0)
