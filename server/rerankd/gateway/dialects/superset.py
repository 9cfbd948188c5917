"""The shared dialect of `/v1/rerank`: one request and one response form for the clients of many services.

They are this contract, Cohere v1, Jina, vLLM, Together and similar ones.

A body of the contract is decoded as such, which is the fast path. Any other body is decoded as `SharedBody`; fields
that it does not have are taken as parameters under a provider's own name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct

from rerankd.contract import messages
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.contract.suggestions import clearly_meant
from rerankd.gateway.decoding import keys_of
from rerankd.gateway.sliced_decoding import SlicedDecoder
from rerankd.gateway.translation.answers import encode, rows, text_of
from rerankd.gateway.translation.dialect import NO_KEYS, Dialect
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest, RerankBody

_decode_own: Final = msgspec.json.Decoder(RerankRequest).decode
_own_in_slices: Final = SlicedDecoder(RerankRequest)


class SharedBody(RerankBody):
    """Every field of the contract, plus other services' names for them."""

    top_n_in_camel_case: messages.Int32 | None = msgspec.field(default=None, name="topN")
    query_image: str | None = None
    fallbacks: list[str] | None = None
    truncation: messages.Truncation | bool | None = None
    score_threshold: float | None = None
    provider_options: dict[str, Any] | None = None
    cache: messages.CacheControl | None = None
    include_details: bool | None = None
    documents_ranked: bool | None = None
    normalization: messages.ScoreNormalization | None = None


class SupersetTokens(Struct):
    """Input and output tokens, in Cohere's form."""

    input_tokens: int
    output_tokens: int


class SupersetMeta(Struct, omit_defaults=True):
    """`messages.Meta` plus Cohere's `tokens` and `warnings`."""

    api_version: messages.ApiVersion | None = None
    billed_units: messages.BilledUnits | None = None
    tokens: SupersetTokens | None = None
    warnings: Sequence[str] = ()


class Answer(Struct, omit_defaults=True):
    """The shared response; `results` and `data` list the same results."""

    id: str = ""
    object: str = ""
    model: str = ""
    results: Any = None
    data: Any = None
    usage: messages.Usage | None = None
    meta: SupersetMeta | None = None
    extra_fields: messages.ExtraFields | None = None


class Superset(Dialect):
    """The shared dialect."""

    name = "superset"
    title = "rerankd, Cohere v1, Jina, vLLM, Together and their like"
    body_type = SharedBody
    warns_in_body = True
    names: ClassVar[Names] = {"top_n": ("top_n", "topN")}
    keeps_text_of_strings: ClassVar[bool] = True
    list_kind = "rerank"
    """Value of `object` in the response."""

    def read(self, data: bytes, keys: Mapping[str, msgspec.Raw] = NO_KEYS) -> ParsedRequest:
        """Decode a body as the contract's, or else as `SharedBody`."""
        return (None if keys else read_own(data)) or super().read(data, keys or keys_of(data))

    async def read_large(self, data: bytes, keys: Mapping[str, msgspec.Raw] = NO_KEYS) -> ParsedRequest:
        """Decode a large body as the contract's, or else as `SharedBody`."""
        if not keys:
            keys = keys_of(data)
            if (own := await read_large_own(keys)) is not None:
                return own
        return await super().read_large(data, keys)

    def parse(self, body: Any, keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a body that is not the contract's."""
        _check_spelling(body, keys)
        parsed = super().parse(body, keys)
        request = parsed.request
        if request.top_n is None:
            request.top_n = body.top_n_in_camel_case
        request.query_image = body.query_image or request.query_image
        request.fallbacks = body.fallbacks or []
        request.truncation = as_truncation(body.truncation)
        request.score_threshold = body.score_threshold
        request.provider_options = body.provider_options
        request.cache = body.cache or messages.CacheControl.UNSPECIFIED
        request.include_details = body.include_details
        request.documents_ranked = body.documents_ranked
        request.normalization = body.normalization or messages.ScoreNormalization.UNSPECIFIED
        return parsed

    def write(self, answer: RerankResponse, parsed: ParsedRequest) -> bytes:
        """Encode a response; without documents, `results` and `data` are equal and encoded once."""
        results = results_of(answer, parsed)
        if _has_documents(answer, parsed):
            data: Any = _with_texts(answer, parsed)
        else:
            results = data = msgspec.Raw(encode(results))
        return encode(
            Answer(
                id=answer.id,
                object=self.list_kind,
                model=answer.model,
                results=results,
                data=data,
                usage=answer.usage or messages.Usage(),
                meta=meta_of(answer, parsed),
                extra_fields=answer.extra_fields,
            )
        )


def results_of(answer: RerankResponse, parsed: ParsedRequest) -> Any:
    """List the results in Cohere's form, each document as an object; documents are not copied."""
    return list(rows(answer, parsed, "relevance_score")) if parsed.returns_documents else answer.results


def meta_of(answer: RerankResponse, parsed: ParsedRequest) -> SupersetMeta:
    """Return `meta` with Cohere's `tokens`; the request's warnings come before the engine's."""
    meta, usage = answer.meta or messages.Meta(), answer.usage
    return SupersetMeta(
        meta.api_version,
        meta.billed_units,
        None if usage is None else SupersetTokens(usage.prompt_tokens, usage.completion_tokens),
        [*parsed.warnings, *meta.warnings] if parsed.warnings or meta.warnings else (),
    )


def as_truncation(given: messages.Truncation | bool | None) -> messages.Truncation:
    """Convert the truncation mode; True means `END`, as in services with a boolean."""
    if given is None:
        return messages.Truncation.UNSPECIFIED
    if isinstance(given, bool):
        return messages.Truncation.END if given else messages.Truncation.NONE
    return given


def _check_spelling(body: SharedBody, keys: Mapping[str, Any]) -> None:
    """Refuse a misspelt `query` or `documents` with a suggestion, instead of reporting it as missing."""
    violations = [
        FieldViolation(key[:50], f"{key[:50]} is not a field; did you mean {name}?")
        for name in ("query", "documents")
        if getattr(body, name) is None
        for key in keys
        if key not in SharedBody.__struct_encode_fields__ and clearly_meant(key, [name])
    ]
    if violations:
        raise invalid_request(violations)


def _has_documents(answer: RerankResponse, parsed: ParsedRequest) -> bool:
    return parsed.returns_documents or (bool(answer.results) and answer.results[0].document is not None)


def _with_texts(answer: RerankResponse, parsed: ParsedRequest) -> list[dict[str, Any]]:
    return [
        {
            "index": result.index,
            "relevance_score": result.relevance_score,
            "document": text_of(result.document if result.document is not None else parsed.documents[result.index]),
        }
        for result in answer.results
    ]


def read_own(data: bytes) -> ParsedRequest | None:
    """Decode a body of the contract, whose documents the engine returns; None for any other body."""
    try:
        request = _decode_own(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return ParsedRequest(request, request.documents)


async def read_large_own(keys: Mapping[str, msgspec.Raw]) -> ParsedRequest | None:
    """Decode a large body as `read_own` does, in slices."""
    request = await _own_in_slices.decode(keys)
    return None if request is None else ParsedRequest(request, request.documents)
