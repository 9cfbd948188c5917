"""llama.cpp's server, started with --reranking.

Reference: https://github.com/ggml-org/llama.cpp/tree/master/tools/server (README of 2026). Facts of 2026-11-21.
Refusal of long pairs: issue 25293 and lemonade-sdk/lemonade issue 3591, read on 2026-11-29.
"""

from __future__ import annotations

from typing import Final

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    HttpResponse,
    ModelRule,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.chat_api import CHAT_OPTIONS, ChatApi, ChatTraits
from rerankd_adapters.dialect import Wire
from rerankd_adapters.failure import error_text, told_window
from rerankd_adapters.listing import ListingDialect
from rerankd_adapters.providers.openai import MODEL_READINGS


class LlamaCppAdapter(ListingDialect):
    """Jina's dialect; a pair that exceeds the physical batch is answered with 500."""

    wire = Wire(always=Truncation.NONE)

    def failure_of(self, call: ProviderCall, response: HttpResponse) -> AdapterError:
        """Distinguish a pair that is too long, which must not be retried, from a server fault."""
        error, said = super().failure_of(call, response), error_text(response)
        if response.status == 500 and "too large to process" in said:
            error.kind = AdapterErrorKind.REJECTED
            error.max_tokens = told_window(said) or DEFAULT_BATCH_TOKENS
        return error


DEFAULT_BATCH_TOKENS: Final = 512
"""Default of --ubatch-size, assumed where an old build does not say its own."""

_SOURCE = "llama.cpp server README; issues 8555, 16407 and 11105"
_LOGIT = Capabilities(score_space=ScoreSpace.LOGIT, source=_SOURCE)

LLAMA_CPP = Provider(
    name="llama_cpp",
    title="llama.cpp",
    adapter="rerankd_adapters.providers.llama_cpp:LlamaCppAdapter",
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
        truncates=False,
        source=_SOURCE,
    ),
    rules=(
        ModelRule("bge-reranker-*", _LOGIT),
        ModelRule("jina-reranker-v1*", _LOGIT),
        ModelRule("jina-reranker-v2*", _LOGIT),
        ModelRule("qwen3-reranker-*", Capabilities(score_space=ScoreSpace.PROBABILITY, source=_SOURCE)),
    ),
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        checked="2026-11-29",
        top_logprobs=40,
        traits=(
            ChatTraits(thinking_off={"chat_template_kwargs": {"enable_thinking": False}}, readings=MODEL_READINGS),
        ),
    ),
    quirks=(
        "Scores are raw logits for BGE and Jina cross-encoders, about -11 to 8, and probabilities for Qwen3.",
        "The score space is derived from the model's name; set score_space for other names.",
        "Scores near 1e-20 mean that the GGUF file lacks its classifier head.",
        "A pair longer than --ubatch-size (default 512 tokens) is refused with a 500. rerankd cuts documents to "
        "the size it tells and sends them again, with a warning; set max_tokens_per_document and "
        "tokenizer of the model to have them cut exactly, and at once.",
        "503 means that the model is still loading.",
    ),
    list_route="GET /v1/models",
)
