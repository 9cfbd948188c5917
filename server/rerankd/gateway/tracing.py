"""Server span of an HTTP request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self

from rerankd.gateway.asgi import Scope
from rerankd.gateway.response_writer import ResponseWriter
from rerankd.telemetry import names
from rerankd.telemetry.calls.server_span import ServerTracing
from rerankd.telemetry.calls.trace_context import Attributes

_MAX_PATH_CHARS: Final = 200
_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE: Final = 499


class HttpRequestSpan:
    """Context manager around one request: begins a server span and ends it with the status that was sent.

    Args:
        scope: ASGI scope of the request.
        headers: Decoded headers of the request.
        writer: Gives the status that was sent and the route.
        tracing: Begins the span; `None` for pages, which have none.
    """

    __slots__ = ("_method", "_scope", "_span", "_writer", "is_client_gone")

    def __init__(
        self, scope: Scope, headers: Mapping[str, str], writer: ResponseWriter, tracing: ServerTracing | None
    ) -> None:
        self._scope = scope
        self._writer = writer
        self._method = scope["method"] if scope["method"] in _KNOWN_METHODS else "_OTHER"
        self.is_client_gone = False
        """Whether the client disconnected before the response."""
        self._span = None if tracing is None else tracing.begin(self._method, headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        writer = self._writer
        if self._span is None:
            return
        status = _CLIENT_GONE if self.is_client_gone else writer.status or (500 if error else _CLIENT_GONE)
        route = writer.route or ""
        scheme = self._scope.get("scheme", "http")
        describe = partial(_attributes, self._method, self._scope["path"], scheme, route, writer.request_id, status)
        name = f"{self._method} {route}" if route else None
        self._span.end(describe, name=name, error=str(status) if status >= 500 else None)


def _attributes(method: str, path: str, scheme: str, route: str, request_id: str, status: int) -> Attributes:
    attributes: Attributes = {
        names.HTTP_METHOD: method,
        names.URL_PATH: path[:_MAX_PATH_CHARS],
        names.URL_SCHEME: scheme,
        names.REQUEST_ID: request_id,
        names.HTTP_STATUS: status,
    }
    if route:
        attributes[names.HTTP_ROUTE] = route
    return attributes
