"""The server's span of every gRPC call, whatever way it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc

from rerankd.rpc.context import REQUEST_ID_KEY, ServicerContext
from rerankd.telemetry import names
from rerankd.telemetry.trace import Trace, begin

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_FAULTS: Final = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""Codes that are the server's fault, by OpenTelemetry's conventions."""
_TRACED: Final = "/rerank."
_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


class Tracing(grpc.aio.ServerInterceptor):
    """Begins a span with the caller's trace context and ends it with the status the caller sees."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the method's handler; health and reflection are left alone."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_TRACED):
            return handler
        if handler.unary_unary is not None:
            return _wrap_unary(handler, method[1:])
        if handler.stream_stream is not None:
            return _wrap_stream(handler, method[1:])
        return handler


def _wrap_unary(handler: Handler, name: str) -> Handler:
    method: Any = handler.unary_unary

    async def behaviour(request: Any, context: ServicerContext) -> Any:
        trace = _begin(name, context)
        if trace is None:
            return await method(request, context)
        try:
            response = await method(request, context)
        except BaseException as error:
            _finish(trace, context, error)
            raise
        _finish(trace, context, None)
        return response

    wrapped: Any = behaviour
    return grpc.unary_unary_rpc_method_handler(wrapped, handler.request_deserializer, handler.response_serializer)


def _wrap_stream(handler: Handler, name: str) -> Handler:
    method: Any = handler.stream_stream

    async def behaviour(requests: AsyncIterator[Any], context: ServicerContext) -> AsyncIterator[Any]:
        trace = _begin(name, context)
        try:
            async for response in method(requests, context):
                yield response
        except BaseException as error:
            if trace is not None:
                _finish(trace, context, error)
            raise
        if trace is not None:
            _finish(trace, context, None)

    wrapped: Any = behaviour
    return grpc.stream_stream_rpc_method_handler(wrapped, handler.request_deserializer, handler.response_serializer)


def _begin(name: str, context: ServicerContext) -> Trace | None:
    headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    return begin(name, headers, {names.RPC_SYSTEM: "grpc", names.RPC_METHOD: name})


def _finish(trace: Trace, context: ServicerContext, error: BaseException | None) -> None:
    code = "OK" if error is None else _code(context, error)
    request_id = dict(context.trailing_metadata() or ()).get(REQUEST_ID_KEY, "")
    trace.server.attributes[names.REQUEST_ID] = str(request_id)
    trace.server.attributes[names.RPC_STATUS] = code
    trace.finish(error=code if code in _FAULTS else None)


def _code(context: ServicerContext, error: BaseException) -> str:
    """Name the status that the caller sees: the aborted call's own, or that of a call that was cut off."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        remaining_s = context.time_remaining()
        return "DEADLINE_EXCEEDED" if remaining_s is not None and remaining_s <= 0 else "CANCELLED"
    given: Any = context.code()
    value = given.value[0] if isinstance(given, grpc.StatusCode) else given
    return _CODES.get(value, "UNKNOWN") if value else "UNKNOWN"
