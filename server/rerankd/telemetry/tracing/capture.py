"""OpenInference attributes of calls, with queries and documents where the operator asks for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.telemetry.settings import TelemetrySettings

_KIND: Final = "openinference.span.kind"
_QUERY: Final = "reranker.query"
_MODEL: Final = "reranker.model_name"
_TOP_K: Final = "reranker.top_k"
_INPUT: Final = "reranker.input_documents"
_OUTPUT: Final = "reranker.output_documents"


class Capture:
    """Makes OpenInference attributes of calls; compiles the redaction patterns once.

    Args:
        settings: Which texts spans hold, how long, and what is redacted.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self._settings = settings
        self._patterns = [re.compile(pattern) for pattern in settings.redact]

    def attributes(self, request: RerankRequest, response: RerankResponse | None) -> dict[str, Any]:
        """Return the attributes of one call; empty unless the settings ask for any."""
        settings = self._settings
        if not settings.captures:
            return {}
        found: dict[str, Any] = {_KIND: "RERANKER", _MODEL: response.model if response else request.model[:200]}
        if request.top_n is not None:
            found[_TOP_K] = request.top_n
        if settings.captures_query:
            found[_QUERY] = self._shown(request.query)
        most = settings.capture_max_documents
        if settings.captures_documents:
            found |= self._contents(_INPUT, request, range(min(len(request.documents), most)))
        if response is not None:
            best = response.results[:most]
            for place, result in enumerate(best):
                found[f"{_OUTPUT}.{place}.document.id"] = str(result.index)
                found[f"{_OUTPUT}.{place}.document.score"] = result.relevance_score
            if settings.captures_documents:
                found |= self._contents(_OUTPUT, request, [result.index for result in best])
        return found

    def _contents(self, prefix: str, request: RerankRequest, indices: Sequence[int]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place, index in enumerate(indices):
            document = request.documents[index]
            text = document if isinstance(document, str) else document.text
            found[f"{prefix}.{place}.document.content"] = self._shown(text)
        return found

    def _shown(self, text: str) -> str:
        """Redact, then cut: a cut first could leave half a match, which no pattern matches."""
        for pattern in self._patterns:
            text = pattern.sub("***", text)
        return text[: self._settings.capture_max_chars]
