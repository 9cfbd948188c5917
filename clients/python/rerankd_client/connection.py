"""Where and how to connect: address, TLS, API key, deadline, retries and the channel options they become."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypedDict

import grpc

from rerankd_client.service_config import SERVICE_CONFIG

DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
DEFAULT_PORT: Final = 50051
DEFAULT_TIMEOUT_S: Final = 30.0
ADDRESS_VARIABLE: Final = "RERANKD_ADDRESS"
API_KEY_VARIABLE: Final = "RERANKD_API_KEY"

SERVICE_CONFIG_OPTION: Final = "grpc.service_config"
_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_KEEPALIVE_EVERY_MS: Final = 60_000
_KEEPALIVE_TIMEOUT_MS: Final = 20_000
_DEFAULT_MAX_ATTEMPTS: Final = 4
_BALANCED_SCHEMES: Final = ("dns:", "ipv4:", "ipv6:", "xds:")
_GRPC_SCHEMES: Final = (*_BALANCED_SCHEMES, "unix:", "unix-abstract:", "vsock:", "passthrough:")


class ClientOptions(TypedDict, total=False):
    """Everything a client may be told beside its address."""

    api_key: str | None
    """Sent as `authorization: Bearer ...`. Default: `RERANKD_API_KEY`; empty: none is sent."""
    tls: bool | grpc.ChannelCredentials
    """Encrypt the connection, or the credentials to do so. Default: only if one of the files is given."""
    ca_file: str | os.PathLike[str] | None
    """PEM certificates that the server's must be signed by. Default: gRPC's own roots."""
    cert_file: str | os.PathLike[str] | None
    """PEM certificate chain that this client shows (mutual TLS); needs `key_file`."""
    key_file: str | os.PathLike[str] | None
    """PEM private key of `cert_file`."""
    tls_server_name: str | None
    """Name the server's certificate is for, where it differs from the address."""
    timeout_s: float
    """Deadline of a call that sets none, in seconds. Default 30; `math.inf`: none. Batches have none."""
    metadata: Mapping[str, str]
    """Sent with every call."""
    max_attempts: int
    """Calls made for one that meets UNAVAILABLE, or CANCELLED by a server that stops, 1 (no retry) to 5. Default 4."""
    user_agent: str | None
    """Put in front of this library's own user agent."""
    channel_options: Sequence[tuple[str, Any]]
    """gRPC channel options; they override this library's."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A resolved address with everything needed to open a channel to it and to make calls."""

    target: str
    """gRPC target."""
    credentials: grpc.ChannelCredentials | None
    """None: no encryption."""
    channel_options: tuple[tuple[str, Any], ...]
    """For `grpc.insecure_channel` and its like."""
    timeout_s: float
    """Default deadline; `math.inf`: none."""
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """Metadata of every call, the API key included."""

    @property
    def unbalanced_options(self) -> tuple[tuple[str, Any], ...]:
        """The options without balancing, which calls no server that says it is not serving."""
        return tuple(option for option in self.channel_options if option[0] != SERVICE_CONFIG_OPTION)

    def call_timeout_s(self, timeout_s: float | None) -> float | None:
        """Return the timeout of a call for gRPC: the default for None, None for infinity."""
        chosen_s = self.timeout_s if timeout_s is None else timeout_s
        return None if math.isinf(chosen_s) else chosen_s

    def call_metadata(self, metadata: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call: the client's, then the call's own."""
        return self.headers if not metadata else self.headers + _lower_keys(metadata)


def resolve_connection(address: str | None, options: ClientOptions) -> Connection:
    """Combine arguments, environment and defaults.

    Args:
        address: `host[:port]`, `unix:/path`, or any gRPC target such as `dns:///host:port`. None: the
            environment's `RERANKD_ADDRESS`, else 127.0.0.1:50051.
        options: `ClientOptions`.

    Raises:
        TypeError: An option does not exist.
        ValueError: The address is not one of these forms, or options contradict each other.
        OSError: A certificate or key cannot be read.
    """
    unknown = options.keys() - ClientOptions.__annotations__.keys()
    if unknown:
        raise TypeError(f"there is no client option {sorted(unknown)[0]!r}")
    api_key = options.get("api_key")
    if api_key is None:
        api_key = os.environ.get(API_KEY_VARIABLE, "")
    headers = _lower_keys(options.get("metadata", {}))
    if api_key:
        headers += (("authorization", f"Bearer {api_key}"),)
    target = resolve_target(address)
    return Connection(
        target=target,
        credentials=_credentials(options),
        channel_options=_channel_options(options, checks_health=target.startswith(_BALANCED_SCHEMES)),
        timeout_s=options.get("timeout_s", DEFAULT_TIMEOUT_S),
        headers=headers,
    )


def resolve_target(address: str | None) -> str:
    """Return the gRPC target of an address (see `resolve_connection`); adds the port where there is none."""
    address = address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
    if address.startswith(_GRPC_SCHEMES):
        return address
    if "://" in address:
        raise ValueError(
            f"{address!r} is not a gRPC address; write host:port, such as {DEFAULT_ADDRESS}, and "
            "ask for an encrypted connection with the tls option"
        )
    if address.count(":") > 1 and not address.startswith("["):
        address = f"[{address}]"
    has_port = ":" in address.rpartition("]")[2]
    return address if has_port else f"{address}:{DEFAULT_PORT}"


def client_version() -> str:
    """Return the version of this distribution; "0" when it is not installed."""
    try:
        return importlib.metadata.version("rerankd")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _credentials(options: ClientOptions) -> grpc.ChannelCredentials | None:
    tls = options.get("tls", False)
    if isinstance(tls, grpc.ChannelCredentials):
        return tls
    files = [options.get("ca_file"), options.get("key_file"), options.get("cert_file")]
    if not tls and not any(files):
        return None
    roots, key, chain = (None if file is None else Path(file).read_bytes() for file in files)
    if (key is None) != (chain is None):
        raise ValueError("cert_file and key_file belong together: give both, or none")
    return grpc.ssl_channel_credentials(roots, key, chain)


def _channel_options(options: ClientOptions, *, checks_health: bool) -> tuple[tuple[str, Any], ...]:
    own_agent = f"rerankd-python/{client_version()}"
    service_config = _service_config(options.get("max_attempts", _DEFAULT_MAX_ATTEMPTS))
    user_agent = options.get("user_agent")
    chosen: dict[str, Any] = {
        "grpc.primary_user_agent": f"{user_agent} {own_agent}" if user_agent else own_agent,
        "grpc.max_send_message_length": _MAX_MESSAGE_BYTES,
        "grpc.max_receive_message_length": _MAX_MESSAGE_BYTES,
        # A call is retried only if its request fits this buffer; gRPC's default is 256 KiB.
        "grpc.per_rpc_retry_buffer_size": _MAX_MESSAGE_BYTES,
        "grpc.keepalive_time_ms": _KEEPALIVE_EVERY_MS,
        "grpc.keepalive_timeout_ms": _KEEPALIVE_TIMEOUT_MS,
        SERVICE_CONFIG_OPTION: json.dumps(service_config),
    }
    if not checks_health:
        # Behind a proxy the watch would be that of one replica: its drain would end all calls through the proxy.
        chosen["grpc.inhibit_health_checking"] = 1
    server_name = options.get("tls_server_name")
    if server_name:
        chosen["grpc.ssl_target_name_override"] = server_name
    chosen.update(options.get("channel_options", ()))
    return tuple(chosen.items())


def _service_config(max_attempts: int) -> dict[str, Any]:
    """Return the policy of all clients, with another number of attempts."""
    if not 1 <= max_attempts <= 5:
        raise ValueError(f"max_attempts must be 1 to 5, was {max_attempts}")
    config: dict[str, Any] = json.loads(SERVICE_CONFIG)
    if max_attempts == 1:
        del config["methodConfig"], config["retryThrottling"]
        return config
    for method in config["methodConfig"]:
        method["retryPolicy"]["maxAttempts"] = max_attempts
    return config


def _lower_keys(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    # gRPC refuses capitals in keys with an error that does not say so.
    return tuple((key.lower(), value) for key, value in metadata.items())
