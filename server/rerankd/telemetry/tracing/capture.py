"""OpenInference attributes of calls, with queries and documents where the operator asks for them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from rerankd.telemetry.calls.call_record import CallRecord, ScoredTexts
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

    def attributes(self, record: CallRecord) -> dict[str, Any]:
        """Return the attributes of one call; empty unless the settings ask for any.

        Texts are those that models read, after guardrails; a call that was refused before that has none.
        """
        settings = self._settings
        if not settings.captures:
            return {}
        response, texts = record.response, record.texts
        found: dict[str, Any] = {_KIND: "RERANKER", _MODEL: response.model if response else record.requested_model}
        if record.top_n is not None:
            found[_TOP_K] = record.top_n
        if texts is not None and settings.captures_query:
            found[_QUERY] = self._shown(texts.query)
        most = settings.capture_max_documents
        best = [] if response is None else response.results[:most]
        for number, result in enumerate(best):
            found[f"{_OUTPUT}.{number}.document.id"] = str(result.index)
            found[f"{_OUTPUT}.{number}.document.score"] = result.relevance_score
        if texts is not None and settings.captures_documents:
            found |= self._contents(_INPUT, texts, texts.indices[:most])
            found |= self._contents(_OUTPUT, texts, [result.index for result in best])
        return found

    def _contents(self, prefix: str, texts: ScoredTexts, indices: Sequence[int]) -> dict[str, Any]:
        """Return the texts of documents by their index in the request; blank ones may not have been read."""
        found: dict[str, Any] = {}
        for number, index in enumerate(indices):
            position = bisect_left(texts.indices, index)
            if position < len(texts.indices) and texts.indices[position] == index:
                found[f"{prefix}.{number}.document.content"] = self._shown(texts.texts[position])
        return found

    def _shown(self, text: str) -> str:
        """Redact, then cut: a cut first could leave half a match, which no pattern matches."""
        for pattern in self._patterns:
            text = pattern.sub("***", text)
        return text[: self._settings.capture_max_chars]
