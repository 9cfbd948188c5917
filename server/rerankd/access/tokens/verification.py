"""Verifies tokens, each once: what a verified token grants is kept until the token ends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

import jwt
import msgspec
from jwt import exceptions as errors

from rerankd.access.grant import Grant
from rerankd.access.tokens.claims import ClaimError, grant_of
from rerankd.access.tokens.key_source import IssuerKeys
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.access.tokens.shape import MAX_CHARS
from rerankd.access.tokens.verified import VerifiedToken
from rerankd.contract.errors import Reason, ServiceError
from rerankd.http.transport import HttpTransport

MAX_KEPT: Final = 10_000
"""Most verified tokens that are kept, some 1 kB each."""
_RETRY_S: Final = 30.0
_PROBLEMS: Final = {
    "malformed": "the token cannot be read; send it whole",
    "too_long": f"the token is longer than {MAX_CHARS} characters",
    "issuer": "the token's issuer is not accepted here; use one of another issuer, or an API key",
    "algorithm": "the token's signature is of a kind that is not accepted here",
    "key": "the token's key is not one of its issuer's; get a new token",
    "signature": "the token's signature is wrong",
    "expired": "the token has expired; get a new one",
    "not_yet_valid": "the token is not valid yet; check the clocks of issuer and server",
    "audience": "the token is for another audience; get one for this service",
}


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""


class _Claims(msgspec.Struct):
    iss: str


class _Kept(NamedTuple):
    token: VerifiedToken
    source: IssuerKeys
    version: int


class TokenVerifier:
    """Verifies the tokens of some issuers. For one event loop.

    Args:
        issuers: Whose tokens are taken.
        transport: Returns what the keys are read with.
        clock: Returns seconds since 1970, for the end of verified tokens.
        monotonic: Returns seconds that only grow, for reading keys.
    """

    def __init__(
        self,
        issuers: Sequence[TokenIssuer],
        transport: Callable[[], HttpTransport],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._monotonic = monotonic
        self._sources = {issuer.issuer: self._open(issuer) for issuer in issuers}
        self._kept: dict[bytes, _Kept] = {}

    def start(self) -> None:
        """Start reading the keys of all issuers; one that is away delays nothing."""
        for source in self._sources.values():
            source.start()

    def use(self, issuers: Sequence[TokenIssuer]) -> None:
        """Take other issuers; those that are unchanged keep their keys."""
        kept = {name: source for name, source in self._sources.items() if source.settings in issuers}
        new = {issuer.issuer: self._open(issuer) for issuer in issuers if issuer.issuer not in kept}
        for name, source in self._sources.items():
            if name not in kept:
                source.stop()
        self._sources = kept | new
        for source in new.values():
            source.start()

    def stop(self) -> None:
        """Stop reading keys."""
        for source in self._sources.values():
            source.stop()

    async def verify(self, token: str) -> Grant:
        """Return the rights of the caller of a token; as `examine`."""
        return (await self.examine(token)).grant

    async def examine(self, token: str) -> VerifiedToken:
        """Verify a token, or find that it was.

        Raises:
            ServiceError: `TOKEN_INVALID`, whose metadata has the `problem`; `ACCESS_UNAVAILABLE` if the keys of the
                issuer cannot be had.
        """
        if len(token) > MAX_CHARS:
            raise _invalid("too_long")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        if (known := self._kept.get(digest)) is not None:
            if self._is_current(known):
                return known.token
            del self._kept[digest]
        key, algorithm, source = await self._key_of(token)
        version = source.version
        issuer = source.settings
        verified = _granted(_claims_of(token, key, algorithm, issuer, issuer.audience), issuer)
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[digest] = _Kept(verified, source, version)
        return verified

    async def examine_login(self, token: str, issuer: TokenIssuer, nonce: str) -> VerifiedToken:
        """Verify the ID token of a login (OpenID Connect Core, section 3.1.3.7).

        Args:
            token: As the issuer gave it for a code.
            issuer: Where the login was; has a `login`.
            nonce: What the issuer was sent for this login.

        Raises:
            ServiceError: As `examine`.
        """
        if len(token) > MAX_CHARS:
            raise _invalid("too_long")
        key, algorithm, source = await self._key_of(token)
        if source.settings != issuer or issuer.login is None:
            raise _invalid("issuer")
        client_id = issuer.login.client_id
        claims = _claims_of(token, key, algorithm, issuer, (client_id,))
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode("utf-8", "replace"), nonce.encode()):
            _refuse_claim("nonce")
        is_of_many = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", "" if is_of_many else client_id) != client_id:
            _refuse_claim("azp")
        return _granted(claims, issuer)

    async def _key_of(self, token: str) -> tuple[jwt.PyJWK, str, IssuerKeys]:
        """Return the key that a token names, the algorithm of its signature, and whose key it is.

        Raises:
            ServiceError: As `examine`.
        """
        header, claims = _read(token)
        source = self._sources.get(claims.iss)
        if source is None:
            raise _invalid("issuer")
        if header.alg not in source.settings.algorithms:
            raise _invalid("algorithm")
        return await _key_of(header, source), header.alg, source

    def _open(self, issuer: TokenIssuer) -> IssuerKeys:
        return IssuerKeys(issuer, self._transport, self._monotonic)

    def _is_current(self, known: _Kept) -> bool:
        source = known.source
        return (
            self._clock() < known.token.ends_at
            and known.version == source.version
            and self._sources.get(source.settings.issuer) is source
            and source.current() is not None
        )


def _read(token: str) -> tuple[_Header, _Claims]:
    """Read what says how a token is to be verified; nothing of it is believed yet.

    Raises:
        ServiceError: `TOKEN_INVALID`.
    """
    try:
        first, second, _ = token.split(".")
        header = msgspec.json.decode(_decoded(first), type=_Header)
        return header, msgspec.json.decode(_decoded(second), type=_Claims)
    except (ValueError, RecursionError):
        raise _invalid("malformed") from None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def _key_of(header: _Header, source: IssuerKeys) -> jwt.PyJWK:
    """Return the key that a token names, which may be a new one of its issuer.

    Raises:
        ServiceError: `TOKEN_INVALID` if it has none of that name; `ACCESS_UNAVAILABLE` if its keys cannot be had.
    """
    keys = source.current()
    key = None if keys is None else keys.find(header.kid, header.alg)
    if key is None:
        await source.refresh()
        if (keys := source.current()) is None:
            message = "tokens cannot be checked, since their issuer's keys cannot be read; try again later"
            raise ServiceError(Reason.ACCESS_UNAVAILABLE, message, retry_after_s=_RETRY_S)
        key = keys.find(header.kid, header.alg)
    if key is None:
        raise _invalid("key")
    return key


def _claims_of(
    token: str, key: jwt.PyJWK, algorithm: str, issuer: TokenIssuer, audience: Sequence[str]
) -> dict[str, Any]:
    """Return the claims of a token whose signature, issuer, audience and times are right.

    Raises:
        ServiceError: `TOKEN_INVALID`.
    """
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience,
            issuer=issuer.issuer,
            leeway=issuer.leeway_s,
            options={"require": ["exp"]},
        )
    except errors.MissingRequiredClaimError as error:
        if error.claim == "aud":
            raise _invalid("audience") from None
        _refuse_claim(error.claim)
    except errors.ExpiredSignatureError:
        raise _invalid("expired") from None
    except errors.ImmatureSignatureError:
        raise _invalid("not_yet_valid") from None
    except errors.InvalidAudienceError:
        raise _invalid("audience") from None
    except errors.InvalidSignatureError:
        raise _invalid("signature") from None
    except (jwt.PyJWTError, ValueError):
        raise _invalid("malformed") from None


def _granted(claims: Mapping[str, Any], issuer: TokenIssuer) -> VerifiedToken:
    """Return what verified claims grant.

    Raises:
        ServiceError: `TOKEN_INVALID`.
    """
    try:
        return VerifiedToken(grant_of(claims, issuer), issuer, float(claims["exp"]) + issuer.leeway_s)
    except ClaimError as error:
        _refuse_claim(str(error))


def _refuse_claim(name: str) -> NoReturn:
    message = f"the token's claim {name} is missing, or has not the value that is needed here"
    raise ServiceError(Reason.TOKEN_INVALID, message, metadata={"problem": "claim", "claim": name})


def _invalid(problem: str) -> ServiceError:
    return ServiceError(Reason.TOKEN_INVALID, _PROBLEMS[problem], metadata={"problem": problem})
