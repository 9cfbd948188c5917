"""Labels of an answer: how they are asked for, and how a reply tells which one a model gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

ANSWER: Final = "answer"
"""Property that holds the label in an answer in JSON."""
SCHEMA_TOKENS: Final = 32
"""Tokens for the JSON around a label."""
_SPACE_MARKS: Final = "\u2581\u0120\u010a"
"""How tokenizers write a leading space or a newline."""
_MIN_LOGPROB: Final = -700.0


class LabelReading(StrEnum):
    """How a deployment tells which of several labels a model answers."""

    LOGPROB_TOKEN_IDS = "logprob_token_ids"  # noqa: S105 - a way of asking, not a secret
    """Log-probabilities of exactly the labels' tokens (vLLM)."""
    TOP_LOGPROBS = "top_logprobs"
    """Log-probabilities of the likeliest tokens, the labels raised among them by an equal bias where their ids are
    known."""
    GENERATIVE_SCORING = "generative_scoring"
    """vLLM's route that scores the labels' tokens, with one request for each label."""
    JSON_SCHEMA = "json_schema"
    """No probabilities: the server enforces an answer that is one of the labels."""
    TEXT = "text"
    """No probabilities: the label is read from the text."""

    @property
    def gives_probabilities(self) -> bool:
        """Whether a reply has `label_probabilities`."""
        return self not in (LabelReading.JSON_SCHEMA, LabelReading.TEXT)


def schema_of(labels: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of an answer that is one of the labels."""
    return {
        "type": "object",
        "properties": {ANSWER: {"type": "string", "enum": list(labels)}},
        "required": [ANSWER],
        "additionalProperties": False,
    }


def label_in_json(labels: Sequence[str], text: str) -> str | None:
    """Return the label of an answer in JSON; `None` if it has none."""
    try:
        answer = msgspec.json.decode(text.strip().removeprefix("```json").strip("` \n"))
    except (ValueError, RecursionError):
        return None
    value = answer.get(ANSWER) if isinstance(answer, dict) else answer
    return match_label(labels, str(value)) if isinstance(value, str | int) else None


def label_in_text(labels: Sequence[str], text: str) -> str | None:
    """Return the only label that a text begins with, or that is a word of it; `None` if there is none or several.

    Of a text without any reasoning, so nothing is guessed: "2" and "Relevance: 2" are 2, "2 or 3" and "12" are none.
    """
    words = [word.strip("*_`'\"()[]{}<>.,:;!#-").casefold() for word in text[:200].split()]
    found = dict.fromkeys(label for label in labels if label.casefold() in words)
    return next(iter(found)) if len(found) == 1 else None


def match_label(labels: Sequence[str], token: str) -> str | None:
    """Return the label that a token spells, whatever its case and the white space around it; `None` if none."""
    spelled = token.strip().strip(_SPACE_MARKS).strip().casefold()
    return next((label for label in labels if label.casefold() == spelled), None)


def label_probabilities(
    labels: Sequence[str], tokens: Iterable[tuple[str, float]], label_of_id: Mapping[str, str] | None = None
) -> list[float] | None:
    """Sum the probabilities of all tokens that spell a label.

    Args:
        labels: n labels.
        tokens: Distinct tokens with their log-probabilities; -9999 and below stand for next to nothing.
        label_of_id: Labels by `token_id:NUMBER`, as servers write tokens that are asked for by id.

    Returns:
        n probabilities, 0 to 1; `None` if no token spells a label.
    """
    sums = dict.fromkeys(labels, 0.0)
    is_found = False
    for token, logprob in tokens:
        label = (label_of_id or {}).get(token) or match_label(labels, token)
        if label is not None and logprob <= 1e-3 and not math.isnan(logprob):
            sums[label] += math.exp(min(logprob, 0.0)) if logprob > _MIN_LOGPROB else 0.0
            is_found = True
    found = [min(sums[label], 1.0) for label in labels]
    return found if is_found and any(found) else None
