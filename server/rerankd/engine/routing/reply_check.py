"""What a reply must be before anybody uses it: every document once, with a finite score."""

from __future__ import annotations

import math

from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderReply


def check_reply(reply: ProviderReply, documents: int, top_n: int | None = None) -> None:
    """Raise unless the reply scores documents of the call, each once, with finite numbers.

    Args:
        reply: What the provider answered.
        documents: Documents in the call.
        top_n: Results the call asked for; a provider may leave out the rest.

    Raises:
        AdapterError: `BAD_RESPONSE`.
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
