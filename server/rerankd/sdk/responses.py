"""What `rerank` returns: dicts whose keys are attributes too.

`json.dumps` writes them, `in` and `get` work as on any dict, and a field that is not there is None as an attribute.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from rerankd.contract import messages


class AttributeDict(dict[str, Any]):
    """A dict with its keys as attributes; what a class declares and the dict lacks is None."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name in type(self).__annotations__:
                return None
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    def model_dump(self) -> dict[str, Any]:
        """Return plain dicts and lists, independent of this one."""
        dumped = _plain(self)
        assert isinstance(dumped, dict)  # noqa: S101 - for the type checker
        return dumped

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """Return JSON text."""
        return json.dumps(self, ensure_ascii=False, indent=indent)

    def json(self) -> str:
        """Return JSON text, as `model_dump_json`."""
        return self.model_dump_json()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


class RerankDocument(AttributeDict):
    """A document as it went in."""

    text: str
    """Its text; empty where `fields` holds the content."""
    id: str | None
    """The caller's name for it."""
    fields: Mapping[str, Any] | None
    """Structured content."""
    prior_score: float | None
    """Relevance given by an earlier stage."""
    metadata: Mapping[str, Any] | None
    """What the caller wanted back."""


class RerankResult(AttributeDict):
    """One ranked document."""

    index: int
    """Zero-based position of the document in the call."""
    relevance_score: float
    """Higher is more relevant; comparable within one response."""
    document: RerankDocument | None
    """The document; None with `return_documents=False`."""


class Usage(AttributeDict):
    """What a call consumed."""

    documents: int
    """Documents scored."""
    prompt_tokens: int
    """Tokens read."""
    completion_tokens: int
    """Tokens written."""
    total_tokens: int
    """Sum of the two."""
    search_units: int
    """The provider's billing units."""
    cost: float | None
    """US dollars; None when not known."""


class Meta(AttributeDict):
    """Billing in Cohere's form, and warnings."""

    api_version: Mapping[str, str]
    """`{"version": "2"}`."""
    billed_units: Mapping[str, int]
    """`search_units`, `input_tokens`, `output_tokens` and `total_tokens`."""
    tokens: Mapping[str, int]
    """`input_tokens` and `output_tokens`."""
    warnings: list[str]
    """What the caller should know: a document cut, an option ignored."""


class RerankResponse(AttributeDict):
    """Documents in order of relevance."""

    id: str
    """Identifies the call, in logs too."""
    results: list[RerankResult]
    """Best first; equal scores in the call's order."""
    model: str
    """The model that answered."""
    provider: str
    """Who runs it."""
    usage: Usage
    """What the call consumed."""
    meta: Meta
    """Billing in Cohere's form, and warnings."""
    latency_ms: float
    """Milliseconds the engine spent on the call."""
    extra_fields: Mapping[str, Any]
    """How the answer came about: stages, and provider calls with `include_details`."""


def response_of(response: messages.RerankResponse) -> RerankResponse:
    """Build the answer of what the engine returned."""
    usage = response.usage or messages.Usage()
    meta = response.meta or messages.Meta()
    extra = response.extra_fields or messages.ExtraFields()
    tokens = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    return RerankResponse(
        id=response.id,
        results=[_result(result) for result in response.results],
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


def _result(result: messages.RerankResult) -> RerankResult:
    ranked = RerankResult(index=result.index, relevance_score=result.relevance_score)
    if result.document is not None:
        ranked["document"] = RerankDocument(msgspec.to_builtins(result.document))
    return ranked
