"""Acme Sort.

Reference: https://docs.acme.example/sort. Facts of 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from rerankd_adapters.base import (
    AdapterErrorKind,
    Capabilities,
    HttpResponse,
    Price,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
    header_key,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.parameter import text


class AcmeAdapter(JsonDialect):
    """Documents are objects, results have names of their own, and a used-up quota is a 400."""

    wire = Wire(
        path="/v1/sort",
        query="question",
        documents="items",
        top_n="limit",
        fixed={"echo": False},
        truncation={Truncation.END: {"overflow": "cut"}, Truncation.NONE: {"overflow": "refuse"}},
        always=None,
        results=("sorted",),
        index="position",
        score="match",
        prompt_tokens=(("usage", "tokens"),),
    )

    def documents_of(self, call: ProviderCall) -> list[dict[str, Any]]:
        """Return the documents as Acme takes them."""
        return [{"body": document} for document in call.documents]

    def kind_of(self, response: HttpResponse) -> AdapterErrorKind:
        """Tell a quota that is used up from a request that is wrong."""
        if response.status == 400 and b"quota" in response.body:
            return AdapterErrorKind.RATE_LIMITED
        return super().kind_of(response)


ACME = Provider(
    name="acme",
    title="Acme Sort",
    adapter="acme_rerankd.provider:AcmeAdapter",
    reference="https://docs.acme.example/sort",
    checked="2026-11-21",
    aliases=("acme_ai",),
    parameters={"language": text("docs.acme.example/sort")},
    base_url="https://api.acme.example",
    key_variables=("ACME_API_KEY",),
    base_url_variables=("ACME_API_BASE",),
    authentication=(header_key("x-acme-key"),),
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_documents=50,
        truncation_default=Truncation.END,
        source="docs.acme.example",
    ),
    models={"sorter-2": Capabilities(max_tokens_per_document=2048)},
    prices=(
        Price(model="sorter-*", unit="token", usd_per_million=0.1, source="acme.example/pricing", date="2026-11-21"),
    ),
    quirks=("An exhausted quota is a 400.",),
)
