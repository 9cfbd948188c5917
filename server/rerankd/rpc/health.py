"""`grpc.health.v1.Health`, for Kubernetes probes, Envoy and grpcurl."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

OVERALL = ""
"""Service name of the whole server."""


class Health:
    """Health of the whole server and of each service. For one event loop.

    Args:
        services: Full names of the services.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = health.aio.HealthServicer()
        self._services = (OVERALL, *services)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Add the health service to `server`."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        """Report NOT_SERVING, instead of NOT_FOUND, until `serve`."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    async def serve(self) -> None:
        """Report SERVING."""
        await self._set(health_pb2.HealthCheckResponse.SERVING)

    async def drain(self) -> None:
        """Report NOT_SERVING for good."""
        await self._servicer.enter_graceful_shutdown()

    async def _set(self, status: int) -> None:
        for service in self._services:
            await self._servicer.set(service, status)
