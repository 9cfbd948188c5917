"""Certificates for servers and clients on the loopback interface, from an authority that nothing else trusts."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path

import trustme

HOST = "127.0.0.1"


@cache
def authority() -> trustme.CA:
    """Return the one authority of a test run."""
    return trustme.CA()


def server_context(certificate: trustme.LeafCert | None = None, *, wants_client: bool = False) -> ssl.SSLContext:
    """Make a server's context.

    Args:
        certificate: Default: one of the authority's for `HOST`, `localhost` and `::1`.
        wants_client: Whether clients must present a certificate of the authority.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (certificate or _of_loopback()).configure_cert(context)
    if wants_client:
        authority().configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@cache
def _of_loopback() -> trustme.LeafCert:
    return authority().issue_cert(HOST, "localhost", "::1")


def write_authority(folder: Path) -> Path:
    """Write the authority's certificate, as `ca_file` takes it."""
    path = folder / "ca.pem"
    authority().cert_pem.write_to_path(str(path))
    return path


def write_client(folder: Path, issuer: trustme.CA | None = None) -> Path:
    """Write a client's key and certificate chain into one file."""
    path = folder / "client.pem"
    issued = (issuer or authority()).issue_cert("client.example")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    return path
