"""Any server that speaks a dialect like Cohere's, Jina's or TEI's, described by options alone.

Reference: what the server's own documentation says. Facts of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    HttpResponse,
    Provider,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.providers.cohere import V1, V2
from rerankd_adapters.providers.tei import TeiAdapter, compute_tokens

SHAPES: Final[Mapping[str, Wire]] = {
    "jina": Wire(fixed={"return_documents": False}, always=None),
    "cohere": replace(V2, always=None),
    "cohere-v1": replace(V1, always=None),
    "tei": TeiAdapter.wire,
}

OPTIONS: Final[Mapping[str, str]] = {
    "shape": 'Dialect to start from: "jina" (default), "cohere", "cohere-v1" or "tei".',
    "path": "Path below the base URL.",
    "model_field": "Field with the model's name; empty for none.",
    "query_field": "Field with the query.",
    "documents_field": "Field with the documents.",
    "rank_fields_field": "Field for rank_fields; if unset, documents are sent as text.",
    "top_n_field": "Field with the number of results; empty for none.",
    "instruction_field": "Field with the instruction; empty for none.",
    "max_tokens_per_doc_field": "Field with the tokens to keep per document; empty for none.",
    "results": "Path of the list of results, such as output.results; empty for a top-level array.",
    "index_field": "Field of a result with its index.",
    "score_field": "Field of a result with its score.",
    "fields": "Object with additional fields sent with every call.",
}
_WIRE_FIELDS: Final = ("model", "query", "documents", "rank_fields", "top_n", "instruction", "max_tokens_per_doc")


class GenericAdapter(JsonDialect):
    """Adapter with a `Wire` built from its options."""

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        super().__init__(provider, options)
        self.wire = wire_of(self.options)

    def prompt_tokens_of(self, body: object, response: HttpResponse) -> int:
        """Return the prompt tokens of the body, else of TEI's header; 0 if not reported."""
        return super().prompt_tokens_of(body, response) or compute_tokens(response)


def wire_of(options: Mapping[str, object]) -> Wire:
    """Build a `Wire` from adapter options.

    Raises:
        AdapterError: `REJECTED` for an unknown shape or option.
    """
    shape = str(options.get("shape", "jina"))
    unknown = sorted(set(options) - set(OPTIONS))
    if shape not in SHAPES or unknown:
        fault = f"shape {shape}" if shape not in SHAPES else f"option {unknown[0]}"
        raise AdapterError(AdapterErrorKind.REJECTED, f"the generic provider has no {fault[:100]}")
    wire = SHAPES[shape]
    changes: dict[str, Any] = {
        name: str(options[f"{name}_field"]) or None for name in _WIRE_FIELDS if f"{name}_field" in options
    }
    changes |= {name: str(options[f"{name}_field"]) for name in ("index", "score") if f"{name}_field" in options}
    if "results" in options:
        changes["results"] = tuple(key for key in str(options["results"]).split(".") if key)
    fields = options.get("fields", {})
    if not isinstance(fields, Mapping):
        raise AdapterError(AdapterErrorKind.REJECTED, "the option fields is not a mapping")
    return replace(wire, fixed={**wire.fixed, **fields}, **changes)


GENERIC = Provider(
    name="generic",
    usage_units=("token", "search_unit"),
    title="Generic",
    adapter="rerankd_adapters.providers.generic:GenericAdapter",
    reference="https://docs.cohere.com/reference/rerank",
    checked="2026-11-21",
    aliases=("custom",),
    key_variables=("GENERIC_RERANK_API_KEY",),
    base_url_variables=("GENERIC_RERANK_API_BASE",),
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    parameters=None,
    options=OPTIONS,
    capabilities=Capabilities(source="declared by the operator"),
    quirks=("Its models' scoring is unknown: calls are not split unless the settings declare it pointwise.",),
)
