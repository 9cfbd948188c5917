"""Server span of an HTTP call."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from rerankd.gateway.asgi import Scope
from rerankd.gateway.response_writer import ResponseWriter
from rerankd.telemetry import names
from rerankd.telemetry.trace import begin

_MAX_PATH_CHARS: Final = 200
_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE: Final = 499


class ServerSpan:
    """Context manager around one request: begins a server span and ends it with the status that was sent.

    Args:
        scope: ASGI scope of the request.
        headers: Decoded headers of the request.
        writer: Gives the status that was sent and the route.
        is_traced: Whether a span is made; False for pages.
    """

    __slots__ = ("_method", "_scope", "_trace", "_writer", "is_client_gone")

    def __init__(self, scope: Scope, headers: Mapping[str, str], writer: ResponseWriter, *, is_traced: bool) -> None:
        self._scope = scope
        self._writer = writer
        self._method = scope["method"] if scope["method"] in _KNOWN_METHODS else "_OTHER"
        self.is_client_gone = False
        """Whether the client disconnected before the response."""
        self._trace = begin(self._method, headers) if is_traced else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        trace, writer = self._trace, self._writer
        if trace is None:
            return
        status = _CLIENT_GONE if self.is_client_gone else writer.status or (500 if error else _CLIENT_GONE)
        is_fault = status >= 500
        if trace.end(is_error=is_fault):
            attributes = {
                names.HTTP_METHOD: self._method,
                names.URL_PATH: self._scope["path"][:_MAX_PATH_CHARS],
                names.URL_SCHEME: self._scope.get("scheme", "http"),
                names.REQUEST_ID: writer.request_id,
                names.HTTP_STATUS: status,
            }
            if writer.route:
                attributes[names.HTTP_ROUTE] = writer.route
            name = f"{self._method} {writer.route}" if writer.route else None
            trace.finish(attributes, name=name, error=str(status) if is_fault else None)
