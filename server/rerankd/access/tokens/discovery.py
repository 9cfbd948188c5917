"""What an issuer says of itself (OpenID Connect Discovery), read over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from rerankd.access.tokens.settings import TokenIssuer, is_secure_url
from rerankd.http.transport import HttpTransport
from rerankd_adapters.base import HttpRequest, HttpResponse

_TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 1024 * 1024


class IssuerError(Exception):
    """An issuer's answer cannot be used; the text says why, and repeats nothing of it."""


class Discovery(msgspec.Struct, frozen=True):
    """What is read of `/.well-known/openid-configuration`."""

    issuer: str
    jwks_uri: str


D = TypeVar("D", bound=Discovery)


async def discover(settings: TokenIssuer, transport: Callable[[], HttpTransport], wanted: type[D]) -> D:
    """Read what an issuer says of itself.

    Args:
        settings: The issuer.
        transport: Returns what sends the request.
        wanted: What is read of it.

    Raises:
        AdapterError: It cannot be asked.
        IssuerError: It does not say what is wanted.
    """
    answer = await fetch(f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration", transport)
    try:
        found = msgspec.json.decode(answer, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        names = " and ".join(field.encode_name for field in msgspec.structs.fields(wanted) if field.required)
        raise IssuerError(f"its openid-configuration has no {names}") from None
    if found.issuer != settings.issuer:
        raise IssuerError("its openid-configuration is that of another issuer")
    if not is_secure_url(found.jwks_uri):
        raise IssuerError("its jwks_uri is no https:// address")
    return found


async def fetch(url: str, transport: Callable[[], HttpTransport]) -> bytes:
    """Return a document of an issuer.

    Raises:
        AdapterError: It cannot be asked.
        IssuerError: It does not have it, or it is too large.
    """
    answer = await send(HttpRequest(method="GET", url=url, headers={"accept": "application/json"}), transport)
    if answer.status != 200:
        raise IssuerError(f"it answers HTTP {answer.status}")
    return answer.body


async def send(request: HttpRequest, transport: Callable[[], HttpTransport]) -> HttpResponse:
    """Send a request to an issuer.

    Raises:
        AdapterError: It cannot be asked.
        IssuerError: Its answer is too large.
    """
    response = await transport().send(request, _TIMEOUT_S)
    if len(response.body) > _MAX_BYTES:
        raise IssuerError(f"its answer is larger than {_MAX_BYTES} bytes")
    return response
