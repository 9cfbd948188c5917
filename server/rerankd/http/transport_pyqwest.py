"""The transport on pyqwest (Rust's reqwest): a fraction of the CPU that httpx takes.

pyqwest aborts the request when the task that awaits it is cancelled, before the head of the response as well as after
it. Its texts quote the URL of a request and the value of a faulty header, so none is passed on whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyqwest import (
    ConnectTimeout,
    Headers,
    HTTPTransport,
    HTTPVersion,
    Proxy,
    ReadError,
    RemoteProtocolError,
    Request,
    Response,
    WriteError,
)

from rerankd.http.transport import (
    USER_AGENT,
    TransportSettings,
    check_announced_size,
    closed,
    timed_out,
    too_large,
    undecodable,
    unreachable,
    unsendable,
)
from rerankd_adapters.base import HttpRequest, HttpResponse

_CONNECTION_BROKE: Final = "error reading a body from connection"
"""In the text of a `ReadError` that does not come from decompressing."""
_FAULTY_REQUEST: Final = "builder error"
"""In the text of the error for a URL whose scheme is not HTTP's."""
_NO_PROXY: Final = Proxy("http://127.0.0.1", no_proxy="*,0.0.0.0/0,::/0")
"""Takes no request, but being there keeps the proxies of the environment away; `*` does not cover addresses."""


class PyqwestTransport:
    """See `HttpTransport`."""

    name: Final = "pyqwest"

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._client = _open_client(settings)
        self._limits: set[asyncio.Timeout] = set()
        """Of the requests under way; pyqwest lets them finish when it is closed."""
        self._is_closed = False

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """See `HttpTransport.send`."""
        limit = asyncio.timeout(timeout_s)
        self._limits.add(limit)
        try:
            async with limit:
                return await self._explained(request)
        except TimeoutError:
            raise (closed() if self._is_closed else timed_out(timeout_s)) from None
        finally:
            self._limits.discard(limit)

    async def _explained(self, request: HttpRequest) -> HttpResponse:
        try:
            return await self._send(request)
        except ConnectTimeout:
            raise unreachable("no connection was made in time") from None
        except TimeoutError:
            raise unreachable("the provider was silent for too long") from None
        except ReadError as error:
            if _CONNECTION_BROKE in str(error):
                raise unreachable(_cause(error)) from None
            raise undecodable() from None
        except (OSError, RemoteProtocolError, WriteError) as error:
            raise unreachable(_cause(error)) from None
        except ValueError:
            raise unsendable() from None
        except RuntimeError as error:
            if self._is_closed:
                raise closed() from None
            if _FAULTY_REQUEST in str(error):
                raise unsendable() from None
            raise unreachable(_cause(error)) from None

    async def _send(self, request: HttpRequest) -> HttpResponse:
        headers = Headers([("user-agent", USER_AGENT), *request.headers.items()])
        sent = Request(request.method, request.url, headers, request.body or None)
        max_bytes = self._settings.max_response_bytes
        async with await self._client.execute(sent) as response:
            received = dict(response.headers.items())
            check_announced_size(received, max_bytes)
            whole_size = _whole_size(response, received)
            chunks = []
            size = 0
            async for chunk in response.content:
                size += len(chunk)
                if size > max_bytes:
                    raise too_large(max_bytes)
                chunks.append(chunk)
                if size == whole_size:
                    break
        return HttpResponse(
            status=response.status,
            headers=received,
            body=b"".join(chunks),
            received_unix_s=time.time(),
        )

    async def close(self) -> None:
        """See `HttpTransport.close`."""
        self._is_closed = True
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(0)
        await self._client.aclose()


def _open_client(settings: TransportSettings) -> HTTPTransport:
    certificate = _read(settings.client_certificate_file)
    return HTTPTransport(
        tls_ca_cert=_read(settings.ca_file),
        tls_include_system_certs=True,
        tls_cert=certificate,
        tls_key=_read(settings.client_key_file) or certificate,
        http_version=None if settings.uses_http2 else HTTPVersion.HTTP1,
        proxy=settings.proxy or (None if settings.uses_environment_proxy else _NO_PROXY),
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        pool_idle_timeout=settings.idle_timeout_s,
        pool_max_idle_per_host=settings.max_connections_per_host,
        use_system_dns=True,
        follow_redirects=False,
        enable_cookie_store=False,
        enable_otel=False,
    )


def _whole_size(response: Response, headers: Mapping[str, str]) -> int | None:
    """Return the bytes after which reading may stop, `None` where only the end of the stream says so.

    To be told of the end takes as long as a chunk. HTTP/2 needs it: a stream left before its end is reset.
    """
    announced = headers.get("content-length", "")
    is_known = response.http_version == HTTPVersion.HTTP1 and announced.isdigit()
    return int(announced) if is_known else None


def _read(file: Path | None) -> bytes | None:
    return file.read_bytes() if file else None


def _cause(error: Exception) -> str:
    """Return the innermost cause, which the text has last. No URL holds a space, so none is cut in two."""
    cause = str(error).rpartition(": ")[2]
    return type(error).__name__ if "://" in cause else cause
