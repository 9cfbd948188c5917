"""OAuth access tokens: one fetch at a time, shared by all tasks, renewed shortly before expiry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from rerankd.http.transport import HttpTransport
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest
from rerankd_adapters.failure import clean, error_text, kind_of_status
from rerankd_adapters.wire import read_json

RENEW_BEFORE_S = 120.0
"""Seconds before expiry at which a token is renewed; if renewal fails, the old token is used until it expires."""
TOKEN_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token. `repr` omits its value."""

    value: str
    expires_s: float
    """Expiry in seconds on the clock of the cache that holds the token."""

    def __repr__(self) -> str:
        return f"AccessToken(expires_s={self.expires_s})"


class AccessTokenCache:
    """Cache of one token. Safe for any number of tasks of one event loop; concurrent callers share one fetch.

    Args:
        fetch: Requests a new token.
        clock: Monotonic clock in seconds.
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[AccessToken]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token: AccessToken | None = None
        self._fetching = asyncio.Lock()

    async def value(self) -> str:
        """Return an unexpired token.

        Raises:
            AdapterError: The fetch failed and no unexpired token is cached.
        """
        if (token := self._fresh()) is not None:
            return token.value
        async with self._fetching:
            if (token := self._fresh()) is not None:
                return token.value
            try:
                self._token = token = await self._fetch()
            except AdapterError:
                if self._token is None or self._token.expires_s <= self._clock():
                    raise
                token = self._token
        return token.value

    def _fresh(self) -> AccessToken | None:
        token = self._token
        return token if token and token.expires_s - RENEW_BEFORE_S > self._clock() else None


async def exchange_token(
    transport: HttpTransport, url: str, form: dict[str, str], clock: Callable[[], float] = time.monotonic
) -> AccessToken:
    """Request an OAuth 2 token from a token endpoint.

    Args:
        transport: Sends the request.
        url: Token endpoint.
        form: Form fields, including the credentials; values are removed from error messages.
        clock: Monotonic clock in seconds, for the token's expiry.

    Raises:
        AdapterError: `CREDENTIALS` when the credentials are rejected, `UNAVAILABLE` when the issuer fails,
            `BAD_RESPONSE` when the response contains no token.
    """
    request = HttpRequest(
        url=url,
        headers={"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
        body=urlencode(form).encode(),
    )
    asked_s = clock()
    try:
        response = await transport.send(request, TOKEN_TIMEOUT_S)
    except AdapterError as error:
        raise AdapterError(AdapterErrorKind.UNAVAILABLE, f"no token from the issuer: {error.message}") from None
    if response.status != 200:
        is_ours = kind_of_status(response.status) in (
            AdapterErrorKind.UNAVAILABLE,
            AdapterErrorKind.RATE_LIMITED,
        )
        kind = AdapterErrorKind.UNAVAILABLE if is_ours else AdapterErrorKind.CREDENTIALS
        said = _without(clean(error_text(response)), form)
        raise AdapterError(kind, f"the issuer gave no token, HTTP {response.status}: {said}")
    return _read_token(read_json(response), asked_s)


def _without(text: str, form: dict[str, str]) -> str:
    for value in form.values():
        if len(value) >= 8:
            text = text.replace(value, "***")
    return text


def _read_token(body: object, asked_s: float) -> AccessToken:
    fields = body if isinstance(body, dict) else {}
    value = fields.get("access_token")
    try:
        lifetime_s = float(fields.get("expires_in", 0)) if isinstance(value, str) and value else 0.0
    except (TypeError, ValueError):
        lifetime_s = 0.0
    if not value or lifetime_s <= 0:
        raise AdapterError(AdapterErrorKind.BAD_RESPONSE, "the issuer's answer holds no token")
    return AccessToken(value, asked_s + lifetime_s)
