"""Wraps methods of our services for grpc.aio: call context, server span, errors as statuses.

A method is wrapped once, when its handler is made; an interceptor of grpc.aio would wrap it for every call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NoReturn, TypeAlias, TypeVar

import grpc
import structlog

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.response_headers import response_headers
from rerankd.contract.status import internal_error, status_of
from rerankd.rpc import convert
from rerankd.rpc.codec import Undecodable, accept, accept_stream
from rerankd.rpc.context import REQUEST_ID_KEY, ServicerContext, open_call
from rerankd.rpc.tracing import GrpcCallSpan
from rerankd.telemetry.server_span import ServerTracing

STATUS_DETAILS_KEY: Final = "grpc-status-details-bin"
RETRY_PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
"""Retry delay in milliseconds, for clients that retry by service config (gRFC A6)."""

Req = TypeVar("Req")
Res = TypeVar("Res")
Sent = TypeVar("Sent")
UnaryBehaviour: TypeAlias = Callable[[Sent, ServicerContext], Awaitable[Res]]
"""What grpc.aio calls with what was sent, decoded, and awaits for what is encoded."""
_STATUS_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

_log = structlog.get_logger("rerankd.rpc")


def unary(
    method: Callable[[Req, CallContext], Awaitable[Res]], span: str, tracing: ServerTracing
) -> UnaryBehaviour[Req | Undecodable, Res]:
    """Surround a method that takes one message.

    Args:
        method: Takes the decoded message and the call's context.
        span: Name of the server's span.
        tracing: Begins it.
    """
    return _answering_once(method, accept, span, tracing)


def collecting(
    method: Callable[[AsyncIterator[Req], CallContext], Awaitable[Res]], span: str, tracing: ServerTracing
) -> UnaryBehaviour[AsyncIterator[Req | Undecodable], Res]:
    """Surround a method that takes a stream of messages and answers once."""
    return _answering_once(method, accept_stream, span, tracing)


def _answering_once(
    method: Callable[[Req, CallContext], Awaitable[Res]],
    read: Callable[[Sent], Req],
    span: str,
    tracing: ServerTracing,
) -> UnaryBehaviour[Sent, Res]:
    async def behaviour(message: Sent, context: ServicerContext) -> Res:
        call = open_call(context)
        with GrpcCallSpan(span, call, context, tracing):
            try:
                response = await method(read(message), call)
            except Exception as error:
                await _abort(error, context, call.request_id)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id), *response_headers(response)))
        return response

    return behaviour


def streaming(
    method: Callable[[AsyncIterator[Req], CallContext], AsyncIterator[Res]], span: str, tracing: ServerTracing
) -> Callable[[AsyncIterator[Req | Undecodable], ServicerContext], AsyncIterator[Res]]:
    """Surround a method that takes a stream of messages and answers with one."""

    async def behaviour(messages: AsyncIterator[Req | Undecodable], context: ServicerContext) -> AsyncIterator[Res]:
        call = open_call(context)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
        with GrpcCallSpan(span, call, context, tracing):
            try:
                async for response in method(accept_stream(messages), call):
                    yield response
            except Exception as error:
                await _abort(error, context, call.request_id)

    return behaviour


async def _abort(error: Exception, context: ServicerContext, request_id: str) -> NoReturn:
    """Abort the call with the status of `error`, or with `INTERNAL` for an unexpected exception."""
    if not isinstance(error, ServiceError):
        _log.error("unexpected error", request_id=request_id, exc_info=error)
        error = internal_error(request_id)
    status = status_of(error)
    trailing: list[tuple[str, str | bytes]] = [
        (REQUEST_ID_KEY, request_id),
        (STATUS_DETAILS_KEY, convert.status_to_proto(status).SerializeToString()),
    ]
    if error.retry_after_s is not None:
        trailing.append((RETRY_PUSHBACK_KEY, str(int(error.retry_after_s * 1000))))
    await context.abort(_STATUS_CODES[status.code], status.message, tuple(trailing))
