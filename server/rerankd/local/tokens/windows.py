"""Truncation of documents to a model's window, and the warnings about it."""

from __future__ import annotations

from dataclasses import dataclass

from rerankd.local.tokens.token_cache import TokenCache
from rerankd.local.tokens.tokenizer import TextTokens, Tokenizer, cut_passages, passage_reach
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, Truncation


@dataclass(frozen=True, slots=True)
class TokenWindow:
    """How the documents of one call are truncated and split into passages."""

    width_tokens: int
    """Most document tokens in one passage."""
    limit_tokens: int
    """Most document tokens in all passages together."""
    passages: int
    cut: Truncation
    is_callers_limit: bool
    """Whether the caller's own limit truncates, which needs neither warning nor refusal."""

    @classmethod
    def plan(cls, call: ProviderCall, room_tokens: int) -> TokenWindow:
        """Derive the window of one call.

        Args:
            call: Read are truncation, and tokens and passages per document.
            room_tokens: Tokens the model's window leaves for a document, at least 1.
        """
        passages = max(1, call.max_passages_per_doc)
        reach = passage_reach(room_tokens, passages)
        asked = call.max_tokens_per_doc or reach
        return cls(
            width_tokens=room_tokens,
            limit_tokens=min(reach, asked),
            passages=passages,
            cut=call.truncation or Truncation.END,
            is_callers_limit=asked < reach,
        )

    def tokenize(
        self, tokenizer: Tokenizer | TokenCache, text: str, index: int, window_tokens: int
    ) -> tuple[TextTokens, bool]:
        """Tokenize one document.

        Returns:
            The tokens, and whether the model's window truncated them.

        Raises:
            AdapterError: `REJECTED` when the document is too long and the call forbids cutting.
        """
        tokens = tokenizer.tokenize(text, self.limit_tokens, self.cut)
        return tokens, self.check(tokens, index, window_tokens)

    def find(self, tokenizer: TokenCache, text: str) -> TextTokens | None:
        """Return the cached tokens of one document, else `None`."""
        return tokenizer.find(text, self.limit_tokens, self.cut)

    def check(self, tokens: TextTokens, index: int, window_tokens: int) -> bool:
        """Tell whether the model's window truncated the tokens.

        Raises:
            AdapterError: As of `tokenize`.
        """
        is_cut = tokens.is_cut and not self.is_callers_limit
        if is_cut and self.cut is Truncation.NONE:
            raise AdapterError(
                AdapterErrorKind.REJECTED,
                f"document {index} is longer than the model's window of {window_tokens} tokens and truncation is off",
                field=f"documents[{index}].text",
            )
        return is_cut

    def split(self, ids: list[int]) -> list[list[int]]:
        """Split a document's tokens into passages."""
        return cut_passages(ids, self.width_tokens, self.passages)


def warn_of_cuts(count: int, window_tokens: int, *, is_query_cut: bool = False) -> list[str]:
    """Return warnings about truncated texts; empty when there are none."""
    warnings = []
    if is_query_cut:
        warnings.append(f"the query was longer than half of the {window_tokens} tokens that are read and was cut")
    if count:
        what = "1 document was" if count == 1 else f"{count} documents were"
        warnings.append(f"{what} longer than the {window_tokens} tokens that are read and {_was(count)} cut")
    return warnings


def _was(count: int) -> str:
    return "was" if count == 1 else "were"
