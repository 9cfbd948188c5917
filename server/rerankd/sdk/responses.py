"""Response types of the SDK: dicts with attribute access, as litellm's responses are.

They serialize with `json.dumps`; a declared field that the dict lacks reads as None.

`RerankResponse`, `RerankResult`, `Usage` and `Meta` carry the names of the wire contract on purpose: they are the same
messages in litellm's form. `rerankd.contract.messages` has the engine's, `rerankd_client.responses` the gRPC client's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rerankd.contract import messages


class AttributeDict(dict[str, Any]):
    """A dict with attribute access. A declared field that is missing reads as None."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name in type(self).__annotations__:
                return None
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    def model_dump(self) -> dict[str, Any]:
        """Return a deep copy made of plain dicts and lists."""
        dumped = _plain(self)
        assert isinstance(dumped, dict)  # noqa: S101 - for the type checker
        return dumped

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """Return JSON text."""
        return json.dumps(self, ensure_ascii=False, indent=indent)

    def json(self) -> str:
        """Return JSON text; same as `model_dump_json`."""
        return self.model_dump_json()


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


class RerankDocument(AttributeDict):
    """A document as the caller gave it: a mapping with its own keys, a text as `{"text": ...}`."""

    text: str | None
    """Text; None if a mapping has no such key."""
    id: str | None
    """Caller's identifier."""
    fields: Mapping[str, object] | None
    """Structured content."""
    prior_score: float | None
    """Relevance score of an earlier stage."""
    metadata: Mapping[str, object] | None
    """Caller's data, returned unchanged."""


class RerankResult(AttributeDict):
    """One ranked document; mirrors the contract's `RerankResult`."""

    index: int
    """Zero-based position of the document in the call."""
    relevance_score: float
    """Higher is more relevant; comparable within one response."""
    document: RerankDocument | None
    """None with `return_documents=False`."""
    explanation: Mapping[str, Any] | None
    """What each part of a reranker said of the document; only with `include_details`."""


class Usage(AttributeDict):
    """Resources consumed by a call; mirrors the contract's `Usage`."""

    documents: int
    """Documents scored."""
    prompt_tokens: int
    """Tokens read."""
    completion_tokens: int
    """Tokens generated."""
    total_tokens: int
    """Prompt and completion tokens."""
    search_units: int
    """Billing units of the provider."""
    cost: float | None
    """US dollars; None when unknown."""


class Meta(AttributeDict):
    """Billing in Cohere's form, and warnings; mirrors the contract's `Meta`."""

    api_version: Mapping[str, str]
    """`{"version": "2"}`."""
    billed_units: Mapping[str, int]
    """`search_units`, `input_tokens`, `output_tokens` and `total_tokens`."""
    tokens: Mapping[str, int]
    """`input_tokens` and `output_tokens`."""
    warnings: list[str]
    """Warnings: truncated documents, ignored options."""


class RerankResponse(AttributeDict):
    """Ranked documents; mirrors the contract's `RerankResponse`."""

    id: str
    """Request id; also in the logs."""
    results: list[RerankResult]
    """Best first; equal scores in request order."""
    model: str
    """Model that produced the scores."""
    provider: str
    """Provider of the model."""
    usage: Usage
    """Resources consumed."""
    meta: Meta
    """Billing in Cohere's form, and warnings."""
    latency_ms: float
    """Milliseconds the engine spent on the call."""
    extra_fields: Mapping[str, object]
    """Execution details: stages, and provider calls with `include_details`."""


def response_of(response: messages.RerankResponse, documents: Sequence[Any]) -> RerankResponse:
    """Convert the engine's response to the SDK's.

    Args:
        response: The engine's.
        documents: n documents of the call, as the caller gave them.
    """
    usage = response.usage or messages.Usage()
    meta = response.meta or messages.Meta()
    extra = response.extra_fields or messages.ExtraFields()
    tokens = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    return RerankResponse(
        id=response.id,
        results=[_result(result, documents) for result in response.results],
        model=response.model,
        provider=extra.provider,
        usage=Usage(msgspec.to_builtins(usage)),
        meta=Meta(
            api_version=msgspec.to_builtins(meta.api_version or messages.ApiVersion()),
            billed_units={"search_units": usage.search_units, **tokens, "total_tokens": usage.total_tokens},
            tokens=tokens,
            warnings=list(meta.warnings),
        ),
        latency_ms=extra.latency,
        extra_fields=msgspec.to_builtins(extra),
    )


def _result(result: messages.RerankResult, documents: Sequence[Any]) -> RerankResult:
    ranked = RerankResult(index=result.index, relevance_score=result.relevance_score)
    if result.document is not None:
        ranked["document"] = _document(documents[result.index])
    if result.explanation is not None:
        ranked["explanation"] = msgspec.to_builtins(result.explanation)
    return ranked


def _document(given: Any) -> RerankDocument:
    if isinstance(given, messages.Document):
        return RerankDocument(msgspec.to_builtins(given))
    return RerankDocument(given if isinstance(given, Mapping) else {"text": given})
