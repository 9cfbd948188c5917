"""Google Vertex AI: the ranking API of Discovery Engine over REST.

Reference: https://cloud.google.com/generative-ai-app-builder/docs/ranking (google-cloud-discoveryengine
0.20.5). Facts of 2026-11-21.
"""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote

from msgspec import structs

from rerankd_adapters.base import (
    BEARER,
    AdapterError,
    AdapterErrorKind,
    Authentication,
    Capabilities,
    Endpoint,
    HttpRequest,
    ModelRule,
    Price,
    Provider,
    ProviderCall,
    Scheme,
    ScoreSpace,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.documents import titled_document
from rerankd_adapters.parameter import mapping, top_n
from rerankd_adapters.providers.vertex_location import located, ranking_config
from rerankd_adapters.wire import at, post_json, read_ranking

_POSITION = re.compile(r"0|[1-9][0-9]{0,8}")


class VertexAdapter(JsonDialect):
    """Record ids are document positions."""

    wire = Wire(
        path="/v1/projects/{}/locations/{}/rankingConfigs/{}:rank",
        documents="records",
        top_n="topN",
        fixed={"ignoreRecordDetailsInResponse": True},
        results=("records",),
        index="id",
        score="score",
    )

    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request, with the quota project in a header."""
        config = ranking_config(self.options, endpoint.base_url)
        if not config.project:
            message = "the Google Cloud project is unknown; set the option project or VERTEXAI_PROJECT"
            raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
        path = self.wire.path.format(*(quote(each, safe="") for each in config))
        request = post_json(
            replace(endpoint, base_url=located(endpoint.base_url, config.location)),
            str(self.options.get("path") or path),
            self.body_of(call),
            self.headers(),
            names_model=not self.options.get("path"),
        )
        payer = str(self.options.get("quota_project") or config.project)
        return structs.replace(request, headers={"x-goog-user-project": payer, **request.headers})

    def documents_of(self, call: ProviderCall) -> object:
        """Return the records, without made-up titles, which would change the scores."""
        return [
            {"id": str(position), **(titled_document(call, position) or {"content": text})}
            for position, text in enumerate(call.documents)
        ]

    def ranking_of(self, call: ProviderCall, body: object) -> tuple[list[int], list[float]]:
        """Convert record ids to positions."""
        records = at(body, self.wire.results)
        if isinstance(records, list):
            records = [_numbered(record) if isinstance(record, dict) else record for record in records]
        return read_ranking(records, self.wire.index, self.wire.score)


def _numbered(record: dict[str, object]) -> dict[str, object]:
    name = record.get("id")
    if not isinstance(name, str) or not _POSITION.fullmatch(name):
        name = None
    return {**record, "id": name and int(name)}


_SOURCE = "cloud.google.com ranking API; google-cloud-discoveryengine 0.20.5"
_SHORT = Capabilities(max_tokens_per_document=512, source=_SOURCE)
_LONG = Capabilities(max_tokens_per_document=1024, source=_SOURCE)

VERTEX = Provider(
    name="vertex",
    usage_units=("search_unit",),
    title="Google Vertex AI",
    adapter="rerankd_adapters.providers.vertex:VertexAdapter",
    reference="https://cloud.google.com/generative-ai-app-builder/docs/ranking",
    checked="2026-11-21",
    aliases=("vertex_ai",),
    base_url="https://discoveryengine.googleapis.com",
    key_variables=("GOOGLE_OAUTH_ACCESS_TOKEN",),
    base_url_variables=("VERTEXAI_RANKING_API_BASE",),
    presence_variables=("VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS"),
    option_variables={
        "project": ("VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"),
        "location": ("VERTEXAI_RANKING_LOCATION",),
        "ranking_config": ("VERTEXAI_RANKING_CONFIG",),
        "quota_project": ("GOOGLE_CLOUD_QUOTA_PROJECT",),
    },
    options={
        "project": "Google Cloud project.",
        "location": "Location of the ranking config: global (default), us or eu, which have hosts of their own.",
        "ranking_config": "Ranking config, or its whole resource name; default_ranking_config unless set.",
        "quota_project": "Project that is billed; that of the option project unless set.",
    },
    parameters={"userLabels": mapping(_SOURCE, holds_text=True), "topN": top_n(_SOURCE)},
    authentication=(BEARER, Authentication(scheme=Scheme.GOOGLE)),
    key_is_required=False,
    capabilities=Capabilities(
        score_space=ScoreSpace.PROBABILITY,
        max_documents=200,
        billing_unit="search_unit",
        truncation_default=Truncation.END,
        source=_SOURCE,
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
    rules=(ModelRule("semantic-ranker-512*", _SHORT),),
    prices=(
        Price(
            model="*",
            unit="search_unit",
            usd_per_million=1000,
            source="cloud.google.com/generative-ai-app-builder/pricing through LiteLLM 1.109.1",
            date="2026-11-21",
        ),
    ),
    quirks=(
        "Documents with rank_fields title and content, in this order, are sent as objects; others as text.",
        "Scores have two decimals, so ties are frequent; values near 0 become 0.0001.",
        "Accepts 200 documents per call. Whether it is pointwise is not documented: calls are not split.",
        "Does not report usage; search units are estimated as one for 100 documents.",
        "A key is an OAuth access token; without one the application-default credentials are used.",
        "Models cannot be listed.",
    ),
)
