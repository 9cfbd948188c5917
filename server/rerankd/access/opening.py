"""Opens access as the settings describe it. Libraries for the database and for tokens are imported only when needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from rerankd.access.authentication import Authenticator
from rerankd.access.authorized_service import AuthorizedRerankService, AuthorizedRerankStreams
from rerankd.access.certificate_settings import CertificateRule
from rerankd.access.key_inventory import KeyInventory
from rerankd.access.key_ring import KeyRing
from rerankd.access.key_service import KeyService
from rerankd.access.rights import SCOPES_OF_METRICS, SCOPES_OF_RPC
from rerankd.access.sessions.cookie import SessionCookie
from rerankd.access.sessions.ended_sessions import EndedSessions
from rerankd.access.sessions.login_state import LoginStates
from rerankd.access.sessions.logins import Logins
from rerankd.access.sessions.redirect_logins import RedirectLogins
from rerankd.access.sessions.secret import SessionSecret
from rerankd.access.sessions.sessions import Sessions
from rerankd.access.settings import AccessSettings
from rerankd.access.spend.spend_service import SpendService
from rerankd.access.spend.stored_spend import StoredSpend
from rerankd.access.stored_keys import LazyStoredKeys
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.contract.call_context import CallContext
from rerankd.contract.gate import Gate, closed, open_to_all
from rerankd.contract.service import AccessService, GatedAccessService, RerankService, RerankServiceStreams
from rerankd.http.transport import HttpTransport
from rerankd.store.opening import LazyDatabase

if TYPE_CHECKING:
    from rerankd.access.certificates import Certificates
    from rerankd.access.tokens.verification import TokenVerifier

S = TypeVar("S")

CLOSED: Final = GatedAccessService(
    closed("access.enabled", "access.enabled is false, so that callers need no keys; set it to true")
)
"""The service that manages the keys where callers need none."""


def gate_of(access: Access | None, service: S) -> Gate[S]:
    """Make the gate of a service: as `Access.gate`; everybody passes where callers need no keys."""
    return open_to_all(service) if access is None else access.gate(service)


class Access:
    """Who may call, and what keeps that up to date. For one event loop; its creator closes it.

    Args:
        settings: Of access; `enabled` is the caller's matter.
        database: Where keys are stored; its creator closes it.
        transport: Returns what reads the keys of token issuers.
        state_directory: Folder of the secret that signs cookies.
        is_tls: Whether the listeners speak TLS.
    """

    def __init__(
        self,
        settings: AccessSettings,
        database: LazyDatabase,
        transport: Callable[[], HttpTransport],
        *,
        state_directory: Path,
        is_tls: bool = False,
    ) -> None:
        self._settings = settings
        self._stored = LazyStoredKeys(database)
        self._ring = KeyRing(
            settings.declared_keys(),
            self._stored,
            revoked_within_s=settings.revoked_within_s,
            stale_for_s=settings.stale_for_s,
        )
        self._transport = transport
        self._verifier = _open_verifier(settings.jwt, transport) if settings.jwt else None
        self.authenticator = Authenticator(self._ring, self._verifier, _open_certificates(settings.certificates))
        """Identifies callers."""
        self.logins: Logins | None = None
        """Opens sessions of browsers; None where the settings do not let it."""
        self.redirect_logins: RedirectLogins | None = None
        """Opens them for browsers that come from an issuer's page; likewise."""
        if settings.sessions.enabled:
            self._open_logins(database, state_directory, is_tls=is_tls)

    def wrap(self, service: RerankService, default_model: Callable[[], str]) -> RerankService:
        """Return the service for identified callers."""
        return AuthorizedRerankService(service, self.authenticator, default_model)

    def wrap_streams(self, streams: RerankServiceStreams) -> RerankServiceStreams:
        """Return the streams for identified callers."""
        return AuthorizedRerankStreams(streams, self.authenticator)

    def replace(self, settings: AccessSettings) -> None:
        """Use the keys, certificates and token issuers of new settings."""
        self._settings = settings
        self.authenticator.certificates = _open_certificates(settings.certificates)
        self._ring.declare(settings.declared_keys())
        if self._verifier is not None:
            self._verifier.use(settings.jwt)
        elif settings.jwt:
            self._verifier = self.authenticator.tokens = _open_verifier(settings.jwt, self._transport)
            self._verifier.start()

    def key_service(self, spend: StoredSpend) -> AccessService:
        """Return the service that manages the keys and reports spend, for callers who may."""
        inventory = KeyInventory(lambda: self._settings.declared_keys(), self._stored)
        return GatedAccessService(self.gate(KeyService(inventory, self._ring.refresh, SpendService(spend))))

    def gate(self, service: S) -> Gate[S]:
        """Make the gate of a service: callers pass who have a scope that the rpc needs (`rights.SCOPES_OF_RPC`)."""

        async def admit(rpc: str, call: CallContext) -> tuple[S, CallContext]:
            caller = await self.authenticator.admit(call, *SCOPES_OF_RPC[rpc])
            return service, msgspec.structs.replace(call, caller=caller)

        return admit

    async def admit_scrape(self, call: CallContext) -> None:
        """Return if the caller may read the metrics.

        Raises:
            ServiceError: As `Authenticator.admit`, where metrics need a key.
        """
        if self._settings.metrics == "key":
            await self.authenticator.admit(call, *SCOPES_OF_METRICS)

    async def start(self) -> None:
        """Read the keys of the store, and start to read those of token issuers.

        Raises:
            StoreError: They cannot be read.
        """
        await self._ring.start()
        if self._verifier is not None:
            self._verifier.start()

    async def close(self) -> None:
        """Stop reading."""
        if self._verifier is not None:
            self._verifier.stop()
        if self.logins is not None:
            self.logins.sessions.stop()
        await self._ring.close()

    def _open_logins(self, database: LazyDatabase, state_directory: Path, *, is_tls: bool) -> None:
        settings = self._settings.sessions
        is_secure = is_tls if settings.secure_cookie is None else settings.secure_cookie
        secret = SessionSecret(settings.secret, state_directory)
        ended = EndedSessions(
            database,
            known_within_s=self._settings.revoked_within_s / 2,
            stale_for_s=self._settings.stale_for_s,
        )
        sessions = Sessions(
            settings,
            SessionCookie(secret, is_secure=is_secure),
            secret,
            ring=self._ring,
            issuers=self._issuers,
            ended=ended,
        )
        self.authenticator.sessions = sessions
        self.logins = Logins(sessions, self.authenticator, lambda: self._verifier)
        self.redirect_logins = RedirectLogins(
            self.logins,
            LoginStates(secret, is_secure=is_secure),
            ended=ended,
            issuers=self._issuers,
            verifier=lambda: self._verifier,
            transport=self._transport,
            public_url=settings.public_url,
        )

    def _issuers(self) -> Mapping[str, TokenIssuer]:
        return {issuer.name: issuer for issuer in self._settings.jwt}


def _open_certificates(rules: Sequence[CertificateRule]) -> Certificates | None:
    if not rules:
        return None
    from rerankd.access.certificates import Certificates

    return Certificates(rules)


def _open_verifier(issuers: Sequence[TokenIssuer], transport: Callable[[], HttpTransport]) -> TokenVerifier:
    from rerankd.access.tokens.verification import TokenVerifier

    return TokenVerifier(issuers, transport)
