"""What a browser keeps while it logs in elsewhere: a signed cookie, for one login and some minutes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

from rerankd.access.sessions.cookie import CookieError
from rerankd.access.sessions.secret import SessionSecret
from rerankd.access.tokens.login_client import Challenge

LASTS_S: Final = 600
"""Seconds within which a login must be completed."""
_PLAIN_NAME: Final = "rerankd_login"
_SECURE_NAME: Final = "__Host-rerankd_login"
_ALGORITHM: Final = "HS256"
_MAX_CHARS: Final = 3800


class LoginState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A login that has begun. What is sent to the issuer follows from its id and the secret; no cookie shows that."""

    id: str
    """Random."""
    issuer: str
    """Name of the issuer."""
    end: int
    """When it ends, in seconds since 1970."""
    return_to: str
    """Path where the browser goes afterwards."""


class LoginStates:
    """Begins logins and reads their cookies. Safe for any number of tasks.

    Args:
        secret: Signs the cookies.
        is_secure: Whether they are for https only.
        clock: Returns seconds since 1970.
    """

    def __init__(self, secret: SessionSecret, *, is_secure: bool, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self.cookie_name: Final = _SECURE_NAME if is_secure else _PLAIN_NAME
        """Name of the cookie."""
        self._attributes = f"; Path=/; HttpOnly; SameSite=Lax{'; Secure' if is_secure else ''}"

    def begin(self, issuer: str, return_to: str) -> LoginState:
        """Begin a login."""
        return LoginState(
            id=secrets.token_urlsafe(16), issuer=issuer, end=int(self._clock()) + LASTS_S, return_to=return_to
        )

    def is_over(self, state: LoginState) -> bool:
        """Tell whether a login has taken too long."""
        return self._clock() >= state.end

    def challenge(self, state: LoginState) -> Challenge:
        """Return what the issuer is sent of a login.

        Raises:
            ServiceError: `ACCESS_UNAVAILABLE` without a secret.
        """
        digest = hashlib.sha256(self.code_verifier(state).encode()).digest()
        return Challenge(self._derived(state, "state"), self._derived(state, "nonce"), _text_of(digest))

    def code_verifier(self, state: LoginState) -> str:
        """Return what shows the issuer that a code is redeemed by who asked for it."""
        return self._derived(state, "code")

    def header(self, state: LoginState) -> str:
        """Return the value of `set-cookie` for a login.

        Raises:
            ServiceError: `ACCESS_UNAVAILABLE` without a secret.
        """
        import jwt  # not at the server's start, which it would make 60 ms longer

        value = jwt.encode(msgspec.to_builtins(state), self._secret.key("login"), _ALGORITHM)
        return f"{self.cookie_name}={value}{self._attributes}; Max-Age={LASTS_S}"

    @property
    def clearing_header(self) -> str:
        """Value of `set-cookie` that has browsers forget the cookie."""
        return f"{self.cookie_name}={self._attributes}; Max-Age=0"

    def read(self, value: str) -> LoginState:
        """Return the login of a cookie.

        Raises:
            CookieError: Its signature is wrong, or it is no cookie.
            ServiceError: `ACCESS_UNAVAILABLE` without a secret.
        """
        if len(value) > _MAX_CHARS or not self._secret.exists():
            raise CookieError
        import jwt

        try:
            return msgspec.convert(jwt.decode(value, self._secret.key("login"), algorithms=[_ALGORITHM]), LoginState)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError):
            raise CookieError from None

    def _derived(self, state: LoginState, use: str) -> str:
        return _text_of(hmac.digest(self._secret.key(f"login-{use}"), state.id.encode(), "sha256"))


def _text_of(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
