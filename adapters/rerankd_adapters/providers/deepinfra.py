"""DeepInfra's inference route for rerankers: pairs in, bare scores out.

Reference: https://deepinfra.com/Qwen/Qwen3-Reranker-8B/api. Facts of 2026-11-21.
"""

from __future__ import annotations

from dataclasses import replace

from rerankd_adapters.base import (
    Capabilities,
    Endpoint,
    HttpRequest,
    Price,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import text
from rerankd_adapters.wire import at, bad_response, path_segments, read_scores


class DeepInfraAdapter(JsonDialect):
    """Repeats the query for every document; scores are in document order."""

    wire = Wire(
        path="/v1/inference",
        model=None,
        query="queries",
        top_n=None,
        instruction="instruction",
        results=("scores",),
        prompt_tokens=(("input_tokens",), ("inference_status", "tokens_input")),
        completion_tokens=(),
        cost_usd=("inference_status", "cost"),
    )

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request; a base URL of the OpenAI routes, which do not rerank, is reduced to its host."""
        base_url = endpoint.base_url.rstrip("/").removesuffix("/openai")
        return super().build(call, replace(endpoint, base_url=base_url))

    def path_of(self, call: ProviderCall) -> str:
        """Return the path, which names the model."""
        return f"{self.wire.path}/{path_segments(call.model)}"

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object with one query per document."""
        body = super().body_of(call)
        return body | {self.wire.query: [call.query] * len(call.documents)}

    def ranking_of(self, call: ProviderCall, body: object) -> tuple[list[int], list[float]]:
        """Return the scores with their positions as indices."""
        scores = read_scores(at(body, self.wire.results))
        if len(scores) != len(call.documents):
            raise bad_response(f"{len(scores)} scores for {len(call.documents)} documents")
        return list(range(len(scores))), scores


_SOURCE = "deepinfra.com model pages, 2026-11-21"
_PRICED = {"unit": "token", "source": "deepinfra.com model pages", "date": "2026-11-21"}

DEEPINFRA = Provider(
    name="deepinfra",
    title="DeepInfra",
    adapter="rerankd_adapters.providers.deepinfra:DeepInfraAdapter",
    reference="https://deepinfra.com/Qwen/Qwen3-Reranker-8B/api",
    checked="2026-11-21",
    base_url="https://api.deepinfra.com",
    key_variables=("DEEPINFRA_TOKEN", "DEEPINFRA_API_KEY"),
    base_url_variables=("DEEPINFRA_API_BASE",),
    parameters={"service_tier": text("LiteLLM 1.109.1")},
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        billing_unit="token",
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    models={
        f"Qwen/Qwen3-Reranker-{size}": Capabilities(takes_instruction=True, source=_SOURCE)
        for size in ("0.6B", "4B", "8B")
    },
    prices=(
        Price(model="Qwen/Qwen3-Reranker-0.6B", usd_per_million=0.010, **_PRICED),
        Price(model="Qwen/Qwen3-Reranker-8B", usd_per_million=0.050, **_PRICED),
    ),
    quirks=(
        "Returns scores in document order, unsorted and without indices.",
        "Reports the cost of a call.",
    ),
)
