"""The transport on pyreqwest (Rust's reqwest): a tenth of the CPU that httpx takes.

pyreqwest 0.15.1 does not abort a cancelled request before the head of its response is there: the
connection then closes at the request's timeout, which is the call's deadline where it has one. From the head
on it closes at once. The buffer limit of 0 makes the head visible before the body.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    DecodeError,
    DetailedPyreqwestError,
    PyreqwestError,
    RequestTimeoutError,
)
from pyreqwest.proxy import ProxyBuilder

from rerankd.upstream.transport import (
    USER_AGENT,
    TransportSettings,
    check_announced_size,
    timed_out,
    too_large,
    undecodable,
    unreachable,
    unsendable,
)
from rerankd_adapters.base import HttpRequest, HttpResponse

_BODY_ERROR: Final = "error decoding response body"
_CONNECTION_ERROR: Final = "error reading a body from connection"
"""What reqwest says, as a cause, when a body cannot be decompressed and when it ended early."""


class PyreqwestTransport:
    """See `HttpTransport`."""

    name: Final = "pyreqwest"

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._client = _open_client(settings)

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """See `HttpTransport.send`."""
        started_s = time.monotonic()
        try:
            return await self._send(request, timeout_s)
        except RequestTimeoutError:
            if time.monotonic() - started_s >= timeout_s * 0.98:
                raise timed_out(timeout_s) from None
            raise unreachable("the provider was silent for too long") from None
        except DecodeError as error:
            causes = _causes(error)
            if _BODY_ERROR in causes and _CONNECTION_ERROR not in causes:
                raise undecodable() from None
            raise unreachable(causes[-1]) from None
        except ValueError:
            raise unsendable() from None
        except PyreqwestError as error:
            raise unreachable(_causes(error)[-1]) from None

    async def _send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        builder = self._client.request(request.method, request.url).headers(dict(request.headers))
        builder = builder.timeout(timedelta(seconds=timeout_s)).body_bytes(request.body)
        max_bytes = self._settings.max_response_bytes
        async with builder.streamed_read_buffer_limit(0).build_streamed() as response:
            headers = dict(response.headers.items())
            check_announced_size(headers, max_bytes)
            chunks: list[memoryview] = []
            size = 0
            while (chunk := await response.body_reader.read_chunk()) is not None:
                size += len(chunk)
                if size > max_bytes:
                    raise too_large(max_bytes)
                chunks.append(memoryview(chunk))
        return HttpResponse(
            status=response.status,
            headers=headers,
            body=b"".join(chunks),
            received_unix_s=time.time(),
        )

    async def close(self) -> None:
        """See `HttpTransport.close`."""
        await self._client.close()


def _open_client(settings: TransportSettings) -> Client:
    builder = (
        ClientBuilder()
        .user_agent(USER_AGENT)
        .follow_redirects(False)
        .referer(False)
        .http2(settings.uses_http2)
        .connect_timeout(timedelta(seconds=settings.connect_timeout_s))
        .read_timeout(timedelta(seconds=settings.read_timeout_s))
        .pool_idle_timeout(timedelta(seconds=settings.idle_timeout_s))
        .pool_max_idle_per_host(settings.max_connections_per_host)
    )
    if settings.ca_file:
        builder = builder.add_root_certificate_pem(settings.ca_file.read_bytes())
    if settings.client_certificate_file:
        key = settings.client_key_file.read_bytes() if settings.client_key_file else b""
        builder = builder.identity_pem(settings.client_certificate_file.read_bytes() + b"\n" + key)
    if settings.proxy:
        builder = builder.proxy(ProxyBuilder.all(settings.proxy))
    elif not settings.uses_environment_proxy:
        builder = builder.no_proxy()
    return builder.build()


def _causes(error: PyreqwestError) -> list[str]:
    causes = (error.details.get("causes") or []) if isinstance(error, DetailedPyreqwestError) else []
    return [type(error).__name__, *(cause["message"] for cause in causes)]
