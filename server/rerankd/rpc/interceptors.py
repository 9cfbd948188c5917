"""What surrounds every gRPC method. The first of `INTERCEPTORS` wraps all others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeAlias

import grpc
import structlog

from rerankd.errors import ServiceError
from rerankd.rpc import convert
from rerankd.rpc.context import REQUEST_ID_KEY, ServicerContext
from rerankd.rpc.tracing import Tracing
from rerankd.status import internal_error, status_of

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

STATUS_DETAILS_KEY: Final = "grpc-status-details-bin"
RETRY_PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
"""Tells clients that retry by service config when to come back."""

_STATUS_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

_log = structlog.get_logger("rerankd.rpc")


class ErrorDetails(grpc.aio.ServerInterceptor):
    """Turns `ServiceError` into a status with `google.rpc` details, and anything unexpected into INTERNAL."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the method's handler."""
        handler = await continuation(handler_call_details)
        if handler is None:  # an unknown method: grpc answers UNIMPLEMENTED
            return handler
        if handler.unary_unary is not None:
            return _wrap_unary(handler)
        if handler.stream_unary is not None:
            return _wrap_collecting(handler)
        if handler.stream_stream is not None:
            return _wrap_stream(handler)
        return handler


INTERCEPTORS: Final[list[grpc.aio.ServerInterceptor]] = [Tracing(), ErrorDetails()]


def _wrap_unary(handler: Handler) -> Handler:
    wrapped = _answering_once(handler.unary_unary)
    return grpc.unary_unary_rpc_method_handler(wrapped, handler.request_deserializer, handler.response_serializer)


def _wrap_collecting(handler: Handler) -> Handler:
    wrapped = _answering_once(handler.stream_unary)
    return grpc.stream_unary_rpc_method_handler(wrapped, handler.request_deserializer, handler.response_serializer)


def _answering_once(method: Any) -> Any:
    async def behaviour(request: Any, context: ServicerContext) -> Any:
        try:
            return await method(request, context)
        except Exception as error:
            await _abort(error, context)

    return behaviour


def _wrap_stream(handler: Handler) -> Handler:
    method: Any = handler.stream_stream

    async def behaviour(requests: AsyncIterator[Any], context: ServicerContext) -> AsyncIterator[Any]:
        try:
            async for response in method(requests, context):
                yield response
        except Exception as error:
            await _abort(error, context)

    wrapped: Any = behaviour
    return grpc.stream_stream_rpc_method_handler(wrapped, handler.request_deserializer, handler.response_serializer)


async def _abort(error: Exception, context: ServicerContext) -> NoReturn:
    """End the call with the status of `error`; keep the trailing metadata set so far."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    trailing = list(context.trailing_metadata() or ())
    if not isinstance(error, ServiceError):
        request_id = str(dict(trailing).get(REQUEST_ID_KEY, ""))
        _log.error("unexpected error", request_id=request_id, exc_info=error)
        error = internal_error(request_id)
    status = status_of(error)
    trailing.append((STATUS_DETAILS_KEY, convert.status_to_proto(status).SerializeToString()))
    if error.retry_after_s is not None:
        trailing.append((RETRY_PUSHBACK_KEY, str(int(error.retry_after_s * 1000))))
    await context.abort(_STATUS_CODES[status.code], status.message, tuple(trailing))
