"""Cross-encoders: query and document go through the network together."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rerankd.local.lazy import Lazy
from rerankd.local.onnx.loading import Loaded
from rerankd.local.scheduler import Ticket, WorkPool
from rerankd.local.specs import ModelSpec
from rerankd.local.tokens.tokenizer import TextTokens
from rerankd.local.tokens.windows import TokenWindow, warn_of_cuts
from rerankd_adapters.base import ProviderCall, ProviderReply, Truncation
from rerankd_adapters.scores import sigmoid


@dataclass(frozen=True, slots=True)
class _Scored:
    score: float
    tokens: int
    is_cut: bool


class CrossEncoder:
    """A loaded cross-encoder. Task-safe."""

    def __init__(self, spec: ModelSpec, loaded: Loaded, pool: WorkPool) -> None:
        self._spec = spec
        self._session = loaded.session
        self._tokenizer = loaded.tokenizer
        self._pool = pool

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call`, one pair a run.

        Raises:
            AdapterError: `REJECTED` when a document is too long and cutting is off.
        """
        query = Lazy(lambda: self._read_query(call.query))

        def score(index: int) -> _Scored:
            ids = query.get().ids
            window_tokens = self._spec.window_for(call, len(ids))
            window = TokenWindow.plan(call, window_tokens - self._tokenizer.pair_specials - len(ids))
            text = self._spec.document_prefix + call.documents[index]
            tokens, is_cut = window.tokenize(self._tokenizer, text, index, window_tokens)
            best, tokens_read = -math.inf, 0
            for passage in window.split(tokens.ids):
                logit, run_tokens = self.score_pair(ids, passage)
                best, tokens_read = max(best, logit), tokens_read + run_tokens
            return _Scored(self._activate(best), tokens_read, is_cut)

        scored = await self._pool.run(score, len(call.documents), Ticket(priority=call.priority))
        done = [one for one in scored if one is not None]
        cuts = sum(one.is_cut for one in done)
        read = query.get()
        return ProviderReply(
            indices=range(len(done)),
            scores=[one.score for one in done],
            model=self._spec.name,
            prompt_tokens=sum(one.tokens for one in done),
            warnings=warn_of_cuts(cuts, self._spec.window_for(call, len(read.ids)), is_query_cut=read.is_cut),
        )

    def score_pair(self, query: list[int], document: list[int]) -> tuple[float, int]:
        """Run one pair of token lists without special tokens; return the logit and the number of tokens run."""
        ids, types = self._tokenizer.frame_pair(query, document)
        logits = self._session.run(ids, types)
        # With two labels the second is "relevant"; its log odds are the difference.
        logit = float(logits[0]) if len(logits) == 1 else float(logits[1] - logits[0])
        return logit, len(ids)

    def _read_query(self, query: str) -> TextTokens:
        # A query is cut only when nothing sensible would be left for the documents.
        return self._tokenizer.tokenize(self._spec.query_prefix + query, self._spec.window_tokens // 2, Truncation.END)

    def _activate(self, logit: float) -> float:
        return sigmoid(logit) if self._spec.activation == "sigmoid" else logit
