"""TLS to providers: which certificates are trusted, which one is presented, and what a failed handshake means."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import EINVAL
from pathlib import Path
from typing import Final

from rerankd.http.transport import TransportSettings

_HINTS: Final[Mapping[str, str]] = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS at this port",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server requires a client certificate",
}
"""What OpenSSL's reasons mean, where their own words do not say it."""


class ClientContext(ssl.SSLContext):
    """A client's SSL context that resumes the last session with a host: no certificates are sent and verified anew.

    asyncio and uvloop pass no session to `wrap_bio`, so the context looks it up by the host's name.
    """

    def __init__(self, protocol: int) -> None:
        del protocol  # __new__ takes it
        self._sessions: dict[str, ssl.SSLSession] = {}

    def keep_session(self, host: str, session: ssl.SSLSession | None) -> None:
        """Keep a session for the next connection to a host, if it can be resumed."""
        if session is not None and session.has_ticket:
            self._sessions[host] = session

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See `ssl.SSLContext.wrap_bio`."""
        if session is None and isinstance(server_hostname, str):
            session = self._sessions.get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def open_client_context(settings: TransportSettings) -> ClientContext:
    """Make the context for all connections of a transport; certificates and host names are always verified.

    Any certificate in `ca_file` is trusted as it stands, also a server's own or an intermediate one: OpenSSL's strict
    mode, which Python 3.13 turns on by default, would refuse what `openssl req -x509` makes.

    Raises:
        OSError: For a file that cannot be read or holds something else, or a key with a passphrase; names the file.
    """
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if settings.ca_file:
        with _naming(settings.ca_file, "no certificate"):
            context.load_verify_locations(settings.ca_file)
    chain, key = settings.client_certificate_file, settings.client_key_file
    if chain:
        with _naming(key or chain, "no key of the certificate, or one with a passphrase"):
            chain.open("rb").close()
            context.load_cert_chain(chain, key, _refuse_passphrase)
    return context


@contextmanager
def _naming(file: Path, holds: str) -> Iterator[None]:
    """Name the file in errors: OpenSSL's name none."""
    file.open("rb").close()
    try:
        yield
    except (ssl.SSLError, _PassphraseError):
        raise OSError(EINVAL, f"it holds {holds}", str(file)) from None


class _PassphraseError(Exception):
    """A private key wants a passphrase."""


def _refuse_passphrase() -> str:
    """Stand in for OpenSSL's question on the terminal."""
    raise _PassphraseError


def explain(error: ssl.SSLError, host: str) -> str:
    """Say what went wrong with TLS, in words that hold nothing of the request but the host's name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host} is not valid: {error.verify_message}"
    reason = error.reason or "protocol error"
    return f"TLS with {host}: {_HINTS.get(reason) or reason.lower().replace('_', ' ')}"
