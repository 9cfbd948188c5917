"""The rerank API of vLLM 0.33: documents are always returned, and `top_n` 0 means all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import structs

from rerankd.contract import messages
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankResponse
from rerankd.gateway.translation.answers import numbered_error, rows, token_usage
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.parsed_request import ParsedRequest, RerankBody

_MAPPED: Final = ("truncate_prompt_tokens", "truncation_side", "use_activation")
_LENGTH_NOT_APPLIED: Final = (
    "truncate_prompt_tokens: its length was not applied, only models served by vLLM take it; long documents were cut to"
    " the model's window"
)


class VllmBody(RerankBody):
    """The common body; `documents` may be a single string, or one object with content parts."""

    documents: str | dict[str, Any] | list[str | dict[str, Any]] | None = None  # type: ignore[assignment]  # wider on purpose


class Vllm(Dialect):
    """vLLM."""

    name = "vllm"
    title = "vLLM"
    body_type = VllmBody
    echoes_documents = True
    reads_zero_top_n_as_all = True

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert the common fields; 0 as `max_tokens_per_doc` means unset."""
        documents = [body.documents] if isinstance(body.documents, str | dict) else body.documents
        tokens = body.max_tokens_per_doc or None
        return super().parse(structs.replace(body, documents=documents, max_tokens_per_doc=tokens), keys)

    def document_path(self, parsed: ParsedRequest, index: int, part: str) -> str:
        """Return the path of a document's part, without index if the caller sent one document and no list."""
        path = super().document_path(parsed, index, part)
        is_single = isinstance(getattr(parsed.body, "documents", None), str | dict)
        return path.replace("documents[0]", "documents", 1) if is_single else path

    def map_parameters(self, parsed: ParsedRequest, passed: Mapping[str, Any]) -> Mapping[str, str]:
        """Set truncation and scale."""
        return map_vllm_parameters(parsed, passed)

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build id, model, usage and results."""
        return {
            "id": answer.id,
            "model": answer.model,
            "usage": token_usage(answer),
            "results": list(rows(answer, parsed, "relevance_score")),
        }

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build an error in OpenAI's form, with the status as its code."""
        return numbered_error(error)


def map_vllm_parameters(parsed: ParsedRequest, passed: Mapping[str, Any]) -> Mapping[str, str]:
    """Set the truncation and scale that vLLM's parameters mean; the length of a cut is for its own models only."""
    mapped = {name: "" for name in _MAPPED if name in passed}
    tokens = passed.get("truncate_prompt_tokens")
    if passed.get("truncation_side") == "left":
        parsed.request.truncation = messages.Truncation.START
    elif tokens is not None:
        parsed.request.truncation = messages.Truncation.END
    if tokens is not None and tokens >= 0:
        mapped["truncate_prompt_tokens"] = _LENGTH_NOT_APPLIED
    if passed.get("use_activation") is False:
        parsed.scale = "logit"
    return mapped
