"""Tokenization: truncation, special tokens of single texts and pairs, passages.

Only the part of a text that can reach the limit is tokenized, so 10 MB cost little more than 10 KB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rerankd_adapters.base import Truncation

if TYPE_CHECKING:
    from tokenizers import Tokenizer as NativeTokenizer

_CHARACTERS_PER_TOKEN = 12
"""Characters tokenized at first for each token needed; English has 4 to 5."""
_GROWTHS = 3
"""How often that part is enlarged fourfold; text beyond it is never tokenized."""
_SPARE_TOKENS = 128
"""Tokens at the edge that are not trusted: a word cut there, of at most 100 tokens, may be tokenized differently."""


@dataclass(frozen=True, slots=True)
class TextTokens:
    """The tokens of one text, special tokens left out."""

    ids: list[int]
    is_cut: bool
    """Whether the text has more tokens than these."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens around one text or between two, with their types."""

    before: list[int]
    between: list[int]
    after: list[int]
    types: tuple[int, int, int, int, int]
    """Type of: `before`, the first text, `between`, the second text, `after`."""

    @property
    def tokens(self) -> int:
        """How many special tokens there are."""
        return len(self.before) + len(self.between) + len(self.after)


class Tokenizer:
    """A Hugging Face tokenizer with its padding and truncation turned off. Safe to use from any thread.

    Args:
        definition: Content of `tokenizer.json`.
    """

    def __init__(self, definition: bytes) -> None:
        from tokenizers import Tokenizer as NativeTokenizer

        self._tokenizer: NativeTokenizer = NativeTokenizer.from_str(definition.decode())
        # Some tokenizer files pad every pair to 512 tokens, which makes a short one up to 15 times slower.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._single = self._frame(self._tokenizer.encode("a"), pair=False)
        self._pair = self._frame(self._tokenizer.encode("a", "a"), pair=True)

    @property
    def vocabulary_size(self) -> int:
        """Tokens in the vocabulary, added ones included."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def single_specials(self) -> int:
        """Special tokens around one text."""
        return self._single.tokens

    @property
    def pair_specials(self) -> int:
        """Special tokens around a query and a document."""
        return self._pair.tokens

    def tokenize(self, text: str, limit_tokens: int, cut: Truncation = Truncation.END) -> TextTokens:
        """Tokenize `text` and truncate the result to `limit_tokens`.

        Args:
            text: Any length.
            limit_tokens: Most tokens to return, at least 1.
            cut: Which end is dropped when there are more; `NONE` is treated as `END`, check `is_cut`.
        """
        from_end = cut is Truncation.START
        span = limit_tokens * _CHARACTERS_PER_TOKEN + 256
        for _ in range(_GROWTHS):
            if span >= len(text):
                break
            ids = self._encode(text[-span:] if from_end else text[:span])
            if len(ids) >= limit_tokens + _SPARE_TOKENS:
                return TextTokens(_keep(ids, limit_tokens, from_end=from_end), is_cut=True)
            span *= 4
        part = text[-span:] if from_end else text[:span]
        ids = self._encode(part)
        is_cut = len(ids) > limit_tokens or len(part) < len(text)
        return TextTokens(_keep(ids, limit_tokens, from_end=from_end), is_cut=is_cut)

    def frame_single(self, ids: list[int]) -> tuple[list[int], list[int]]:
        """Put the special tokens around one text; returns ids and types."""
        frame = self._single
        whole = [*frame.before, *ids, *frame.after]
        return whole, [frame.types[0]] * len(whole)

    def frame_pair(self, query: list[int], document: list[int]) -> tuple[list[int], list[int]]:
        """Put query and document into one sequence; returns ids and types."""
        frame = self._pair
        parts = (frame.before, query, frame.between, document, frame.after)
        ids = [token for part in parts for token in part]
        types = [kind for part, kind in zip(parts, frame.types, strict=True) for _ in part]
        return ids, types

    def _encode(self, text: str) -> list[int]:
        try:
            return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        except (UnicodeEncodeError, TypeError):
            # A lone surrogate; which of the two is raised depends on the version of tokenizers.
            clean = text.encode("utf-8", "replace").decode()
            return list(self._tokenizer.encode(clean, add_special_tokens=False).ids)

    @staticmethod
    def _frame(sample: object, *, pair: bool) -> Frame:
        """Derive the special tokens from how the tokenizer encodes a sample of one-token texts."""
        ids: list[int] = list(sample.ids)  # type: ignore[attr-defined]  # `tokenizers` names no type, also below
        types: list[int] = list(sample.type_ids)  # type: ignore[attr-defined]  # likewise
        special: list[int] = list(sample.special_tokens_mask)  # type: ignore[attr-defined]  # likewise
        words = [position for position, is_special in enumerate(special) if not is_special]
        first, last = words[0], words[-1]
        # In some vocabularies a sample is more than one token, so the gap between the texts is searched for.
        gap = [position for position in range(first, last) if special[position]] if pair else []
        between = [ids[position] for position in gap]
        before_type = types[0]
        between_type = types[gap[0]] if gap else before_type
        kinds = (before_type, types[first], between_type, types[last], types[-1])
        return Frame(ids[:first], between, ids[last + 1 :], kinds)


def _keep(ids: list[int], limit: int, *, from_end: bool) -> list[int]:
    return ids[-limit:] if from_end else ids[:limit]


def cut_passages(ids: list[int], width: int, most: int) -> list[list[int]]:
    """Cut a long text into overlapping passages.

    Args:
        ids: Tokens of the text, special tokens left out.
        width: Most tokens in a passage, at least 1.
        most: Most passages.

    Returns:
        1 to `most` passages in text order; neighbours share a quarter of `width`, at most 64 tokens, so that a sentence
        across a border is whole in one of them.
    """
    step = max(1, width - min(64, width // 4))
    passages = [ids[:width]]
    start = step
    while len(passages) < most and start + width - step < len(ids):
        passages.append(ids[start : start + width])
        start += step
    return passages


def passage_reach(width: int, most: int) -> int:
    """Return how many tokens `most` overlapping passages of `width` tokens cover."""
    step = max(1, width - min(64, width // 4))
    return width + step * (most - 1)
