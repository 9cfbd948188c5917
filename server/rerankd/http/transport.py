"""The protocol of HTTP transports to providers, and their errors.

A transport is shared by every deployment of a process: it pools connections by host, never follows redirects,
never keeps cookies, and reports every failure as an `AdapterError` that names no URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from rerankd.http.transport_settings import TransportSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest, HttpResponse
from rerankd_adapters.failure import clean

USER_AGENT: Final = "rerankd"


class HttpTransport(Protocol):
    """Sends requests. Safe for any number of tasks of one event loop."""

    @property
    def name(self) -> str:
        """Name by which `open_transport` knows it."""
        ...

    @property
    def settings(self) -> TransportSettings:
        """How it makes connections."""
        ...

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """Send one request and read the whole response.

        Cancelling the task closes the connection, or gives up its stream of an HTTP/2 connection.

        Args:
            request: Sent as it is; its `delay_s` is the caller's business.
            timeout_s: Seconds until the last byte of the response, > 0.

        Raises:
            AdapterError: `TIMEOUT` after `timeout_s`; `UNAVAILABLE` when the provider cannot be reached,
                breaks off or does not speak HTTP; `BAD_RESPONSE` for a response that is too large or wrongly
                compressed.
        """
        ...

    async def close(self) -> None:
        """Close every connection; requests under way fail."""
        ...


def timed_out(timeout_s: float) -> AdapterError:
    """Build the error for a response that did not come in time."""
    return AdapterError(AdapterErrorKind.TIMEOUT, f"no whole answer within {timeout_s:.3g} s")


def unreachable(cause: str) -> AdapterError:
    """Build the error for a connection that could not be made or broke."""
    return AdapterError(AdapterErrorKind.UNAVAILABLE, f"the connection failed: {clean(cause)[:150]}")


def closed() -> AdapterError:
    """Build the error for a request on a transport that is closed."""
    return unreachable("it was closed from this side")


def unsendable() -> AdapterError:
    """Build the error for a request that is none; libraries quote the faulty header, so their text is not."""
    message = "the request cannot be sent: the base URL, or a header such as the key, is malformed"
    return AdapterError(AdapterErrorKind.UNAVAILABLE, message)


def undecodable() -> AdapterError:
    """Build the error for a body that is not compressed as its header says."""
    return AdapterError(AdapterErrorKind.BAD_RESPONSE, "the response body cannot be decompressed")


def too_large(max_bytes: int) -> AdapterError:
    """Build the error for a response over the limit."""
    return AdapterError(AdapterErrorKind.BAD_RESPONSE, f"the response is larger than {max_bytes} bytes")


def check_announced_size(headers: Mapping[str, str], max_bytes: int) -> None:
    """Raise if a response says up front that it is too large.

    Raises:
        AdapterError: `BAD_RESPONSE`.
    """
    announced = headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 15 or int(announced) > max_bytes):
        raise too_large(max_bytes)
