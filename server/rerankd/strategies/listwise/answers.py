"""Identifiers of the documents of one call, and the order that an answer names them in.

Identifiers are two consonants, drawn anew for each call, so that a document cannot name itself or another one. An
answer is read by these rules: what precedes the last `</think>` is left out; every identifier that stands alone counts,
in whatever case and between whatever marks; the first of several mentions counts; documents that are not named follow
in the order so far. An answer that names less than half of the documents is no order.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

_LETTERS: Final = "bcdfghjklmnpqrstvwxz"
_WORDS: Final = (
    "cm db dc dj dr ft gb gp hp hr ht hz jr kb kg km lb lt mb mc md mg ml mm mp mr ms mt nd ns pc ph pm pp ps px qt rd"
    " rt sq sr st tb th tv vs xx"
)
"""Pairs that are words or units, and would stand in a text without being meant."""
_PAIRS: Final = tuple(pair for a in _LETTERS for b in _LETTERS if (pair := a + b) not in _WORDS)
MAX_WINDOW: Final = 100
"""Documents of one call at most; most of the pairs, some 350, name none."""
FIRST_TOKENS: Final = "ABCDEFGHIJKLMNOPQRST"
"""Identifiers where the order is read from the probabilities of the first token: servers tell of 20."""
MAX_FIRST_TOKEN_WINDOW: Final = len(FIRST_TOKENS)
_ALONE: Final = re.compile(r"(?<![^\W_])[a-z]{2}(?![^\W_])", re.IGNORECASE)
_MARKS: Final = re.compile(r"[\s\[\](){}<>\"'`,;:.>=*_\-\d]|ranking")
_THOUGHT: Final = "</think>"


class AnswerOutcome(StrEnum):
    """What became of one answer; the first that is true of it."""

    UNUSABLE = "unusable"
    """It names less than half of the documents."""
    WRONG_FORMAT = "wrong_format"
    """It has other words, or identifiers of no document."""
    REPETITION = "repetition"
    """It names a document twice."""
    MISSING = "missing"
    """It does not name all documents."""
    OK = "ok"


class AnswerReading(NamedTuple):
    """One answer as it is read."""

    order: Sequence[int]
    """All documents, best first: n positions in the window."""
    outcome: AnswerOutcome
    named: int
    """Documents that the answer names."""


def draw_ids(count: int, draw: random.Random) -> list[str]:
    """Return n different identifiers, n <= `MAX_WINDOW`."""
    return draw.sample(_PAIRS, count)


def read_answer(text: str, ids: Sequence[str], behind: Sequence[int]) -> AnswerReading:
    """Read the order of n documents in an answer.

    Args:
        text: The answer.
        ids: n identifiers, in the order in which the model has read the documents.
        behind: The n positions in the order in which those that are not named follow the others.
    """
    text = unicodedata.normalize("NFKC", text.rpartition(_THOUGHT)[2])
    position_of: Mapping[str, int] = {each: position for position, each in enumerate(ids)}
    mentions = [position_of.get(found[0].lower()) for found in _ALONE.finditer(text)]
    named = list(dict.fromkeys(position for position in mentions if position is not None))
    order = [*named, *(position for position in behind if position not in set(named))]
    return AnswerReading(order, _outcome(text, mentions, len(named), len(ids)), len(named))


def _outcome(text: str, mentions: Sequence[int | None], named: int, count: int) -> AnswerOutcome:
    if 2 * named < count:
        return AnswerOutcome.UNUSABLE
    if None in mentions or _MARKS.sub("", _ALONE.sub("", text).lower()):
        return AnswerOutcome.WRONG_FORMAT
    if len(mentions) > named:
        return AnswerOutcome.REPETITION
    return AnswerOutcome.MISSING if named < count else AnswerOutcome.OK


def read_probabilities(probabilities: Sequence[float], behind: Sequence[int]) -> AnswerReading:
    """Read the order of n documents in the probabilities of the first token of an answer.

    Args:
        probabilities: n probabilities of the documents' identifiers; 0 for one that the server does not tell.
        behind: As in `read_answer`.
    """
    named = [position for position in behind if probabilities[position] > 0]
    order = sorted(named, key=probabilities.__getitem__, reverse=True)
    order += [position for position in behind if probabilities[position] <= 0]
    count = len(probabilities)
    outcome = (
        AnswerOutcome.UNUSABLE
        if 2 * len(named) < count
        else AnswerOutcome.MISSING
        if len(named) < count
        else AnswerOutcome.OK
    )
    return AnswerReading(order, outcome, len(named))
