"""CORS: response headers of cross-origin calls from browsers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rerankd.gateway.asgi import RawHeaders

_ANY: Final = "*"
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"x-request-id, server-timing, retry-after, retry-after-ms, x-should-retry",
)
_MAX_AGE: Final = (b"access-control-max-age", b"600")
_VARY: Final = (b"vary", b"origin")


class CrossOrigin:
    """Checks origins and builds CORS headers. Immutable.

    Args:
        allowed_origins: As `ListenerSettings.allowed_origins`.
    """

    def __init__(self, allowed_origins: Iterable[str]) -> None:
        origins = {origin.rstrip("/").lower() for origin in allowed_origins}
        self._is_any = _ANY in origins
        self._origins = frozenset(origin.encode("ascii", "ignore") for origin in origins)
        self.is_off = not origins
        """No origin is allowed, so that no headers are needed."""

    def headers(self, origin: bytes | None) -> RawHeaders:
        """List the CORS headers of a response; `origin` is the request's, None if absent."""
        if self._is_any:
            return [] if origin is None else [(b"access-control-allow-origin", b"*"), _EXPOSED]
        if origin is None or origin.lower() not in self._origins:
            return [_VARY]
        allowed = (b"access-control-allow-origin", origin)
        return [_VARY, allowed, (b"timing-allow-origin", origin), _EXPOSED]

    def preflight(self, origin: bytes, wanted_headers: bytes | None, answered: RawHeaders) -> RawHeaders:
        """List the further headers of a preflight response; its methods are those of `allow` in `answered`."""
        if not self._is_any and origin.lower() not in self._origins:
            return []
        methods = next((value for name, value in answered if name == b"allow"), None)
        if methods is None:
            return []
        found = [(b"access-control-allow-methods", methods), _MAX_AGE]
        if wanted_headers:
            found.append((b"access-control-allow-headers", wanted_headers))
        return found
