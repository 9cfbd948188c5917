"""The cookie of a session: what it says, signed, and how browsers are to keep it."""

from __future__ import annotations

from typing import Final

import msgspec

from rerankd.access.sessions.secret import SessionSecret

_PLAIN_NAME: Final = "rerankd_session"
_SECURE_NAME: Final = "__Host-rerankd_session"
"""Browsers take a cookie of this form only over https, from this host itself and for all its paths."""
_ALGORITHM: Final = "HS256"
_USE: Final = "cookie"
_MAX_CHARS: Final = 3800
"""Longest value; browsers keep 4,096 characters of a cookie, its name and attributes included."""


class SessionClaims(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What a cookie says. Times are whole seconds since 1970."""

    id: str
    """Random."""
    seen: int
    """When the cookie was made."""
    end: int
    """When the session ends in any case."""
    key: str = ""
    """Id of the API key that opened the session; its rights are looked up for each call."""
    mark: str = ""
    """Tells which secret of that key it was."""
    issuer: str = ""
    """Name of the issuer of the token that opened the session."""
    identity: str = ""
    """Caller of the token, as are the next."""
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()


class CookieError(Exception):
    """A cookie is not one of ours, or says too much to be kept."""


class SessionCookie:
    """Makes and reads cookies.

    Args:
        secret: Signs them.
        is_secure: Whether they are for https only.
    """

    def __init__(self, secret: SessionSecret, *, is_secure: bool) -> None:
        self._secret = secret
        self.name: Final = _SECURE_NAME if is_secure else _PLAIN_NAME
        """Name of the cookie."""
        self._attributes = f"; Path=/; HttpOnly; SameSite=Strict{'; Secure' if is_secure else ''}"

    def header(self, claims: SessionClaims, max_age_s: float) -> str:
        """Return the value of `set-cookie` for a session.

        Raises:
            CookieError: The cookie would be too long.
            ServiceError: `ACCESS_UNAVAILABLE` without a secret.
        """
        import jwt

        value = jwt.encode(msgspec.to_builtins(claims), self._secret.key(_USE), _ALGORITHM)
        if len(value) > _MAX_CHARS:
            raise CookieError
        return f"{self.name}={value}{self._attributes}; Max-Age={max(0, int(max_age_s))}"

    def clearing_header(self) -> str:
        """Return the value of `set-cookie` that has browsers forget the cookie."""
        return f"{self.name}={self._attributes}; Max-Age=0"

    def read(self, value: str) -> SessionClaims:
        """Return what a cookie says; its times are the caller's matter.

        Raises:
            CookieError: Its signature is wrong, or it is no cookie.
            ServiceError: `ACCESS_UNAVAILABLE` without a secret.
        """
        if len(value) > _MAX_CHARS or not self._secret.exists():
            raise CookieError
        import jwt  # not at the server's start, which it would make 60 ms longer

        try:
            claims = jwt.decode(value, self._secret.key(_USE), algorithms=[_ALGORITHM])
            return msgspec.convert(claims, SessionClaims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError):
            raise CookieError from None
