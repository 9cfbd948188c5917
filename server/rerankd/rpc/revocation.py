"""Refuses calls of connections whose client's certificate was revoked, of every service of the server."""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc

from rerankd.contract.errors import ServiceError
from rerankd.rpc.behaviour import abort
from rerankd.rpc.context import ServicerContext, open_call
from rerankd.telemetry.calls.server_span import ServerTracing

CertificateCheck: TypeAlias = Callable[[Callable[[], bytes]], None]
"""Takes what returns the client's certificate, PEM; raises `ServiceError` for one that was revoked."""
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_KINDS: Final[dict[tuple[bool, bool], tuple[str, Callable[..., _Handler]]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


class RevocationInterceptor(grpc.aio.ServerInterceptor):
    """Checks the certificate of each call before it is answered. For one event loop.

    gRPC's core takes no revocation lists from Python, so a handshake succeeds and the calls fail.

    Args:
        check: Tells which certificates were revoked.
        tracing: Takes the calls that are refused.
    """

    def __init__(self, check: CertificateCheck, tracing: ServerTracing) -> None:
        self._check = check
        self._tracing = tracing
        self._guarded: dict[str, _Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """See `grpc.aio.ServerInterceptor.intercept_service`."""
        method = handler_call_details.method
        guarded = self._guarded.get(method)
        if guarded is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None  # there is no such method
            guarded = self._guarded[method] = self._guard(handler, method)
        return guarded

    def _guard(self, handler: _Handler, method: str) -> _Handler:
        name, make = _KINDS[handler.request_streaming, handler.response_streaming]
        behaviour = getattr(handler, name)

        async def answer(request: Any, context: ServicerContext) -> Any:
            await self._admit(context, method)
            return await behaviour(request, context)

        async def stream(request: Any, context: ServicerContext) -> AsyncIterator[Any]:
            await self._admit(context, method)
            async for each in behaviour(request, context):
                yield each

        guarded = stream if inspect.isasyncgenfunction(behaviour) else answer
        return make(guarded, handler.request_deserializer, handler.response_serializer)

    async def _admit(self, context: ServicerContext, method: str) -> None:
        call = open_call(context)
        try:
            self._check(call.client_certificate)
        except ServiceError as error:
            self._tracing.failed(error, call, method.lstrip("/"), time.perf_counter())
            await abort(error, context, call.request_id)
