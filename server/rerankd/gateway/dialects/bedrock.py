"""Amazon Bedrock's `Rerank`: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct, field

from rerankd.contract import messages
from rerankd.contract.errors import UPSTREAM_FAULTS, Code, FieldViolation, ServiceError, invalid_request
from rerankd.contract.messages import Document, RerankRequest, RerankResponse
from rerankd.gateway.asgi import RawHeaders
from rerankd.gateway.translation.answers import rows
from rerankd.gateway.translation.content import kind_of
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.field_names import Names
from rerankd.gateway.translation.parsed_request import ParsedRequest

_KINDS: Final[Mapping[Code, str]] = {
    Code.INVALID_ARGUMENT: "ValidationException",
    Code.FAILED_PRECONDITION: "ValidationException",
    Code.UNAUTHENTICATED: "AccessDeniedException",
    Code.PERMISSION_DENIED: "AccessDeniedException",
    Code.NOT_FOUND: "ResourceNotFoundException",
    Code.RESOURCE_EXHAUSTED: "ThrottlingException",
    Code.UNAVAILABLE: "DependencyFailedException",
}

_OPTIONS: Final = "rerankingConfiguration.bedrockRerankingConfiguration"
_FIELDS: Final = "additionalModelRequestFields"
_TOKENS: Final = "max_tokens_per_doc"


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


class BedrockSource(Struct, rename="camel"):
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
    sources: list[BedrockSource] | None = None
    reranking_configuration: Configuration = field(default_factory=Configuration)


class Bedrock(Dialect):
    """Bedrock. All results are on the first page."""

    name = "bedrock"
    title = "Amazon Bedrock"
    body_type = BedrockBody
    names: ClassVar[Names] = {
        "query": ("queries",),
        "documents": ("sources",),
        "top_n": (f"{_OPTIONS}.numberOfResults",),
        "model": (f"{_OPTIONS}.modelConfiguration.modelArn",),
        "max_tokens_per_doc": (f"{_OPTIONS}.modelConfiguration.{_FIELDS}.{_TOKENS}",),
    }

    def parse(self, body: Any, _keys: Mapping[str, msgspec.Raw]) -> ParsedRequest:
        """Convert a decoded body to the contract's request.

        Raises:
            ServiceError: `INVALID_REQUEST` for several queries, since Bedrock takes one, or a wrong token limit.
        """
        queries = body.queries or []
        if len(queries) > 1:
            rule = f"queries must have exactly one query, not {len(queries)}"
            raise invalid_request([FieldViolation("queries", rule)])
        options = body.reranking_configuration.bedrock_reranking_configuration
        extra = options.model_configuration.additional_model_request_fields or {}
        tokens = extra.get(_TOKENS)
        if tokens is not None and type(tokens) is not int:
            field = self.names["max_tokens_per_doc"][0]
            raise invalid_request([FieldViolation(field, f"{field} must be an integer, was {kind_of(tokens)}")])
        others = {name: value for name, value in extra.items() if name != _TOKENS}
        request = RerankRequest(
            model=_model_of(options.model_configuration.model_arn),
            query=queries[0].text_query.text if queries else "",
            documents=[_document(source.inline_document_source) for source in body.sources or []],
            top_n=options.number_of_results,
            max_tokens_per_doc=tokens,
            provider_options={_FIELDS: others} if others else None,
        )
        return ParsedRequest(request)

    def query_path(self, parsed: ParsedRequest, _index: int | None) -> str:
        """Return the path of the only query's text."""
        return "queries[0].textQuery.text" if parsed.body.queries else "queries"

    def document_path(self, parsed: ParsedRequest, index: int, part: str) -> str:
        """Return the path of a source's text or object."""
        path = f"sources[{index}]"
        if not part:
            return path
        is_object = parsed.body.sources[index].inline_document_source.json_document is not None
        return f"{path}.inlineDocumentSource.{'jsonDocument' if is_object else 'textDocument.text'}"

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
    if error.reason in UPSTREAM_FAULTS:
        return "BadGatewayException"
    return _KINDS.get(error.code, "InternalServerException")
