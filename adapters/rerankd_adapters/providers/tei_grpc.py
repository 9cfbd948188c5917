"""Declaration of Text Embeddings Inference over gRPC; the adapter is `grpc_upstream/tei.py`.

Reference: https://huggingface.github.io/text-embeddings-inference (source of 1.9.3). Facts of 2026-11-21.
"""

from __future__ import annotations

from rerankd_adapters.base import BEARER, NO_KEY, Capabilities, Provider, ScoreSpace, Scoring, Truncation
from rerankd_adapters.providers.tei import PARAMETERS

TEI_GRPC = Provider(
    name="tei_grpc",
    title="Text Embeddings Inference (gRPC)",
    adapter="rerankd_adapters.grpc_upstream.tei:TeiGrpc",
    is_grpc=True,
    reference="https://huggingface.github.io/text-embeddings-inference",
    checked="2026-11-21",
    key_variables=("TEI_API_KEY",),
    base_url_variables=("TEI_GRPC_API_BASE",),
    parameters=PARAMETERS,
    authentication=(BEARER, NO_KEY),
    key_is_required=False,
    options={"streams": "true sends one text per message (RerankStream), without a limit on their number."},
    capabilities=Capabilities(
        scoring=Scoring.POINTWISE,
        score_space=ScoreSpace.PROBABILITY,
        max_documents=32,
        truncation_default=Truncation.NONE,
        source="source and proto of text-embeddings-inference 1.9.3",
    ),
    quirks=(
        "Needs a server built for gRPC, at grpc://host:port or grpcs://host:port; it has no HTTP routes.",
        "Accepts 32 documents per call unless started with a higher --max-client-batch-size or used with streams.",
        "Waits for permits under load, while the HTTP server refuses the call.",
        "Rejects texts that are too long unless truncation is on, so truncation is always sent.",
        "Equal scores come back in reverse order.",
    ),
    list_route="tei.v1.Info/Info",
)
