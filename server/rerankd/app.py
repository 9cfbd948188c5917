"""The composition root: builds the service from its settings and runs it. Knows every concrete class."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog

from rerankd.engine.pipeline import Engine
from rerankd.engine.router import Router
from rerankd.gateway.app import create_gateway
from rerankd.gateway.server import HttpServer, bind
from rerankd.local.provider import LocalProvider
from rerankd.rpc.server import GrpcServer
from rerankd.settings import Settings
from rerankd.upstream.providers import ProviderSettingsError, open_configured_transport, open_providers
from rerankd.upstream.refresh import Refresher

EXIT_OK = 0
EXIT_CANNOT_START = 1

_log = structlog.get_logger("rerankd")


class Addresses(msgspec.Struct, frozen=True):
    """Where a running service listens."""

    host: str
    grpc_port: int
    http_port: int


class CannotStartError(Exception):
    """The service cannot start; the message says why and what to do."""


class Service:
    """One worker: both listeners and everything behind them, in the running event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        is_port_shared = settings.server.workers > 1
        self._local = LocalProvider(settings.local)
        self._transport = open_configured_transport(settings.transport)
        self._remote = open_providers(settings.providers, os.environ, self._transport)
        self._refresher = Refresher(self._remote)
        router = Router([self._local, *self._remote], default_model=settings.default_model, aliases=settings.aliases)
        self._engine = Engine(router, settings.limits)
        self._grpc = GrpcServer(
            self._engine,
            settings.server.keepalive,
            settings.limits.max_request_bytes,
            is_port_shared=is_port_shared,
        )
        gateway = create_gateway(
            self._engine, health=lambda: self.state, max_body_bytes=settings.limits.max_request_bytes
        )
        self._http = HttpServer(gateway, settings.server.drain_grace_s)
        self._is_port_shared = is_port_shared
        self.state = "starting"
        """"starting", "serving" or "draining"."""

    async def start(self) -> Addresses:
        """Listen, load the models, then say SERVING.

        Raises:
            CannotStartError: A port is taken, or the address is not ours.
        """
        server = self._settings.server
        try:
            listener = bind(server.host, server.http_port, is_port_shared=self._is_port_shared)
        except OSError as error:
            raise _cannot_listen(server.host, server.http_port, "http", error) from None
        try:
            grpc_port = await self._grpc.start(server.host, server.grpc_port)
        except RuntimeError as error:
            listener.close()
            raise _cannot_listen(server.host, server.grpc_port, "grpc", error) from None
        await self._http.start(listener)
        self._refresher.start()
        await self._local.start()
        await self._grpc.serve()
        self.state = "serving"
        return Addresses(server.host, grpc_port, listener.getsockname()[1])

    async def stop(self) -> None:
        """Fail the health checks, finish the calls under way, stop."""
        server = self._settings.server
        self.state = "draining"
        await self._grpc.drain()
        await asyncio.sleep(server.drain_delay_s)
        await asyncio.gather(self._grpc.stop(server.drain_grace_s), self._http.stop())
        await self._refresher.close()
        await self._local.close()
        await asyncio.gather(*(provider.close() for provider in self._remote))
        await self._transport.close()


def _cannot_listen(host: str, port: int, kind: str, error: Exception) -> CannotStartError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "the address is in use or not ours"
    return CannotStartError(
        f"cannot listen on {host}:{port} for {kind}: {reason}; choose another with --{kind}-port or --host"
    )


def run_worker(settings: Settings, announce: Callable[[Addresses], None]) -> int:
    """Run one worker in this process; `announce` is called once it is ready."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(settings, announce))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


async def _serve(settings: Settings, announce: Callable[[Addresses], None]) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    started_s = time.monotonic()
    try:
        service = Service(settings)
    except ProviderSettingsError as error:
        _log.error("cannot start", problem=str(error))
        return EXIT_CANNOT_START
    try:
        addresses = await _unless(stopping, service.start())
    except CannotStartError as error:
        _log.error("cannot start", problem=str(error))
        await service.stop()
        return EXIT_CANNOT_START
    if addresses is not None:
        _log.info(
            "ready",
            **msgspec.structs.asdict(addresses),
            start_ms=round((time.monotonic() - started_s) * 1000),
        )
        announce(addresses)
        await stopping.wait()
    _log.info("draining", grace_s=settings.server.drain_grace_s)
    await service.stop()
    _log.info("stopped")
    return EXIT_OK


async def _unless(stopping: asyncio.Event, starting: Coroutine[Any, Any, Addresses]) -> Addresses | None:
    """Await `starting`, or cancel it and return `None` when `stopping` comes first."""
    start = asyncio.create_task(starting)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not start.done():
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start
        return None
    return start.result()
