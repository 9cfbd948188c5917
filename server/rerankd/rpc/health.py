"""`grpc.health.v1.Health`, for Kubernetes probes, Envoy and grpcurl."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

OVERALL = ""
"""Service name of the whole server."""


class _Servicer(health.aio.HealthServicer):
    """Reports the peer of each check, and can end watches, which would keep a server from stopping."""

    def __init__(self, on_check: Callable[[str], None]) -> None:
        super().__init__()
        self._on_check = on_check
        self._watches: set[asyncio.Task[None]] = set()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        self._on_check(context.peer())
        return await super().Check(request, context)

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        self._on_check(context.peer())
        watch = asyncio.create_task(super().Watch(request, context))
        self._watches.add(watch)
        try:
            await asyncio.wait({watch})
        finally:
            self._watches.discard(watch)
            watch.cancel()
        if watch.cancelled():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
        await watch

    def end_watches(self) -> None:
        """End all watches with UNAVAILABLE."""
        for watch in self._watches:
            watch.cancel()


class Health:
    """Health of the whole server and of each service. For one event loop.

    Args:
        services: Full names of the services.
        on_check: Called with the peer of each check and watch, as gRPC names it.
    """

    def __init__(self, services: Iterable[str], on_check: Callable[[str], None] = lambda _peer: None) -> None:
        self._servicer = _Servicer(on_check)
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

    def end_watches(self) -> None:
        """End all watches, so that the server need not wait for them to stop."""
        self._servicer.end_watches()

    async def _set(self, status: int) -> None:
        for service in self._services:
            await self._servicer.set(service, status)
