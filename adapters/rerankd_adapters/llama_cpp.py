"""llama.cpp's server, started with --reranking.

Reference: https://github.com/ggml-org/llama.cpp/tree/master/tools/server (README of 2026). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterErrorKind,
    Capabilities,
    HttpResponse,
    ModelRule,
    Provider,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.dialect import Wire
from rerankd_adapters.failure import error_text
from rerankd_adapters.listing import ListingDialect


class LlamaCppAdapter(ListingDialect):
    """Jina's dialect; a pair that exceeds the batch size is answered with 500."""

    wire = Wire(always=Truncation.NONE)

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Distinguish a pair that is too long, which must not be retried, from a server fault."""
        if response.status == 500 and "too large to process" in error_text(response):
            return AdapterErrorKind.REJECTED
        return super().kind_of(response)


_SOURCE = "llama.cpp server README; issues 8555, 16407 and 11105"
_LOGIT = Capabilities(score_space=ScoreSpace.LOGIT, source=_SOURCE)

LLAMA_CPP = Provider(
    name="llama_cpp",
    title="llama.cpp",
    adapter="rerankd_adapters.llama_cpp:LlamaCppAdapter",
    reference="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
    checked="2026-11-21",
    aliases=("llama.cpp", "llamacpp", "llama-cpp"),
    key_variables=("LLAMA_CPP_API_KEY", "LLAMA_API_KEY"),
    base_url_variables=("LLAMA_CPP_API_BASE",),
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        truncation_default=Truncation.NONE,
        source=_SOURCE,
    ),
    rules=(
        ModelRule("bge-reranker-*", _LOGIT),
        ModelRule("jina-reranker-v1*", _LOGIT),
        ModelRule("jina-reranker-v2*", _LOGIT),
        ModelRule("qwen3-reranker-*", Capabilities(score_space=ScoreSpace.PROBABILITY, source=_SOURCE)),
    ),
    quirks=(
        "Scores are raw logits for BGE and Jina cross-encoders, about -11 to 8, and probabilities for Qwen3.",
        "The score space is derived from the model's name; set score_space for other names.",
        "Scores near 1e-20 mean that the GGUF file lacks its classifier head.",
        "A pair longer than --ubatch-size is refused with a 500, which is not retried.",
        "503 means that the model is still loading.",
    ),
    list_route="GET /v1/models",
)
