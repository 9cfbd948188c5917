"""A provider reached over HTTP: runs an adapter over a transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypedDict, Unpack

from msgspec import structs

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TlsSettings
from rerankd.providers.authentication import RequestAuthenticator, open_authenticator
from rerankd.providers.cloud_defaults import with_cloud_defaults
from rerankd.providers.refresh import DEFAULT_REFRESH_S
from rerankd.telemetry.calls.trace_context import trace_headers
from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    HttpRequest,
    HttpResponse,
    ModelInfo,
    ModelProvider,
    Price,
    Provider,
    ProviderCall,
    ProviderReply,
)
from rerankd_adapters.call import R
from rerankd_adapters.chat.adapter import ChatAdapter, ChatCall, ChatReply
from rerankd_adapters.price import cost_usd
from rerankd_adapters.provider import apply_overrides
from rerankd_adapters.registry import open_adapter, open_chat_adapter

DEFAULT_TIMEOUT_S = 60.0
REFRESH_TIMEOUT_S = 10.0
_MOST_DESCRIBED: Final = 4096
"""Maximum number of cached model descriptions; bounds memory, because callers choose the names."""


class HttpProvider:
    """Runs an adapter's exchange over a transport. Implements `ModelProvider` and `ChatProvider`.

    Safe for any number of tasks of one event loop.

    Args:
        provider: Declaration.
        endpoint: Base URL, key and headers.
        transport: Sends the requests; the provider's own, which it closes, if there is a `token_transport`.
        token_transport: Sends requests for access tokens, with the TLS settings of all; default: `transport`.
        name: Public name, which callers write before the slash; default: the provider's own name.
        options: Options of adapter and authentication, by the names of `Provider.options`.
        authenticator: Replaces the authentication that `provider` declares.
        overrides: Capabilities by model, `*` for every model; override table and server.
        prices: Checked before the prices of `provider`.
        timeout_s: Timeout of one request in seconds; a shorter deadline of the call wins.
        refresh_s: Seconds between refreshes of the reported capabilities; 0 disables them.

    Raises:
        AdapterError: `CREDENTIALS` without a required key; `REJECTED` for invalid options.
    """

    def __init__(
        self,
        provider: Provider,
        endpoint: Endpoint,
        transport: HttpTransport,
        *,
        name: str | None = None,
        options: Mapping[str, object] | None = None,
        authenticator: RequestAuthenticator | None = None,
        overrides: Mapping[str, Capabilities] | None = None,
        prices: Sequence[Price] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        refresh_s: float = DEFAULT_REFRESH_S,
        token_transport: HttpTransport | None = None,
    ) -> None:
        self.name = name or provider.name
        self._provider = replace(provider, prices=(*prices, *provider.prices))
        self._endpoint = endpoint
        self._transport = transport
        self._adapter = open_adapter(provider, options)
        self._chat: ChatAdapter | None = open_chat_adapter(provider, options) if provider.chat else None
        self._probes: dict[str, asyncio.Lock] = {}
        self.chat_endpoint = _chat_endpoint(provider, endpoint)
        """Address of its chat models, which may be served elsewhere."""
        self._revision = endpoint.revision(options or {})
        self._owns_transport = token_transport is not None
        self._authenticator = authenticator or open_authenticator(
            provider, endpoint, options or {}, token_transport or transport
        )
        self._overrides = overrides or {}
        self._served: Mapping[str, Capabilities] = {}
        self._learned: dict[str, int] = {}
        self._described: dict[str, ModelInfo] = {}
        self._timeout_s = timeout_s
        self.refresh_s = refresh_s

    def models(self) -> Sequence[ModelInfo]:
        """List the known models, ordered by name; models that are not listed can be called too."""
        known = {*self._provider.models, *self._served, *self._overrides} - {"*"}
        return [self.describe(model) for model in sorted(known)]

    def describe(self, model: str) -> ModelInfo:
        """Describe a model by the provider's name for it, listed or not."""
        return self._described.get(model) or self._describe(model)

    def _describe(self, model: str) -> ModelInfo:
        facts = apply_overrides(self._adapter.capabilities(model), model, self._served, self._overrides)
        window = self._learned.get(model)
        if window is not None and window < (facts.max_tokens_per_document or window + 1):
            facts = replace(facts, max_tokens_per_document=window)
        if len(self._described) >= _MOST_DESCRIBED:
            self._described.clear()
        info = self._described[model] = ModelInfo(
            name=model,
            capabilities=facts,
            source=facts.source or self._provider.reference,
            price=self._provider.price_of(model),
            revision=self._revision,
            parameters=self._adapter.parameters(model),
            is_chat=self._provider.is_chat(model),
        )
        return info

    async def refresh(self) -> bool:
        """Request the served models and their capabilities; return `False` if the provider has no such route.

        Raises:
            AdapterError: The request failed; the previous capabilities stay in effect.
        """
        request = self._adapter.capabilities_request(self._endpoint)
        if request is None:
            return False
        try:
            response = await self._send(request, time.monotonic() + REFRESH_TIMEOUT_S)
            self._served = self._adapter.parse_capabilities(response)
            self._learned.clear()
            self._described.clear()
        except AdapterError as error:
            raise self._without_key(error) from None
        return True

    def rerank(self, call: ProviderCall) -> Coroutine[Any, Any, ProviderReply]:
        """Score the documents of `call`; cancelling the task closes the connection.

        Raises:
            AdapterError: The request failed or the response is invalid.
        """
        return self._run(self._adapter.exchange(call, self._endpoint), call.model, call.deadline_s)

    def chat_problem(self, model: str) -> str:
        """See `ChatProvider`."""
        if self._chat is None:
            return f"provider {self.name} has no chat models"
        return f"{self.name}/{model} is a rerank model" if model in self._provider.models else ""

    async def chat(self, call: ChatCall) -> ChatReply:
        """Complete a conversation; cancelling the task closes the connection.

        Raises:
            AdapterError: The request failed or the response is invalid; `UNSUPPORTED` without a chat API.
        """
        if self._chat is None:
            raise AdapterError(AdapterErrorKind.UNSUPPORTED, f"provider {self.name} has no chat models")
        if self._chat.must_probe(call):
            # The first call finds out what the model can do; the others, often a hundred, wait for it.
            async with self._probes.setdefault(call.model, asyncio.Lock()):
                if self._chat.must_probe(call):
                    return await self._chatted(self._chat, call)
            self._probes.pop(call.model, None)
        return await self._chatted(self._chat, call)

    async def _chatted(self, adapter: ChatAdapter, call: ChatCall) -> ChatReply:
        return await self._run(adapter.exchange(call, self.chat_endpoint), call.model, call.deadline_s)

    async def _run(self, exchange: Generator[HttpRequest, HttpResponse, R], model: str, deadline_s: float | None) -> R:
        """Send the requests of an exchange; return its reply with its cost."""
        try:
            request = next(exchange)
            while True:
                response = await self._send(request, deadline_s)
                try:
                    request = exchange.send(response)
                except StopIteration as finished:
                    reply: R = finished.value
                    return self._priced(model, reply)
        except AdapterError as error:
            self._learn_window(model, error)
            raise self._without_key(error) from None
        finally:
            exchange.close()

    def _learn_window(self, model: str, error: AdapterError) -> None:
        """Remember the window that a refusal told, until the next refresh: the server may restart with another one."""
        if error.max_tokens is not None and self._learned.get(model) != error.max_tokens:
            if len(self._learned) >= _MOST_DESCRIBED:
                self._learned.clear()
            self._learned[model] = error.max_tokens
            self._described.pop(model, None)

    async def _send(self, request: HttpRequest, deadline_s: float | None) -> HttpResponse:
        if request.delay_s:
            await asyncio.sleep(min(request.delay_s, _remaining_s(deadline_s)))
        request = await self._authenticator.authenticate(request)
        if trace := trace_headers():
            request = request.with_headers(trace)
        remaining_s = _remaining_s(deadline_s)
        if remaining_s <= 0:
            raise AdapterError(AdapterErrorKind.TIMEOUT, "the deadline passed before the request was sent")
        try:
            return await self._transport.send(request, min(self._timeout_s, remaining_s))
        except AdapterError as error:
            if error.kind is AdapterErrorKind.TIMEOUT and self._timeout_s < remaining_s:
                raise AdapterError(AdapterErrorKind.UNAVAILABLE, error.message) from None
            raise

    def _priced(self, model: str, reply: R) -> R:
        if reply.cost_usd is not None:
            return reply
        cost = cost_usd(self.describe(model).price, reply)
        return reply if cost is None else structs.replace(reply, cost_usd=cost)

    def _without_key(self, error: AdapterError) -> AdapterError:
        key = self._endpoint.api_key
        if len(key) >= 4 and key in error.message:
            error.message = error.message.replace(key, "***")
            error.args = (error.message,)
        return error

    async def close(self) -> None:
        """Close the transport if it is the provider's own; otherwise whoever opened it does."""
        if self._owns_transport:
            await self._transport.close()


class ProviderArguments(TypedDict, total=False):
    """Optional arguments of a remote provider; `HttpProvider` describes each."""

    name: str
    options: Mapping[str, object]
    authenticator: RequestAuthenticator
    overrides: Mapping[str, Capabilities]
    prices: Sequence[Price]
    timeout_s: float
    refresh_s: float


def open_remote_provider(
    provider: Provider,
    endpoint: Endpoint,
    transport: HttpTransport,
    *,
    tls: TlsSettings | None = None,
    **arguments: Unpack[ProviderArguments],
) -> ModelProvider:
    """Open a provider over HTTP or gRPC, as its declaration says; the caller closes it.

    Args:
        provider: Declaration.
        endpoint: Base URL, key and headers.
        transport: Sends HTTP requests and token requests.
        tls: TLS settings of this provider, which gets a transport of its own then; default: those of `transport`.
        **arguments: Optional arguments of `HttpProvider`.

    Raises:
        AdapterError: `CREDENTIALS` without a required key; `REJECTED` for invalid options.
        OSError: For a certificate or key that cannot be used; names the file.
    """
    arguments["options"] = with_cloud_defaults(provider, endpoint, arguments.get("options"))
    if provider.is_grpc:
        from rerankd.providers.grpc_provider import open_grpc_provider

        settings = transport.settings
        return open_grpc_provider(
            provider, endpoint, transport, settings=settings, tls=tls, trace_headers=trace_headers, **arguments
        )
    if tls is None:
        return HttpProvider(provider, endpoint, transport, **arguments)
    own = open_transport(transport.settings, tls)
    return HttpProvider(provider, endpoint, own, token_transport=transport, **arguments)


def _chat_endpoint(provider: Provider, endpoint: Endpoint) -> Endpoint:
    """Return the address of the chat API: its own public one, unless the operator has set another."""
    own = provider.chat.base_url if provider.chat else ""
    return replace(endpoint, base_url=own) if own and endpoint.base_url == provider.base_url else endpoint


def _remaining_s(deadline_s: float | None) -> float:
    return float("inf") if deadline_s is None else max(deadline_s - time.monotonic(), 0.0)
