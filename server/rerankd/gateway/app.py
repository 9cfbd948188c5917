"""The ASGI application: from a request to a service and back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.response_headers import raw_response_headers
from rerankd.contract.service import Services
from rerankd.contract.status import internal_error
from rerankd.engine.byte_budget import ByteBudget
from rerankd.engine.limits import RequestLimits
from rerankd.gateway.asgi import MountedApp, Receive, Scope, Send
from rerankd.gateway.body import BodyReader, GatewayLimits, RequestLines
from rerankd.gateway.client_certificate import certificate_of
from rerankd.gateway.client_rerankers import CLIENT_ROUTES, ClientRerankers
from rerankd.gateway.csv_answers import CSV, csv_answer, wants_csv
from rerankd.gateway.decoding import check_path_value, decode_json, decode_query
from rerankd.gateway.dialects.compatibility_routes import (
    COMPATIBILITY_ROUTES,
    CallerCheck,
    CompatibilityHandlers,
    admit_everybody,
)
from rerankd.gateway.dialects.own import Own
from rerankd.gateway.dialects.registry import (
    DIALECT_ROUTES,
    UNDECIDED,
    UNDECIDED_LISTS,
    dialect_of_path,
    identify,
    identify_large,
    split_mount,
)
from rerankd.gateway.guard import CallGuard
from rerankd.gateway.json_names import lists_of
from rerankd.gateway.large_bodies import LARGE_BYTES, LargeBodies
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
from rerankd.gateway.session_cookie import session_of, takes_sessions
from rerankd.gateway.tracing import HttpRequestSpan
from rerankd.gateway.translation.dialect import Dialect
from rerankd.gateway.translation.dialect_service import rerank_in_dialect
from rerankd.gateway.translation.field_names import in_own_names
from rerankd.gateway.translation.parsed_request import ParsedRequest
from rerankd.telemetry.calls.server_span import ServerTracing

_log = structlog.get_logger("rerankd.gateway")
_encode: Final = msgspec.json.Encoder().encode
SERVED_ROUTES: Final = (*ROUTES, *DIALECT_ROUTES, *COMPATIBILITY_ROUTES, *CLIENT_ROUTES)
"""Every route of the gateway; the web application has those of pages."""


class Gateway:
    """An ASGI application over the services. Safe for any number of requests of one event loop.

    Args:
        services: Answer the calls.
        web: Answers every path for which the gateway has no route.
        version: Version of this service, for clients that ask a server for it.
        limits: Sizes and times of bodies.
        budget: Counts the bytes of bodies in flight.
        max_documents: Returns the most documents of a call, which large bodies are checked for before they are decoded.
        default_model: Names the model of calls that name none, for the lists of models; empty when it is not known.
        tracing: Begins the server's spans; default: none are exported.
        admit: Checks who calls what the services do not check by themselves; default: everybody may.
        session_cookie: Name of the cookie of browsers' sessions; empty where there are none.
        check_certificate: Takes what returns the certificate of a connection's client, PEM, and raises `ServiceError`
            for one that was revoked; default: none is asked.
    """

    def __init__(
        self,
        services: Services,
        web: MountedApp,
        *,
        version: str,
        limits: GatewayLimits | None = None,
        budget: ByteBudget | None = None,
        max_documents: Callable[[], int] = lambda: RequestLimits().max_documents,
        default_model: Callable[[], str] = str,
        tracing: ServerTracing | None = None,
        admit: CallerCheck = admit_everybody,
        session_cookie: str = "",
        check_certificate: Callable[[Callable[[], bytes]], None] | None = None,
    ) -> None:
        self._check_certificate = check_certificate
        self._session_cookie = session_cookie
        self._tracing = tracing or ServerTracing()
        self._handlers: dict[str, Callable[..., Any]] = {
            route.rpc: getattr(getattr(services, route.service), route.method) for route in ROUTES
        }
        self._handlers |= ClientRerankers(services.reranker_service).handlers
        self._service = services.rerank_service
        limits = limits or GatewayLimits()
        budget = budget or ByteBudget(RequestLimits().max_bytes_in_flight)
        self._bodies = LargeBodies(max_documents, limits.max_values)
        self._reader = BodyReader(limits, budget, self._bodies)
        self._web = web
        self._page_paths = frozenset(web.page_paths)
        self._compatibility = CompatibilityHandlers(services.rerank_service, default_model, version, admit).handlers
        self._routes = RouteTable(SERVED_ROUTES, web.page_paths)

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
        started_s = time.perf_counter()
        try:
            await self._dispatch(scope, receive, headers, writer)
        except ServiceError as error:
            if not error.is_recorded:
                call = CallContext(request_id=writer.request_id, transport="http", metadata=headers)
                self._tracing.failed(error, call, scope["path"], started_s)
            await writer.refuse(error)
        except ClientGoneError:
            span.is_client_gone = True
            _log.debug("client gone", request_id=writer.request_id)
        except Exception:  # a fault of ours; the caller gets no text of it
            _log.exception("call failed", request_id=writer.request_id, path=scope["path"])
            await writer.refuse(internal_error(writer.request_id))

    async def _dispatch(
        self, scope: Scope, receive: Receive, headers: Mapping[str, str], writer: ResponseWriter
    ) -> None:
        """Pass a request to its route: one of the gateway's, of a dialect's mount, or else of the web application."""
        if self._check_certificate is not None:
            self._check_certificate(certificate_of(scope))
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
            await self._rerank(match, mount, receive, headers, writer, client_certificate=certificate_of(scope))
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
        call = open_call(
            headers,
            writer.request_id,
            route.api_version,
            client_certificate=certificate_of(scope),
            session=session_of(headers, scope["method"], self._session_cookie) if takes_sessions(route) else None,
        )
        if route.has_body:
            check_media_type(headers, NDJSON_TYPES if route.is_streaming else JSON_TYPES)
        async with CallGuard(call.deadline_s) as guard:
            if route.is_streaming:
                lines = self._reader.lines(receive, route.request_type, guard)
                guard.watch(lines.pump)
                await self._stream(route, lines, call, writer)
                return
            is_ours = isinstance(writer.dialect, Own) or route.is_management
            handler = None if is_ours else self._compatibility.get(route.method)
            if handler is not None:
                response = await handler(scope["query_string"], match.variables, call)
                await writer.reply(200, _encode(response), raw_response_headers(response, call))
                return
            if route.has_body:
                body = await self._reader.read(receive, headers, guard)
                request = await self._decode(body or _empty_body(match), route.request_type)
                del body  # may be large, and its texts are in the request
                for name, value in match.variables.items():
                    check_path_value(name, value, getattr(request, name))
                    setattr(request, name, value)
            else:
                request = decode_query(scope["query_string"], match.variables, route.request_type)
                guard.watch_soon(receive)
            response = await self._handlers[route.rpc](request, call)
        facts = raw_response_headers(response, call)
        if wants_csv(route.rpc, headers):
            content, more = csv_answer(route.rpc, request, response)
            await writer.reply(200, content, [*facts, *more], CSV)
            return
        if route.success_status == 204:
            await writer.reply_empty(facts)
            return
        if route.response_body is not None:
            response = getattr(response, route.response_body)
        await writer.reply(route.success_status, _encode(response), facts)

    async def _decode(self, body: bytes, message_type: type[Any]) -> Any:
        """Decode a body, a large one in its turn."""
        if len(body) <= LARGE_BYTES:
            return decode_json(body, message_type, "the body")
        async with self._bodies.turn(body, lists=lists_of(message_type) or ("the body",)):
            return decode_json(body, message_type, "the body")

    async def _rerank(
        self,
        match: Match,
        mount: Dialect | None,
        receive: Receive,
        headers: Mapping[str, str],
        writer: ResponseWriter,
        *,
        client_certificate: Callable[[], bytes],
    ) -> None:
        """Rerank in the dialect of the mount, a header, the path or the body, whichever tells first."""
        dialect = dialect_of_path(match.route.dialect, mount, headers)
        writer.dialect = dialect or UNDECIDED
        writer.route = match.route.template
        call = open_call(
            headers,
            writer.request_id,
            match.route.api_version,
            ranks_blank_last=dialect is None or dialect.ranks_blank_last,
            dialect="" if dialect is None else dialect.name,
            client_certificate=client_certificate,
        )
        check_media_type(headers, JSON_TYPES)
        async with CallGuard(call.deadline_s) as guard:
            body = await self._reader.read(receive, headers, guard)
            spoken, parsed = await self._read(body, dialect, writer)
            del body  # may be large, and its texts are in what was read
            guard.is_recorded = True
            if dialect is None:
                call = msgspec.structs.replace(call, dialect=spoken.name)
            try:
                answer = await rerank_in_dialect(self._service, parsed, call, match.variables.get("model", ""))
            except ServiceError as error:
                raise in_own_names(error, spoken, parsed) from None
        await writer.reply(
            200,
            spoken.write(answer, parsed),
            [*raw_response_headers(answer, call), *spoken.headers(answer), *spoken.warning_headers(answer, parsed)],
        )

    async def _read(
        self, body: bytes, dialect: Dialect | None, writer: ResponseWriter
    ) -> tuple[Dialect, ParsedRequest]:
        """Read a body in its dialect, which the body tells where it is not known yet; errors have the form of it."""
        parsed: ParsedRequest | None = None
        if len(body) > LARGE_BYTES:
            async with self._bodies.turn(body, lists=UNDECIDED_LISTS if dialect is None else dialect.long_lists):
                if dialect is not None:
                    return dialect, await dialect.read_large(body)
                dialect, parsed, keys = await identify_large(body)
                writer.dialect = dialect
                return dialect, parsed or await dialect.read_large(body, keys)
        if dialect is not None:
            return dialect, dialect.read(body)
        dialect, parsed, keys = identify(body)
        writer.dialect = dialect
        return dialect, parsed or dialect.read(body, keys)

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


def _empty_body(match: Match) -> bytes:
    """Return what an empty body stands for: no fields, where the path says what the call is about."""
    return b"{}" if match.variables else b""


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    """Acknowledge start and stop; the composition root does the work of both."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
