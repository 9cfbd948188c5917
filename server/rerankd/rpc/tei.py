"""Serves `tei.v1.Rerank` and `tei.v1.Info`, for gRPC clients of Text Embeddings Inference.

Requests name no model: the default model is used. Status codes are those of our own service; TEI uses the same ones:
INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from importlib import metadata
from typing import Any, Final, Protocol

import grpc
from google.protobuf.message import Message

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.messages import RerankRequest, RerankResponse, ScoreSpace, Truncation
from rerankd.contract.service import RerankService
from rerankd.engine.ranking import Normalisation, normalise
from rerankd.rpc.behaviour import collecting, unary
from rerankd.rpc.codec import decoder
from rerankd.settings import Settings
from rerankd.telemetry.server_span import ServerTracing
from rerankd_adapters.grpc_upstream.messages import find_method

TEI_RERANK: Final = "tei.v1.Rerank"
TEI_INFO: Final = "tei.v1.Info"
_RERANK: Final = find_method(TEI_RERANK, "Rerank")
_STREAM: Final = find_method(TEI_RERANK, "RerankStream")
_INFO: Final = find_method(TEI_INFO, "Info")
_TRUNCATE_LEFT: Final = 1
"""`TruncationDirection`."""
_MODEL_TYPE_RERANKER: Final = 2
_NS_PER_MS: Final = 1_000_000
_UINT32_MAX: Final = 2**32 - 1


class RequestOptions(Protocol):
    """Fields of `RerankRequest` and `RerankStreamRequest`. Their classes are made from descriptors at run time."""

    query: str
    truncate: bool
    raw_scores: bool
    return_text: bool
    truncation_direction: int


class TeiRequest(RequestOptions, Protocol):
    """`tei.v1.RerankRequest`."""

    texts: Sequence[str]


class TeiStreamRequest(RequestOptions, Protocol):
    """`tei.v1.RerankStreamRequest`: one text of a request; its first message has the options."""

    text: str


def tei_handlers(
    service: RerankService, settings: Callable[[], Settings], tracing: ServerTracing
) -> tuple[grpc.GenericRpcHandler, ...]:
    """Build the handlers of both services.

    Args:
        service: Reranks.
        settings: Returns the current settings.
        tracing: Begins server spans.
    """
    servicer = _Servicer(service, settings)
    rerank: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Rerank": grpc.unary_unary_rpc_method_handler(
            unary(servicer.rerank, f"{TEI_RERANK}/Rerank", tracing), _decoder(_RERANK.request), _encode
        ),
        "RerankStream": grpc.stream_unary_rpc_method_handler(
            collecting(servicer.rerank_stream, f"{TEI_RERANK}/RerankStream", tracing),
            _decoder(_STREAM.request),
            _encode,
        ),
    }
    info: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Info": grpc.unary_unary_rpc_method_handler(
            unary(servicer.info, f"{TEI_INFO}/Info", tracing), _decoder(_INFO.request), _encode
        )
    }
    return (
        grpc.method_handlers_generic_handler(TEI_RERANK, rerank),
        grpc.method_handlers_generic_handler(TEI_INFO, info),
    )


class _Servicer:
    """Converts TEI's messages to calls of our service and back."""

    def __init__(self, service: RerankService, settings: Callable[[], Settings]) -> None:
        self._service = service
        self._settings = settings

    async def rerank(self, request: TeiRequest, call: CallContext) -> Message:
        return await self._rerank(request, list(request.texts), call)

    async def rerank_stream(self, stream: AsyncIterator[TeiStreamRequest], call: CallContext) -> Message:
        first, texts = await self._collect(stream)
        return await self._rerank(first, texts, call)

    async def info(self, _request: Message, call: CallContext) -> Message:
        settings = self._settings()
        model = await self._model(call)
        limits = model.limits or messages.ModelLimits()
        response: Message = _INFO.response(
            version=metadata.version("rerankd"),
            model_id=model.name,
            model_type=_MODEL_TYPE_RERANKER,
            max_concurrent_requests=min(settings.limits.max_concurrent_calls, _UINT32_MAX),
            max_input_length=limits.max_tokens_per_document,
            max_client_batch_size=min(settings.limits.max_documents, _UINT32_MAX),
        )
        return response

    async def _model(self, call: CallContext) -> messages.Model:
        request = messages.GetModelRequest(model=self._settings().default_model)
        return (await self._service.get_model(request, call)).model or messages.Model()

    async def _rerank(self, options: RequestOptions, texts: list[str], call: CallContext) -> Message:
        request = _request_of(options, texts)
        response = await self._service.rerank(request, call)
        scores: Sequence[float] = [result.relevance_score for result in response.results]
        space = response.extra_fields.score_space if response.extra_fields else ScoreSpace.UNSPECIFIED
        if space is ScoreSpace.LOGIT and not options.raw_scores:
            scores = normalise(scores, Normalisation.SIGMOID)
        return _response_of(response, request.query, texts, scores, returns_texts=options.return_text)

    async def _collect(self, stream: AsyncIterator[TeiStreamRequest]) -> tuple[RequestOptions, list[str]]:
        """Read the whole stream, up to the limits of one call; return the first message, and all texts."""
        limits = self._settings().limits
        first: RequestOptions | None = None
        texts: list[str] = []
        chars = 0
        async for message in stream:
            first = message if first is None else first
            texts.append(message.text)
            chars += len(message.text)
            _check_stream(message, first, len(texts), limits.max_documents)
            if chars > limits.max_request_bytes:
                raise _too_large("characters", limits.max_request_bytes)
        empty: RequestOptions = _STREAM.request()
        return first or empty, texts


def _check_stream(message: RequestOptions, first: RequestOptions, count: int, max_documents: int) -> None:
    if message.query != first.query:
        rule = f"query must be the same in every message; message {count} has another"
        raise invalid_request([FieldViolation("query", rule)])
    if count > max_documents:
        raise _too_large("texts", max_documents)


def _too_large(what: str, limit: int) -> ServiceError:
    text = f"the stream has more than the {limit} {what} this server takes in one call; send fewer"
    return ServiceError(
        Reason.TOO_MANY_DOCUMENTS,
        text,
        metadata={"limit": str(limit)},
        violations=[FieldViolation("text", text)],
    )


def _request_of(options: RequestOptions, texts: list[str]) -> RerankRequest:
    """Build our request. `truncate` has no presence: false counts as unset, not as truncation `NONE`."""
    truncation = Truncation.UNSPECIFIED
    if options.truncate:
        truncation = Truncation.START if options.truncation_direction == _TRUNCATE_LEFT else Truncation.END
    return RerankRequest(query=options.query, documents=list(texts), truncation=truncation)


def _response_of(
    response: RerankResponse, query: str, texts: Sequence[str], scores: Sequence[float], *, returns_texts: bool
) -> Message:
    answer = _RERANK.response()
    for result, score in zip(response.results, scores, strict=True):
        rank = answer.ranks.add(index=result.index, score=score)
        if returns_texts:
            rank.text = texts[result.index]
    taken = answer.metadata
    taken.compute_chars = min(sum(map(len, texts)) + len(query) * len(texts), _UINT32_MAX)
    taken.compute_tokens = response.usage.prompt_tokens if response.usage else 0
    taken.total_time_ns = round(response.extra_fields.latency * _NS_PER_MS) if response.extra_fields else 0
    built: Message = answer
    return built


def _decoder(message_type: type[Any]) -> Callable[[bytes], Any]:
    return decoder(message_type, lambda message: message)


def _encode(message: Message) -> bytes:
    return message.SerializeToString()
