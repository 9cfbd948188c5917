"""A gRPC server that answers any method with what a test gives it, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any

import grpc
import pytest
import trustme

from rerankd_adapters.base import AdapterError, Capabilities, Endpoint, Provider, ProviderCall
from rerankd_adapters.grpc_upstream.channel import ChannelSettings
from rerankd_adapters.grpc_upstream.messages import UpstreamMethod
from rerankd_adapters.grpc_upstream.upstream import GrpcUpstream

ScriptedResponse = Callable[[list[Any], "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[Any]]
Open = Callable[..., GrpcUpstream]
SETTINGS = ChannelSettings(uses_environment_proxy=False)


class FakeUpstream(grpc.GenericRpcHandler):
    """Answers are messages, bytes as they are, or coroutines that may abort the call."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.metadata: dict[str, str] = {}
        self.time_remaining_s: float | None = None
        self.was_cancelled = asyncio.Event()
        self.started = asyncio.Event()
        self.port = 0
        self._answers: dict[str, tuple[UpstreamMethod, ScriptedResponse]] = {}
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])

    def on(self, method: UpstreamMethod, answer: ScriptedResponse) -> None:
        self._answers[method.path] = (method, answer)

    def answer(self, method: UpstreamMethod, response: Any) -> None:
        async def give(requests: list[Any], context: Any) -> Any:
            return response

        self.on(method, give)

    def abort(
        self, method: UpstreamMethod, code: grpc.StatusCode, details: str, trailing: tuple[tuple[str, Any], ...] = ()
    ) -> None:
        async def fail(requests: list[Any], context: Any) -> Any:
            await context.abort(code, details, trailing)

        self.on(method, fail)

    @property
    def base_url(self) -> str:
        return f"grpc://127.0.0.1:{self.port}"

    def add_tls_port(self, authority: trustme.CA, *, asks_for_client: bool, port: int = 0) -> int:
        certificate = authority.issue_cert("127.0.0.1")
        credentials = grpc.ssl_server_credentials(
            [(certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())],
            root_certificates=authority.cert_pem.bytes(),
            require_client_auth=asks_for_client,
        )
        return self._server.add_secure_port(f"127.0.0.1:{port}", credentials)

    async def start(self, port: int = 0) -> None:
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    def service(self, handler_call_details: Any) -> Any:
        found = self._answers.get(handler_call_details.method)
        if found is None:
            return None
        method, answer = found

        async def unary(request: bytes, context: Any) -> bytes:
            return await self._run(method, answer, [method.request.FromString(request)], context)

        async def stream(requests: Any, context: Any) -> bytes:
            received = [method.request.FromString(request) async for request in requests]
            return await self._run(method, answer, received, context)

        if method.streams_requests:
            return grpc.stream_unary_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    async def _run(self, method: UpstreamMethod, answer: ScriptedResponse, requests: list[Any], context: Any) -> bytes:
        self.requests = requests
        self.metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        self.time_remaining_s = context.time_remaining()
        self.started.set()
        try:
            response = await answer(requests, context)
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        return response if isinstance(response, bytes) else bytes(response.SerializeToString())


def open_upstream(
    provider: Provider,
    base_url: str,
    options: Mapping[str, Any] | None = None,
    *,
    api_key: str = "",
    overrides: Mapping[str, Capabilities] | None = None,
    **more: Any,
) -> GrpcUpstream:
    module, _, name = provider.adapter.partition(":")
    adapter: type[GrpcUpstream] = getattr(import_module(module), name)
    endpoint = Endpoint(base_url=base_url, api_key=api_key)
    more.setdefault("settings", lambda: SETTINGS)
    return adapter(provider, endpoint, options=options, overrides=overrides, **more)


def call_of(documents: list[str], **fields: Any) -> ProviderCall:
    return ProviderCall(model=fields.pop("model", "m"), query=fields.pop("query", "q"), documents=documents, **fields)


async def failure(upstream: GrpcUpstream, **fields: Any) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        await upstream.rerank(call_of(["a document of some length", "b"], **fields))
    return caught.value
