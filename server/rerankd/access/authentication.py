"""Tells who calls: by the key or token in the headers or metadata, else by the certificate of the connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from rerankd.access.grant import Grant
from rerankd.access.key_format import digest_of
from rerankd.access.key_ring import KeyRing
from rerankd.access.scopes import Scope
from rerankd.access.tokens.shape import is_token
from rerankd.contract.call_context import CallContext, Caller, SessionCredentials
from rerankd.contract.errors import Reason, ServiceError

KEY_HEADERS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""Headers, and keys of gRPC metadata, that may carry an API key or a token; of several valid keys the first counts."""
_SCHEME: Final = "bearer "
_STORE_RETRY_S: Final = 1.0
"""When to ask again with a key that may be in a store that could not be read."""


class VerifiesTokens(Protocol):
    """Verifies JSON Web Tokens."""

    async def verify(self, token: str) -> Grant:
        """Return the rights of the caller of a token.

        Raises:
            ServiceError: `TOKEN_INVALID`; `ACCESS_UNAVAILABLE` if that cannot be told.
        """
        ...


class FindsCertificates(Protocol):
    """Knows callers by the certificates of their connections."""

    def find(self, certificate: bytes) -> Grant | None:
        """Return the rights of callers with a certificate, PEM; None if it is not known.

        Raises:
            ServiceError: `API_KEY_INVALID` for one that has expired.
        """
        ...


class OpenSession(Protocol):
    """A session that is open."""

    @property
    def grant(self) -> Grant:
        """Rights of its caller."""
        ...

    @property
    def set_cookie(self) -> str | None:
        """Value of `set-cookie` for the answer."""
        ...


class ResumesSessions(Protocol):
    """Knows the sessions of browsers."""

    async def resume(self, given: SessionCredentials) -> OpenSession:
        """Return the session of a cookie.

        Raises:
            ServiceError: `SESSION_INVALID`, `CSRF_TOKEN_INVALID`; `ACCESS_UNAVAILABLE` if it cannot be told.
        """
        ...


class Authenticator:
    """Identifies callers. For one event loop.

    Args:
        ring: Knows the keys.
        tokens: Verifies tokens; without it a token is an unknown key.
        certificates: Knows callers without key and token.
        sessions: Knows sessions of browsers; without it their cookies count for nothing.
    """

    def __init__(
        self,
        ring: KeyRing,
        tokens: VerifiesTokens | None = None,
        certificates: FindsCertificates | None = None,
        sessions: ResumesSessions | None = None,
    ) -> None:
        self._ring = ring
        self.tokens = tokens
        """As above; may be replaced at any time."""
        self.sessions = sessions
        """As above."""
        self.certificates = certificates
        """As above; may be replaced at any time."""

    async def identify(self, call: CallContext) -> Grant:
        """Return the rights of who calls: those of a key if the call carries one that is known, else of a token.

        Where the call carries neither, the session of a browser counts, else the certificate of the connection.

        Raises:
            ServiceError: `API_KEY_MISSING` if the call carries none, `API_KEY_INVALID` if none of those it carries is
                known, or the first that is has expired; `TOKEN_INVALID`, `SESSION_INVALID`, `CSRF_TOKEN_INVALID`;
                `ACCESS_UNAVAILABLE` if that cannot be told.
        """
        digests: list[str] = []
        tokens: list[str] = []
        for credential in credentials_of(call.metadata):
            if self.tokens is not None and is_token(credential):
                tokens.append(credential)
                continue
            digest = digest_of(credential)
            if (grant := self._ring.find(digest)) is not None:
                return grant
            digests.append(digest)
        if digests or tokens:
            return await self._identify_by(digests, tokens)
        return await self._identify_without_key(call)

    async def _identify_by(self, digests: Sequence[str], tokens: Sequence[str]) -> Grant:
        """Return the rights of the first token that is accepted, or of a key that is new in the store."""
        refused = None
        if tokens and self.tokens is not None:
            grant, refused = await _verify(self.tokens, tokens)
            if grant is not None:
                return grant
        if digests:
            has_all_keys = await self._ring.refresh()
            for digest in digests:
                if (grant := self._ring.find(digest)) is not None:
                    return grant
            if not has_all_keys:
                message = "the API key is not known here, and the store of keys cannot be read now; try again later"
                raise ServiceError(Reason.ACCESS_UNAVAILABLE, message, retry_after_s=_STORE_RETRY_S)
        message = "the API key is not known, or was revoked; use another one"
        raise refused or ServiceError(Reason.API_KEY_INVALID, message)

    async def _identify_without_key(self, call: CallContext) -> Grant:
        """Return the rights that a session or a certificate gives.

        A browser sends certificates with requests that pages of other sites make, too; those identify nobody.
        """
        if self.sessions is not None and call.session is not None:
            session = await self.sessions.resume(call.session)
            call.response_metadata["cache-control"] = (
                "no-store"  # unlike answers to `authorization`, a cookie's are kept
            )
            if session.set_cookie is not None:
                call.response_metadata["set-cookie"] = session.set_cookie
            return session.grant
        message = "no API key; send it as `authorization: Bearer KEY`, or as `x-api-key`"
        if self.certificates is not None and (certificate := call.client_certificate()):
            if call.metadata.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                message = "a page of another site makes this call; the connection's certificate does not count for it"
            elif (grant := self.certificates.find(certificate)) is not None:
                return grant
            else:
                message = "neither this connection's certificate nor an API key identifies the caller; send a key"
        raise ServiceError(Reason.API_KEY_MISSING, message)

    async def admit(self, call: CallContext, *scopes: Scope) -> Caller:
        """Return who calls, if the caller has one of the scopes, or if none is asked for.

        Raises:
            ServiceError: As `identify`, and `INSUFFICIENT_SCOPE`.
        """
        grant = await self.identify(call)
        if scopes:
            grant.require(*scopes)
        return grant.caller


async def _verify(verifier: VerifiesTokens, tokens: Sequence[str]) -> tuple[Grant | None, ServiceError | None]:
    """Return the rights of the first token that is accepted; else why the first one was not."""
    refused = None
    for token in tokens:
        try:
            return await verifier.verify(token), None
        except ServiceError as error:
            refused = refused or error
    return None, refused


def credentials_of(metadata: Mapping[str, str]) -> Iterator[str]:
    """Yield the credentials of a call, in the order of `KEY_HEADERS`; empty ones are left out.

    `Bearer` may precede each, in any case.
    """
    for name in KEY_HEADERS:
        if given := metadata.get(name):
            credential = given.strip()
            if credential[:7].lower() == _SCHEME:
                credential = credential[7:].lstrip()
            elif credential.lower() == "bearer":
                continue
            if credential:
                yield credential
