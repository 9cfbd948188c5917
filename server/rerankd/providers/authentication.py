"""Authentication of requests to providers: static keys, AWS signatures, bearer tokens.

Cloud libraries are imported lazily, with the first request that needs them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from rerankd.http.transport import HttpTransport
from rerankd.providers.access_tokens import AccessToken, AccessTokenCache, exchange_token
from rerankd.providers.oracle import OciSignature
from rerankd.providers.volcengine import VolcengineSignature
from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Authentication,
    Endpoint,
    HttpRequest,
    Provider,
    Scheme,
)

ENTRA_URL: Final = "https://login.microsoftonline.com"
IBM_IAM_URL: Final = "https://iam.cloud.ibm.com/identity/token"
VOLCENGINE_REGION: Final = "cn-beijing"
OCI_OPTIONS: Final = ("tenancy", "user", "fingerprint")
"""In the order of a key id."""
ENTRA_OPTIONS: Final = ("tenant_id", "client_id", "client_secret")


class RequestAuthenticator(Protocol):
    """Adds credentials to requests. Safe for any number of tasks of one event loop."""

    async def authenticate(self, request: HttpRequest) -> HttpRequest:
        """Return `request` with credentials.

        Raises:
            AdapterError: `CREDENTIALS` when there are none, `UNAVAILABLE` when their issuer fails.
        """
        ...


@dataclass(frozen=True, slots=True)
class StaticHeader:
    """Adds a constant header to every request."""

    header: str
    value: str = field(repr=False)

    async def authenticate(self, request: HttpRequest) -> HttpRequest:
        """See `RequestAuthenticator`."""
        return request.with_headers({self.header: self.value})


class NoAuthentication:
    """Sends requests without credentials."""

    async def authenticate(self, request: HttpRequest) -> HttpRequest:
        """See `RequestAuthenticator`."""
        return request


class BearerToken:
    """Adds an expiring access token as `Authorization: Bearer`."""

    def __init__(self, tokens: AccessTokenCache) -> None:
        self._tokens = tokens

    async def authenticate(self, request: HttpRequest) -> HttpRequest:
        """See `RequestAuthenticator`."""
        token = await self._tokens.value()
        return request.with_headers({"authorization": f"Bearer {token}"})


def open_authenticator(
    provider: Provider, endpoint: Endpoint, options: Mapping[str, object], transport: HttpTransport
) -> RequestAuthenticator:
    """Open the first authentication method of the provider whose inputs are configured.

    Args:
        provider: Declares the methods, in order of preference.
        endpoint: Holds the API key.
        options: Adapter options. `authentication` selects a method by scheme, header or prefix. Entra needs
            `tenant_id`, `client_id` and `client_secret`; SigV4 and Volcengine take `region`;
            Volcengine needs `secret_access_key`, OCI `tenancy`, `user`, `fingerprint` and `private_key` or
            `key_file`; `token_url` replaces the default token endpoint.
        transport: Sends token requests.

    Raises:
        AdapterError: `CREDENTIALS` when no method can be used.
    """
    wanted = str(options.get("authentication", ""))
    for way in provider.authentication:
        if wanted and wanted not in (way.scheme.value, way.header, way.prefix.strip().lower()):
            continue
        authenticator = _open(way, endpoint, options, transport)
        if authenticator is not None:
            return authenticator
    variables = " or ".join(provider.key_variables) or "the provider's credentials"
    raise AdapterError(AdapterErrorKind.CREDENTIALS, f"{provider.title} needs a key; set {variables}")


def _open(
    way: Authentication, endpoint: Endpoint, options: Mapping[str, object], transport: HttpTransport
) -> RequestAuthenticator | None:
    match way.scheme:
        case Scheme.NONE:
            return NoAuthentication()
        case Scheme.HEADER:
            return StaticHeader(way.header, way.prefix + endpoint.api_key) if endpoint.api_key else None
        case Scheme.SIGV4:
            from rerankd.providers.aws import SigV4

            return SigV4(way.service, str(options.get("region", "")), str(options.get("profile_region", "")))
        case Scheme.GOOGLE:
            from rerankd.providers.google import google_token

            return BearerToken(AccessTokenCache(google_token(way.scope)))
        case Scheme.ENTRA:
            return _entra(way, options, transport) if all(map(options.get, ENTRA_OPTIONS)) else None
        case Scheme.IBM_IAM:
            return _ibm_iam(endpoint, options, transport) if endpoint.api_key else None
        case Scheme.VOLCENGINE:
            return _volcengine(way, endpoint, options)
        case Scheme.OCI:
            return _oci(options)


def _volcengine(way: Authentication, endpoint: Endpoint, options: Mapping[str, object]) -> RequestAuthenticator | None:
    secret = str(options.get("secret_access_key") or "")
    if not endpoint.api_key or not secret:
        return None
    return VolcengineSignature(endpoint.api_key, secret, way.service, str(options.get("region") or VOLCENGINE_REGION))


def _oci(options: Mapping[str, object]) -> RequestAuthenticator:
    pem, file = str(options.get("private_key") or ""), str(options.get("key_file") or "")
    missing = [name for name in OCI_OPTIONS if not options.get(name)]
    missing += [] if pem or file else ["private_key or key_file"]
    if missing:
        message = f"the OCI key is not complete; set the options {', '.join(missing)}"
        raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
    return OciSignature("/".join(str(options[name]) for name in OCI_OPTIONS), pem, file)


def _entra(way: Authentication, options: Mapping[str, object], transport: HttpTransport) -> RequestAuthenticator:
    url = str(options.get("token_url") or f"{ENTRA_URL}/{options['tenant_id']}/oauth2/v2.0/token")
    form = {
        "grant_type": "client_credentials",
        "client_id": str(options["client_id"]),
        "client_secret": str(options["client_secret"]),
        "scope": way.scope,
    }
    return _exchanged(transport, url, form)


def _ibm_iam(endpoint: Endpoint, options: Mapping[str, object], transport: HttpTransport) -> RequestAuthenticator:
    url = str(options.get("token_url") or IBM_IAM_URL)
    form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": endpoint.api_key}
    return _exchanged(transport, url, form)


def _exchanged(transport: HttpTransport, url: str, form: dict[str, str]) -> RequestAuthenticator:
    async def fetch() -> AccessToken:
        return await exchange_token(transport, url, form, time.monotonic)

    return BearerToken(AccessTokenCache(fetch))
