"""Jina AI reranker.

Reference: https://api.jina.ai/redoc#tag/rerank (jina-cli 0.3.0, jina-ai/MCP). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Price, Provider, ProviderCall, ScoreSpace, Scoring, Truncation
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.documents import bare_base64, image_documents, refuse_text_and_image
from rerankd_adapters.models import IMAGE_MODELS


class JinaAdapter(JsonDialect):
    """Jina's API, which many other servers implement."""

    wire = Wire(
        takes_images=True,
        takes_query_images=True,
        fixed={"return_documents": False},
        prompt_tokens=(("usage", "total_tokens"),),
    )

    def query_of(self, call: ProviderCall) -> object:
        """Return the text, or the image as an object.

        Raises:
            AdapterError: `UNSUPPORTED` for text and image together.
        """
        refuse_text_and_image(call, self.provider.title)
        return {"image": bare_base64(call.query_image)} if call.query_image else super().query_of(call)

    def documents_of(self, call: ProviderCall) -> object:
        """Return the documents; images are URLs or base64 without the `data:` prefix."""
        return super().documents_of(call) if call.images is None else image_documents(call, encode=bare_base64)


_SOURCE = "jina.ai/reranker, 2026-11-21"

JINA = Provider(
    name="jina",
    title="Jina AI",
    adapter="rerankd_adapters.providers.jina:JinaAdapter",
    reference="https://api.jina.ai/redoc#tag/rerank",
    checked="2026-11-21",
    aliases=("jina_ai", "jinaai"),
    base_url="https://api.jina.ai",
    key_variables=("JINA_API_KEY", "JINA_AI_API_KEY"),
    base_url_variables=("JINA_API_BASE", "JINA_AI_API_BASE"),
    capabilities=Capabilities(
        max_documents=1024,
        billing_unit="token",
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    rules=IMAGE_MODELS,
    models={
        "jina-reranker-v3.5": Capabilities(source=_SOURCE),
        "jina-reranker-v3": Capabilities(source=_SOURCE),
        "jina-reranker-m0": Capabilities(score_space=ScoreSpace.PROBABILITY, source=_SOURCE),
        "jina-reranker-v2-base-multilingual": Capabilities(
            scoring=Scoring.POINTWISE, score_space=ScoreSpace.PROBABILITY, source=_SOURCE
        ),
        "jina-colbert-v2": Capabilities(source=_SOURCE),
    },
    prices=(
        Price(
            model="jina-reranker-v2-base-multilingual",
            unit="token",
            usd_per_million=0.05,
            source="LiteLLM 1.109.1",
            date="2026-11-21",
        ),
    ),
    quirks=(
        "v3 and v3.5 put all documents into one window: their scores depend on the other documents.",
        "The default of return_documents changed in 2025; it is always sent as false.",
        "402 means that the credit is exhausted.",
    ),
    list_route="GET /v1/models",
)
