"""This server as a client of one issuer: where browsers log in, and what their codes stand for (OpenID Connect)."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import quote_plus, urlencode, urlsplit, urlunsplit

import msgspec
import structlog

from rerankd.access.tokens.discovery import Discovery, IssuerError, discover, send
from rerankd.access.tokens.login_settings import LoginSettings
from rerankd.access.tokens.settings import TokenIssuer, is_secure_url
from rerankd.contract.errors import Reason, ServiceError
from rerankd.http.transport import HttpTransport
from rerankd.telemetry.fault_log import FaultLog
from rerankd_adapters.base import AdapterError, HttpRequest, HttpResponse

_RETRY_S: Final = 5.0
"""Shortest time between two failed readings of what an issuer says of itself."""
_BASIC, _POST = "client_secret_basic", "client_secret_post"
_CODE_REFUSED: Final = ("invalid_grant", "invalid_request")

_log = structlog.get_logger("rerankd.access")


class _Endpoints(Discovery, frozen=True):
    """What is needed of an issuer for logins."""

    authorization_endpoint: str
    token_endpoint: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = (_BASIC,)
    authorization_response_iss_parameter_supported: bool = False
    """Whether its answers to browsers name it (RFC 9207)."""


class _Answer(msgspec.Struct):
    id_token: str = ""
    error: str = ""


class Challenge(NamedTuple):
    """What a login is bound to."""

    state: str
    nonce: str
    code_challenge: str
    """SHA-256 of the code verifier, in Base64 (PKCE, RFC 7636)."""


class CodeRefusedError(Exception):
    """The issuer does not take a code."""


class LoginClient:
    """Sends browsers to one issuer, and redeems the codes that they bring. For one event loop.

    Args:
        issuer: Has a `login`.
        login: That.
        transport: Returns what asks the issuer.
        redirect_uri: Where the issuer sends browsers back to.
        monotonic: Returns seconds that only grow.
    """

    def __init__(
        self,
        issuer: TokenIssuer,
        login: LoginSettings,
        transport: Callable[[], HttpTransport],
        redirect_uri: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer: Final = issuer
        self._login = login
        self._transport = transport
        self._redirect_uri = redirect_uri
        self._now_s = monotonic
        self._reading = asyncio.Lock()
        self._endpoints: _Endpoints | None = None
        self._read_at_s = -math.inf
        self._failed_at_s = -math.inf
        self._faults = FaultLog(
            _log, "an issuer cannot log in browsers", "an issuer can log in browsers again", issuer=issuer.name
        )

    async def address(self, challenge: Challenge) -> str:
        """Return where a browser logs in.

        Raises:
            ServiceError: `ACCESS_UNAVAILABLE` if the issuer does not say.
        """
        endpoints = await self._current()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._login.client_id,
                "redirect_uri": self._redirect_uri,
                "scope": " ".join(self._login.scopes),
                "state": challenge.state,
                "nonce": challenge.nonce,
                "code_challenge": challenge.code_challenge,
                "code_challenge_method": "S256",
            }
        )
        parts = urlsplit(endpoints.authorization_endpoint)
        return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query, fragment=""))

    async def is_answer_of(self, issuer: str | None) -> bool:
        """Tell whether an answer that names an issuer, or none, can be this one's.

        Raises:
            ServiceError: As `address`.
        """
        if issuer is not None:
            return issuer == self.issuer.issuer
        return not (await self._current()).authorization_response_iss_parameter_supported

    async def redeem(self, code: str, code_verifier: str) -> str:
        """Return the ID token that a code stands for; nothing of it is verified yet.

        Raises:
            CodeRefusedError: The code is not, or no longer, one of this login.
            ServiceError: `ACCESS_UNAVAILABLE` if the issuer cannot be asked, or refuses this server.
        """
        endpoints = await self._current()
        try:
            response = await send(self._request(endpoints, code, code_verifier), self._transport)
            return _id_token_of(response)
        except (AdapterError, IssuerError) as error:
            _log.warning("a login cannot be completed", issuer=self.issuer.name, problem=str(error))
            raise self._unavailable() from None

    def _request(self, endpoints: _Endpoints, code: str, code_verifier: str) -> HttpRequest:
        login = self._login
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": login.client_id,
            "code_verifier": code_verifier,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        methods = endpoints.token_endpoint_auth_methods_supported
        if login.client_secret and _BASIC not in methods and _POST in methods:
            fields["client_secret"] = login.client_secret
        elif login.client_secret:
            pair = f"{quote_plus(login.client_id)}:{quote_plus(login.client_secret)}"  # RFC 6749, section 2.3.1
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return HttpRequest(url=endpoints.token_endpoint, headers=headers, body=urlencode(fields).encode())

    async def _current(self) -> _Endpoints:
        """Return what the issuer says of itself, asked anew every `refresh_s`; while it is away, what it said last."""
        async with self._reading:
            now_s = self._now_s()
            is_due = now_s - self._read_at_s >= self.issuer.refresh_s and now_s - self._failed_at_s >= _RETRY_S
            if is_due:
                try:
                    self._endpoints = _checked(await discover(self.issuer, self._transport, _Endpoints))
                    self._read_at_s = now_s
                    self._faults.succeeded()
                except (AdapterError, IssuerError) as error:
                    self._failed_at_s = self._now_s()
                    self._faults.failed(error)
            if self._endpoints is None:
                raise self._unavailable()
            return self._endpoints

    def _unavailable(self) -> ServiceError:
        message = f"{self.issuer.name} cannot log you in at the moment; try again later, or log in with a key"
        metadata = {"issuer": self.issuer.name}
        return ServiceError(Reason.ACCESS_UNAVAILABLE, message, metadata=metadata, retry_after_s=_RETRY_S)


def _checked(endpoints: _Endpoints) -> _Endpoints:
    for name in ("authorization_endpoint", "token_endpoint"):
        if not is_secure_url(getattr(endpoints, name)):
            raise IssuerError(f"its {name} is no https:// address")
    return endpoints


def _id_token_of(response: HttpResponse) -> str:
    """Return the ID token of an answer of the token endpoint.

    Raises:
        CodeRefusedError: It refuses the code.
        IssuerError: It refuses this server, fails, or answers something else.
    """
    try:
        answer = msgspec.json.decode(response.body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = _Answer()
    if response.status == 200 and answer.id_token:
        return answer.id_token
    if response.status == 400 and answer.error in _CODE_REFUSED:
        raise CodeRefusedError
    if response.status in (400, 401):
        raise IssuerError("it refuses this server; check client_id and client_secret")
    raise IssuerError(f"it answers HTTP {response.status} without an ID token")
