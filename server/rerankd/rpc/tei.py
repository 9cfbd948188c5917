"""Serves `tei.v1.Rerank` and `tei.v1.Info`, for gRPC clients of Text Embeddings Inference.

Requests name no model: the default model is used. Status codes are those of our own service; TEI uses the same ones:
INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNAVAILABLE.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib import metadata
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from msgspec import structs

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.contract.field_paths import rename_fields, top_level
from rerankd.contract.service import RerankService
from rerankd.engine.scale import rescale
from rerankd.rpc.behaviour import collecting, unary
from rerankd.rpc.codec import Undecodable, decoder
from rerankd.rpc.large_messages import LARGE_BYTES
from rerankd.rpc.tei_messages import (
    INFO,
    RERANK,
    STREAM,
    TEI_INFO,
    TEI_RERANK,
    UINT32_MAX,
    RequestOptions,
    TeiRequest,
    TeiStreamRequest,
    request_of,
    response_of,
)
from rerankd.rpc.wire import check_documents
from rerankd.settings import Settings
from rerankd.telemetry.calls.server_span import ServerTracing

_MODEL_TYPE_RERANKER: Final = 2
_MAPPED: Final = {"raw_scores": ""}
"""Options that models of other servers need no warning of, because the scores are converted."""


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
            unary(servicer.rerank, f"{TEI_RERANK}/Rerank", tracing),
            _counting_decoder(RERANK.request, lambda: settings().limits.max_documents),
            _encode,
        ),
        "RerankStream": grpc.stream_unary_rpc_method_handler(
            collecting(servicer.rerank_stream, f"{TEI_RERANK}/RerankStream", tracing),
            _decoder(STREAM.request),
            _encode,
        ),
    }
    info: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Info": grpc.unary_unary_rpc_method_handler(
            unary(servicer.info, f"{TEI_INFO}/Info", tracing), _decoder(INFO.request), _encode
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
        return await self._rerank(request, list(request.texts), call, _path_in_request)

    async def rerank_stream(self, stream: AsyncIterator[TeiStreamRequest], call: CallContext) -> Message:
        first, texts = await self._collect(stream)
        return await self._rerank(first, texts, call, _path_in_stream)

    async def info(self, _request: Message, call: CallContext) -> Message:
        settings = self._settings()
        model = await self._model(call)
        limits = model.limits or messages.ModelLimits()
        response: Message = INFO.response(
            version=metadata.version("rerankd"),
            model_id=model.name,
            model_type=_MODEL_TYPE_RERANKER,
            max_concurrent_requests=min(settings.limits.max_concurrent_calls, UINT32_MAX),
            max_input_length=limits.max_tokens_per_document,
            max_client_batch_size=min(settings.limits.max_documents, UINT32_MAX),
        )
        return response

    async def _model(self, call: CallContext) -> messages.Model:
        request = messages.GetModelRequest(model=self._settings().default_model)
        return (await self._service.get_model(request, call)).model or messages.Model()

    async def _rerank(
        self, options: RequestOptions, texts: list[str], call: CallContext, path_of: Callable[[str], str]
    ) -> Message:
        request = request_of(options, texts)
        call = structs.replace(call, ranks_blank_last=True, mapped_parameters=_MAPPED)
        try:
            response = await self._service.rerank(request, call)
        except ServiceError as error:
            raise rename_fields(error, path_of) from None
        rescale(response, "logit" if options.raw_scores else "probability")
        return response_of(response, request.query, texts, returns_texts=options.return_text)

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
        empty: RequestOptions = STREAM.request()
        return first or empty, texts


def _path_in_request(field: str) -> str:
    """Return the path in `RerankRequest` of a field of the contract."""
    name, bracket, index = field.partition("]")[0].partition("[")
    return f"texts{bracket}{index}{']' if bracket else ''}" if name == "documents" else _option(field)


def _path_in_stream(field: str) -> str:
    """Return the path in a stream of `RerankStreamRequest`s of a field of the contract."""
    name, _, index = field.partition("]")[0].partition("[")
    if name == "documents":
        return f"messages[{index}].text" if index else "text"
    return _option(field)


def _option(field: str) -> str:
    return "truncate" if field == "truncation" else top_level(field, _MAPPED)


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


def _decoder(message_type: type[Any]) -> Callable[[bytes], Any]:
    return decoder(message_type, lambda message: message)


def _counting_decoder(message_type: type[Any], max_documents: Callable[[], int]) -> Callable[[bytes], Any]:
    """Build a deserializer that counts the texts of large messages first."""
    path = (message_type.DESCRIPTOR.fields_by_name["texts"].number,)
    decode = _decoder(message_type)

    def count_and_decode(data: bytes) -> Any:
        if len(data) > LARGE_BYTES:
            try:
                check_documents(data, path, max_documents(), "texts")
            except ServiceError as error:
                return Undecodable(error)
        return decode(data)

    return count_and_decode


def _encode(message: Message) -> bytes:
    return message.SerializeToString()
