"""Pinecone Inference rerank.

Reference: https://docs.pinecone.io/reference/api/inference/rerank (SDK 10.2.0). Facts of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from msgspec import structs

from rerankd_adapters.base import (
    Capabilities,
    Provider,
    ProviderCall,
    ScoreSpace,
    Scoring,
    Truncation,
    header_key,
)
from rerankd_adapters.dialect import Wire, truncation_of
from rerankd_adapters.documents import object_documents
from rerankd_adapters.listing import ListingDialect, read_limit
from rerankd_adapters.parameter import mapping, text

API_VERSION: Final = "2026-07"
TRUNCATING: Final = ("bge-reranker-v2-m3", "pinecone-rerank-v0")
"""Models with the parameter `truncate`."""


class PineconeAdapter(ListingDialect):
    """Documents are objects; model-specific parameters are in `parameters`."""

    wire = Wire(
        path="/rerank",
        rank_fields="rank_fields",
        headers={"x-pinecone-api-version": API_VERSION},
        option_headers={"x-pinecone-api-version": "api_version"},
        fixed={"return_documents": False},
        truncation={Truncation.END: {"truncate": "END"}, Truncation.NONE: {"truncate": "NONE"}},
        results=("data",),
        score="score",
        prompt_tokens=(),
        search_units=(("usage", "rerank_units"),),
    )
    listing = ("models",)
    name_key = "model"
    other_wire = replace(wire, truncation={}, always=None)

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities of `model`."""
        return replace(super().capabilities(model), cuts_passages=cuts_passages(model))

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object; the truncation mode is sent to models in `TRUNCATING` only."""
        wire = self.wire if call.model in TRUNCATING else self.other_wire
        knob = truncation_of(call, wire, f"{self.provider.title} {call.model[:60]}")
        body = super().body_of(structs.replace(call, truncation=None))
        body.pop("truncate")
        given = body.pop("parameters", {})
        if call.model in TRUNCATING and "truncate" in call.options:
            knob = {"truncate": call.options["truncate"]}
        if call.max_passages_per_doc > 1 and cuts_passages(call.model):
            knob = {**knob, "max_chunks_per_doc": call.max_passages_per_doc}
        parameters = {**knob, **given} if isinstance(given, dict) else given
        return body | {"parameters": parameters} if parameters else body

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter that is not sent."""
        return super().warnings_of(structs.replace(call, max_passages_per_doc=1) if cuts_passages(call.model) else call)

    def documents_of(self, call: ProviderCall) -> object:
        """Return objects; a plain text is the field `text`, which is ranked by default."""
        if call.objects is not None:
            return object_documents(call)
        return [{"text": text} for text in call.documents]

    def capabilities_of_entry(self, model: str, entry: Mapping[str, object]) -> Capabilities | None:
        """Return the limits of an entry."""
        facts = Capabilities(
            max_documents=read_limit(entry, "max_batch_size"),
            max_tokens_per_document=read_limit(entry, "max_sequence_length"),
        )
        return self.reported_capabilities(facts)


def cuts_passages(model: str) -> bool:
    """Whether a model's parameters include `max_chunks_per_doc`."""
    return model.startswith("cohere-rerank-")


_SOURCE = "pinecone SDK 10.2.0; docs.pinecone.io, example of GET /models"
_SHORT = Capabilities(max_documents=100, truncation_default=Truncation.END, source=_SOURCE)

PINECONE = Provider(
    name="pinecone",
    usage_units=("search_unit",),
    title="Pinecone",
    adapter="rerankd_adapters.providers.pinecone:PineconeAdapter",
    reference="https://docs.pinecone.io/reference/api/inference/rerank",
    checked="2026-11-21",
    base_url="https://api.pinecone.io",
    key_variables=("PINECONE_API_KEY",),
    base_url_variables=("PINECONE_API_BASE", "PINECONE_CONTROLLER_HOST"),
    parameters={
        "parameters": mapping(_SOURCE),
        "truncate": text(f"{_SOURCE}, in parameters", "NONE", "END", models=TRUNCATING),
    },
    authentication=(header_key("api-key"),),
    options={"api_version": f'Version of the API, "{API_VERSION}" unless set.'},
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        takes_objects=True,
        billing_unit="search_unit",
        source=_SOURCE,
    ),
    models={
        "bge-reranker-v2-m3": replace(_SHORT, scoring=Scoring.POINTWISE, max_tokens_per_document=1024),
        "cohere-rerank-3.5": Capabilities(
            scoring=Scoring.POINTWISE, max_documents=200, max_tokens_per_document=40_000, source=_SOURCE
        ),
        "pinecone-rerank-v0": replace(_SHORT, max_tokens_per_document=512),
    },
    quirks=(
        "The model that answers may differ from the requested one; the response names it.",
        "Limits are those of the documented example until GET /models?type=rerank has reported the current ones.",
        "Only Cohere's models accept max_chunks_per_doc.",
        "Rerank units are counted as search units.",
        "A deprecated or unauthorised model is a 403, an unknown one a 404.",
    ),
    list_route="GET /models?type=rerank",
)
