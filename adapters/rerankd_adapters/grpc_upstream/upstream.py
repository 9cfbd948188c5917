"""One way to reach one provider's models over gRPC, behind the protocol of providers in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import grpc
from msgspec import structs

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    ModelInfo,
    Price,
    Provider,
    ProviderCall,
    ProviderReply,
)
from rerankd_adapters.documents import refuse_images
from rerankd_adapters.grpc_upstream.channel import ChannelSettings
from rerankd_adapters.grpc_upstream.client import GrpcClient
from rerankd_adapters.grpc_upstream.credentials import Headers
from rerankd_adapters.grpc_upstream.messages import UpstreamMethod
from rerankd_adapters.grpc_upstream.status import kind_of_code
from rerankd_adapters.price import cost_usd
from rerankd_adapters.provider import apply_overrides

DEFAULT_TIMEOUT_S = 60.0


class GrpcUpstream(ABC):
    """Asks one method of a provider's service. Satisfies `InProcessProvider`.

    Safe for any number of tasks of one event loop, on which the first call opens the channel. Subclasses say
    what to send (`build`) and how to read what comes (`parse`); neither does I/O.

    Args:
        provider: Its declaration.
        endpoint: Where and as whom; its headers travel as metadata.
        name: What the deployment is called, where that is not the provider's name.
        options: The deployment's, by the names of `Provider.options`.
        overrides: What the operator knows better, by model; `*` for every model.
        prices: Go before the provider's own.
        timeout_s: Longest time one call may take when its deadline allows more.
        refresh_s: How often `refresh` is to be called, in seconds; 0 for never.
        settings: Of the channel.
        authorize: Returns the headers that prove who asks, where they expire; else the endpoint's key is sent.
        trace_headers: Returns the trace context of the running task (`traceparent`, `tracestate`).

    Raises:
        AdapterError: `CREDENTIALS` without a key that is needed; `REJECTED` for an address or options that make
            no sense.
    """

    method: UpstreamMethod
    default_port: int

    def __init__(
        self,
        provider: Provider,
        endpoint: Endpoint,
        *,
        name: str = "",
        options: Mapping[str, Any] | None = None,
        overrides: Mapping[str, Capabilities] | None = None,
        prices: Sequence[Price] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        refresh_s: float = 0.0,
        settings: ChannelSettings | None = None,
        authorize: Callable[[], Awaitable[Headers]] | None = None,
        trace_headers: Callable[[], Headers] | None = None,
    ) -> None:
        self.name = name or provider.name
        self.options: Mapping[str, Any] = options or {}
        self.provider = replace(provider, prices=(*prices, *provider.prices))
        self._overrides = overrides or {}
        self._served: Mapping[str, Capabilities] = {}
        self.refresh_s = refresh_s
        self._revision = endpoint.revision(self.options)
        self._client = GrpcClient(
            provider,
            endpoint,
            self.default_port,
            self.kind_of,
            timeout_s=timeout_s,
            settings=settings,
            authorize=authorize,
            trace_headers=trace_headers,
        )

    @abstractmethod
    def build(self, call: ProviderCall) -> Any:
        """Build the request: a message, or an iterable of them where the method streams requests.

        Raises:
            AdapterError: `UNSUPPORTED` or `REJECTED`, naming the field.
        """

    @abstractmethod
    def parse(self, call: ProviderCall, response: Any) -> ProviderReply:
        """Read the response, whatever its fields hold.

        Raises:
            AdapterError: `BAD_RESPONSE`.
        """

    def kind_of(self, code: grpc.StatusCode, details: str) -> AdapterErrorKind:
        """Say what a status means; providers with meanings of their own override this."""
        return kind_of_code(code, details)

    def headers_of(self, call: ProviderCall) -> Headers:  # noqa: ARG002
        """Return what the provider wants as metadata besides credentials."""
        return {}

    def models(self) -> Sequence[ModelInfo]:
        """List the models whose names are known, ordered by name; others can be called too."""
        known = {*self.provider.models, *self._served, *self._overrides} - {"*"}
        return [self.describe(model) for model in sorted(known)]

    def describe(self, model: str) -> ModelInfo:
        """Describe any model by the provider's own name, known or not."""
        facts = apply_overrides(self.capabilities(model), model, self._served, self._overrides)
        return ModelInfo(
            name=model,
            capabilities=facts,
            source=facts.source or self.provider.reference,
            price=self.provider.price_of(model),
            revision=self._revision,
        )

    def capabilities(self, model: str) -> Capabilities:
        """Return what `model` takes and gives, as far as it is known without asking anybody."""
        return self.provider.capabilities_of(model)

    async def fetch_capabilities(self) -> Mapping[str, Capabilities] | None:
        """Ask the server what it serves: facts by model, `*` for every model; `None` where it cannot be asked.

        Raises:
            AdapterError: What the server did instead of answering.
        """
        return None

    async def refresh(self) -> bool:
        """Ask the server what it serves, and keep the answer; `False` where it cannot be asked.

        Raises:
            AdapterError: What the server did instead of answering; what was known before stays known.
        """
        served = await self.fetch_capabilities()
        if served is None:
            return False
        self._served = served
        return True

    def query_of(self, call: ProviderCall) -> str:
        """Return the query, the instruction before it."""
        return f"{call.instruction}\n{call.query}" if call.instruction else call.query

    def warnings_of(self, call: ProviderCall) -> list[str]:  # noqa: ARG002
        """Name the parameters of the call that the provider is not told."""
        return []

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score the documents of `call`; cancelling the task cancels the call at the provider.

        Raises:
            AdapterError: What the provider did instead of answering.
        """
        request = self._encode(call)
        response = await self._client.ask(self.method, request, self.headers_of(call), call)
        reply = self.parse(call, response)
        if reply.cost_usd is None:
            reply = structs.replace(reply, cost_usd=cost_usd(self.provider.price_of(call.model), reply))
        return reply

    async def ask(self, method: UpstreamMethod) -> Any:
        """Call a method with an empty request.

        Raises:
            AdapterError: What the provider did instead of answering.
        """
        return await self._client.ask(method, b"", {})

    async def close(self) -> None:
        """Close the channel; calls under way fail with `UNAVAILABLE`."""
        await self._client.close()

    def _encode(self, call: ProviderCall) -> bytes | list[bytes]:
        refuse_images(call, self.provider.title)
        try:
            request = self.build(call)
            if self.method.streams_requests:
                messages: Iterable[Any] = request
                return [message.SerializeToString() for message in messages]
            encoded: bytes = request.SerializeToString()
        except (ValueError, TypeError) as error:
            message = f"the request cannot be written as protobuf: {type(error).__name__}"
            raise AdapterError(AdapterErrorKind.REJECTED, message) from None
        return encoded
