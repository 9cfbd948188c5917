"""vLLM's rerank route.

Reference: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (source of 0.33.0). Facts
of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rerankd_adapters.base import BEARER, NO_KEY, Capabilities, Provider, ProviderCall, Scoring, Truncation
from rerankd_adapters.dialect import Wire
from rerankd_adapters.listing import ListingDialect, is_name, read_limit
from rerankd_adapters.models import IMAGE_MODELS


class VllmAdapter(ListingDialect):
    """Uses `/v1/rerank`, which `--api-key` protects, or `/rerank` on older servers."""

    wire = Wire(
        old_path="/rerank",
        takes_images=True,
        truncation={
            Truncation.END: {"truncate_prompt_tokens": -1, "truncation_side": "right"},
            Truncation.START: {"truncate_prompt_tokens": -1, "truncation_side": "left"},
            Truncation.NONE: {"truncate_prompt_tokens": None},
        },
        max_tokens_per_doc="max_tokens_per_doc",
        instruction="instruction",
        priority="priority",
        options=frozenset(
            {
                "cache_salt",
                "chat_template_kwargs",
                "max_tokens_per_query",
                "mm_processor_kwargs",
                "padding",
                "request_id",
                "truncate_prompt_tokens",
                "truncation_side",
                "use_activation",
                "user",
            }
        ),
    )

    def documents_of(self, call: ProviderCall) -> object:
        """Return texts, or lists of parts for documents with images, image first."""
        if call.images is None:
            return super().documents_of(call)
        pairs = zip(call.documents, call.images, strict=True)
        return [text if image is None else {"content": _parts(text, image)} for text, image in pairs]

    def capabilities_of_entry(self, model: str, entry: Mapping[str, object]) -> Capabilities | None:
        """Return the context window, and the known capabilities of the model behind a served name."""
        root = entry.get("root")
        known = self.capabilities(model)
        facts = self.reported_capabilities()
        if is_name(root) and known.scoring is Scoring.UNKNOWN:
            known = self.capabilities(str(root))
            facts = replace(facts, scoring=known.scoring, score_space=known.score_space)
        window = read_limit(entry, "max_model_len")
        if known.scoring is Scoring.LISTWISE:  # it reads all documents in one window
            return replace(facts, max_total_tokens=window)
        return replace(facts, max_tokens_per_document=window)


def _parts(text: str, image: str) -> list[dict[str, object]]:
    parts: list[dict[str, object]] = [{"type": "image_url", "image_url": {"url": image}}]
    return [*parts, {"type": "text", "text": text}] if text else parts


VLLM = Provider(
    name="vllm",
    title="vLLM",
    adapter="rerankd_adapters.vllm:VllmAdapter",
    reference="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    checked="2026-11-21",
    aliases=("hosted_vllm",),
    key_variables=("VLLM_API_KEY", "HOSTED_VLLM_API_KEY"),
    base_url_variables=("VLLM_API_BASE", "HOSTED_VLLM_API_BASE"),
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(
        truncation_default=Truncation.END,
        takes_instruction=True,
        source="source of vllm 0.33.0",
    ),
    rules=IMAGE_MODELS,
    quirks=(
        "Scores are probabilities for cross-encoders, cosines for bi-encoders, sums for late interaction.",
        "A priority other than 0 is an error unless the server schedules by priority.",
        "Original Qwen3-Reranker checkpoints need --chat-template, or their scores are inaccurate.",
        "503 means that the queue is full.",
        "GET /v1/models reports each model's window, and the model behind a --served-model-name.",
    ),
    list_route="GET /v1/models",
)
