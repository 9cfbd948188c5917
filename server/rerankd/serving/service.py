"""One worker of the service: the engine host behind both listeners, with telemetry and pages beside them."""

from __future__ import annotations

import asyncio
import os
from importlib import metadata

import msgspec

from rerankd.configuration.changes import is_within, keep
from rerankd.gateway.app import Gateway, GatewayLimits
from rerankd.gateway.http_middleware import HttpMiddleware
from rerankd.gateway.server import HttpServer, bind
from rerankd.providers.factory import (
    ProviderSettingsError,
    open_configured_transport,
    provider_problems,
)
from rerankd.rpc.server import GrpcServer
from rerankd.serving.engine_host import EngineHost
from rerankd.serving.gauges import Gauges
from rerankd.settings import FIXED, Settings, SettingsError, Update, update
from rerankd.telemetry.sampler import Sampler
from rerankd.telemetry.setup import Telemetry
from rerankd.web.app import create_web_app


class Addresses(msgspec.Struct, frozen=True):
    """Where a running service listens."""

    host: str
    grpc_port: int
    http_port: int


class CannotStartError(Exception):
    """The service cannot start; the message says why and what to do."""


class Service:
    """One worker: both listeners and everything behind them, in the running event loop.

    Args:
        settings: Initial settings.
        as_read: The settings as read, before ports and threads were resolved for the workers; default: `settings`.

    Raises:
        ProviderSettingsError: A provider or the transport of the settings cannot be used.
        TelemetrySettingsError: An `OTEL_*` variable cannot be used.
    """

    def __init__(self, settings: Settings, as_read: Settings | None = None) -> None:
        self._settings = settings
        self._as_read = as_read or settings
        is_port_shared = settings.server.workers > 1
        self._telemetry = Telemetry(settings.telemetry, settings.log, os.environ)
        recorder = self._telemetry.recorder
        self.host = EngineHost(settings, recorder=recorder)
        """The services and everything they use."""
        gauges = Gauges(lambda: self.host.versions.current.engine.deployments(), self.host.cache, recorder)
        self._sampler = Sampler(gauges.read, recorder.flush)
        self._grpc = GrpcServer(
            self.host.services,
            settings.server.keepalive,
            settings.limits.max_request_bytes,
            settings=lambda: self.host.settings,
            tracing=self._telemetry.tracing,
            is_port_shared=is_port_shared,
        )
        version = metadata.version("rerankd")
        gateway = Gateway(
            self.host.services,
            create_web_app(health=lambda: self.state, version=version, metrics=self._sampler.render),
            version=version,
            limits=GatewayLimits(settings.limits.max_request_bytes, settings.limits.max_request_bytes),
            default_model=lambda: self.host.settings.default_model,
            tracing=self._telemetry.tracing,
        )
        self._http = HttpServer(HttpMiddleware(gateway, settings.server.http), settings.server.drain_grace_s)
        self._is_port_shared = is_port_shared
        self.state = "starting"
        """"starting", "serving" or "draining"."""

    async def reload(self, new: Settings) -> Update:
        """Use new settings for new calls; calls in flight finish with their engine version.

        Returns:
            The changes applied, and those that need a restart.

        Raises:
            SettingsError: The settings cannot be used; nothing has changed.
        """
        found = update(self._as_read, new)
        if found.changed:
            settings = keep(new, self._settings, FIXED)
            if any(is_within(path, ("transport", "providers")) for path in found.changed):
                await _check_providers(settings)
            try:
                self.host.replace(settings)
            except ProviderSettingsError as error:
                raise SettingsError([str(error)]) from None
            self._settings = settings
            self._telemetry.reload(settings.log)
        self._as_read = found.settings
        return found

    async def start(self) -> Addresses:
        """Listen, load the models, then report SERVING.

        Raises:
            CannotStartError: A port is in use, or the address is not local.
        """
        server = self._settings.server
        self._sampler.start()
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
        self.host.refresh()
        await self.host.start_cache()
        await self.host.local.start()
        await self._grpc.serve()
        self.state = "serving"
        return Addresses(server.host, grpc_port, listener.getsockname()[1])

    async def stop(self) -> None:
        """Drain: report NOT_SERVING, finish calls in flight within the grace period, stop."""
        server = self._settings.server
        self.state = "draining"
        await self._grpc.drain()
        await asyncio.sleep(server.drain_delay_s)
        await asyncio.gather(self._grpc.stop(server.drain_grace_s), self._http.stop())
        await self.host.close()
        await self._sampler.close()
        await self._telemetry.close()


async def _check_providers(settings: Settings) -> None:
    """Open providers and transport, and close them again.

    Raises:
        SettingsError: Lists every problem of transport and providers.
    """
    try:
        transport = open_configured_transport(settings.transport)
    except ProviderSettingsError as error:
        raise SettingsError([str(error)]) from None
    try:
        problems = await provider_problems(settings.providers, os.environ, transport)
    finally:
        await transport.close()
    if problems:
        raise SettingsError(problems)


def _cannot_listen(host: str, port: int, kind: str, error: Exception) -> CannotStartError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "the address is in use or not local"
    return CannotStartError(
        f"cannot listen on {host}:{port} for {kind}: {reason}; choose another with --{kind}-port or --host"
    )
