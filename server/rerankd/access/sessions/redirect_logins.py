"""Logs browsers in at the page of an OpenID provider: they are sent there, and come back with a code."""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from rerankd.access.sessions.cookie import CookieError
from rerankd.access.sessions.ended_sessions import EndedSessions
from rerankd.access.sessions.login_state import LoginState, LoginStates
from rerankd.access.sessions.logins import Logins
from rerankd.access.sessions.sessions import Session
from rerankd.access.tokens.login_client import CodeRefusedError, LoginClient
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.access.tokens.verified import VerifiedToken
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.http.transport import HttpTransport

LOGIN_PATH: Final = "/api/session/oidc/{issuer}"
CALLBACK_PATH: Final = "/api/session/oidc/{issuer}/callback"
_MAX_CHARS: Final = 2000
_RETURN: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path of this host: browsers read `//` and `/\\` as the beginning of another, and leave out tabs and line ends."""
_ERROR: Final = re.compile(r"[a-z_]{1,60}")
_PROBLEMS: Final = {
    "missing": "this browser has not begun a login here, or its cookie is gone; begin again",
    "unreadable": "the login's cookie is not one of this server's; begin again",
    "expired": "the login took too long; begin again",
    "state": "this is the answer to another login; begin again",
    "used": "this login has been completed already; begin again",
    "issuer": "this is the answer of another issuer; begin again",
    "refused": "the issuer has not logged you in",
    "code": "the issuer does not take the code that it gave; begin again",
}


class IssuerAnswer(NamedTuple):
    """What the issuer sends a browser back with."""

    state: str
    code: str
    error: str = ""
    """Why it has not logged the browser in."""
    issuer: str | None = None
    """The issuer's name of itself (RFC 9207)."""


class ExaminesLogins(Protocol):
    """Verifies ID tokens."""

    async def examine_login(self, token: str, issuer: TokenIssuer, nonce: str) -> VerifiedToken:
        """Verify the ID token of a login.

        Raises:
            ServiceError: `TOKEN_INVALID`; `ACCESS_UNAVAILABLE` if that cannot be told.
        """
        ...


class RedirectLogins:
    """Begins and completes logins. For one event loop.

    Args:
        logins: Opens the sessions.
        states: Keeps what has begun.
        ended: Knows which logins were completed.
        issuers: Returns the issuers, by name.
        verifier: Returns what verifies ID tokens; None where no issuer is set up.
        transport: Returns what asks issuers.
        public_url: Where browsers reach this server.
    """

    def __init__(
        self,
        logins: Logins,
        states: LoginStates,
        *,
        ended: EndedSessions,
        issuers: Callable[[], Mapping[str, TokenIssuer]],
        verifier: Callable[[], ExaminesLogins | None],
        transport: Callable[[], HttpTransport],
        public_url: str,
    ) -> None:
        self._logins = logins
        self._states = states
        self._ended = ended
        self._issuers = issuers
        self._verifier = verifier
        self._transport = transport
        self._public_url = public_url.rstrip("/")
        self._clients: dict[str, LoginClient] = {}

    @property
    def cookie_name(self) -> str:
        """Name of the cookie of a login that has begun."""
        return self._states.cookie_name

    @property
    def clearing_cookie(self) -> str:
        """Value of `set-cookie` that has browsers forget it."""
        return self._states.clearing_header

    async def begin(self, name: str, return_to: str) -> tuple[str, str]:
        """Begin a login.

        Args:
            name: Of the issuer, in the settings.
            return_to: Path where the browser goes afterwards; empty: the beginning of the pages.

        Returns:
            Where the browser logs in, and the value of `set-cookie`.

        Raises:
            ServiceError: `INVALID_REQUEST` for another path than one of this host; `SERVICE_DISABLED` for an issuer
                where browsers cannot log in; `ACCESS_UNAVAILABLE`.
        """
        client = self._client(name)
        state = self._states.begin(name, self._checked(return_to))
        return await client.address(self._states.challenge(state)), self._states.header(state)

    async def complete(
        self, name: str, answer: IssuerAnswer, cookie: str, *, address: str, request_id: str
    ) -> tuple[Session, str]:
        """Complete a login, once.

        Args:
            name: Of the issuer, in the settings.
            answer: What the browser comes back with.
            cookie: Value of the cookie of `begin`; empty without one.
            address: Where the browser is.
            request_id: Id of the request, for the log.

        Returns:
            The session, and the path where the browser goes.

        Raises:
            ServiceError: `LOGIN_FAILED`, `TOKEN_INVALID`, `RATE_LIMITED`, `ACCESS_UNAVAILABLE`, `SERVICE_DISABLED`.
        """
        client = self._client(name)

        async def open_session() -> Session:
            state = self._begun(name, answer, cookie)
            if not await self._ended.claim(state.id, state.end):
                raise _failed("used")
            return self._logins.sessions.open_by_token(await self._redeemed(client, answer, state))

        session = await self._logins.guarded(open_session, answer.state, address, request_id)
        return session, self._states.read(cookie).return_to

    def _begun(self, name: str, answer: IssuerAnswer, cookie: str) -> LoginState:
        """Return the login that an answer belongs to."""
        if not cookie:
            raise _failed("missing")
        try:
            state = self._states.read(cookie)
        except CookieError:
            raise _failed("unreadable") from None
        expected = self._states.challenge(state).state
        if state.issuer != name or not hmac.compare_digest(answer.state.encode("utf-8", "replace"), expected.encode()):
            raise _failed("state")
        if self._states.is_over(state):
            raise _failed("expired")
        return state

    async def _redeemed(self, client: LoginClient, answer: IssuerAnswer, state: LoginState) -> VerifiedToken:
        """Return the verified ID token of an answer.

        The session does not end with it: an ID token says that somebody has logged in, and lives for minutes.
        """
        if not await client.is_answer_of(answer.issuer):
            raise _failed("issuer")
        if answer.error or not 0 < len(answer.code) <= _MAX_CHARS:
            raise _failed("refused", error=answer.error if _ERROR.fullmatch(answer.error) else "")
        try:
            token = await client.redeem(answer.code, self._states.code_verifier(state))
        except CodeRefusedError:
            raise _failed("code") from None
        verifier = self._verifier()
        if verifier is None:
            raise _disabled(client.issuer.name)
        verified = await verifier.examine_login(token, client.issuer, self._states.challenge(state).nonce)
        return verified._replace(ends_at=math.inf)

    def _client(self, name: str) -> LoginClient:
        """Return what knows an issuer; made anew where its settings have changed."""
        issuer = self._issuers().get(name)
        if issuer is None or issuer.login is None or not self._public_url:
            raise _disabled(name)
        client = self._clients.get(name)
        if client is None or client.issuer != issuer:
            callback = self._public_url + CALLBACK_PATH.format(issuer=name)
            client = self._clients[name] = LoginClient(issuer, issuer.login, self._transport, callback)
        return client

    def _checked(self, return_to: str) -> str:
        if not return_to:
            return f"{urlsplit(self._public_url).path}/"
        if len(return_to) > _MAX_CHARS or not _RETURN.fullmatch(return_to):
            rule = f"return_to must be a path of this host, of at most {_MAX_CHARS} characters, such as /docs"
            raise invalid_request([FieldViolation("return_to", rule)])
        return return_to


def _failed(problem: str, error: str = "") -> ServiceError:
    metadata = {"problem": problem, **({"error": error} if error else {})}
    message = f"{_PROBLEMS[problem]}: {error}" if error else _PROBLEMS[problem]
    return ServiceError(Reason.LOGIN_FAILED, message, metadata=metadata)


def _disabled(name: str) -> ServiceError:
    message = f"browsers cannot log in at {name[:50]!r}; set `login` of an issuer of this name in access.jwt"
    metadata = {"service": "login", "setting": "access.jwt"}
    return ServiceError(Reason.SERVICE_DISABLED, message, metadata=metadata)
