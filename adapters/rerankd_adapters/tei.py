"""Text Embeddings Inference (Hugging Face) over HTTP.

Reference: https://huggingface.github.io/text-embeddings-inference (source of 1.9.3). Facts of 2026-11-21.
"""

from __future__ import annotations

from typing import Any

from rerankd_adapters.base import (
    BEARER,
    NO_KEY,
    Capabilities,
    HttpResponse,
    Provider,
    ScoreSpace,
    Scoring,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.wire import read_count


class TeiAdapter(JsonDialect):
    """One model a server: the request names none, the reply is a bare array, tokens come in a header."""

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
        options=frozenset({"raw_scores"}),
        results=(),
        score="score",
    )

    def prompt_tokens_of(self, body: Any, response: HttpResponse) -> int:  # noqa: ARG002
        """Return what the server counted."""
        said = response.headers.get("x-compute-tokens", "")
        return read_count(int(said) if said.isascii() and said.isdigit() else 0, ((),))


TEI = Provider(
    name="tei",
    title="Text Embeddings Inference",
    adapter="rerankd_adapters.tei:TeiAdapter",
    reference="https://huggingface.github.io/text-embeddings-inference",
    checked="2026-11-21",
    aliases=("huggingface", "text-embeddings-inference"),
    key_variables=("TEI_API_KEY", "HUGGINGFACE_API_KEY", "HF_TOKEN"),
    base_url_variables=("TEI_API_BASE", "HUGGINGFACE_API_BASE", "HF_API_BASE"),
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_documents=32,
        max_request_bytes=2_000_000,
        truncation_default=Truncation.END,
        source="source of text-embeddings-inference 1.9.3",
    ),
    quirks=(
        "Takes 32 documents and 2,000,000 bytes a call unless started with a higher --max-client-batch-size and "
        "--payload-limit.",
        "Every document of a call takes its own permit: under load whole calls are refused with 429.",
        "A wrong key is answered with an empty 401.",
        "A batch over the limit is a 422, not the documented 413.",
        "Equal scores come back in reverse order.",
    ),
    list_route="GET /info",
)
