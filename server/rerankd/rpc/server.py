"""The gRPC server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import grpc
from grpc_health.v1 import health

from rerankd.contract.service import Services
from rerankd.rpc.health import Health
from rerankd.rpc.reflection import add_reflection
from rerankd.rpc.servicers import SERVICE_NAMES, service_handlers
from rerankd.rpc.tei import TEI_INFO, TEI_RERANK, tei_handlers
from rerankd.settings import Keepalive, Settings
from rerankd.telemetry.server_span import ServerTracing

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
        is_port_shared: bool = False,
    ) -> None:
        """Build the server.

        Args:
            services: Implementations of our services.
            keepalive: HTTP/2 keepalive.
            max_message_bytes: Maximum size of a message received or sent.
            settings: Returns the current settings, for default model and limits of TEI's services.
            tracing: Begins the server's spans; default: none are exported.
            is_port_shared: Whether other worker processes listen on the same port.
        """
        options = _options(keepalive, max_message_bytes, is_port_shared)
        self._server = grpc.aio.server(options=options)
        self._health = Health(SERVED)
        tracing = tracing or ServerTracing()
        tei = tei_handlers(services.rerank_service, settings, tracing)
        self._server.add_generic_rpc_handlers((*service_handlers(services, tracing), *tei))
        self._health.add_to(self._server)
        add_reflection(SERVED, self._server)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, an ephemeral one if `port` is 0.

        Raises:
            RuntimeError: The address cannot be bound.
        """
        bound = self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await self._health.start()
        await self._server.start()
        return bound

    async def serve(self) -> None:
        """Report SERVING."""
        await self._health.serve()

    async def drain(self) -> None:
        """Report NOT_SERVING; calls are still answered."""
        await self._health.drain()

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls; cancel those still in flight after `grace_s` seconds."""
        await self._server.stop(grace_s)


def _options(keepalive: Keepalive, max_message_bytes: int, is_port_shared: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.so_reuseport", int(is_port_shared)),
        ("grpc.keepalive_time_ms", int(keepalive.time_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(keepalive.timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", int(keepalive.min_client_interval_s * 1000)),
    ]
