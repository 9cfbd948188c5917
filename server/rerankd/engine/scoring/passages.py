"""Documents longer than a model's window, cut into overlapping passages; the best passage counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rerankd.engine.scoring.planner import settings_key
from rerankd.engine.scoring.tokens import TokenCounter
from rerankd_adapters.base import Capabilities

OVERLAP: Final = 0.1
"""Share of a passage that the next one repeats, so that what stands across a border is whole in one of them."""
SPECIAL_TOKENS: Final = 8
"""Allowed for what a model puts around query and document."""
LEAST_ROOM_TOKENS: Final = 16
"""Room for a document below which cutting makes no sense."""
_SEARCHED: Final = 0.2
"""Share of a passage, at its end, in which a better place to cut is sought."""
_SENTENCE_ENDS: Final = (". ", "! ", "? ", "\n", "。", "！", "？")  # noqa: RUF001
_FIRST_GUESS_CHARACTERS: Final = 4
"""Characters of a token, until the text itself has told."""
_SAMPLE_CHARACTERS: Final = 12
"""Characters a token of which hold more than the window in any usual text: what is counted of a long one."""
_FIT_STEPS: Final = 12
"""Counts made to find how much text fills a passage; two or three are usual."""
_FULL: Final = 0.95
"""Share of its room that a passage has to fill for the search to end."""
_AIM: Final = 0.98
"""Share of its room that each guess aims at."""


@dataclass(frozen=True, slots=True)
class Passages:
    """What is scored in place of the documents of a request."""

    texts: Sequence[str]
    """m texts, m >= n, those of one document together and in its order."""
    owners: Sequence[int]
    """Position in the request of the document each text is from; ascending, every document at least once."""
    warnings: Sequence[str] = ()
    """Sentences for the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageRules:
    """What the caller wants of long documents."""

    max_passages: int = 1
    """Passages a document may be cut into (`max_chunks_per_doc` on the wire)."""
    max_tokens_per_doc: int | None = None
    """A document is shortened to these tokens before it is cut."""
    keeps_end: bool = False
    """Whether what is too much goes from the start of a document (truncation `START`), not from its end."""


def cut(
    name: str,
    query: str,
    documents: Sequence[str],
    capabilities: Capabilities,
    rules: PassageRules,
    counter: TokenCounter,
) -> Passages:
    """Cut the documents that are longer than the model's window.

    Passages end at the end of a sentence or at white space where one is near. What lies beyond the passages a document
    may have is not read: its end, or its start where the caller wants that. Documents that fit, and all documents of
    a model that sees to them itself, stay.

    Args:
        name: Public name of the model, for the warnings: `provider/model`.
        query: Takes its part of the window.
        documents: n texts, n >= 1.
        capabilities: `max_tokens_per_document` is the window.
        rules: What the caller wants.
        counter: Counts tokens; no more of a document is counted than its passages can hold.
    """
    whole = Passages(documents, range(len(documents)))
    if rules.max_passages <= 1 or capabilities.cuts_passages:
        return whole
    if capabilities.max_tokens_per_document is None:
        key = settings_key(name, "max_tokens_per_document")
        return Passages(
            documents,
            whole.owners,
            [f"max_chunks_per_doc was ignored: the context window of {name} is not known; set {key}"],
        )
    room = capabilities.max_tokens_per_document - counter.count(query) - SPECIAL_TOKENS
    if room < LEAST_ROOM_TOKENS:
        return Passages(
            documents, whole.owners, [f"max_chunks_per_doc was ignored: the query fills the window of {name}"]
        )
    return _cut_all(documents, room, rules, counter)


def _cut_all(documents: Sequence[str], room: int, rules: PassageRules, counter: TokenCounter) -> Passages:
    texts: list[str] = []
    owners: list[int] = []
    shortened = 0
    for owner, document in enumerate(documents):
        pieces, is_whole = _pieces(document, room, rules, counter)
        texts += pieces
        owners += [owner] * len(pieces)
        shortened += not is_whole
    warnings = []
    if shortened:
        warnings.append(
            f"{shortened} of {len(documents)} documents are longer than {rules.max_passages} passages of"
            f" {room} tokens and were truncated; raise max_chunks_per_doc to score all of their text"
        )
    return Passages(texts, owners, warnings)


def _pieces(document: str, room: int, rules: PassageRules, counter: TokenCounter) -> tuple[list[str], bool]:
    """Return the passages of one document and whether they hold all of what is asked for."""
    if _fits(document, room, counter):
        return [document], True
    limit = rules.max_tokens_per_doc
    if limit is not None and limit <= room:
        return [document], True
    if limit is not None and not _fits(document, limit, counter):
        document = _shorten(document, limit, rules, counter)
    if not rules.keeps_end:
        spans = cut_text(document, room, rules.max_passages, counter)
        return [document[start:end] for start, end in spans], spans[-1][1] == len(document)
    tail = document[-rules.max_passages * room * _SAMPLE_CHARACTERS :]
    spans = cut_text(tail, room, len(tail), counter)
    is_whole = len(spans) <= rules.max_passages and len(tail) == len(document)
    return [tail[start:end] for start, end in spans[-rules.max_passages :]], is_whole


def _shorten(document: str, tokens: int, rules: PassageRules, counter: TokenCounter) -> str:
    if rules.keeps_end:
        return document[-_fitting(document, 0, tokens, counter, from_end=True) :]
    return document[: _fitting(document, 0, tokens, counter)]


def cut_text(text: str, tokens: int, most: int, counter: TokenCounter) -> list[tuple[int, int]]:
    """Cut one text into overlapping passages.

    Args:
        text: At least one character.
        tokens: Most tokens of a passage, at least 1; a single character may have more.
        most: Most passages, at least 1.
        counter: Counts tokens.

    Returns:
        1 to `most` spans (start, end) in text order; the first starts at 0, each other inside the one before and
        later than it; they reach the end of the text unless there are `most`.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    while True:
        end = _fitting(text, start, tokens, counter)
        if end < len(text):
            end = _better_end(text, start, end)
        spans.append((start, end))
        if end == len(text) or len(spans) == most:
            return spans
        start = _next_start(text, start, end)


def _fits(text: str, tokens: int, counter: TokenCounter) -> bool:
    if 4 * len(text) <= tokens:
        return True
    sample = text[: tokens * _SAMPLE_CHARACTERS]
    if counter.count(sample) > tokens:
        return False
    return len(sample) == len(text) or counter.count(text) <= tokens


def _fitting(text: str, start: int, tokens: int, counter: TokenCounter, *, from_end: bool = False) -> int:
    """Return an end such that `text[start:end]` has at most `tokens` tokens, or one character, and few less.

    With `from_end` both places are counted back from the end of the text.
    """
    fits, over = start + 1, len(text) + 1
    end = min(len(text), start + tokens * _FIRST_GUESS_CHARACTERS)
    for _ in range(_FIT_STEPS):
        counted = counter.count(text[len(text) - end : len(text) - start] if from_end else text[start:end])
        if counted > tokens:
            over = end
        else:
            fits = max(fits, end)
            if end == len(text) or counted >= _FULL * tokens:
                break
        guess = start + math.floor((end - start) * tokens * _AIM / max(1, counted))
        end = min(max(guess, fits + 1), over - 1)
        if end <= fits:
            break
    return fits


def _better_end(text: str, start: int, end: int) -> int:
    """Move an end back to that of a sentence, else of a word, if there is one in the passage's last part."""
    earliest = end - math.floor((end - start) * _SEARCHED)
    found = max(text.rfind(mark, earliest, end) + len(mark) for mark in _SENTENCE_ENDS)
    if found > earliest:
        return min(found, end)
    space = text.rfind(" ", earliest, end)
    return space + 1 if space > start else end


def _next_start(text: str, start: int, end: int) -> int:
    """Return where the next passage starts: a little before `end`, at a word where one starts there."""
    latest = max(start + 1, end - math.floor((end - start) * OVERLAP))
    space = text.find(" ", latest, end)
    return space + 1 if space >= 0 and space + 1 < end else latest


def best(passages: Passages, scores: Sequence[float]) -> list[float]:
    """Return the score of each document: that of its best passage.

    Args:
        passages: What was scored.
        scores: One finite number a text, in the order of `passages.texts`: no `top_n` may have left any out.

    Returns:
        n scores in request order.

    Raises:
        ValueError: The number of scores is not that of the texts.
    """
    if len(scores) != len(passages.owners):
        raise ValueError(f"{len(scores)} scores for {len(passages.owners)} passages")
    found: list[float] = []
    for owner, score in zip(passages.owners, scores, strict=True):
        if owner == len(found):
            found.append(score)
        elif score > found[owner]:
            found[owner] = score
    return found
