"""gRPC channels: address, TLS and limits.

Reference: https://grpc.github.io/grpc/core/group__grpc__arg__keys.html (grpcio 1.85). Facts of 2026-11-21.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from rerankd_adapters.base import AdapterError, AdapterErrorKind
from rerankd_adapters.failure import clean

MEBIBYTE: Final = 1024 * 1024
_IS_TLS: Final = {"grpc": False, "grpcs": True, "http": False, "https": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """Options of a gRPC channel."""

    root_certificates: bytes | None = None
    """PEM of trusted CA certificates; `None`: gRPC's defaults."""
    certificate_chain: bytes | None = field(default=None, repr=False)
    """PEM of the client certificate chain."""
    private_key: bytes | None = field(default=None, repr=False)
    """PEM of the client's private key."""
    server_name: str = ""
    """Expected name in the server's certificate, if it differs from the address."""
    keepalive_s: float = 60.0
    """Seconds between keepalive pings while a call is in flight."""
    keepalive_timeout_s: float = 20.0
    """Seconds to wait for a ping's acknowledgement before closing the connection."""
    max_reconnect_s: float = 5.0
    """Maximum seconds between connection attempts."""
    max_message_bytes: int = 64 * MEBIBYTE
    """Maximum size of a sent or received message in bytes."""
    uses_environment_proxy: bool = True
    """Whether `grpc_proxy`, `https_proxy` and `no_proxy` are honoured."""


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed server address."""

    target: str
    """`dns:///host:port`, or `unix:/path`."""
    is_tls: bool


def read_address(base_url: str, default_port: int) -> Address:
    """Parse `grpc://host:port`, `grpcs://host:port` (TLS), `host:port` (no TLS) or `unix:/path` (no TLS).

    Args:
        base_url: Address without a path. `http` and `https` are synonyms of `grpc` and `grpcs`.
        default_port: Port without TLS; with TLS the default is 443.

    Raises:
        AdapterError: `REJECTED` for anything else.
    """
    socket = base_url.removeprefix("unix://").removeprefix("unix:")
    if base_url.startswith("unix:") and socket.startswith("/"):
        return Address(f"unix:{socket}", is_tls=False)
    try:
        parts = urlsplit(base_url if "://" in base_url else f"grpc://{base_url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if (
        not host
        or base_url == "unix:"
        or parts.scheme not in _IS_TLS
        or parts.username
        or parts.path.strip("/")
        or parts.query
    ):
        message = f"{clean(base_url)[:100]!r} is not grpc://host:port, grpcs://host:port or unix:/path"
        raise AdapterError(AdapterErrorKind.REJECTED, message)
    is_tls = _IS_TLS[parts.scheme]
    shown = f"[{host}]" if ":" in host else host
    return Address(f"dns:///{shown}:{port or (443 if is_tls else default_port)}", is_tls)


def open_channel(address: Address, settings: ChannelSettings) -> grpc.aio.Channel:
    """Open a channel on the current event loop; it connects with the first call."""
    options = _options(settings)
    if not address.is_tls:
        return grpc.aio.insecure_channel(address.target, options=options)
    credentials = grpc.ssl_channel_credentials(
        settings.root_certificates, settings.private_key, settings.certificate_chain
    )
    return grpc.aio.secure_channel(address.target, credentials, options=options)


def _options(settings: ChannelSettings) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", int(settings.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout_s * 1000)),
        ("grpc.initial_reconnect_backoff_ms", min(500, int(settings.max_reconnect_s * 1000))),
        ("grpc.max_reconnect_backoff_ms", int(settings.max_reconnect_s * 1000)),
        # Servers close connections that ping while idle, or more than twice without data.
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.http2.max_pings_without_data", 2),
        # The engine retries, since it knows the deadline and the retry budget.
        ("grpc.enable_retries", 0),
        ("grpc.lb_policy_name", "round_robin"),
        # A subchannel shared with another deployment would share its failures.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", int(settings.uses_environment_proxy)),
        ("grpc.primary_user_agent", "rerankd"),
    ]
    if settings.server_name:
        options.append(("grpc.ssl_target_name_override", settings.server_name))
    return options
