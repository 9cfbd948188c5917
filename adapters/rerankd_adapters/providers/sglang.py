"""SGLang's rerank route.

Reference: https://docs.sglang.io/docs/supported-models/rerank_models, and the source of sgl-project/sglang
(`entrypoints/openai/serving_rerank.py`; `protocol.py`, `V1RerankReqInput`; `http_server.py` for `/v1/models`). Facts
of 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
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
from rerankd_adapters.documents import content_parts
from rerankd_adapters.listing import ListingDialect, read_limit
from rerankd_adapters.models import IMAGE_MODELS
from rerankd_adapters.parameter import text
from rerankd_adapters.providers.openai import MODEL_READINGS
from rerankd_adapters.wire import at, read_count


class SgLangAdapter(ListingDialect):
    """Jina's request with `instruct`; the response is a bare array, each result with its own count of tokens."""

    wire = Wire(
        takes_images=True,
        takes_query_images=True,
        top_n=None,
        fixed={"return_documents": False},
        always=Truncation.NONE,
        instruction="instruct",
        results=(),
        score="score",
    )

    def query_of(self, call: ProviderCall) -> object:
        """Return the text, or content parts for a query with an image; the API has a field for the instruction."""
        return content_parts(call.query, call.query_image) if call.query_image else call.query

    def documents_of(self, call: ProviderCall) -> object:
        """Return texts, or lists of parts for documents with images, image first."""
        if call.images is None:
            return super().documents_of(call)
        pairs = zip(call.documents, call.images, strict=True)
        return [text if image is None else content_parts(text, image) for text, image in pairs]

    def prompt_tokens_of(self, body: object, response: HttpResponse) -> int:
        """Return the sum of the results' tokens, all of which are returned since `top_n` is not sent."""
        results = body if isinstance(body, list) else []
        return sum(read_count(at(result, ("meta_info",)), (("prompt_tokens",),)) for result in results)

    def capabilities_of_entry(self, model: str, entry: Mapping[str, object]) -> Capabilities | None:
        """Return the context window."""
        facts = self.reported_capabilities()
        return replace(facts, max_tokens_per_document=read_limit(entry, "max_model_len"))


_SOURCE = "docs.sglang.io rerank models; source of sglang, 2026-11"

SGLANG = Provider(
    name="sglang",
    title="SGLang",
    adapter="rerankd_adapters.providers.sglang:SgLangAdapter",
    reference="https://docs.sglang.io/docs/supported-models/rerank_models",
    checked="2026-11-29",
    key_variables=("SGLANG_API_KEY",),
    base_url_variables=("SGLANG_API_BASE", "SGLANG_BASE_URL"),
    parameters={"instruct": text(_SOURCE)},
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        truncation_default=Truncation.NONE,
        truncates=False,
        source=_SOURCE,
    ),
    rules=(
        ModelRule("qwen3-reranker-*", Capabilities(score_space=ScoreSpace.PROBABILITY, source=_SOURCE)),
        ModelRule("qwen3-vl-rerank*", Capabilities(score_space=ScoreSpace.PROBABILITY, source=_SOURCE)),
        *IMAGE_MODELS,
    ),
    options=CHAT_OPTIONS,
    chat=ChatApi(
        adapter="rerankd_adapters.providers.openai:OpenAiChatAdapter",
        reference="https://docs.sglang.io/docs/basic_usage/openai_api_completions",
        checked="2026-11-29",
        traits=(
            ChatTraits(thinking_off={"chat_template_kwargs": {"enable_thinking": False}}, readings=MODEL_READINGS),
        ),
    ),
    quirks=(
        "A pair longer than the context is refused with a 400, unless the server runs with --allow-auto-truncate. "
        "rerankd cuts documents to the window that GET /v1/models reports.",
        "Blank queries and documents are refused; blank documents are never sent.",
        "top_n is not sent, because only returned results report their tokens; results are cut by rerankd.",
        "Qwen3-Reranker and Qwen3-VL-Reranker need --chat-template, and must not be started with --is-embedding.",
        "The score space of cross-encoders depends on the model's configuration; set score_space.",
    ),
    list_route="GET /v1/models",
)
