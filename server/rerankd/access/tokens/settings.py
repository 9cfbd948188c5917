"""Settings of issuers of tokens. Imports no library for them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from rerankd.access.api_key import KeyDetails
from rerankd.access.tokens.login_settings import LoginSettings
from rerankd.contract.suggestions import did_you_mean

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
"""Signatures that can be allowed: with a key pair, never with a shared secret, never none."""
_TAKEN_NAMES: Final = ("cn", "dns", "email", "spiffe")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")


class TokenIssuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An issuer of JSON Web Tokens, such as an OpenID provider, whose tokens identify callers."""

    name: str
    """Short name; a caller's identity is this name, `:`, and the claim `identity_claim`."""
    issuer: str
    """The claim `iss` of its tokens, to the letter."""
    audience: tuple[str, ...]
    """A token must name one of these in its claim `aud`."""
    jwks_url: str = ""
    """Where its public keys are. Empty: where `ISSUER/.well-known/openid-configuration` says."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    """Signatures that are taken: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA."""
    leeway_s: float = 30.0
    """Seconds by which the issuer's clock may differ from this one."""
    refresh_s: float = 300.0
    """Seconds between two readings of the keys. A token with an unknown key makes the server read at once, but not more
    often than every 30 s."""
    stale_for_s: float = 3600.0
    """How long the keys of an issuer that cannot be reached are still taken, in seconds, from the last time it could;
    then calls with its tokens fail."""
    identity_claim: str = "sub"
    """Claim that identifies the caller. This claim and those below may be a path, such as `realm_access.roles`."""
    scopes: tuple[str, ...] = ()
    """Scopes of every caller with a token of this issuer."""
    scopes_claim: str = "scope"
    """Claim with further scopes: a list, or a text with spaces between them."""
    scope_names: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Which scopes a value of `scopes_claim` stands for, such as `search-admins: [rerank, admin]`; other values count
    for nothing. Empty: values that are names of scopes stand for themselves."""
    groups: tuple[str, ...] = ()
    """Groups of every caller with a token of this issuer."""
    groups_claim: str = "groups"
    """Claim with further groups, as `scopes_claim`."""
    models: tuple[str, ...] = ()
    """Models that may be named in a call, `*` for any text (`cohere/*`). Empty: all."""
    required_claims: dict[str, str] = msgspec.field(default_factory=dict)
    """Claims that a token must have, and their text, `*` for any text, such as `hd: example.com`."""
    login: LoginSettings | None = None
    """How browsers log in at the issuer's own page (`GET /api/session/oidc/NAME`). Unset: they cannot."""

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if self.name in _TAKEN_NAMES:
            yield f"{path}.name {self.name} stands before names of certificates; use another one"
        if not _NAME.fullmatch(self.name):
            yield f"{path}.name needs 1 to 50 letters, digits, '.', '_' and '-'"
        if not self.issuer:
            yield f"{path}.issuer is empty; it is the claim iss of the tokens"
        if not self.audience or not all(self.audience):
            yield f"{path}.audience needs at least one name, none of them empty"
        if self.jwks_url and not is_secure_url(self.jwks_url):
            yield f"{path}.jwks_url must be https://..., or http:// on this machine"
        elif not self.jwks_url and not is_secure_url(self.issuer):
            yield f"{path}.jwks_url is needed, since the issuer is no https:// address where keys could be found"
        yield from self._algorithm_problems(path)
        yield from self._number_problems(path)
        yield from self._details_problems(path)
        if self.login is not None:
            yield from self.login.problems(f"{path}.login")
            if not is_secure_url(self.issuer):
                yield f"{path}.login needs an issuer at an https:// address, which says where browsers log in"

    def _algorithm_problems(self, path: str) -> Iterator[str]:
        if not self.algorithms:
            yield f"{path}.algorithms is empty; it takes {', '.join(ALGORITHMS)}"
        for name in self.algorithms:
            if name not in ALGORITHMS:
                hint = did_you_mean(name, ALGORITHMS) or f"; known are {', '.join(ALGORITHMS)}"
                yield f"{path}.algorithms: {name[:50]!r} cannot be allowed{hint}"

    def _number_problems(self, path: str) -> Iterator[str]:
        for name, least, most in (("leeway_s", 0, 600), ("refresh_s", 30, 86_400), ("stale_for_s", 0, 604_800)):
            if not least <= (value := getattr(self, name)) <= most:
                yield f"{path}.{name} must be {least} to {most}, is {value:g}"

    def _details_problems(self, path: str) -> Iterator[str]:
        if not self.identity_claim:
            yield f"{path}.identity_claim is empty"
        named = [("scopes", self.scopes), *((f"scope_names.{name}", some) for name, some in self.scope_names.items())]
        for field, scopes in named:
            found = KeyDetails(scopes=scopes).problems() if scopes else []
            yield from (f"{path}.{field}: {rule}" for _, rule in found)
        for field, items in (("groups", self.groups), ("models", self.models)):
            yield from (f"{path}.{field} {rule}" for _, rule in KeyDetails(tags=items).problems())


def issuer_problems(issuers: tuple[TokenIssuer, ...], path: str) -> Iterator[str]:
    """Say what cannot be used of a list of issuers, one sentence each."""
    for number, issuer in enumerate(issuers):
        yield from issuer.problems(f"{path}[{number}]")
        for field in ("name", "issuer"):
            value = getattr(issuer, field)
            if any(getattr(other, field) == value for other in issuers[:number]):
                yield f"{path}[{number}].{field} {value!r} is that of another issuer"


def is_secure_url(url: str) -> bool:
    """Tell whether nobody between here and the URL's server can change what it answers: https, or this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_usable = bool(host) and (parts.port is None or parts.port > 0) and "@" not in parts.netloc
    except ValueError:
        return False
    return is_usable and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host)))


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
