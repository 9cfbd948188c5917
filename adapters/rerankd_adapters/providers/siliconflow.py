"""SiliconFlow rerank.

Reference: https://docs.siliconflow.cn/en/api-reference/rerank/create-rerank. Facts of 2026-11-21.
"""

from __future__ import annotations

from dataclasses import replace

from rerankd_adapters.base import (
    AdapterErrorKind,
    Capabilities,
    HttpResponse,
    ModelRule,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.failure import error_text
from rerankd_adapters.models import IMAGE_MODELS
from rerankd_adapters.parameter import whole


class SiliconFlowAdapter(JsonDialect):
    """Jina's dialect; token counts are in one of two objects."""

    wire = Wire(
        takes_images=True,
        fixed={"return_documents": False},
        always=None,
        max_passages_per_doc="max_chunks_per_doc",
        instruction="instruction",
        prompt_tokens=(("tokens", "input_tokens"), ("meta", "tokens", "input_tokens")),
        completion_tokens=(("tokens", "output_tokens"), ("meta", "tokens", "output_tokens")),
    )

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object; passage parameters are sent to BGE and BCE models only."""
        body = super().body_of(call)
        if not cuts_passages(call.model):
            body.pop("max_chunks_per_doc", None)
        return body

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter that is not sent."""
        warnings = super().warnings_of(call)
        if call.max_passages_per_doc == 1 or cuts_passages(call.model):
            return warnings
        return ["max_chunks_per_doc was ignored: only BGE and BCE models on SiliconFlow take it", *warnings]

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities of `model`."""
        return replace(super().capabilities(model), cuts_passages=cuts_passages(model))

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Distinguish an unknown model, status 400 here, from an invalid request."""
        if response.status == 400 and "Model does not exist" in error_text(response):
            return AdapterErrorKind.MODEL_NOT_FOUND
        return super().kind_of(response)


def cuts_passages(model: str) -> bool:
    """Whether a model splits long documents into passages."""
    return model.rpartition("/")[2].lower().startswith(("bge-", "bce-"))


_SOURCE = "docs.siliconflow.cn, rerank"

SILICONFLOW = Provider(
    name="siliconflow",
    title="SiliconFlow",
    adapter="rerankd_adapters.providers.siliconflow:SiliconFlowAdapter",
    reference="https://docs.siliconflow.cn/en/api-reference/rerank/create-rerank",
    checked="2026-11-21",
    base_url="https://api.siliconflow.cn",
    key_variables=("SILICONFLOW_API_KEY",),
    base_url_variables=("SILICONFLOW_API_BASE", "SILICONFLOW_BASE_URL"),
    parameters={"overlap_tokens": whole(_SOURCE, 0, 80, models=("bge-*", "bce-*"))},
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        billing_unit="token",
        source=_SOURCE,
    ),
    models={
        name: Capabilities(source=_SOURCE)
        for name in (
            "BAAI/bge-reranker-v2-m3",
            "Pro/BAAI/bge-reranker-v2-m3",
            "Qwen/Qwen3-Reranker-0.6B",
            "Qwen/Qwen3-Reranker-4B",
            "Qwen/Qwen3-Reranker-8B",
            "Qwen/Qwen3-VL-Reranker-8B",
            "netease-youdao/bce-reranker-base_v1",
        )
    },
    rules=(
        *IMAGE_MODELS,
        ModelRule("bce-reranker-base*", Capabilities(scoring=Scoring.POINTWISE, source=_SOURCE)),
        ModelRule(
            "qwen3-vl-reranker-*",
            Capabilities(scoring=Scoring.POINTWISE, takes_instruction=True, source=_SOURCE),
        ),
    ),
    quirks=(
        "The international service is at https://api.siliconflow.com or https://api.ap.siliconflow.com.",
        "BGE and BCE models split long documents into passages and return the best passage's score.",
        "max_chunks_per_doc and overlap_tokens, at most 80, apply to BGE and BCE models only.",
    ),
    list_route="GET /v1/models",
)
