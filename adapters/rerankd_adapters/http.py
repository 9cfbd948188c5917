"""HTTP requests and responses as values, and the base class of HTTP adapters. No I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from rerankd_adapters.call import ProviderCall, ProviderReply
from rerankd_adapters.capability import Capabilities
from rerankd_adapters.parameter import Parameters

if TYPE_CHECKING:
    from rerankd_adapters.provider import Provider


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request to a provider, without credentials."""

    method: str = "POST"
    url: str
    """Absolute."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Lower-case names."""
    body: bytes = b""
    delay_s: float = 0.0
    """Seconds to wait before sending, for polling."""
    region: str = ""
    """AWS region that the request is signed for; empty: that of the authentication's settings."""

    def with_headers(self, headers: Mapping[str, str]) -> HttpRequest:
        """Return a copy with additional headers; they replace existing ones."""
        return msgspec.structs.replace(self, headers={**self.headers, **headers})


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A complete HTTP response with a decompressed body."""

    status: int
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Lower-case names; the last value of a repeated header."""
    body: bytes = b""
    received_unix_s: float = 0.0
    """Unix time of arrival in seconds, for `Retry-After` dates; 0 if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Address and credentials of a provider."""

    base_url: str
    """Absolute URL; may end in a part or all of the adapter's path."""
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of every request; lower-case names."""

    def revision(self, options: Mapping[str, object]) -> str:
        """Return a digest of base URL and options, without the key: scores of different revisions do not mix."""
        told = msgspec.msgpack.encode((self.base_url, options), enc_hook=str, order="deterministic")
        return blake2b(told, digest_size=8).hexdigest()


Exchange = Generator[HttpRequest, HttpResponse, ProviderReply]
"""Generator that yields requests, receives the response to each, and returns the reply."""


class HttpAdapter(ABC):
    """Translates calls to one provider's HTTP API and back.

    Adapters do no I/O and read neither clocks nor the environment. One instance serves one endpoint and may remember
    which of several routes that endpoint supports; it is safe for any number of tasks of one event loop. The caller
    adds credentials to the requests.

    A parameter that cannot be sent is never dropped silently: `build` raises `UNSUPPORTED`, or `warnings_of` names it.

    Args:
        provider: Declaration.
        options: Adapter options from the settings, by the names of `Provider.options`.
    """

    def __init__(self, provider: Provider, options: Mapping[str, object] | None = None) -> None:
        self.provider = provider
        self.options: Mapping[str, object] = options or {}

    @abstractmethod
    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the request, or the first one of an exchange.

        Raises:
            AdapterError: `UNSUPPORTED` or `REJECTED`, naming the field.
        """

    @abstractmethod
    def parse(self, call: ProviderCall, response: HttpResponse) -> ProviderReply:
        """Parse the response, or the last one of an exchange; the body may be any bytes.

        Raises:
            AdapterError: The response is an error or invalid.
        """

    def warnings_of(self, call: ProviderCall) -> list[str]:
        """Return a warning for every parameter of the call that is not sent; `parse` adds them to the reply."""
        return []

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities of `model` that the declaration states."""
        return self.provider.capabilities_of(model)

    def parameters(self, model: str) -> Parameters:
        """Return the own parameters that `model` has, as the declaration states; `None` if any is sent."""
        return self.provider.parameters_of(model)

    def capabilities_request(self, endpoint: Endpoint) -> HttpRequest | None:
        """Build the request for the served models and their capabilities; `None` if there is no such route."""
        return None

    def parse_capabilities(self, response: HttpResponse) -> Mapping[str, Capabilities]:
        """Parse the response to `capabilities_request`.

        Returns:
            Reported capabilities by model name; the entry `*` applies to every model.

        Raises:
            AdapterError: The response is an error or invalid.
        """
        return {}

    def exchange(self, call: ProviderCall, endpoint: Endpoint) -> Exchange:
        """Run the exchange of one call: one request unless the API needs more.

        Raises:
            AdapterError: As `build` and `parse`.
        """
        response = yield self.build(call, endpoint)
        return self.parse(call, response)
