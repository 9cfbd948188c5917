"""TLS to providers: which certificates are trusted, which one is presented, and what a failed handshake means."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import EINVAL
from pathlib import Path
from typing import Final

import structlog

from rerankd.http.transport_settings import TlsSettings

_log = structlog.get_logger("rerankd.http")

FileStates = Mapping[Path, tuple[int, int, int]]
"""Modification time in nanoseconds, size and inode of each file that is there."""
_HINTS: Final[Mapping[str, str]] = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS at this port",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server requires a client certificate",
}
"""What OpenSSL's reasons mean, where their own words do not say it."""


class ClientContext(ssl.SSLContext):
    """A client's SSL context that takes up files that have changed, and resumes the last session with a host.

    A resumed session saves sending and verifying certificates anew. asyncio and uvloop pass no session to `wrap_bio`,
    so the context looks it up by the host's name. Connections that are open keep the certificates they began with.
    """

    def __init__(self, protocol: int) -> None:
        del protocol  # __new__ takes it
        self._sessions: dict[str, ssl.SSLSession] = {}
        self._settings = TlsSettings()
        self._read: FileStates = {}
        self._refused: FileStates = {}
        """State of files that could not be used, which is logged once."""
        self._alpn: list[str] = []
        self._current: ssl.SSLContext = self

    def follow(self, settings: TlsSettings, read: FileStates) -> None:
        """Take up the files of `settings` when they differ from the state in which they were read."""
        self._settings, self._read = settings, read

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """See `ssl.SSLContext.set_alpn_protocols`."""
        self._alpn = list(alpn_protocols)
        super().set_alpn_protocols(self._alpn)

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
        if self._read and (found := file_states(self._read)) != self._read:
            self._take_up(found)
        if session is None and isinstance(server_hostname, str):
            session = self._sessions.get(server_hostname)
        wrap = super().wrap_bio if self._current is self else self._current.wrap_bio
        try:
            return wrap(incoming, outgoing, server_side, server_hostname, session)
        except ValueError:  # the session began with certificates that were replaced since
            if session is None:
                raise
            return wrap(incoming, outgoing, server_side, server_hostname)

    def _take_up(self, found: FileStates) -> None:
        """Use the files as they are now; if that fails, as while they are being written, the old ones stay in use."""
        if found.keys() != self._read.keys():
            return
        try:
            current = _open(self._settings)
        except OSError as error:
            if found != self._refused:
                _log.warning("changed TLS file not taken up", file=error.filename, problem=error.strerror)
            self._refused = found
            return
        current.set_alpn_protocols(self._alpn)
        self._current, self._read = current, found
        self._sessions.clear()
        _log.info("changed TLS files taken up", files=[str(file) for file in found])


def open_client_context(settings: TlsSettings) -> ClientContext:
    """Make the context for all connections of a transport; certificates and host names are verified unless told not to.

    Any certificate in `ca_file` is trusted as it stands, also a server's own or an intermediate one: OpenSSL's strict
    mode, which Python 3.13 turns on by default, would refuse what `openssl req -x509` makes. Files that change
    later are read again for the next connection.

    Raises:
        OSError: For a file that cannot be read or holds something else, or a key with a passphrase; names the file.
    """
    files = [file for file in _files(settings) if file is not None]
    read = file_states(files)
    context = _open(settings)
    context.follow(settings, read)
    return context


def _files(settings: TlsSettings) -> tuple[Path | None, Path | None, Path | None]:
    """Return the paths of authorities, certificate chain and key."""
    return _path(settings.ca_file), _path(settings.client_certificate_file), _path(settings.client_key_file)


def _open(settings: TlsSettings) -> ClientContext:
    context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    ca_file, chain, key = _files(settings)
    if ca_file:
        with _naming(ca_file, "no certificate"):
            context.load_verify_locations(ca_file)
    if chain:
        with _naming(key or chain, "no key of the certificate, or one with a passphrase"):
            chain.open("rb").close()
            context.load_cert_chain(chain, key, _refuse_passphrase)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def file_states(files: Iterable[Path]) -> FileStates:
    """Return the state of each file that is there, which differs once it was changed or replaced."""
    found = {}
    for file in files:
        with suppress(OSError):
            state = file.stat()
            found[file] = state.st_mtime_ns, state.st_size, state.st_ino
    return found


def _path(file: str | None) -> Path | None:
    return None if file is None else Path(file).expanduser()


def system_certificates() -> bytes:
    """Return the PEM of the authorities that the system trusts; empty where they are not in a file."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes() if file else b""


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
