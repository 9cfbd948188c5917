"""TLS of the listeners: their certificate and the authorities of callers' certificates, read anew when changed."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from rerankd.http.tls import file_states

_ALPN: Final = ["http/1.1"]

_log = structlog.get_logger("rerankd.http")


class ListenerTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Certificates of both listeners. Files that change are read again for the next connection."""

    certificate_file: str = ""
    """PEM file with the server's certificate and the intermediate ones; empty: the listeners speak plain HTTP and
    gRPC."""
    key_file: str = ""
    """PEM file with its key, without a passphrase; empty: it is in `certificate_file`."""
    client_ca_file: str = ""
    """PEM file with the authorities of callers' certificates; connections without such a certificate are refused, those
    of health probes too. Empty: callers need none."""
    client_crl_file: str = ""
    """PEM file with revocation lists, each signed by an authority of `client_ca_file`; callers whose certificate one of
    them names are refused. It is read again within a second of a change. Empty: nothing is revoked."""

    @property
    def is_on(self) -> bool:
        """Whether the listeners speak TLS."""
        return bool(self.certificate_file)

    def problems(self, path: str) -> list[str]:
        """Say what cannot be used, one sentence each; files are read when the server starts."""
        if self.client_crl_file and not self.client_ca_file:
            return [f"{path}.client_crl_file has no effect without {path}.client_ca_file; set it"]
        if self.is_on or not (self.key_file or self.client_ca_file):
            return []
        return [f"{path}.certificate_file is empty, so that {path} has no effect; set it"]


class Material(NamedTuple):
    """What the files hold."""

    context: ssl.SSLContext
    chain: bytes
    """Certificates of the server, PEM."""
    key: bytes
    """Its key, PEM."""
    client_authorities: bytes | None
    """Authorities of callers' certificates, PEM; None where callers need none."""


class ListenerCertificates:
    """The files of `ListenerTls` as they are now. Safe for any thread.

    Args:
        settings: Names the files.

    Raises:
        OSError: For a file that cannot be read or holds something else, or a key with a passphrase; names the file.
    """

    def __init__(self, settings: ListenerTls) -> None:
        self._settings = settings
        names = (settings.certificate_file, settings.key_file, settings.client_ca_file)
        self._files = [Path(name) for name in names if name]
        self._lock = threading.Lock()
        self._seen = file_states(self._files)
        self._material = _read(settings)

    def current(self) -> Material:
        """Return what the files hold; what they held before, while they are missing or cannot be used."""
        with self._lock:
            found = file_states(self._files)
            if found != self._seen:
                self._seen = found
                self._take_up()
            return self._material

    def _take_up(self) -> None:
        try:
            self._material = _read(self._settings)
        except OSError as error:
            _log.warning("changed TLS file not taken up", file=error.filename, problem=error.strerror)
        else:
            _log.info("changed TLS files taken up", files=[str(file) for file in self._files])


class ServerContext(ssl.SSLContext):
    """The context of a listener that makes each connection with the certificates as they are then.

    asyncio and uvloop call `wrap_bio` for each connection. Open connections keep what they began with.
    """

    _certificates: ListenerCertificates

    @classmethod
    def following(cls, certificates: ListenerCertificates) -> ServerContext:
        """Make a context that follows certificates."""
        made = cls(ssl.PROTOCOL_TLS_SERVER)
        made._certificates = certificates
        return made

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See `ssl.SSLContext.wrap_bio`."""
        context = self._certificates.current().context
        return context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def _read(settings: ListenerTls) -> Material:
    chain_file, key_file = settings.certificate_file, settings.key_file or settings.certificate_file
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    chain, key = _bytes_of(chain_file), _bytes_of(key_file)
    try:
        context.load_cert_chain(chain_file, key_file, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        reason = "it is no PEM certificate with its key, or the key has a passphrase"
        raise OSError(0, reason, chain_file) from error
    if not settings.client_ca_file:
        return Material(context, chain, key, None)
    authorities = _bytes_of(settings.client_ca_file)
    try:
        context.load_verify_locations(settings.client_ca_file)
    except ssl.SSLError as error:
        raise OSError(0, "it holds no PEM certificate", settings.client_ca_file) from error
    context.verify_mode = ssl.CERT_REQUIRED
    return Material(context, chain, key, authorities)


def _bytes_of(file: str) -> bytes:
    return Path(file).read_bytes()


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")
