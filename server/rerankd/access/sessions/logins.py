"""Logs callers in: by a key or by a token, slowed down where somebody guesses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import structlog

from rerankd.access.authentication import credentials_of
from rerankd.access.grant import Grant
from rerankd.access.sessions.login_guard import LoginGuard
from rerankd.access.sessions.sessions import Session, Sessions
from rerankd.access.tokens.verified import VerifiedToken
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request

_KEY_HEADER: Final = "x-api-key"
_TOKEN_CHARS: Final = 16
"""All tokens of an issuer begin alike, so failures count for the end of one."""

_log = structlog.get_logger("rerankd.access")


class Identifies(Protocol):
    """Tells who calls."""

    async def identify(self, call: CallContext) -> Grant:
        """Return the rights of who calls.

        Raises:
            ServiceError: It cannot be told.
        """
        ...


class Examines(Protocol):
    """Verifies tokens."""

    async def examine(self, token: str) -> VerifiedToken:
        """Verify a token.

        Raises:
            ServiceError: `TOKEN_INVALID`; `ACCESS_UNAVAILABLE` if that cannot be told.
        """
        ...


class Logins:
    """Opens sessions. For one event loop.

    Args:
        sessions: Opens them.
        authenticator: Knows the keys.
        verifier: Returns what verifies tokens; None where no issuer is set up.
        guard: Slows down who guesses.
    """

    def __init__(
        self,
        sessions: Sessions,
        authenticator: Identifies,
        verifier: Callable[[], Examines | None],
        guard: LoginGuard | None = None,
    ) -> None:
        self.sessions = sessions
        """The sessions that it opens."""
        self._authenticator = authenticator
        self._verifier = verifier
        self._guard = guard or LoginGuard()

    async def identify(self, call: CallContext) -> Grant:
        """Return the rights of who calls; as `Authenticator.identify`."""
        return await self._authenticator.identify(call)

    async def by_key(self, key: str, address: str, request_id: str) -> Session:
        """Open a session for the caller of a key.

        Args:
            key: The key.
            address: Where the login comes from.
            request_id: Id of the request, for the log.

        Raises:
            ServiceError: `API_KEY_INVALID`, `RATE_LIMITED`, `ACCESS_UNAVAILABLE`.
        """
        return await self.guarded(lambda: self._open_by_key(key, request_id), key, address, request_id)

    async def by_token(self, token: str, address: str, request_id: str) -> Session:
        """Open a session for the caller of a token; arguments as `by_key`.

        Raises:
            ServiceError: `TOKEN_INVALID`, `RATE_LIMITED`, `ACCESS_UNAVAILABLE`; `INVALID_REQUEST` where no issuer is
                set up, or the session's cookie would be too long.
        """
        verifier = self._verifier()
        if verifier is None:
            rule = "id_token cannot be taken, since access.jwt names no issuer; send api_key"
            raise invalid_request([FieldViolation("id_token", rule)])

        async def open_session() -> Session:
            return self.sessions.open_by_token(await verifier.examine(token))

        return await self.guarded(open_session, token[-_TOKEN_CHARS:], address, request_id)

    async def guarded(
        self, open_session: Callable[[], Awaitable[Session]], credential: str, address: str, request_id: str
    ) -> Session:
        """Open a session, unless too many logins have failed.

        Args:
            open_session: Opens it, or raises a `ServiceError`; with HTTP status 401 the login has failed.
            credential: What it is opened with; failures count for those that begin alike.
            address: Where the login comes from.
            request_id: Id of the request, for the log.

        Raises:
            ServiceError: `RATE_LIMITED`, and what `open_session` raises.
        """
        self._guard.begin(address, credential)
        try:
            session = await open_session()
        except ServiceError as error:
            if error.http_status != 401:  # another reason than who made it
                self._guard.succeeded(address, credential)
            raise
        self._guard.succeeded(address, credential)
        caller = session.grant.caller
        _log.info("session opened", request_id=request_id, key_id=caller.key_id, issuer=session.claims.issuer)
        return session

    async def _open_by_key(self, key: str, request_id: str) -> Session:
        call = CallContext(request_id, metadata={_KEY_HEADER: key})
        grant = await self._authenticator.identify(call)
        if not grant.caller.key_id:
            raise ServiceError(Reason.API_KEY_INVALID, "this is no API key; send a token as `id_token`")
        return self.sessions.open_by_key(next(credentials_of(call.metadata)), grant)
