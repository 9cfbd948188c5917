"""Validates provider replies: every document at most once, with a finite score; labels with probabilities."""

from __future__ import annotations

import math

from rerankd.contract.wording import counted
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply
from rerankd_adapters.call import R, RoutedCall
from rerankd_adapters.chat.adapter import ChatCall, ChatReply


def check_routed(call: RoutedCall[R], reply: R) -> None:
    """Check a reply against its call.

    Raises:
        AdapterError: `BAD_RESPONSE`; as `check_reply` and `check_chat_reply`.
    """
    if isinstance(call, ProviderCall) and isinstance(reply, ProviderReply):
        check_reply(reply, len(call.documents), call.top_n)
    elif isinstance(call, ChatCall) and isinstance(reply, ChatReply):
        check_chat_reply(reply, call)
    else:
        raise _bad_reply("it does not answer the call")


def check_chat_reply(reply: ChatReply, call: ChatCall) -> None:
    """Check the probabilities of a chat reply.

    Raises:
        AdapterError: `BAD_RESPONSE` unless there is one probability, 0 to 1, for each label, and one above 0.
    """
    probabilities = reply.label_probabilities
    if probabilities is None:
        return
    if len(probabilities) != len(call.labels):
        raise _bad_reply(f"{counted(len(probabilities), 'probability', 'probabilities')} for {len(call.labels)} labels")
    if not all(0.0 <= each <= 1.0 for each in probabilities) or not any(probabilities):
        raise _bad_reply("the probability of a label is not a number from 0 to 1")


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
        raise _bad_reply(f"{len(indices)} indices for {counted(len(scores), 'score')}")
    needed = documents if top_n is None else min(top_n, documents)
    if not needed <= len(indices) <= documents:
        raise _bad_reply(f"{counted(len(indices), 'score')} for {counted(documents, 'document')}")
    if len(set(indices)) != len(indices):
        raise _bad_reply("duplicate index")
    if indices and not (min(indices) >= 0 and max(indices) < documents):
        raise _bad_reply(f"index outside 0..{documents - 1}")
    if not all(map(math.isfinite, scores)):
        raise _bad_reply("a score is not a finite number")


def _bad_reply(what: str) -> AdapterError:
    return AdapterError(AdapterErrorKind.BAD_RESPONSE, f"invalid reply: {what}")
