"""`grpc.health.v1.Health`, as Kubernetes probes, Envoy and grpcurl ask for it."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

OVERALL = ""
"""Service name under which the whole server's health is asked."""


class Health:
    """Health of the whole server and of each service it offers. For one event loop."""

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = health.aio.HealthServicer()
        self._services = (OVERALL, *services)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the health service."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        """Say NOT_SERVING until `serve`, rather than NOT_FOUND."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def serve(self) -> None:
        """Say SERVING from now on."""
        await self._set(health_pb2.HealthCheckResponse.SERVING)

    async def drain(self) -> None:
        """Say NOT_SERVING from now on."""
        await self._servicer.enter_graceful_shutdown()

    async def _set(self, status: int) -> None:
        for service in self._services:
            await self._servicer.set(service, status)
