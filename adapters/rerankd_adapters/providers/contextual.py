"""Contextual AI's instruction-following rerankers.

Reference: https://docs.contextual.ai/api-reference/rerank/rerank (SDK 0.11.0). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Provider,
    ProviderCall,
    ScoreSpace,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import Kind, Parameter


class ContextualAdapter(JsonDialect):
    """Jina's dialect with an instruction, and metadata of each document."""

    wire = Wire(always=None, instruction="instruction")

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object.

        Raises:
            AdapterError: `UNSUPPORTED` for metadata that is not one entry per document.
        """
        metadata = call.options.get("metadata")
        if metadata is not None and (not isinstance(metadata, list) or len(metadata) != len(call.documents)):
            message = "metadata must be a list with one text a document"
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, message, field="provider_options.metadata")
        return super().body_of(call)


_SOURCE = "contextual-client 0.11.0"

CONTEXTUAL = Provider(
    name="contextual",
    usage_units=(),
    title="Contextual AI",
    adapter="rerankd_adapters.providers.contextual:ContextualAdapter",
    reference="https://docs.contextual.ai/api-reference/rerank/rerank",
    checked="2026-11-21",
    aliases=("contextual_ai", "contextualai"),
    base_url="https://api.contextual.ai",
    key_variables=("CONTEXTUAL_API_KEY", "CONTEXTUAL_AI_API_KEY"),
    base_url_variables=("CONTEXTUAL_API_BASE", "CONTEXTUAL_AI_BASE_URL"),
    parameters={"metadata": Parameter(kinds=(Kind.ARRAY,), holds_text=True, source=_SOURCE)},
    capabilities=Capabilities(
        score_space=ScoreSpace.RELATIVE,
        max_tokens_per_document=8000,
        max_total_tokens=400_000,
        takes_instruction=True,
        source=_SOURCE,
    ),
    models={
        f"ctxl-rerank-{name}": Capabilities(source=_SOURCE)
        for name in ("v2-instruct-multilingual", "v2-instruct-multilingual-mini", "v1-instruct")
    },
    quirks=(
        "How scores are normalised is not documented: calls are not split unless scoring is set to pointwise.",
        "The limit of 8,000 tokens covers query, instruction, document and metadata together.",
        "Does not report usage.",
    ),
)
