"""Text Embeddings Inference (Hugging Face) over HTTP.

Reference: https://huggingface.github.io/text-embeddings-inference (source of 1.9.3). Facts of 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    HttpRequest,
    HttpResponse,
    Provider,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.failure import clean
from rerankd_adapters.listing import is_name, read_limit, read_listing
from rerankd_adapters.parameter import Parameter, echo, flag, text
from rerankd_adapters.wire import as_count, at, bad_response, get_json

_SOURCE: Final = "source of text-embeddings-inference 1.9.3"
PARAMETERS: Final[Mapping[str, Parameter]] = {
    "truncate": flag(_SOURCE, is_nullable=True),
    "truncation_direction": text(_SOURCE, "Left", "Right"),
    "raw_scores": flag(_SOURCE, raw_when=True),
    "return_text": echo(_SOURCE),
}
"""Of both transports."""


class TeiAdapter(JsonDialect):
    """TEI serves one model: requests name no model, the response is a bare array, tokens are in a header."""

    wire = Wire(
        path="/rerank",
        model=None,
        documents="texts",
        top_n=None,
        fixed={"return_text": False},
        defaults={"raw_scores": False},
        truncation={
            Truncation.END: {"truncate": True, "truncation_direction": "Right"},
            Truncation.START: {"truncate": True, "truncation_direction": "Left"},
            Truncation.NONE: {"truncate": False},
        },
        results=(),
        score="score",
    )

    def prompt_tokens_of(self, body: object, response: HttpResponse) -> int:
        """Return the tokens of the response header."""
        return compute_tokens(response)

    def capabilities_request(self, endpoint: Endpoint) -> HttpRequest | None:
        """Build the `/info` request."""
        return get_json(endpoint, self.wire.path, "/info")

    def parse_capabilities(self, response: HttpResponse) -> Mapping[str, Capabilities]:
        """Read the limits of the server's model."""
        info = read_listing(response)
        if at(info, ("model_id",)) is None:
            raise bad_response("there is no model_id")
        name = at(info, ("served_model_name",)) or at(info, ("model_id",))
        kind = at(info, ("model_type",))
        return served_by_tei(
            name if is_name(name) else "",
            is_reranker=not isinstance(kind, dict) or "reranker" in kind,
            max_documents=read_limit(info, "max_client_batch_size"),
            max_tokens=read_limit(info, "max_input_length"),
            source="the server itself, GET /info",
        )


def compute_tokens(response: HttpResponse) -> int:
    """Return the tokens that TEI reports in a header; 0 if not reported."""
    said = response.headers.get("x-compute-tokens", "")
    return as_count(int(said)) if said.isascii() and said.isdigit() and len(said) < 16 else 0


def served_by_tei(
    name: str, *, is_reranker: bool, max_documents: int | None, max_tokens: int | None, source: str
) -> Mapping[str, Capabilities]:
    """Return the capabilities of a TEI server's model, under its name, and under `*` since calls name no model.

    Args:
        name: Hugging Face id, or a folder whose last segment is the name; empty if unknown.
        is_reranker: Whether the model can rerank.
        max_documents: Maximum texts per call.
        max_tokens: Maximum tokens of a query-document pair.
        source: Source of these values.

    Raises:
        AdapterError: `MODEL_NOT_FOUND` for a model that is not a reranker.
    """
    if not is_reranker:
        message = f"the server runs {clean(name) or 'a model'}, which is not a reranker"
        raise AdapterError(AdapterErrorKind.MODEL_NOT_FOUND, message)
    facts = Capabilities(max_documents=max_documents, max_tokens_per_document=max_tokens, source=source)
    listed = name.rstrip("/").rpartition("/")[2] if name.startswith("/") else name
    return {"*": facts, **({listed: Capabilities()} if listed else {})}


TEI = Provider(
    name="tei",
    title="Text Embeddings Inference",
    adapter="rerankd_adapters.providers.tei:TeiAdapter",
    reference="https://huggingface.github.io/text-embeddings-inference",
    checked="2026-11-21",
    aliases=("huggingface", "text-embeddings-inference"),
    key_variables=("TEI_API_KEY", "HUGGINGFACE_API_KEY", "HF_TOKEN"),
    base_url_variables=("TEI_API_BASE", "HUGGINGFACE_API_BASE", "HF_API_BASE"),
    parameters=PARAMETERS,
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_documents=32,
        max_request_bytes=2_000_000,
        truncation_default=Truncation.END,
        source=_SOURCE,
    ),
    quirks=(
        "Accepts 32 documents per call unless started with another --max-client-batch-size, which GET /info reports, "
        "and 2,000,000 bytes unless started with a higher --payload-limit.",
        "Every document takes a permit: under load whole calls are refused with 429.",
        "An invalid key is a 401 with an empty body.",
        "A batch over the limit is a 422, not the documented 413.",
        "Equal scores come back in reverse order.",
    ),
    list_route="GET /info",
)
