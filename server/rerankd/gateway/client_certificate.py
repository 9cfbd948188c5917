"""The certificate of a connection's client, from the TLS connection to the call (ASGI's TLS extension)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial

from rerankd.contract.call_context import no_certificate
from rerankd.gateway.asgi import Scope

_EXTENSION = "tls"
_CHAIN = "client_cert_chain"


def tls_extension(transport: asyncio.BaseTransport) -> dict[str, object] | None:
    """Return the `extensions` of the scopes of a connection's requests; None where its client has no certificate."""
    connection = transport.get_extra_info("ssl_object")
    certificate = None if connection is None else connection.getpeercert(binary_form=True)
    if not certificate:
        return None
    return {_EXTENSION: {_CHAIN: (ssl.DER_cert_to_PEM_cert(certificate),)}}


def certificate_of(scope: Scope) -> Callable[[], bytes]:
    """Return what returns the client's certificate, PEM; empty bytes without one."""
    extensions = scope.get("extensions")
    chain = extensions.get(_EXTENSION, {}).get(_CHAIN) if extensions else None
    return partial(_encode, chain[0]) if chain else no_certificate


def _encode(certificate: str) -> bytes:
    return certificate.encode("ascii")
