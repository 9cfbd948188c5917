"""The transport on httpx: for proxies, for HTTP/2, and for platforms without httptools.

A call that is cancelled on an HTTP/2 connection is given up, but httpcore 1.0 does not tell the server.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.util import find_spec
from typing import Final

import httpx

from rerankd.http.tls import explain, open_client_context
from rerankd.http.transport import (
    USER_AGENT,
    check_announced_size,
    closed,
    timed_out,
    too_large,
    undecodable,
    unreachable,
    unsendable,
)
from rerankd.http.transport_settings import TlsSettings, TransportSettings
from rerankd_adapters.base import HttpRequest, HttpResponse


class HttpxTransport:
    """See `HttpTransport`."""

    name: Final = "httpx"

    def __init__(self, settings: TransportSettings, tls: TlsSettings | None = None) -> None:
        self.settings: Final = settings
        self._tls = settings.tls(tls)
        self._extensions = {} if self._tls.server_name is None else {"sni_hostname": self._tls.server_name}
        self._client = _open_client(settings, self._tls)

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        """See `HttpTransport.send`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._send(request)
        except TimeoutError:
            raise timed_out(timeout_s) from None
        except ssl.SSLError as error:  # in the middle of a response httpx lets it through
            raise unreachable(explain(error, "the server")) from None
        except httpx.DecodingError:
            raise undecodable() from None
        except httpx.TimeoutException:
            raise unreachable("the provider was silent for too long") from None
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL, ValueError):
            raise unsendable() from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise unreachable(self._cause(error)) from None
        except RuntimeError:
            if self._client.is_closed:
                raise closed() from None
            raise

    async def _send(self, request: HttpRequest) -> HttpResponse:
        max_bytes = self.settings.max_response_bytes
        async with self._client.stream(
            request.method,
            request.url,
            headers=request.headers,
            content=request.body,
            extensions=self._extensions,
        ) as response:
            headers = dict(response.headers)
            check_announced_size(headers, max_bytes)
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > max_bytes:
                    raise too_large(max_bytes)
                chunks.append(chunk)
        return HttpResponse(
            status=response.status_code,
            headers=headers,
            body=b"".join(chunks),
            received_unix_s=time.time(),
        )

    async def close(self) -> None:
        """See `HttpTransport.close`."""
        await self._client.aclose()

    def _cause(self, error: httpx.HTTPError | httpx.StreamError) -> str:
        """Return what went wrong with TLS, if that is underneath, else httpx's words."""
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None and isinstance(error, httpx.RequestError):
            return explain(cause, self._tls.server_name or error.request.url.host)
        return str(error) or type(error).__name__


def _open_client(settings: TransportSettings, tls: TlsSettings) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers={"user-agent": USER_AGENT, "accept": "*/*"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        http2=settings.http2 and find_spec("h2") is not None,
        limits=httpx.Limits(
            max_connections=None,
            max_keepalive_connections=settings.max_connections_per_host,
            keepalive_expiry=settings.idle_timeout_s,
        ),
        proxy=settings.proxy,
        timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
        trust_env=settings.uses_environment_proxy,
        verify=open_client_context(tls),
    )
