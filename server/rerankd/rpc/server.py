"""The gRPC server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import grpc
from grpc_health.v1 import health

from rerankd.contract.service import Services
from rerankd.engine.byte_budget import ByteBudget
from rerankd.http.listener_tls import ListenerCertificates
from rerankd.rpc.health import Health
from rerankd.rpc.large_messages import LargeMessages
from rerankd.rpc.reflection import add_reflection
from rerankd.rpc.revocation import CertificateCheck, RevocationInterceptor
from rerankd.rpc.servicers import SERVICE_NAMES, service_handlers
from rerankd.rpc.tei import tei_handlers
from rerankd.rpc.tei_messages import TEI_INFO, TEI_RERANK
from rerankd.rpc.unknown_methods import UnknownMethods
from rerankd.settings import Keepalive, Settings
from rerankd.telemetry.calls.server_span import ServerTracing

_MAX_METADATA_BYTES: Final = 16 * 1024
"""Of one call; calls with up to twice as much are refused at random, ones with more always."""
_MAX_STREAMS: Final = 1000
"""Calls under way on one connection; clients queue further ones."""
_MAX_CONNECTIONS: Final = 4096
_HANDSHAKE_TIMEOUT_MS: Final = 20_000
SERVED: Final = (*SERVICE_NAMES, TEI_RERANK, TEI_INFO, health.SERVICE_NAME)


class GrpcServer:
    """A grpc.aio server with our services, TEI's, health and reflection. For one event loop."""

    def __init__(
        self,
        services: Services,
        keepalive: Keepalive,
        max_message_bytes: int,
        *,
        settings: Callable[[], Settings] = Settings,
        tracing: ServerTracing | None = None,
        budget: ByteBudget | None = None,
        is_port_shared: bool = False,
        on_health_check: Callable[[str], None] = lambda _peer: None,
        certificates: ListenerCertificates | None = None,
        check_certificate: CertificateCheck | None = None,
    ) -> None:
        """Build the server.

        Args:
            services: Implementations of our services.
            keepalive: HTTP/2 keepalive.
            max_message_bytes: Maximum size of a message received or sent.
            settings: Returns the current settings, for default model and limits of TEI's services.
            tracing: Begins the server's spans; default: none are exported.
            budget: Counts the bytes of large messages; default: one of its own.
            is_port_shared: Whether other worker processes listen on the same port.
            on_health_check: Called with the peer of each health check.
            certificates: Of its connections; default: plain gRPC.
            check_certificate: Tells which certificates of clients were revoked; default: none is asked.
        """
        limits = settings().limits
        budget = budget or ByteBudget(limits.max_bytes_in_flight)
        large = LargeMessages(budget, lambda: settings().limits.max_documents, limits.max_values)
        options = _options(keepalive, max_message_bytes, is_port_shared)
        tracing = tracing or ServerTracing()
        guards = [] if check_certificate is None else [RevocationInterceptor(check_certificate, tracing)]
        self._server = grpc.aio.server(options=options, interceptors=guards)
        self._credentials = None if certificates is None else _credentials(certificates)
        self._health = Health(SERVED, on_health_check)
        tei = tei_handlers(services.rerank_service, settings, tracing)
        self._server.add_generic_rpc_handlers((*service_handlers(services, tracing, large), *tei))
        self._health.add_to(self._server)
        add_reflection(SERVED, self._server)
        self._server.add_generic_rpc_handlers((UnknownMethods(tracing),))  # the last one: it is asked after all others

    async def start(self, addresses: Sequence[str], port: int) -> int:
        """Listen on a port of one or more IP addresses; return it, an ephemeral one if `port` is 0.

        Raises:
            RuntimeError: The address cannot be bound.
        """
        for address in addresses:
            target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            if self._credentials is None:
                port = self._server.add_insecure_port(target)
            else:
                port = self._server.add_secure_port(target, self._credentials)
        await self._health.start()
        await self._server.start()
        return port

    async def serve(self) -> None:
        """Report SERVING."""
        await self._health.serve()

    async def drain(self) -> None:
        """Report NOT_SERVING; calls are still answered."""
        await self._health.drain()

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls; cancel those still in flight after `grace_s` seconds."""
        self._health.end_watches()
        await self._server.stop(grace_s)


def _credentials(certificates: ListenerCertificates) -> grpc.ServerCredentials:
    """Make credentials that ask for the certificates at each handshake, in a thread of the gRPC library."""

    def fetch() -> grpc.ServerCertificateConfiguration:
        found = certificates.current()
        return grpc.ssl_server_certificate_configuration([(found.key, found.chain)], found.client_authorities)

    is_client_asked = certificates.current().client_authorities is not None
    return grpc.dynamic_ssl_server_credentials(fetch(), fetch, is_client_asked)


def _options(keepalive: Keepalive, max_message_bytes: int, is_port_shared: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", 2 * _MAX_METADATA_BYTES),
        ("grpc.max_concurrent_streams", _MAX_STREAMS),
        ("grpc.max_allowed_incoming_connections", _MAX_CONNECTIONS),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_TIMEOUT_MS),
        ("grpc.so_reuseport", int(is_port_shared)),
        ("grpc.keepalive_time_ms", int(keepalive.time_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(keepalive.timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", int(keepalive.min_client_interval_s * 1000)),
    ]
