"""gRPC client of one server: credentials, deadlines and errors over one channel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, Provider, ProviderCall
from rerankd_adapters.grpc_upstream.channel import ChannelSettings, read_address
from rerankd_adapters.grpc_upstream.channel_source import ChannelSource
from rerankd_adapters.grpc_upstream.credentials import Headers, metadata_of, static_headers
from rerankd_adapters.grpc_upstream.messages import DynamicMessage, UpstreamMethod
from rerankd_adapters.grpc_upstream.status import failure_of

KindOf = Callable[[grpc.StatusCode, str], AdapterErrorKind]
"""Classifies a status code and its message."""


class GrpcClient:
    """Sends encoded requests. Safe for any number of tasks of one event loop, that of the first call.

    Args:
        provider: Declares the header of the key.
        endpoint: Address, key and headers; headers are sent as metadata.
        default_port: Port if the address has none.
        kind_of: Classifies failed statuses.
        timeout_s: Timeout of one call in seconds; a shorter deadline of the call wins.
        settings: Returns the channel's options as they are now: the same object until they change; default: the
            defaults.
        authorize: Returns authentication headers; default: the endpoint's key.
        trace_headers: Returns the trace context headers of the running task.

    Raises:
        AdapterError: `CREDENTIALS` without a required key; `REJECTED` for an invalid address.
    """

    def __init__(
        self,
        provider: Provider,
        endpoint: Endpoint,
        default_port: int,
        kind_of: KindOf,
        *,
        timeout_s: float,
        settings: Callable[[], ChannelSettings] | None = None,
        authorize: Callable[[], Awaitable[Headers]] | None = None,
        trace_headers: Callable[[], Headers] | None = None,
    ) -> None:
        self._headers = {**endpoint.headers, **({} if authorize else static_headers(provider, endpoint))}
        self._key = endpoint.api_key
        self._kind_of = kind_of
        self._timeout_s = timeout_s
        self._authorize = authorize
        self._trace_headers = trace_headers
        self._channels = ChannelSource(read_address(endpoint.base_url, default_port), settings or _defaults)
        self._is_closed = False

    async def ask(
        self, method: UpstreamMethod, request: bytes | list[bytes], headers: Headers, call: ProviderCall | None = None
    ) -> DynamicMessage:
        """Call a method and decode the response; cancelling the task cancels the call at the server.

        Args:
            method: Method of the provider's service.
            request: One encoded message, or the messages of a request stream.
            headers: Additional metadata of this call.
            call: Provides the deadline; its texts are removed from error messages.

        Raises:
            AdapterError: The call failed or the response is invalid.
        """
        metadata = await self._metadata(headers)
        remaining_s = _remaining_s(call)
        if remaining_s <= 0:
            raise AdapterError(AdapterErrorKind.TIMEOUT, "the deadline passed before the request was sent")
        try:
            body = await self._send(method, request, metadata, min(self._timeout_s, remaining_s))
        except grpc.aio.AioRpcError as error:
            kind = self._kind_of(error.code(), error.details() or "")
            if kind is AdapterErrorKind.TIMEOUT and self._timeout_s < remaining_s:
                kind = AdapterErrorKind.UNAVAILABLE
            raise self._without_key(failure_of(call, error, kind)) from None
        except asyncio.CancelledError:
            # Closing the channel cancels its calls; this task itself was not cancelled.
            task = asyncio.current_task()
            if self._is_closed and task is not None and not task.cancelling():
                raise _closed() from None
            raise
        return method.decode(body)

    async def close(self) -> None:
        """Close the channel; calls in flight fail with `UNAVAILABLE`."""
        self._is_closed = True
        await self._channels.close()

    async def _send(
        self, method: UpstreamMethod, request: bytes | list[bytes], metadata: grpc.aio.Metadata, timeout_s: float
    ) -> bytes:
        if self._is_closed:
            raise _closed()
        entered = await self._channels.enter()
        try:
            if self._is_closed:  # while the call waited for a channel
                raise _closed()
            # No (de)serializer: grpc only logs responses that a deserializer rejects.
            channel = entered.channel
            invoke: Any = channel.stream_unary if method.streams_requests else channel.unary_unary
            body: bytes = await invoke(method.path)(request, timeout=timeout_s, metadata=metadata)
            return body
        finally:
            await entered.leave()

    async def _metadata(self, headers: Headers) -> grpc.aio.Metadata:
        trace = self._trace_headers() if self._trace_headers else {}
        proof = await self._authorize() if self._authorize else {}
        return metadata_of({**trace, **self._headers, **headers, **proof})

    def _without_key(self, error: AdapterError) -> AdapterError:
        if len(self._key) >= 4 and self._key in error.message:
            error.message = error.message.replace(self._key, "***")
            error.args = (error.message,)
        return error


_DEFAULTS: Final = ChannelSettings()


def _defaults() -> ChannelSettings:
    return _DEFAULTS


def _remaining_s(call: ProviderCall | None) -> float:
    deadline_s = call.deadline_s if call else None
    return float("inf") if deadline_s is None else deadline_s - time.monotonic()


def _closed() -> AdapterError:
    return AdapterError(AdapterErrorKind.UNAVAILABLE, "the channel is closed")
