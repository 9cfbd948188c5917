"""Settings of logins at an OpenID provider, to which browsers are sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

_OPENID: Final = "openid"


class LoginSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """This server as a client of an issuer, with whose page browsers log in (OpenID Connect, authorization code)."""

    client_id: str
    """Id of this server at the issuer; ID tokens must be for it, whatever `audience` says."""
    client_secret: str = ""
    """Its secret, as a reference: `${NAME}` or `${file:PATH}`. Empty for a public client."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    """What the issuer is asked for; `openid` must be among them. Which claims of the ID token give which scopes here,
    the settings of the issuer say."""

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if not self.client_id:
            yield f"{path}.client_id is empty; the issuer gives it"
        if _OPENID not in self.scopes:
            yield f"{path}.scopes needs openid, without which the issuer sends no ID token"
        if any(not name or not name.isascii() or not name.isprintable() or " " in name for name in self.scopes):
            yield f"{path}.scopes has a name that is empty or has other characters than ASCII without spaces"
