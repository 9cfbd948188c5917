"""Rerank service of Volcengine's knowledge base (VikingDB).

Reference: https://www.volcengine.com/docs/84313/1254474, and the official SDK vikingdb-python-sdk
(`vikingdb/knowledge/client.py`, `models/rerank.py`, `exceptions.py`). Facts of 2026-11-29.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rerankd_adapters.base import (
    BEARER,
    AdapterError,
    AdapterErrorKind,
    Authentication,
    Capabilities,
    HttpResponse,
    Provider,
    ProviderCall,
    ProviderReply,
    Scheme,
    Scoring,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.failure import failure_of
from rerankd_adapters.parameter import text
from rerankd_adapters.wire import at, bad_response, read_json, read_scores

MAX_PAIRS: Final = 50
_KIND_OF_CODE: Final[Mapping[int, AdapterErrorKind]] = {
    1000001: AdapterErrorKind.CREDENTIALS,
    1000002: AdapterErrorKind.CREDENTIALS,
    1000003: AdapterErrorKind.REJECTED,
    1000028: AdapterErrorKind.UNAVAILABLE,
    1000029: AdapterErrorKind.RATE_LIMITED,
    1000030: AdapterErrorKind.UNAVAILABLE,
}
"""Error kinds by `code`, which is in the body whatever the HTTP status; other codes go by the status."""


class VolcengineAdapter(JsonDialect):
    """Repeats the query for every document; scores are in document order, and errors may have status 200."""

    wire = Wire(
        path="/api/knowledge/service/rerank",
        model="rerank_model",
        documents="datas",
        top_n=None,
        always=None,
        instruction="rerank_instruction",
        results=("data", "scores"),
        prompt_tokens=(("data", "token_usage"), ("token_usage",)),
    )

    def body_of(self, call: ProviderCall) -> dict[str, object]:
        """Return the JSON object, whose pairs hold the query."""
        body = super().body_of(call)
        del body["query"]
        return body

    def documents_of(self, call: ProviderCall) -> object:
        """Return a pair of query and content for each document."""
        return [{"query": call.query, "content": document} for document in call.documents]

    def parse(self, call: ProviderCall, response: HttpResponse) -> ProviderReply:
        """Parse the response; a `code` other than 0 is an error, whatever the status.

        Raises:
            AdapterError: The response is an error or invalid.
        """
        if response.status == 200 and _code_of(response) not in (0, None):
            raise self.failure_of(call, response)
        return super().parse(call, response)

    def failure_of(self, call: ProviderCall, response: HttpResponse) -> AdapterError:
        """Build the error of a response, classified by its `code` where that is known."""
        code = _code_of(response)
        kind = _KIND_OF_CODE.get(code) if isinstance(code, int) else None
        return failure_of(call, response, kind or self.kind_of(response))

    def ranking_of(self, call: ProviderCall, body: object) -> tuple[list[int], list[float]]:
        """Return the scores with their positions as indices."""
        scores = read_scores(at(body, self.wire.results))
        if len(scores) != len(call.documents):
            raise bad_response(f"{len(scores)} scores for {len(call.documents)} documents")
        return list(range(len(scores))), scores


def _code_of(response: HttpResponse) -> object:
    try:
        return at(read_json(response), ("code",))
    except AdapterError:
        return None


_SOURCE = "vikingdb-python-sdk, 2026-10"

VOLCENGINE = Provider(
    name="volcengine",
    title="Volcengine knowledge base",
    adapter="rerankd_adapters.providers.volcengine:VolcengineAdapter",
    reference="https://www.volcengine.com/docs/84313/1254474",
    checked="2026-11-29",
    aliases=("volc", "vikingdb"),
    base_url="https://api-knowledgebase.mlp.cn-beijing.volces.com",
    key_variables=("VOLC_ACCESSKEY", "VOLCENGINE_ACCESS_KEY"),
    base_url_variables=("VOLCENGINE_API_BASE",),
    option_variables={"secret_access_key": ("VOLC_SECRETKEY", "VOLCENGINE_SECRET_KEY")},
    parameters={"endpoint_id": text(_SOURCE), "rerank_instruction": text(_SOURCE)},
    options={
        "secret_access_key": "Secret of the access key; without it the key is sent as a bearer token.",
        "region": "Region in the signature; cn-beijing unless set.",
    },
    authentication=(Authentication(scheme=Scheme.VOLCENGINE, service="air"), BEARER),
    capabilities=Capabilities(scoring=Scoring.POINTWISE, max_documents=MAX_PAIRS, source=_SOURCE),
    models={
        "doubao-seed-rerank": Capabilities(takes_instruction=True, source=_SOURCE),
        "base-multilingual-rerank": Capabilities(source=_SOURCE),
        "m3-v2-rerank": Capabilities(source=_SOURCE),
        "Doubao-pro-4k-rerank": Capabilities(takes_instruction=True, source=_SOURCE),
    },
    quirks=(
        "api_key is the id of an access key, the option secret_access_key its secret; requests are signed.",
        "Takes pairs, at most 50 a call, and returns scores in their order, so models are taken to be pointwise.",
        "Errors have a code in the body and may have status 200.",
        "Score ranges are not documented; set score_space.",
    ),
)
