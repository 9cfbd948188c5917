"""Cuts documents longer than a model's context window into overlapping passages; the best passage's score counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rerankd.engine.scoring.planner import settings_key
from rerankd.engine.scoring.tokens import TokenCounter
from rerankd_adapters.base import Capabilities

OVERLAP: Final = 0.1
"""Share of a passage repeated by the next one, so that a sentence across a boundary is complete in one of them."""
SPECIAL_TOKENS: Final = 8
"""Allowance for the special tokens a model adds to query and document."""
MIN_PASSAGE_TOKENS: Final = 16
"""Smallest passage; with less than this left beside the query, documents are not cut."""
_BOUNDARY_SEARCH_SHARE: Final = 0.2
"""Share of a passage, at its end, that is searched for the end of a sentence or word."""
_SENTENCE_ENDS: Final = (". ", "! ", "? ", "\n", "。", "！", "？")  # noqa: RUF001 - marks of other scripts
_EXPECTED_CHARS_PER_TOKEN: Final = 4
"""First guess, before any of the text is counted."""
_MAX_CHARS_PER_TOKEN: Final = 12
"""More than any usual text has. Bounds the characters that are counted of a long document."""
_MAX_FIT_STEPS: Final = 12
"""Token counts made to find the end of one passage; usually two or three."""
_MIN_FILL: Final = 0.95
"""Share of its tokens that a passage must use for the search to end."""
_TARGET_FILL: Final = 0.98
"""Share of its tokens that each guess aims at."""


@dataclass(frozen=True, slots=True)
class Passages:
    """The texts to score instead of a request's documents."""

    texts: Sequence[str]
    """m texts for n documents, m >= n, in document order and in text order within a document."""
    owners: Sequence[int]
    """m positions: the document of each text; ascending, every document at least once."""
    warnings: Sequence[str] = ()
    """For the caller, one sentence each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageRules:
    """The request's options for long documents."""

    max_passages: int = 1
    """Most passages of one document, at least 1 (`max_chunks_per_doc` on the wire)."""
    max_tokens_per_doc: int | None = None
    """Tokens a document is truncated to before it is cut; `None` without truncation."""
    keeps_end: bool = False
    """Whether documents are truncated at their start (truncation `START`) instead of their end."""


def cut_passages(
    name: str,
    query: str,
    documents: Sequence[str],
    capabilities: Capabilities,
    rules: PassageRules,
    counter: TokenCounter,
) -> Passages:
    """Cut the documents that are longer than the model's context window.

    Passages end at the end of a sentence or word if there is one near. A document that needs more than `max_passages`
    is truncated. Documents that fit are not cut, nor are those of a model whose provider cuts passages itself.

    Args:
        name: Public name of the model, for the warnings: `provider/model`.
        query: Its tokens are subtracted from the window.
        documents: n texts, n >= 1.
        capabilities: `max_tokens_per_document` is the context window.
        rules: The request's options.
        counter: Counts tokens, of each document at most as much text as its passages can hold.
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
    passage_tokens = capabilities.max_tokens_per_document - counter.count(query) - SPECIAL_TOKENS
    if passage_tokens < MIN_PASSAGE_TOKENS:
        return Passages(
            documents, whole.owners, [f"max_chunks_per_doc was ignored: the query fills the context window of {name}"]
        )
    return _cut_all(documents, passage_tokens, rules, counter)


def _cut_all(documents: Sequence[str], passage_tokens: int, rules: PassageRules, counter: TokenCounter) -> Passages:
    texts: list[str] = []
    owners: list[int] = []
    truncated = 0
    for owner, document in enumerate(documents):
        passages, is_whole = _passages_of(document, passage_tokens, rules, counter)
        texts += passages
        owners += [owner] * len(passages)
        truncated += not is_whole
    warnings = []
    if truncated:
        warnings.append(
            f"{truncated} of {len(documents)} documents are longer than {rules.max_passages} passages of"
            f" {passage_tokens} tokens and were truncated; raise max_chunks_per_doc to score all of their text"
        )
    return Passages(texts, owners, warnings)


def _passages_of(
    document: str, passage_tokens: int, rules: PassageRules, counter: TokenCounter
) -> tuple[list[str], bool]:
    """Return the passages of one document, and whether they cover all of it that was requested."""
    if fits_in(document, passage_tokens, counter):
        return [document], True
    limit = rules.max_tokens_per_doc
    if limit is not None and limit <= passage_tokens:
        return [document], True
    if limit is not None and not fits_in(document, limit, counter):
        document = truncate(document, limit, counter, keeps_end=rules.keeps_end)
    if not rules.keeps_end:
        spans = cut_spans(document, passage_tokens, rules.max_passages, counter)
        return [document[start:end] for start, end in spans], spans[-1][1] == len(document)
    tail = document[-rules.max_passages * passage_tokens * _MAX_CHARS_PER_TOKEN :]
    spans = cut_spans(tail, passage_tokens, len(tail), counter)
    is_whole = len(spans) <= rules.max_passages and len(tail) == len(document)
    return [tail[start:end] for start, end in spans[-rules.max_passages :]], is_whole


def truncate(document: str, tokens: int, counter: TokenCounter, *, keeps_end: bool = False) -> str:
    """Return the start of a text that is longer than `tokens` tokens, or its end."""
    if keeps_end:
        return document[-_fit_end(document, 0, tokens, counter, from_end=True) :]
    return document[: _fit_end(document, 0, tokens, counter)]


def cut_spans(text: str, tokens: int, max_spans: int, counter: TokenCounter) -> list[tuple[int, int]]:
    """Cut one text into overlapping passages.

    Args:
        text: At least one character.
        tokens: Maximum tokens of a passage, at least 1; a passage of one character may have more.
        max_spans: Maximum number of passages, at least 1.
        counter: Counts tokens.

    Returns:
        1 to `max_spans` spans (start, end) in text order. The first starts at 0; each further one starts inside the
        previous one. The last ends at the end of the text unless there are `max_spans`.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    while True:
        end = _fit_end(text, start, tokens, counter)
        if end < len(text):
            end = _snap_to_boundary(text, start, end)
        spans.append((start, end))
        if end == len(text) or len(spans) == max_spans:
            return spans
        start = _next_start(text, start, end)


def fits_in(text: str, tokens: int, counter: TokenCounter) -> bool:
    """Whether a text has at most `tokens` tokens; of a long text only as much is counted as decides."""
    if 4 * len(text) <= tokens:
        return True
    sample = text[: tokens * _MAX_CHARS_PER_TOKEN]
    if counter.count(sample) > tokens:
        return False
    return len(sample) == len(text) or counter.count(text) <= tokens


def _fit_end(text: str, start: int, tokens: int, counter: TokenCounter, *, from_end: bool = False) -> int:
    """Return the end of a passage of `tokens` tokens or slightly fewer, and of at least one character.

    The passage is `text[start:end]`; with `from_end`, both positions are counted backwards from the end of the text.
    """
    fits, over = start + 1, len(text) + 1
    end = min(len(text), start + tokens * _EXPECTED_CHARS_PER_TOKEN)
    for _ in range(_MAX_FIT_STEPS):
        counted = counter.count(text[len(text) - end : len(text) - start] if from_end else text[start:end])
        if counted > tokens:
            over = end
        else:
            fits = max(fits, end)
            if end == len(text) or counted >= _MIN_FILL * tokens:
                break
        guess = start + math.floor((end - start) * tokens * _TARGET_FILL / max(1, counted))
        end = min(max(guess, fits + 1), over - 1)
        if end <= fits:
            break
    return fits


def _snap_to_boundary(text: str, start: int, end: int) -> int:
    """Move `end` back to the end of a sentence, else of a word, if there is one in the last part of the passage."""
    earliest = end - math.floor((end - start) * _BOUNDARY_SEARCH_SHARE)
    found = max(text.rfind(mark, earliest, end) + len(mark) for mark in _SENTENCE_ENDS)
    if found > earliest:
        return min(found, end)
    space = text.rfind(" ", earliest, end)
    return space + 1 if space > start else end


def _next_start(text: str, start: int, end: int) -> int:
    """Return the start of the next passage: `OVERLAP` before `end`, moved to the start of a word if there is one."""
    latest = max(start + 1, end - math.floor((end - start) * OVERLAP))
    space = text.find(" ", latest, end)
    return space + 1 if space >= 0 and space + 1 < end else latest


def best_passage_scores(passages: Passages, scores: Sequence[float]) -> list[float]:
    """Return the score of each document: that of its best passage.

    Args:
        passages: The texts that were scored.
        scores: m finite numbers, one for each of `passages.texts`, in that order.

    Returns:
        n scores in request order.

    Raises:
        ValueError: The number of scores differs from that of the texts.
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
