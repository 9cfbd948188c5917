"""Base class of gRPC providers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

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
from rerankd_adapters.grpc_upstream.messages import DynamicMessage, UpstreamMethod
from rerankd_adapters.grpc_upstream.status import kind_of_code
from rerankd_adapters.parameter import Parameters
from rerankd_adapters.price import cost_usd
from rerankd_adapters.provider import apply_overrides

DEFAULT_TIMEOUT_S = 60.0


class GrpcUpstream(ABC):
    """A provider reached by one gRPC method. Implements `ModelProvider`.

    Safe for any number of tasks of one event loop; the first call opens the channel. Subclasses implement `build` and
    `parse`, which do no I/O.

    Args:
        provider: Declaration.
        endpoint: Address, key and headers; headers are sent as metadata.
        name: Public name; default: the provider's own name.
        options: Adapter options, by the names of `Provider.options`.
        overrides: Capabilities by model, `*` for every model; override table and server.
        prices: Checked before the prices of `provider`.
        timeout_s: Timeout of one call in seconds; a shorter deadline of the call wins.
        refresh_s: Seconds between calls of `refresh`; 0 disables them.
        settings: Returns the channel's options as they are now: the same object until they change; default: the
            defaults.
        authorize: Returns authentication headers for credentials that expire; default: the endpoint's key.
        trace_headers: Returns the trace context headers of the running task (`traceparent`, `tracestate`).

    Raises:
        AdapterError: `CREDENTIALS` without a required key; `REJECTED` for an invalid address or option.
    """

    method: UpstreamMethod
    default_port: int

    def __init__(
        self,
        provider: Provider,
        endpoint: Endpoint,
        *,
        name: str = "",
        options: Mapping[str, object] | None = None,
        overrides: Mapping[str, Capabilities] | None = None,
        prices: Sequence[Price] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
        refresh_s: float = 0.0,
        settings: Callable[[], ChannelSettings] | None = None,
        authorize: Callable[[], Awaitable[Headers]] | None = None,
        trace_headers: Callable[[], Headers] | None = None,
    ) -> None:
        self.name = name or provider.name
        self.options: Mapping[str, object] = options or {}
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
    def build(self, call: ProviderCall) -> DynamicMessage:
        """Build the request: a message, or an iterable of messages for a request stream.

        Raises:
            AdapterError: `UNSUPPORTED` or `REJECTED`, naming the field.
        """

    @abstractmethod
    def parse(self, call: ProviderCall, response: DynamicMessage) -> ProviderReply:
        """Parse the response.

        Raises:
            AdapterError: `BAD_RESPONSE` for an invalid response.
        """

    def kind_of(self, code: grpc.StatusCode, details: str) -> AdapterErrorKind:
        """Classify a failed status; override for provider-specific meanings."""
        return kind_of_code(code, details)

    def headers_of(self, call: ProviderCall) -> Headers:
        """Return additional metadata of a call, without credentials."""
        return {}

    def models(self) -> Sequence[ModelInfo]:
        """List the known models, ordered by name; models that are not listed can be called too."""
        known = {*self.provider.models, *self._served, *self._overrides} - {"*"}
        return [self.describe(model) for model in sorted(known)]

    def describe(self, model: str) -> ModelInfo:
        """Describe a model by the provider's name for it, listed or not."""
        facts = apply_overrides(self.capabilities(model), model, self._served, self._overrides)
        return ModelInfo(
            name=model,
            capabilities=facts,
            source=facts.source or self.provider.reference,
            price=self.provider.price_of(model),
            revision=self._revision,
            parameters=self.parameters(model),
        )

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities of `model` that the declaration states."""
        return self.provider.capabilities_of(model)

    def parameters(self, model: str) -> Parameters:
        """Return the own parameters that `model` has, as the declaration states; `None` if any is sent."""
        return self.provider.parameters_of(model)

    async def fetch_capabilities(self) -> Mapping[str, Capabilities] | None:
        """Request the reported capabilities by model, `*` for every model; `None` if there is no such method.

        Raises:
            AdapterError: The call failed.
        """
        return None

    async def refresh(self) -> bool:
        """Refresh the reported capabilities; return `False` if there is no such method.

        Raises:
            AdapterError: The call failed; the previous capabilities stay in effect.
        """
        served = await self.fetch_capabilities()
        if served is None:
            return False
        self._served = served
        return True

    def query_of(self, call: ProviderCall) -> str:
        """Return the query, prefixed by the instruction if there is one."""
        return f"{call.instruction}\n{call.query}" if call.instruction else call.query

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter of the call that is not sent."""
        return []

    async def rerank(self, call: ProviderCall) -> ProviderReply:
        """Score the documents of `call`; cancelling the task cancels the call at the provider.

        Raises:
            AdapterError: The call failed or the response is invalid.
        """
        request = self._encode(call)
        response = await self._client.ask(self.method, request, self.headers_of(call), call)
        reply = self.parse(call, response)
        if reply.cost_usd is None:
            reply = structs.replace(reply, cost_usd=cost_usd(self.provider.price_of(call.model), reply))
        return reply

    async def ask(self, method: UpstreamMethod) -> DynamicMessage:
        """Call a method with an empty request.

        Raises:
            AdapterError: The call failed or the response is invalid.
        """
        return await self._client.ask(method, b"", {})

    async def close(self) -> None:
        """Close the channel; calls in flight fail with `UNAVAILABLE`."""
        await self._client.close()

    def _encode(self, call: ProviderCall) -> bytes | list[bytes]:
        refuse_images(call, self.provider.title)
        try:
            request = self.build(call)
            if self.method.streams_requests:
                messages: Iterable[DynamicMessage] = request
                return [message.SerializeToString() for message in messages]
            encoded: bytes = request.SerializeToString()
        except (ValueError, TypeError) as error:
            message = f"the request cannot be written as protobuf: {type(error).__name__}"
            raise AdapterError(AdapterErrorKind.REJECTED, message) from None
        return encoded
