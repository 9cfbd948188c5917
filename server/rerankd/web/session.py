"""Sessions of browsers: log in, who am I, log out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from rerankd.access.authentication import credentials_of
from rerankd.access.grant import Grant
from rerankd.access.sessions.logins import Logins
from rerankd.access.sessions.sessions import Session
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.gateway.client_certificate import certificate_of
from rerankd.gateway.negotiation import JSON_TYPES, check_media_type
from rerankd.gateway.refusal import payload_too_large, too_slow
from rerankd.gateway.session_cookie import session_of
from rerankd.web.errors import JSON

SESSION_PATH: Final = "/api/session"
_MAX_BODY_BYTES: Final = 32 * 1024
_BODY_TIMEOUT_S: Final = 10.0
_NO_STORE: Final = {"cache-control": "no-store"}


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a login, one of the two; in camelCase too."""

    api_key: str = ""
    id_token: str = ""


class SessionPages:
    """Endpoints of `/api/session`.

    Args:
        logins: Opens sessions; None where the settings do not let it.
        setting: Setting that would.
        allowed_origins: Origins whose pages may log in, beside those of this host.
    """

    def __init__(self, logins: Logins | None, setting: str, allowed_origins: Collection[str] = ()) -> None:
        self._logins = logins
        self._setting = setting
        self._allowed_origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    async def open(self, request: Request) -> Response:
        """Log in; the answer sets the cookie."""
        logins = self._opened()
        self._check_origin(request)
        check_media_type(request.headers, JSON_TYPES)
        if not request.headers.get("content-type"):
            raise invalid_request([FieldViolation("content-type", "content-type must be application/json")])
        login = _read(await _body_of(request))
        address = "" if request.client is None else request.client.host
        if login.api_key:
            session = await logins.by_key(login.api_key, address, request.state.request_id)
        else:
            session = await logins.by_token(login.id_token, address, request.state.request_id)
        return _answer(session.grant, session)

    async def show(self, request: Request) -> Response:
        """Say who calls, by session or by key, and the CSRF token of a session."""
        logins = self._opened()
        call = self._call_of(request, logins)
        if call.session is None or any(credentials_of(call.metadata)):
            return _answer(await logins.identify(call), None)
        session = await logins.sessions.resume(call.session)
        return _answer(session.grant, session)

    async def close(self, request: Request) -> Response:
        """Log out."""
        logins = self._opened()
        call = self._call_of(request, logins)
        if call.session is None:
            raise logins.sessions.missing()
        await logins.sessions.end(call.session)
        return Response(status_code=204, headers={**_NO_STORE, "set-cookie": logins.sessions.clearing_cookie})

    def _opened(self) -> Logins:
        if self._logins is None:
            message = f"sessions are not available: {self._setting} is false; set it to true"
            metadata = {"service": "sessions", "setting": self._setting}
            raise ServiceError(Reason.SERVICE_DISABLED, message, metadata=metadata)
        return self._logins

    def _call_of(self, request: Request, logins: Logins) -> CallContext:
        headers = dict(request.headers)
        return CallContext(
            request.state.request_id,
            transport="http",
            metadata=headers,
            client_certificate=certificate_of(request.scope),
            session=session_of(headers, request.method, logins.sessions.cookie_name),
        )

    def _check_origin(self, request: Request) -> None:
        """Refuse a login that a page of another site makes, which would have its visitor act as somebody else."""
        origin = request.headers.get("origin")
        if origin is None or origin.lower() in self._allowed_origins:
            return
        try:
            host = urlsplit(origin).netloc
        except ValueError:
            host = ""
        if not host or host.lower() != request.headers.get("host", "").lower():
            message = "a page of another site makes this login; log in from this server's own pages"
            raise ServiceError(Reason.CSRF_TOKEN_INVALID, message)


async def _body_of(request: Request) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > _MAX_BODY_BYTES:
                    raise payload_too_large("the body", _MAX_BODY_BYTES)
    except TimeoutError:
        raise too_slow() from None
    except ClientDisconnect:
        raise ServiceError(Reason.CANCELLED, "the client went away") from None
    return body


def _read(body: bytes) -> _Login:
    """Read the body of a login.

    Raises:
        ServiceError: `INVALID_REQUEST`.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, str])
        named = {{"apiKey": "api_key", "idToken": "id_token"}.get(name, name): value for name, value in fields.items()}
        login = msgspec.convert(named, _Login)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        login = _Login()
    if bool(login.api_key) == bool(login.id_token):
        rule = 'the body must be {"api_key": "..."} or {"id_token": "..."}'
        raise invalid_request([FieldViolation("api_key", rule)])
    return login


def _answer(grant: Grant, session: Session | None) -> Response:
    caller = grant.caller
    body: dict[str, Any] = {
        "identity": caller.identity,
        "keyId": caller.key_id,
        "groups": caller.groups,
        "scopes": sorted(grant.scopes),
    }
    headers = dict(_NO_STORE)
    if session is not None:
        body["csrfToken"] = session.csrf_token
        body["expiresAt"] = _time_of(session.claims.end)
        body["idleExpiresAt"] = _time_of(session.idle_ends_at)
        if session.set_cookie is not None:
            headers["set-cookie"] = session.set_cookie
    return Response(msgspec.json.encode(body), headers=headers, media_type=JSON)


def _time_of(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
