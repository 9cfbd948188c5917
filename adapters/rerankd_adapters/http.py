"""HTTP seen from an adapter: values in, values out, no sockets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from rerankd_adapters.call import ProviderCall, ProviderReply
from rerankd_adapters.capability import Capabilities

if TYPE_CHECKING:
    from rerankd_adapters.provider import Provider


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a provider, without its credentials."""

    method: str = "POST"
    url: str
    """Absolute."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Lower-case names."""
    body: bytes = b""
    delay_s: float = 0.0
    """Seconds to wait before it is sent, for polling."""

    def with_headers(self, headers: Mapping[str, str]) -> HttpRequest:
        """Return the same request with `headers` on top of its own."""
        return msgspec.structs.replace(self, headers={**self.headers, **headers})


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One whole response, its body decompressed."""

    status: int
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Lower-case names; of a repeated header the last value."""
    body: bytes = b""
    received_unix_s: float = 0.0
    """Wall clock when it came, which `Retry-After` dates are compared with; 0 when unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a provider is reached, and as whom."""

    base_url: str
    """Absolute; may already end in (a part of) the adapter's path."""
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request; lower-case names."""

    def revision(self, options: Mapping[str, Any]) -> str:
        """Return a short name for what answers here: the address and the deployment's options, never the key."""
        told = msgspec.msgpack.encode((self.base_url, options), enc_hook=str, order="deterministic")
        return blake2b(told, digest_size=8).hexdigest()


Exchange = Generator[HttpRequest, HttpResponse, ProviderReply]
"""Yields requests, is sent the response to each, and returns the reply."""


class HttpAdapter(ABC):
    """Translates calls to one provider's HTTP dialect and back.

    Args:
        provider: Its declaration.
        options: What the operator set for the deployment, by the names that `Provider.options` lists.

    Nothing here does I/O or reads clocks or the environment. One instance belongs to one deployment, and
    may remember between calls which of several routes that deployment serves; it is safe for any number of
    tasks of one event loop. Credentials are added to what it builds, never by it.

    What is asked for and cannot be sent is never left out silently: `build` raises `UNSUPPORTED`, or
    `warnings_of` names it.
    """

    def __init__(self, provider: Provider, options: Mapping[str, Any] | None = None) -> None:
        self.provider = provider
        self.options: Mapping[str, Any] = options or {}

    @abstractmethod
    def build(self, call: ProviderCall, endpoint: Endpoint) -> HttpRequest:
        """Build the (first) request.

        Raises:
            AdapterError: `UNSUPPORTED` or `REJECTED`, naming the field.
        """

    @abstractmethod
    def parse(self, call: ProviderCall, response: HttpResponse) -> ProviderReply:
        """Read the (last) response, whatever bytes it holds.

        Raises:
            AdapterError: What the provider did instead of answering.
        """

    def warnings_of(self, call: ProviderCall) -> list[str]:  # noqa: ARG002
        """Name the parameters of the call that the provider is not told; `parse` puts them into the reply."""
        return []

    def capabilities(self, model: str) -> Capabilities:
        """Return what `model` takes and gives, as far as it is known without asking the server."""
        return self.provider.capabilities_of(model)

    def capabilities_request(self, endpoint: Endpoint) -> HttpRequest | None:  # noqa: ARG002
        """Build the request that asks the server what it serves; `None` where it cannot be asked."""
        return None

    def parse_capabilities(self, response: HttpResponse) -> Mapping[str, Capabilities]:  # noqa: ARG002
        """Read what the server serves: what it states of each model by name, and of every model under `*`.

        Raises:
            AdapterError: What the server did instead of answering.
        """
        return {}

    def exchange(self, call: ProviderCall, endpoint: Endpoint) -> Exchange:
        """Talk to the provider: one request unless a dialect needs more.

        Raises:
            AdapterError: As `build` and `parse` do.
        """
        response = yield self.build(call, endpoint)
        return self.parse(call, response)
