"""Calls one server over one channel: credentials, deadlines, failures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, Provider, ProviderCall
from rerankd_adapters.grpc_upstream.channel import ChannelSettings, open_channel, read_address
from rerankd_adapters.grpc_upstream.credentials import Headers, metadata_of, static_headers
from rerankd_adapters.grpc_upstream.messages import UpstreamMethod
from rerankd_adapters.grpc_upstream.status import failure_of

KindOf = Callable[[grpc.StatusCode, str], AdapterErrorKind]
"""Says what a status and its details mean."""


class GrpcClient:
    """Sends encoded requests. Safe for any number of tasks of one event loop, which the first call binds it to.

    Args:
        provider: Declares how a key is sent.
        endpoint: Where and as whom; its headers travel as metadata.
        default_port: Where the address has none.
        kind_of: The provider's reading of statuses.
        timeout_s: Longest time one call may take when its deadline allows more.
        settings: Of the channel.
        authorize: Returns the headers that prove who asks; else the endpoint's key is sent.
        trace_headers: Returns the trace context of the running task.

    Raises:
        AdapterError: `CREDENTIALS` without a key that is needed; `REJECTED` for an address that is none.
    """

    def __init__(
        self,
        provider: Provider,
        endpoint: Endpoint,
        default_port: int,
        kind_of: KindOf,
        *,
        timeout_s: float,
        settings: ChannelSettings | None = None,
        authorize: Callable[[], Awaitable[Headers]] | None = None,
        trace_headers: Callable[[], Headers] | None = None,
    ) -> None:
        self._address = read_address(endpoint.base_url, default_port)
        self._headers = {**endpoint.headers, **({} if authorize else static_headers(provider, endpoint))}
        self._key = endpoint.api_key
        self._kind_of = kind_of
        self._timeout_s = timeout_s
        self._settings = settings or ChannelSettings()
        self._authorize = authorize
        self._trace_headers = trace_headers
        self._channel: grpc.aio.Channel | None = None
        self._is_closed = False

    async def ask(
        self, method: UpstreamMethod, request: bytes | list[bytes], headers: Headers, call: ProviderCall | None = None
    ) -> Any:
        """Call a method and decode what it answers; cancelling the task cancels the call at the server.

        Args:
            method: Of the provider's service.
            request: One encoded message, or those of a stream.
            headers: Sent besides those of every call.
            call: Sets the deadline; its texts are kept out of errors.

        Raises:
            AdapterError: What the provider did instead of answering.
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
            # closing the channel cancels its calls, which nobody asked of this task
            task = asyncio.current_task()
            if self._is_closed and task is not None and not task.cancelling():
                raise _closed() from None
            raise
        return method.decode(body)

    async def close(self) -> None:
        """Close the channel; calls under way fail with `UNAVAILABLE`."""
        self._is_closed = True
        if self._channel is not None:
            await self._channel.close()

    async def _send(
        self, method: UpstreamMethod, request: bytes | list[bytes], metadata: grpc.aio.Metadata, timeout_s: float
    ) -> bytes:
        if self._is_closed:
            raise _closed()
        if self._channel is None:
            self._channel = open_channel(self._address, self._settings)
        # bytes in and out: grpc only logs what a deserializer of its own cannot read
        invoke: Any = self._channel.stream_unary if method.streams_requests else self._channel.unary_unary
        body: bytes = await invoke(method.path)(request, timeout=timeout_s, metadata=metadata)
        return body

    async def _metadata(self, headers: Headers) -> grpc.aio.Metadata:
        trace = self._trace_headers() if self._trace_headers else {}
        proof = await self._authorize() if self._authorize else {}
        return metadata_of({**trace, **self._headers, **headers, **proof})

    def _without_key(self, error: AdapterError) -> AdapterError:
        if len(self._key) >= 4 and self._key in error.message:
            error.message = error.message.replace(self._key, "***")
            error.args = (error.message,)
        return error


def _remaining_s(call: ProviderCall | None) -> float:
    deadline_s = call.deadline_s if call else None
    return float("inf") if deadline_s is None else deadline_s - time.monotonic()


def _closed() -> AdapterError:
    return AdapterError(AdapterErrorKind.UNAVAILABLE, "the channel is closed")
