"""The ASGI application: from a request to a service and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.response_headers import raw_response_headers
from rerankd.contract.service import Services
from rerankd.contract.status import internal_error
from rerankd.gateway.asgi import MountedApp, Receive, Scope, Send
from rerankd.gateway.body import RequestLines, read_body
from rerankd.gateway.decoding import decode_json, decode_query
from rerankd.gateway.dialects.base import Dialect
from rerankd.gateway.dialects.compatibility_routes import COMPATIBILITY_ROUTES, CompatibilityHandlers
from rerankd.gateway.dialects.dialect_service import rerank_in_dialect
from rerankd.gateway.dialects.own import Own
from rerankd.gateway.dialects.registry import (
    DIALECT_ROUTES,
    UNDECIDED,
    dialect_of_headers,
    identify,
    named_dialect,
    split_mount,
)
from rerankd.gateway.guard import CallGuard
from rerankd.gateway.negotiation import (
    JSON_TYPES,
    NDJSON_TYPES,
    check_media_type,
    open_call,
    read_headers,
    request_id_of,
)
from rerankd.gateway.refusal import ClientGoneError
from rerankd.gateway.response_writer import ResponseWriter
from rerankd.gateway.route_table import Match, Route, RouteTable, allowed_methods, method_not_allowed, normalise_path
from rerankd.gateway.routes import ROUTES
from rerankd.gateway.tracing import HttpRequestSpan
from rerankd.telemetry.server_span import ServerTracing

_log = structlog.get_logger("rerankd.gateway")
_DEFAULT_MAX_BYTES: Final = 64 * 2**20
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """How much the gateway reads."""

    max_body_bytes: int = _DEFAULT_MAX_BYTES
    """Longest body of a call that is not a stream."""
    max_line_bytes: int = _DEFAULT_MAX_BYTES
    """Longest line of a streamed body; the stream itself has no limit."""


class Gateway:
    """An ASGI application over the services. Safe for any number of requests of one event loop.

    Args:
        services: Answer the calls.
        web: Answers every path for which the gateway has no route.
        version: Version of this service, for clients that ask a server for it.
        limits: Size limits.
        default_model: Names the model of calls that name none, for the lists of models; empty when it is not known.
        tracing: Begins the server's spans; default: none are exported.
    """

    def __init__(
        self,
        services: Services,
        web: MountedApp,
        *,
        version: str,
        limits: GatewayLimits | None = None,
        default_model: Callable[[], str] = str,
        tracing: ServerTracing | None = None,
    ) -> None:
        self._tracing = tracing or ServerTracing()
        self._handlers: Mapping[str, Callable[..., Any]] = {
            route.rpc: getattr(getattr(services, route.service), route.method) for route in ROUTES
        }
        self._service = services.rerank_service
        self._limits = limits or GatewayLimits()
        self._web = web
        self._page_paths = frozenset(web.page_paths)
        self._compatibility = CompatibilityHandlers(services.rerank_service, default_model, version).handlers
        self._routes = RouteTable((*ROUTES, *DIALECT_ROUTES, *COMPATIBILITY_ROUTES), web.page_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = read_headers(scope["headers"])
        writer = ResponseWriter(send, request_id_of(headers), is_head=scope["method"] == "HEAD")
        tracing = None if scope["path"] in self._page_paths else self._tracing
        with HttpRequestSpan(scope, headers, writer, tracing) as span:
            await self._serve_within(span, scope, receive, headers, writer)

    async def _serve_within(
        self, span: HttpRequestSpan, scope: Scope, receive: Receive, headers: Mapping[str, str], writer: ResponseWriter
    ) -> None:
        try:
            await self._dispatch(scope, receive, headers, writer)
        except ServiceError as error:
            await writer.refuse(error)
        except ClientGoneError:
            span.is_client_gone = True
            _log.debug("client gone", request_id=writer.request_id)
        except Exception:
            _log.exception("call failed", request_id=writer.request_id, path=scope["path"])
            await writer.refuse(internal_error(writer.request_id))

    async def _dispatch(
        self, scope: Scope, receive: Receive, headers: Mapping[str, str], writer: ResponseWriter
    ) -> None:
        """Pass a request to its route: one of the gateway's, of a dialect's mount, or else of the web application."""
        http_method, path = scope["method"], normalise_path(scope["path"])
        mount: Dialect | None = None
        matches = self._routes.matches(path)
        if not matches:
            mount, path = split_mount(path)
            if mount is not None:
                writer.dialect = mount
                matches = self._routes.matches(path)
        match = matches.get("GET" if http_method == "HEAD" else http_method)
        if match is None:
            await self._serve_unrouted({**scope, "path": path}, receive, writer, matches)
        elif match.route.method == "rerank":
            await self._rerank(match, mount, receive, headers, writer)
        else:
            await self._call(match, scope, receive, headers, writer)

    async def _serve_unrouted(
        self, scope: Scope, receive: Receive, writer: ResponseWriter, matches: Mapping[str, Match]
    ) -> None:
        """Answer a request without a route of the gateway; `matches` holds its routes of the path, by other methods."""
        http_method, path = scope["method"], scope["path"]
        web_methods = self._web.methods(path)
        if not matches and not web_methods:
            raise self._routes.route_not_found(http_method, path)
        if http_method in web_methods:
            await self._web({**scope, "state": {"request_id": writer.request_id}}, receive, writer.forward)
            return
        allowed = allowed_methods((*matches, *web_methods))
        if http_method != "OPTIONS":
            raise method_not_allowed(http_method, path, allowed)
        await writer.reply_empty([(b"allow", allowed.encode("ascii"))])

    async def _call(
        self,
        match: Match,
        scope: Scope,
        receive: Receive,
        headers: Mapping[str, str],
        writer: ResponseWriter,
    ) -> None:
        route = match.route
        writer.route = route.template
        call = open_call(headers, writer.request_id, route.api_version)
        if route.has_body:
            check_media_type(headers, NDJSON_TYPES if route.is_streaming else JSON_TYPES)
        async with CallGuard(call.deadline_s) as guard:
            if route.is_streaming:
                lines = RequestLines(receive, route.request_type, self._limits.max_line_bytes)
                guard.watch(lines.pump)
                await self._stream(route, lines, call, writer)
                return
            handler = None if isinstance(writer.dialect, Own) else self._compatibility.get(route.method)
            if handler is not None:
                response = await handler(scope["query_string"], match.variables, call)
                await writer.reply(200, _encode(response))
                return
            if route.has_body:
                body = await read_body(receive, headers, self._limits.max_body_bytes)
                request = decode_json(body, route.request_type, "the body")
                del body  # may be large, and its texts are in the request
                for name, value in match.variables.items():
                    setattr(request, name, value)
            else:
                request = decode_query(scope["query_string"], match.variables, route.request_type)
            guard.watch_soon(receive)
            response = await self._handlers[route.rpc](request, call)
        if route.response_body is not None:
            response = getattr(response, route.response_body)
        await writer.reply(200, _encode(response), raw_response_headers(response))

    async def _rerank(
        self,
        match: Match,
        mount: Dialect | None,
        receive: Receive,
        headers: Mapping[str, str],
        writer: ResponseWriter,
    ) -> None:
        """Rerank in the dialect of the mount, a header, the path or the body, whichever tells first."""
        dialect = mount or dialect_of_headers(headers) or named_dialect(match.route.dialect)
        writer.dialect = dialect or UNDECIDED
        writer.route = match.route.template
        call = open_call(headers, writer.request_id, match.route.api_version)
        check_media_type(headers, JSON_TYPES)
        async with CallGuard(call.deadline_s) as guard:
            body = await read_body(receive, headers, self._limits.max_body_bytes)
            parsed = None
            if dialect is None:
                dialect, parsed, keys = identify(body)
                writer.dialect = dialect
                parsed = parsed or dialect.read(body, keys)
            else:
                parsed = dialect.read(body)
            del body  # may be large, and its texts are in what was read
            guard.watch_soon(receive)
            answer = await rerank_in_dialect(self._service, dialect, parsed, call, match.variables.get("model", ""))
        await writer.reply(
            200, dialect.write(answer, parsed), [*raw_response_headers(answer), *dialect.headers(answer)]
        )

    async def _stream(self, route: Route, lines: RequestLines, call: CallContext, writer: ResponseWriter) -> None:
        """Answer line by line; an unreadable line is reported last, or alone when it was the first."""
        answers: AsyncIterator[Any] = self._handlers[route.rpc](lines.messages(), call)
        try:
            async for answer in answers:
                if lines.failure is not None and not lines.taken:
                    raise lines.failure
                if not writer.is_started:
                    await writer.start_lines()
                await writer.send_line(_encode(answer))
        finally:
            if (close := getattr(answers, "aclose", None)) is not None:
                await close()
        if lines.failure is not None:
            raise lines.failure
        if not writer.is_started:
            await writer.start_lines()
        await writer.end_lines()


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge start and stop; the composition root does the work of both."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
