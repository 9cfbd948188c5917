"""Opens sessions, resumes them for each call, and ends them."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from rerankd.access.grant import Grant
from rerankd.access.key_format import digest_of
from rerankd.access.key_ring import KeyRing
from rerankd.access.sessions.cookie import CookieError, SessionClaims, SessionCookie
from rerankd.access.sessions.ended_sessions import EndedSessions
from rerankd.access.sessions.secret import SessionSecret
from rerankd.access.sessions.settings import SessionSettings
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.access.tokens.verified import VerifiedToken
from rerankd.contract.call_context import Caller, SessionCredentials
from rerankd.contract.errors import Reason, ServiceError

_RENEWED_PER_IDLE: Final = 10
"""A cookie is made anew when this part of the idle time has passed, so that most answers carry none."""
_PROBLEMS: Final = {
    "missing": "there is no session; open one with `POST /api/session`",
    "unreadable": "the session's cookie is not one of this server's; log in again",
    "expired": "the session has expired; log in again",
    "ended": "the session has ended; log in again",
    "credential": "the key or token issuer that opened the session is no longer accepted; log in with another one",
}


class Session(NamedTuple):
    """A session that is open."""

    grant: Grant
    csrf_token: str
    """Must come in `x-csrf-token` with every call that changes something."""
    claims: SessionClaims
    idle_ends_at: float
    """When it ends unless a call is made, in seconds since 1970."""
    set_cookie: str | None
    """Value of `set-cookie` for the answer; None where the cookie need not be renewed."""


class Sessions:
    """Sessions of browsers. For one event loop.

    Args:
        settings: How long they last.
        cookie: Makes and reads cookies.
        secret: Makes marks and CSRF tokens.
        ring: Knows the keys that open sessions.
        issuers: Returns the issuers whose tokens do, by name.
        ended: Knows which were ended.
        clock: Returns seconds since 1970.
    """

    def __init__(
        self,
        settings: SessionSettings,
        cookie: SessionCookie,
        secret: SessionSecret,
        *,
        ring: KeyRing,
        issuers: Callable[[], Mapping[str, TokenIssuer]],
        ended: EndedSessions,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._cookie = cookie
        self._secret = secret
        self._ring = ring
        self._issuers = issuers
        self._ended = ended
        self._clock = clock

    @property
    def cookie_name(self) -> str:
        """Name of the cookie."""
        return self._cookie.name

    @property
    def clearing_cookie(self) -> str:
        """Value of `set-cookie` that has browsers forget the cookie."""
        return self._cookie.clearing_header()

    def open_by_key(self, key: str, grant: Grant) -> Session:
        """Open a session for the caller of a key that is known.

        Raises:
            ServiceError: `ACCESS_UNAVAILABLE` without a secret.
        """
        return self._open(grant, key=grant.caller.key_id, mark=self._mark_of(digest_of(key)))

    def open_by_token(self, token: VerifiedToken) -> Session:
        """Open a session for the caller of a verified token; it ends with the token at the latest.

        Raises:
            ServiceError: `INVALID_REQUEST` if the caller's groups and scopes do not fit into a cookie;
                `ACCESS_UNAVAILABLE` without a secret.
        """
        caller = token.grant.caller
        return self._open(
            token.grant,
            latest=token.ends_at,
            issuer=token.issuer.name,
            identity=caller.identity,
            groups=caller.groups,
            scopes=tuple(sorted(token.grant.scopes)),
        )

    async def resume(self, given: SessionCredentials) -> Session:
        """Return the session of a cookie.

        Raises:
            ServiceError: `SESSION_INVALID` for one that cannot be used, `CSRF_TOKEN_INVALID` for a call that changes
                something without the session's CSRF token, `ACCESS_UNAVAILABLE` if it cannot be told.
        """
        claims = await self._checked(given)
        csrf_token = self._csrf_token(claims)
        if not given.is_safe and not _are_equal(given.csrf_token, csrf_token):
            message = "the header x-csrf-token does not have the token that `GET /api/session` gives; send it"
            raise ServiceError(Reason.CSRF_TOKEN_INVALID, message)
        grant = self._grant_of(claims)
        now = self._clock()
        set_cookie = None
        if now - claims.seen >= self._settings.idle_s / _RENEWED_PER_IDLE:
            claims = msgspec.structs.replace(claims, seen=int(now))
            set_cookie = self._cookie.header(claims, self._idle_end(claims) - claims.seen)
        return Session(grant, csrf_token, claims, self._idle_end(claims), set_cookie)

    async def end(self, given: SessionCredentials) -> None:
        """End the session of a cookie for good.

        Raises:
            ServiceError: As `resume`.
        """
        session = await self.resume(given)
        await self._ended.end(session.claims.id, session.claims.end)

    def stop(self) -> None:
        """Stop reading the store."""
        self._ended.stop()

    def missing(self) -> ServiceError:
        """Build the error for a call without a session."""
        return self._invalid("missing")

    def _open(
        self,
        grant: Grant,
        latest: float | None = None,
        *,
        key: str = "",
        mark: str = "",
        issuer: str = "",
        identity: str = "",
        groups: tuple[str, ...] = (),
        scopes: tuple[str, ...] = (),
    ) -> Session:
        now = self._clock()
        end = now + self._settings.lasts_s
        claims = SessionClaims(
            id=secrets.token_urlsafe(16),
            seen=int(now),
            end=int(end if latest is None else min(end, latest)),
            key=key,
            mark=mark,
            issuer=issuer,
            identity=identity,
            groups=groups,
            scopes=scopes,
        )
        try:
            set_cookie = self._cookie.header(claims, self._idle_end(claims) - claims.seen)
        except CookieError:
            message = "the token has more groups than a session's cookie holds; send it with each call instead"
            raise ServiceError(Reason.INVALID_REQUEST, message) from None
        return Session(grant, self._csrf_token(claims), claims, self._idle_end(claims), set_cookie)

    async def _checked(self, given: SessionCredentials) -> SessionClaims:
        try:
            claims = self._cookie.read(given.cookie)
        except CookieError:
            raise self._invalid("unreadable") from None
        if self._clock() >= self._idle_end(claims):
            raise self._invalid("expired")
        if await self._ended.contains(claims.id):
            raise self._invalid("ended")
        return claims

    def _idle_end(self, claims: SessionClaims) -> float:
        return min(claims.seen + self._settings.idle_s, claims.end)

    def _grant_of(self, claims: SessionClaims) -> Grant:
        if claims.issuer:
            issuer = self._issuers().get(claims.issuer)
            if issuer is None:
                raise self._invalid("credential")
            return Grant(Caller(claims.identity, groups=claims.groups), claims.scopes, issuer.models)
        try:
            for digest in self._ring.digests_of(claims.key):
                if _are_equal(claims.mark, self._mark_of(digest)) and (grant := self._ring.find(digest)) is not None:
                    return grant
        except ServiceError as error:
            if error.reason is not Reason.API_KEY_INVALID:
                raise
        raise self._invalid("credential")

    def _csrf_token(self, claims: SessionClaims) -> str:
        return _text_of(hmac.digest(self._secret.key("csrf"), claims.id.encode(), "sha256"))

    def _mark_of(self, digest: str) -> str:
        return _text_of(hmac.digest(self._secret.key("mark"), digest.encode(), "sha256")[:15])

    def _invalid(self, problem: str) -> ServiceError:
        forget = {} if problem == "missing" else {"set-cookie": self.clearing_cookie}
        metadata = {"problem": problem}
        return ServiceError(Reason.SESSION_INVALID, _PROBLEMS[problem], metadata=metadata, response_metadata=forget)


def _text_of(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _are_equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
