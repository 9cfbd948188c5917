"""Certificates for servers and clients on the loopback interface, from an authority that nothing else trusts."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


def issue_client(
    *names: x509.GeneralName, common_name: Sequence[str] = (), lives: timedelta = timedelta(days=1)
) -> tuple[bytes, bytes]:
    """Make a client's certificate of the authority, and its key, both PEM.

    Args:
        names: Alternative names; without any the certificate has no such extension.
        common_name: Common names of its subject.
        lives: How long from now it is valid.
    """
    issuer, issuer_key = _signer(authority())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_name]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + lives)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not common_name)
    made = builder.sign(issuer_key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def revocation_list(
    *certificates: bytes,
    issuer: trustme.CA | None = None,
    name: x509.Name | None = None,
    ends: timedelta = timedelta(days=1),
    extension: x509.ExtensionType | None = None,
) -> bytes:
    """Make a revocation list, PEM.

    Args:
        certificates: Those that it names, PEM.
        issuer: Signs it; default: the authority.
        name: Whose list it says that it is; default: the issuer's.
        ends: How long from now it is current.
        extension: A further, critical extension.
    """
    signer, key = _signer(issuer or authority())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or signer.subject)
        .last_update(now - timedelta(days=3))
        .next_update(now + ends)
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    for each in certificates:
        serial = x509.load_pem_x509_certificate(each).serial_number
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        builder = builder.add_revoked_certificate(revoked)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _signer(issuer: trustme.CA) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = serialization.load_pem_private_key(issuer.private_key_pem.bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate(issuer.cert_pem.bytes()), key
