"""Wraps methods of our services for grpc.aio: call context, server span, errors as statuses.

A method is wrapped once, when its handler is made; an interceptor of grpc.aio would wrap it for every call.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NoReturn, TypeAlias, TypeVar

import grpc
import structlog

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.response_headers import response_headers
from rerankd.contract.status import internal_error, status_of
from rerankd.rpc import convert_values
from rerankd.rpc.codec import Undecodable, Undecoded, accept, accept_stream
from rerankd.rpc.context import REQUEST_ID_KEY, ServicerContext, open_call
from rerankd.rpc.tracing import GrpcCallSpan
from rerankd.telemetry.calls.server_span import ServerTracing

STATUS_DETAILS_KEY: Final = "grpc-status-details-bin"
RETRY_PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
"""Retry delay in milliseconds, for clients that retry by service config (gRFC A6); negative: do not retry."""

Req = TypeVar("Req")
Res = TypeVar("Res")
Sent = TypeVar("Sent")
UnaryBehaviour: TypeAlias = Callable[[Sent, ServicerContext], Awaitable[Res]]
"""What grpc.aio calls with what was sent, decoded, and awaits for what is encoded."""
_STATUS_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

_log = structlog.get_logger("rerankd.rpc")


def unary(
    method: Callable[[Req, CallContext], Awaitable[Res]], span: str, tracing: ServerTracing
) -> UnaryBehaviour[Req | Undecoded[Req] | Undecodable, Res]:
    """Surround a method that takes one message.

    Args:
        method: Takes the decoded message and the call's context.
        span: Name of the server's span.
        tracing: Begins it.
    """

    async def read(message: Req | Undecoded[Req] | Undecodable, call: CallContext) -> Res:
        if isinstance(message, Undecoded):
            with message:
                return await method(await message.read(), call)
        return await method(accept(message), call)

    return _answering_once(read, span, tracing)


def collecting(
    method: Callable[[AsyncIterator[Req], CallContext], Awaitable[Res]], span: str, tracing: ServerTracing
) -> UnaryBehaviour[AsyncIterator[Req | Undecoded[Req] | Undecodable], Res]:
    """Surround a method that takes a stream of messages and answers once."""
    return _answering_once(lambda messages, call: method(accept_stream(messages), call), span, tracing)


def _answering_once(
    answer: Callable[[Sent, CallContext], Awaitable[Res]], span: str, tracing: ServerTracing
) -> UnaryBehaviour[Sent, Res]:
    async def behaviour(message: Sent, context: ServicerContext) -> Res:
        call = open_call(context)
        started_s = time.perf_counter()
        with GrpcCallSpan(span, call, context, tracing):
            try:
                response = await answer(message, call)
            except Exception as error:  # whatever it is, the caller gets a status
                _record(error, call, span, tracing, started_s)
                await abort(error, context, call.request_id)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id), *response_headers(response, call)))
        return response

    return behaviour


def streaming(
    method: Callable[[AsyncIterator[Req], CallContext], AsyncIterator[Res]], span: str, tracing: ServerTracing
) -> Callable[[AsyncIterator[Req | Undecoded[Req] | Undecodable], ServicerContext], AsyncIterator[Res]]:
    """Surround a method that takes a stream of messages and answers with one."""

    async def behaviour(
        messages: AsyncIterator[Req | Undecoded[Req] | Undecodable], context: ServicerContext
    ) -> AsyncIterator[Res]:
        call = open_call(context)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
        started_s = time.perf_counter()
        with GrpcCallSpan(span, call, context, tracing):
            try:
                async for response in method(accept_stream(messages), call):
                    yield response
            except Exception as error:  # whatever it is, the caller gets a status
                _record(error, call, span, tracing, started_s)
                await abort(error, context, call.request_id)

    return behaviour


def _record(error: Exception, call: CallContext, method: str, tracing: ServerTracing, started_s: float) -> None:
    """Record a refused call; an unexpected exception is logged by itself."""
    if isinstance(error, ServiceError):
        tracing.failed(error, call, method, started_s)


async def abort(error: Exception, context: ServicerContext, request_id: str) -> NoReturn:
    """Abort the call with the status of `error`, or with `INTERNAL` for an unexpected exception."""
    if not isinstance(error, ServiceError):
        _log.error("unexpected error", request_id=request_id, exc_info=error)
        error = internal_error(request_id)
    status = status_of(error)
    trailing: list[tuple[str, str | bytes]] = [
        (REQUEST_ID_KEY, request_id),
        (STATUS_DETAILS_KEY, convert_values.status_to_proto(status).SerializeToString()),
        *error.response_metadata.items(),
    ]
    if error.is_final:
        trailing.append((RETRY_PUSHBACK_KEY, "-1"))
    elif error.retry_after_s is not None:
        trailing.append((RETRY_PUSHBACK_KEY, _pushback_ms(error.retry_after_s, context.time_remaining())))
    await context.abort(_STATUS_CODES[status.code], status.message, tuple(trailing))


def _pushback_ms(retry_after_s: float, remaining_s: float | None) -> str:
    """Return the delay, rounded up; -1 where the deadline comes first, so that the caller gets this error, at once."""
    if remaining_s is not None and retry_after_s >= remaining_s:
        return "-1"
    return str(max(1, math.ceil(retry_after_s * 1000)))
