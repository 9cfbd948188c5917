"""Amazon Bedrock's `Rerank`: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from rerankd.contract import messages
from rerankd.contract.errors import Code, ServiceError
from rerankd.contract.messages import Document, RerankRequest, RerankResponse
from rerankd.gateway.asgi import RawHeaders
from rerankd.gateway.dialects.base import Dialect, ParsedRequest, rows

_KINDS: Final[Mapping[Code, str]] = {
    Code.INVALID_ARGUMENT: "ValidationException",
    Code.FAILED_PRECONDITION: "ValidationException",
    Code.UNAUTHENTICATED: "AccessDeniedException",
    Code.PERMISSION_DENIED: "AccessDeniedException",
    Code.NOT_FOUND: "ResourceNotFoundException",
    Code.RESOURCE_EXHAUSTED: "ThrottlingException",
    Code.UNAVAILABLE: "DependencyFailedException",
}


class Text(Struct):
    """A text."""

    text: str = ""


class BedrockQuery(Struct, rename="camel"):
    """One query."""

    text_query: Text = field(default_factory=Text)


class InlineSource(Struct, rename="camel"):
    """An inline document: a text or a JSON object."""

    text_document: Text | None = None
    json_document: dict[str, Any] | None = None


class Source(Struct, rename="camel"):
    """One document."""

    inline_document_source: InlineSource = field(default_factory=InlineSource)


class ModelConfiguration(Struct, rename="camel"):
    """The model's ARN and its options."""

    model_arn: str = ""
    additional_model_request_fields: dict[str, Any] | None = None


class BedrockConfiguration(Struct, rename="camel"):
    """Number of results and the model."""

    model_configuration: ModelConfiguration = field(default_factory=ModelConfiguration)
    number_of_results: messages.Int32 | None = None


class Configuration(Struct, rename="camel"):
    """The only kind of reranking configuration that Bedrock has."""

    bedrock_reranking_configuration: BedrockConfiguration = field(default_factory=BedrockConfiguration)


class BedrockBody(Struct, rename="camel"):
    """Bedrock's request."""

    queries: list[BedrockQuery] | None = None
    sources: list[Source] | None = None
    reranking_configuration: Configuration = field(default_factory=Configuration)


class Bedrock(Dialect):
    """Bedrock. All results are on the first page."""

    name = "bedrock"
    title = "Amazon Bedrock"
    body_type = BedrockBody

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request."""
        options = body.reranking_configuration.bedrock_reranking_configuration
        extra = options.model_configuration.additional_model_request_fields or {}
        tokens = extra.get("max_tokens_per_doc")
        request = RerankRequest(
            model=_model_of(options.model_configuration.model_arn),
            query=body.queries[0].text_query.text if body.queries else "",
            documents=[_document(source.inline_document_source) for source in body.sources or []],
            top_n=options.number_of_results,
            max_tokens_per_doc=tokens if isinstance(tokens, int) else None,
        )
        return ParsedRequest(request)

    def answer(self, answer: RerankResponse, parsed: ParsedRequest) -> Any:
        """Build results."""
        return {"results": list(rows(answer, parsed, "relevanceScore"))}

    def refusal(self, error: ServiceError, _request_id: str) -> Any:
        """Build `{message, __type}`."""
        return {"message": error.message, "__type": _kind(error)}

    def refusal_headers(self, error: ServiceError) -> RawHeaders:
        """Return the header by which AWS SDKs choose the exception's class."""
        return [(b"x-amzn-errortype", _kind(error).encode("ascii"))]


def _model_of(arn: str) -> str:
    """Return the model of an ARN `arn:aws:bedrock:REGION::foundation-model/MODEL`; other names stay unchanged."""
    return arn.partition("/")[2] if arn.startswith("arn:") else arn


def _document(source: InlineSource) -> str | Document:
    if source.json_document is not None:
        return Document(fields=source.json_document)
    return source.text_document.text if source.text_document is not None else ""


def _kind(error: ServiceError) -> str:
    return _KINDS.get(error.code, "InternalServerException")
