"""Declaration of Google's ranking API over gRPC; the adapter is `grpc_upstream/vertex.py`.

Reference: https://cloud.google.com/generative-ai-app-builder/docs/ranking (google-cloud-discoveryengine 0.20.5).
Facts of 2026-11-21.
"""

from __future__ import annotations

from typing import Final

from rerankd_adapters.base import (
    BEARER,
    Authentication,
    Capabilities,
    Price,
    Provider,
    Scheme,
    ScoreSpace,
    Truncation,
)
from rerankd_adapters.parameter import mapping

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_SHORT: Final = Capabilities(max_tokens_per_document=512, source="Google's ranking documentation")
_LONG: Final = Capabilities(max_tokens_per_document=1024, source="Google's ranking documentation")

VERTEX_GRPC = Provider(
    name="vertex_grpc",
    usage_units=("search_unit",),
    title="Google Vertex AI ranking (gRPC)",
    adapter="rerankd_adapters.grpc_upstream.vertex:VertexGrpc",
    is_grpc=True,
    reference="https://cloud.google.com/generative-ai-app-builder/docs/ranking",
    checked="2026-11-21",
    base_url="grpcs://discoveryengine.googleapis.com",
    key_variables=("VERTEXAI_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"),
    base_url_variables=("VERTEXAI_RANKING_GRPC_API_BASE",),
    presence_variables=("VERTEXAI_PROJECT", "VERTEX_PROJECT"),
    option_variables={
        "project": ("VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"),
        "location": ("VERTEXAI_RANKING_LOCATION",),
        "ranking_config": ("VERTEXAI_RANKING_CONFIG",),
        "quota_project": ("GOOGLE_CLOUD_QUOTA_PROJECT",),
    },
    parameters={
        "user_labels": mapping("google-cloud-discoveryengine 0.20.5", holds_text=True),
        "userLabels": mapping("google-cloud-discoveryengine 0.20.5, its JSON name", holds_text=True),
    },
    # a key is an access token of the operator's own; without one the default credentials are used
    authentication=(BEARER, Authentication(scheme=Scheme.GOOGLE, scope=SCOPE)),
    key_is_required=False,
    options={
        "project": "Google Cloud project, by name or number.",
        "location": "Location of the ranking configuration: global (default), us or eu, which have hosts of their own.",
        "ranking_config": "Ranking configuration, or its whole resource name; default_ranking_config unless set.",
        "quota_project": "Project that is billed, if not the credentials' own.",
    },
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        max_documents=200,
        billing_unit="search_unit",
        truncation_default=Truncation.END,
        source="google-cloud-discoveryengine 0.20.5; Google's ranking documentation",
    ),
    models={
        "semantic-ranker-default@latest": _LONG,
        "semantic-ranker-default-004": _LONG,
        "semantic-ranker-fast@latest": _LONG,
        "semantic-ranker-fast-004": _LONG,
        "semantic-ranker-default-003": _SHORT,
        "semantic-ranker-default-002": _SHORT,
        "semantic-ranker-512@latest": _SHORT,
    },
    prices=(
        Price(
            model="*",
            unit="search_unit",
            usd_per_million=1000.0,
            source="LiteLLM 1.109.1 model table, after Google's price list",
            date="2026-11-21",
        ),
    ),
    quirks=(
        "Documents with rank_fields title and content, in this order, are sent as objects; others as text.",
        "Whether it is pointwise is not documented: requests of more than 200 documents are refused.",
        "Scores have two decimals, so ties are common.",
        "Truncates long documents without a warning.",
        "Documents are sent as contents without a title.",
        "Does not report usage; search units are estimated as one for 100 documents.",
        "Models cannot be listed.",
    ),
)
