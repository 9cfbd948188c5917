"""How connections to providers are made. Imports no HTTP library."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

ClientName = Literal["auto", "loop", "httpx"]
CLIENTS: tuple[ClientName, ...] = get_args(ClientName)


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """TLS to one provider. Files that are not set are those of `transport`."""

    ca_file: str | None = None
    """PEM file of CA certificates or self-signed server certificates, trusted in addition to the system's."""
    client_certificate_file: str | None = None
    """PEM file of the client certificate chain (mutual TLS)."""
    client_key_file: str | None = None
    """PEM file of the client certificate's private key, without passphrase; default: the certificate file."""
    server_name: str | None = None
    """Name in the server's certificate, also sent as SNI; default: the host of the base URL."""
    verify: bool = True
    """Whether the server's certificate is verified. `false` lets anybody between here and the server read the key and
    the documents, and is warned of at every start; set `ca_file` instead. Not for providers over gRPC."""

    def problems(self, path: str) -> list[str]:
        """Return what is wrong with the settings found at `path`, one sentence each."""
        found = []
        if self.client_key_file and not self.client_certificate_file:
            found.append(f"{path}.client_key_file needs {path}.client_certificate_file")
        if self.server_name is not None and not _is_host(self.server_name):
            found.append(f"{path}.server_name must be a host name without port, is {self.server_name!r}")
        if not self.verify and self.ca_file:
            found.append(f"{path}.ca_file has no effect when {path}.verify is false; leave out one of them")
        return found


class TransportSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """HTTP client for connections to providers."""

    client: ClientName = "auto"
    """HTTP client: `loop` is HTTP/1.1 on the event loop; `httpx` supports proxies and HTTP/2 at some forty times the
    CPU; `auto` uses `loop` unless a proxy or HTTP/2 is needed."""
    http2: bool = False
    """Use HTTP/2 with servers that support it."""
    connect_timeout_s: float = 5.0
    """Connection timeout in seconds, including the TLS handshake."""
    read_timeout_s: float = 60.0
    """Longest wait for the next bytes of a response, in seconds."""
    idle_timeout_s: float = 60.0
    """Seconds that an unused connection is kept."""
    max_connections_per_host: int = 256
    """Maximum connections per host."""
    max_response_bytes: int = 64 * 1024 * 1024
    """Maximum size of a decompressed response in bytes."""
    ca_file: str | None = None
    """PEM file of CA certificates or self-signed server certificates, trusted in addition to the system's."""
    client_certificate_file: str | None = None
    """PEM file of the client certificate chain (mutual TLS)."""
    client_key_file: str | None = None
    """PEM file of the client certificate's private key, without passphrase; default: the certificate file."""
    proxy: str | None = None
    """`http://[user:password@]host:port`; default: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`."""
    uses_environment_proxy: bool = True
    """Whether `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are obeyed."""

    def __repr__(self) -> str:
        """Show the settings without the proxy, which may hold a password."""
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "proxy")
        return f"TransportSettings({', '.join(shown)})"

    def tls(self, own: TlsSettings | None = None) -> TlsSettings:
        """Return the TLS settings of a connection: a provider's own, completed by these."""
        own = own or TlsSettings()
        has_certificate = own.client_certificate_file is not None
        return msgspec.structs.replace(
            own,
            ca_file=own.ca_file or self.ca_file,
            client_certificate_file=own.client_certificate_file if has_certificate else self.client_certificate_file,
            client_key_file=own.client_key_file if has_certificate else self.client_key_file,
        )


def _is_host(name: str) -> bool:
    return 0 < len(name) <= 253 and name.isascii() and not set(name) & set("/:@?# []")
