"""Validates provider replies: every document at most once, with a finite score."""

from __future__ import annotations

import math

from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderReply


def check_reply(reply: ProviderReply, documents: int, top_n: int | None = None) -> None:
    """Check indices and scores of a reply.

    Args:
        reply: The provider's reply.
        documents: Number of documents of the call.
        top_n: Results the call requested; a reply may omit the rest.

    Raises:
        AdapterError: `BAD_RESPONSE` for a wrong number of scores, an index that is a duplicate or out of range, or a
            score that is not finite.
    """
    indices, scores = reply.indices, reply.scores
    if len(indices) != len(scores):
        raise _bad_reply(f"{len(indices)} indices for {len(scores)} scores")
    needed = documents if top_n is None else min(top_n, documents)
    if not needed <= len(indices) <= documents:
        raise _bad_reply(f"{len(indices)} scores for {documents} documents")
    if len(set(indices)) != len(indices):
        raise _bad_reply("duplicate index")
    if indices and not (min(indices) >= 0 and max(indices) < documents):
        raise _bad_reply(f"index outside 0..{documents - 1}")
    if not all(map(math.isfinite, scores)):
        raise _bad_reply("a score is not a finite number")


def _bad_reply(what: str) -> AdapterError:
    return AdapterError(AdapterErrorKind.BAD_RESPONSE, f"invalid reply: {what}")
