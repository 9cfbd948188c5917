"""Google's ranking API (Vertex AI, Discovery Engine) over gRPC.

Reference: https://cloud.google.com/generative-ai-app-builder/docs/ranking (google-cloud-discoveryengine 0.20.5).
Facts of 2026-11-21.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Endpoint,
    Provider,
    ProviderCall,
    ProviderReply,
    Truncation,
)
from rerankd_adapters.dialect import DOCUMENTS_PER_SEARCH_UNIT, Wire, ignored, options_of, truncation_of
from rerankd_adapters.documents import titled_document
from rerankd_adapters.grpc_upstream.credentials import Headers
from rerankd_adapters.grpc_upstream.messages import DynamicMessage, find_method
from rerankd_adapters.grpc_upstream.upstream import GrpcUpstream
from rerankd_adapters.providers.vertex_location import located, ranking_config
from rerankd_adapters.wire import bad_response

_RANK: Final = find_method("google.cloud.discoveryengine.v1.RankService", "Rank")
_WIRE: Final = Wire(documents="records", always=Truncation.END)
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._:-]+")
_POSITION: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_SCORE_DIGITS: Final = 6
"""Scores have two decimals (0.0001 at the least), which 32-bit floats do not hold exactly."""


class VertexGrpc(GrpcUpstream):
    """Adapter of the ranking API. Record ids are positions; all records are requested, since a call is billed whole."""

    method = _RANK
    default_port = 443

    def __init__(self, provider: Provider, endpoint: Endpoint, **kwargs: Any) -> None:
        config = ranking_config(kwargs.get("options") or {}, endpoint.base_url)
        for name, value in config._asdict().items():
            if value and not _SEGMENT.fullmatch(value):
                option = "ranking_config" if name == "name" else name
                raise AdapterError(AdapterErrorKind.REJECTED, f"the option {option} is not a name")
        super().__init__(provider, replace(endpoint, base_url=located(endpoint.base_url, config.location)), **kwargs)
        project, location, name = config
        self._config = f"projects/{project or '-'}/locations/{location}/rankingConfigs/{name}"
        self._has_project = bool(project)

    def headers_of(self, call: ProviderCall) -> Headers:
        """Return Google's routing header, and the quota project if it is not the credentials' project."""
        headers = {"x-goog-request-params": f"ranking_config={quote(self._config, safe='')}"}
        payer = str(self.options.get("quota_project") or "")
        return {**headers, "x-goog-user-project": payer} if payer else headers

    def build(self, call: ProviderCall) -> DynamicMessage:
        """Build the request. Documents are sent as `content`; a made-up title would change the scores."""
        if not self._has_project:
            message = "the Google Cloud project is unknown; set the option project or VERTEXAI_PROJECT"
            raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
        title = self.provider.title
        truncation_of(call, _WIRE, title)
        options = options_of(call, _WIRE, self.parameters(call.model))
        return _RANK.request(
            ranking_config=self._config,
            model=call.model,
            query=self.query_of(call),
            records=[
                {"id": str(position), **(titled_document(call, position) or {"content": text})}
                for position, text in enumerate(call.documents)
            ],
            ignore_record_details_in_response=True,
            user_labels=options.get("user_labels", options.get("userLabels")),
        )

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter of the call that the service has no field for."""
        return ignored(call, _WIRE, self.provider.title, self.parameters(call.model))

    def parse(self, call: ProviderCall, response: DynamicMessage) -> ProviderReply:
        """Read the records."""
        records = response.records
        if not all(_POSITION.fullmatch(record.id) for record in records):
            raise bad_response("a record has an id that was not sent")
        return ProviderReply(
            indices=[int(record.id) for record in records],
            scores=[round(record.score, _SCORE_DIGITS) for record in records],
            search_units=math.ceil(len(call.documents) / DOCUMENTS_PER_SEARCH_UNIT),
            warnings=self.warnings_of(call),
        )
