"""ZeroEntropy rerankers.

Reference: https://docs.zeroentropy.dev/api-reference/models/rerank (SDK 0.1.0a11). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import Capabilities, Price, Provider, ProviderCall, ScoreSpace, Scoring
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import text


class ZeroEntropyAdapter(JsonDialect):
    """Requests the fast mode for calls with a deadline; the slow mode may take more than ten seconds."""

    wire = Wire(
        path="/v1/models/rerank",
        always=None,
        prompt_tokens=(("total_tokens",),),
    )

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object, with the latency mode of the call, else the options, else the deadline."""
        latency = self.options.get("latency") or ("fast" if call.deadline_s is not None else None)
        return ({"latency": latency} if latency else {}) | super().body_of(call)


_SOURCE = "zeroentropy SDK 0.1.0a11"

ZEROENTROPY = Provider(
    name="zeroentropy",
    title="ZeroEntropy",
    adapter="rerankd_adapters.providers.zeroentropy:ZeroEntropyAdapter",
    reference="https://docs.zeroentropy.dev/api-reference/models/rerank",
    checked="2026-11-21",
    base_url="https://api.zeroentropy.dev",
    key_variables=("ZEROENTROPY_API_KEY",),
    base_url_variables=("ZEROENTROPY_API_BASE", "ZEROENTROPY_BASE_URL"),
    options={"latency": '"fast" or "slow"; without it "fast" for calls with a deadline.'},
    parameters={"latency": text(_SOURCE, "fast", "slow", is_nullable=True)},
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        billing_unit="token",
        source=_SOURCE,
    ),
    models={name: Capabilities(source=_SOURCE) for name in ("zerank-2", "zerank-1", "zerank-1-small")},
    prices=(Price(model="zerank-*", unit="token", usd_per_million=0.025, source=_SOURCE, date="2026-11-21"),),
    quirks=(
        "Documented as pointwise; scores may still vary slightly between calls.",
        "Beyond 2.5 MB or 1,000 calls a minute calls are slowed down, or refused with 429 with latency fast.",
    ),
)
