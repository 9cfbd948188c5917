"""Settings of sessions."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rerankd.access.key_format import weakness
from rerankd.access.tokens.settings import is_secure_url

_LONGEST_S = 31 * 24 * 3600


class SessionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sessions of browsers, which a key or a token opens (`POST /api/session`) and a cookie carries."""

    enabled: bool = True
    """Whether sessions can be opened; they need `access.enabled`."""
    secret: str = ""
    """Signs the cookies, as a reference: `${NAME}` or `${file:PATH}`. Replicas need the same one; a new one ends all
    sessions. Empty: one that is made at the first login, in the file `session-secret` of `store.state_dir`."""
    idle_s: float = 1800.0
    """Seconds without a call after which a session ends."""
    lasts_s: float = 43_200.0
    """Seconds after which a session ends in any case; one that a token opened ends with the token if that is sooner."""
    public_url: str = ""
    """Where browsers reach this server, such as `https://rerank.example.com`. A `login` of an issuer needs it: that
    sends browsers back to `PUBLIC_URL/api/session/oidc/NAME/callback`, which it must know."""
    secure_cookie: bool | None = None
    """Whether browsers send the cookie over https only. Unset: as `server.tls` says; set it to true where a proxy ends
    TLS."""

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if self.secret and (rule := weakness(self.secret)):
            yield f"{path}.secret is weak: {rule}"
        if self.public_url and (not is_secure_url(self.public_url) or "?" in self.public_url or "#" in self.public_url):
            yield f"{path}.public_url must be https://..., or http:// on this machine, without a query"
        for name in ("idle_s", "lasts_s"):
            if not 60 <= (value := getattr(self, name)) <= _LONGEST_S:
                yield f"{path}.{name} must be 60 to {_LONGEST_S}, is {value:g}"
