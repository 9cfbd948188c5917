"""The server's span of every HTTP call, whatever way it ends."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from rerankd.gateway.asgi import RawHeaders, Scope
from rerankd.gateway.exchange import Exchange
from rerankd.gateway.pages import PAGE_PATHS
from rerankd.response_facts import response_facts
from rerankd.telemetry import names
from rerankd.telemetry.trace import Trace, begin

_MAX_PATH_CHARS: Final = 200
_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE: Final = 499


class ServerSpan:
    """A context in which one request is served: begins a span, and ends it with the status that was sent."""

    __slots__ = ("_exchange", "_method", "_trace", "is_client_gone")

    def __init__(self, scope: Scope, headers: Mapping[str, str], exchange: Exchange) -> None:
        self._exchange = exchange
        self._method = scope["method"] if scope["method"] in _KNOWN_METHODS else "_OTHER"
        self._trace: Trace | None = None
        self.is_client_gone = False
        """Whether there was nobody to answer."""
        if scope["path"] not in PAGE_PATHS:
            attributes = {
                names.HTTP_METHOD: self._method,
                names.URL_PATH: scope["path"][:_MAX_PATH_CHARS],
                names.URL_SCHEME: scope.get("scheme", "http"),
                names.REQUEST_ID: exchange.request_id,
            }
            self._trace = begin(self._method, headers, attributes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._trace is None:
            return
        exchange, attributes, name = self._exchange, self._trace.attributes, None
        if exchange.route:
            name = f"{self._method} {exchange.route}"
            attributes[names.HTTP_ROUTE] = exchange.route
        status = _CLIENT_GONE if self.is_client_gone else exchange.status or (500 if error else _CLIENT_GONE)
        attributes[names.HTTP_STATUS] = status
        self._trace.finish(name=name, error=str(status) if status >= 500 else None)


def fact_headers(response: Any) -> RawHeaders:
    """List the headers that say which model answered, what it cost and what the cache knew."""
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in response_facts(response)]
