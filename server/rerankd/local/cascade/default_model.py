"""The model `default`: description, options, and the preparation of its static table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rerankd.local.cascade.budget import OWN_PARAMETERS
from rerankd.local.cascade.prior import read_prior
from rerankd.local.lexical import WordScorer
from rerankd.local.onnx.loading import Loaded
from rerankd.local.scheduler import Ticket, WorkPool, run_blocking
from rerankd.local.settings import LocalSettings, cache_directory
from rerankd.local.specs import MS_MARCO
from rerankd.local.tokens.vectors import VectorCache
from rerankd_adapters.base import (
    Capabilities,
    ModelInfo,
    ProviderCall,
    ProviderReply,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.warming import WarmReply

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rerankd.local.cascade.stages import EmbeddedCascade

    HalfArray = npt.NDArray[np.float16]

_log = logging.getLogger(__name__)

_WINDOW_TOKENS = 256

_CAPABILITIES = Capabilities(
    # How far a document is read, and so its score, depends on the time and on the other documents.
    scoring=Scoring.LISTWISE,
    score_space=ScoreSpace.PROBABILITY,
    minimum_score=0.0,
    max_tokens_per_document=_WINDOW_TOKENS,
    billing_unit="token",
    truncation_default=Truncation.END,
    cuts_passages=True,
    source="bm25, all-minilm-l6-v2 and ms-marco-minilm-l12-v2",
)
_DESCRIPTION = (
    "Cascade within a time budget: words and static vectors for all documents, late interaction for the best, "
    "the cross-encoder for the best 10. Scores are probabilities, comparable across calls."
)


class DefaultModel:
    """The cascade with its settings and the two models it runs."""

    def __init__(
        self,
        settings: LocalSettings,
        words: WordScorer,
        minilm: Loaded,
        cross: Loaded,
        pool: WorkPool,
        cache: VectorCache,
    ) -> None:
        from rerankd.local.cascade.stages import EmbeddedCascade
        from rerankd.local.cross_encoder import CrossEncoder

        self._settings = settings
        self._minilm = minilm
        self._pool = pool
        self._cascade: EmbeddedCascade = EmbeddedCascade(
            words, minilm, CrossEncoder(MS_MARCO, cross, pool), cross, pool, cache
        )
        self.loading_detail = ""
        """What is still being prepared, for the listing; empty when nothing is."""

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score every document of `call` within its budget.

        Raises:
            AdapterError: `REJECTED` for wrong options, or too long a document when cutting is off.
        """
        from rerankd.local.cascade.budget import Budget, read_options

        mode, budget_ms = read_options(call.options, mode=self._settings.mode, budget_ms=self._settings.budget_ms)
        budget = Budget.start(mode=mode, budget_ms=budget_ms, deadline_s=call.deadline_s)
        prior = read_prior(call, assumes_ranked=self._settings.documents_ranked)
        return await self._cascade.rerank(call, budget, prior)

    async def warm(self, call: ProviderCall) -> WarmReply:
        """Compute and keep the vectors of the documents of `call`; see `WarmingProvider`."""
        in_tiles = self._settings.static_table or self._cascade.table is not None
        return await self._cascade.warm(call, in_tiles=in_tiles)

    async def prepare_table(self) -> None:
        """Load the static table from its file, or compute it as background work.

        Raises:
            PoolClosedError: The pool was closed meanwhile; nothing was written.
        """
        from rerankd.local.cascade.static_table import StaticTable, TableFile

        tokenizer = self._minilm.tokenizer
        file = TableFile(cache_directory(self._settings), self._minilm.identity)
        vectors = await run_blocking(file.load, tokenizer.vocabulary_size)
        if vectors is None:
            if not self._settings.static_table:
                return
            self.loading_detail = "static word vectors are being made; until then words alone order first"
            try:
                vectors = await self._make_vectors()
            finally:
                self.loading_detail = ""
            is_kept = await run_blocking(file.save, vectors)
            if not is_kept:
                _log.warning("the cache directory cannot be written: static word vectors are made at every start")
        self._cascade.table = await run_blocking(StaticTable, vectors)

    async def _make_vectors(self) -> HalfArray:
        import numpy as np

        from rerankd.local.cascade.static_table import count_batches, embed_batch, reduce_vectors

        session, tokenizer = self._minilm.session, self._minilm.tokenizer
        parts = await self._pool.run(
            lambda batch: embed_batch(session, tokenizer, batch), count_batches(tokenizer), Ticket(is_background=True)
        )
        states = np.concatenate([part for part in parts if part is not None])
        return await run_blocking(reduce_vectors, states)


def describe_default(*, status: str, detail: str) -> ModelInfo:
    """Return the model's entry in a listing."""
    return ModelInfo(
        name="default",
        capabilities=_CAPABILITIES,
        description=_DESCRIPTION,
        license="Apache-2.0",
        source=_CAPABILITIES.source,
        parameters=OWN_PARAMETERS,
        status=status,
        status_detail=detail,
    )
