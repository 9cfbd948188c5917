"""Rerank endpoints of Elasticsearch's inference API.

Reference: https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-inference-rerank (client 9.5.1).
Facts of 2026-11-21.
"""

from __future__ import annotations

from urllib.parse import quote

from rerankd_adapters.base import (
    NO_KEY,
    AdapterError,
    Capabilities,
    HttpResponse,
    Provider,
    ProviderCall,
    header_key,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.failure import failure_of
from rerankd_adapters.parameter import mapping
from rerankd_adapters.wire import at, path_segments, read_json


class ElasticsearchAdapter(JsonDialect):
    """The model is the id of an inference endpoint and part of the path."""

    wire = Wire(
        path="/_inference/rerank",
        model=None,
        documents="input",
        needs_top_n=True,
        fixed={"return_documents": False},
        always=None,
        results=("rerank",),
    )

    def path_of(self, call: ProviderCall) -> str:
        """Return the path of the endpoint, with the cluster's timeout as query parameter."""
        path = f"{self.wire.path}/{path_segments(call.model)}"
        timeout = self.options.get("timeout")
        return f"{path}?timeout={quote(str(timeout), safe='')}" if timeout else path

    def failure_of(self, call: ProviderCall, response: HttpResponse) -> AdapterError:
        """Build the error with Elasticsearch's `error.reason`."""
        try:
            reason = at(read_json(response), ("error", "reason"))
        except AdapterError:
            reason = None
        said = reason if isinstance(reason, str) else None
        return failure_of(call, response, self.kind_of(response), said)


ELASTICSEARCH = Provider(
    name="elasticsearch",
    usage_units=(),
    title="Elasticsearch",
    adapter="rerankd_adapters.providers.elasticsearch:ElasticsearchAdapter",
    reference="https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-inference-rerank",
    checked="2026-11-21",
    aliases=("elastic",),
    key_variables=("ELASTICSEARCH_API_KEY", "ELASTIC_API_KEY", "ES_API_KEY"),
    base_url_variables=("ELASTICSEARCH_URL", "ELASTIC_URL"),
    parameters={"task_settings": mapping("elasticsearch client 9.5.1")},
    authentication=(header_key("authorization", "ApiKey "), NO_KEY),
    key_is_required=False,
    options={"timeout": "How long the cluster waits for the endpoint, such as 30s."},
    capabilities=Capabilities(source="elasticsearch client 9.5.1"),
    quirks=(
        "The model is the inference id; its scoring is unknown, so calls are not split unless you set it.",
        "The key is an encoded API key; for basic authentication set the deployment's authorization header instead.",
        "An endpoint may have a default top_n, so the number of results is always sent.",
    ),
    list_route="GET /_inference/rerank/_all",
)
