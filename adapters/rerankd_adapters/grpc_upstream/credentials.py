"""Credentials and other headers as gRPC metadata."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, Provider, Scheme

Headers = Mapping[str, str]
"""Lower-case names."""


def static_headers(provider: Provider, endpoint: Endpoint) -> Headers:
    """Return the header of the provider's first authentication method that needs only a key, or no key.

    Raises:
        AdapterError: `CREDENTIALS` when a required key is missing.
    """
    for way in provider.authentication:
        if way.scheme is Scheme.NONE:
            return {}
        if way.scheme is Scheme.HEADER and endpoint.api_key:
            return {way.header: way.prefix + endpoint.api_key}
    variables = " or ".join(provider.key_variables) or "the provider's credentials"
    raise AdapterError(AdapterErrorKind.CREDENTIALS, f"{provider.title} needs a key; set {variables}")


def metadata_of(headers: Headers) -> grpc.aio.Metadata:
    """Convert headers to metadata.

    Raises:
        AdapterError: `CREDENTIALS` for an invalid value, which gRPC would otherwise quote in an exception.
    """
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            message = f"the value of {name} has characters that no header may have"
            raise AdapterError(AdapterErrorKind.CREDENTIALS, message)
    return grpc.aio.Metadata(*((name.lower(), value) for name, value in headers.items()))
