"""ZeroEntropy's rerank API: https://docs.zeroentropy.dev/api-reference/models/rerank."""

from __future__ import annotations

from typing import Any

from rerankd.contract import messages
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import rows, text_of
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest


class ZeroEntropy(Dialect):
    """ZeroEntropy. Its clients read status and `detail` of errors, which the common form has."""

    name = "zeroentropy"
    title = "ZeroEntropy"

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build results, and totals in bytes, tokens and seconds."""
        usage, extra = answer.usage or messages.Usage(), answer.extra_fields or messages.ExtraFields()
        texts = [parsed.request.query, *map(text_of, parsed.documents)]
        return {
            "results": list(rows(answer, parsed, "relevance_score")),
            "total_bytes": sum(len(text.encode("utf-8", "surrogatepass")) for text in texts),
            "total_tokens": usage.total_tokens,
            "e2e_latency": extra.latency / 1000,
            "inference_latency": extra.latency / 1000,
            "actual_latency_mode": "fast",
        }
