"""One worker of the service: the engine host behind both listeners, with telemetry and pages beside them."""

from __future__ import annotations

import asyncio
import ctypes
import os
from functools import partial
from importlib import metadata

from rerankd.access.opening import Access
from rerankd.configuration.changes import is_within, keep
from rerankd.engine.byte_budget import ByteBudget
from rerankd.gateway.app import Gateway
from rerankd.gateway.body import GatewayLimits
from rerankd.gateway.dialects.compatibility_routes import admit_everybody
from rerankd.gateway.listener.http_middleware import HttpMiddleware
from rerankd.gateway.listener.server import HttpServer, bind
from rerankd.http.listener_tls import ListenerCertificates, ListenerTls, ServerContext
from rerankd.providers.factory import (
    ProviderSettingsError,
    open_configured_transport,
    provider_problems,
)
from rerankd.rpc.revocation import CertificateCheck
from rerankd.rpc.server import GrpcServer
from rerankd.runs.run_log import RunLog
from rerankd.serving.engine_host import EngineHost
from rerankd.serving.gauges import Gauges
from rerankd.serving.listening import Addresses, CannotStartError, bind_all, cannot_listen, find_addresses
from rerankd.serving.load_balancer import LoadBalancerSigns
from rerankd.settings import FIXED, Settings, SettingsError, Update, update
from rerankd.store.errors import StoreError
from rerankd.store.opening import LazyDatabase
from rerankd.telemetry.sampler import Sampler
from rerankd.telemetry.setup import Telemetry
from rerankd.web.app import WebApp, create_web_app
from rerankd.web.oidc import OidcPages
from rerankd.web.session import SessionPages


class Service:
    """One worker: both listeners and everything behind them, in the running event loop.

    Args:
        settings: Initial settings.
        as_read: The settings as read, before ports and threads were resolved for the workers; default: `settings`.
        balancer_seen: Shared by the workers; see `LoadBalancerSigns`.

    Raises:
        ProviderSettingsError: A provider or the transport of the settings cannot be used.
        TelemetrySettingsError: An `OTEL_*` variable cannot be used.
        CannotStartError: A certificate of the listeners cannot be used.
    """

    def __init__(
        self, settings: Settings, as_read: Settings | None = None, balancer_seen: ctypes.c_bool | None = None
    ) -> None:
        self._settings = settings
        self._as_read = as_read or settings
        self._is_port_shared = settings.server.workers > 1
        self._telemetry = Telemetry(settings.telemetry, settings.log, os.environ)
        recorder = self._telemetry.recorder
        self._database = LazyDatabase(settings.store)
        self._access = self._open_access(settings) if settings.access.enabled else None
        self._runs = RunLog(settings.runs, settings.store)
        self._runs.record(recorder)
        self.host = EngineHost(settings, recorder=recorder, access=self._access, database=self._database)
        """The services and everything they use."""
        gauges = Gauges(lambda: self.host.versions.current.engine.deployments(), self.host.cache, recorder)
        self._sampler = Sampler(gauges.read, recorder.flush)
        self._budget = ByteBudget(settings.limits.max_bytes_in_flight)
        self.signs = LoadBalancerSigns(os.environ, balancer_seen)
        """What says that a load balancer routes calls here."""
        certificates = _open_certificates(settings.server.tls)
        check_certificate = _open_revocation(settings.server.tls)
        self._grpc = self._make_grpc_server(certificates, check_certificate)
        options = settings.server.http
        self._middleware = HttpMiddleware(self._make_gateway(check_certificate), options, self.signs.note_forwarded)
        context = None if certificates is None else ServerContext.following(certificates)
        self._http = HttpServer(self._middleware, options, settings.server.drain_grace_s, context)
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
            if self._access is not None:
                self._access.replace(settings.access)
            self._settings = settings
            self._telemetry.reload(settings.log)
        self._as_read = found.settings
        return found

    async def start(self) -> Addresses:
        """Listen, load the models, then report SERVING; beside other workers listen last.

        The kernel gives a worker that listens its share of the connections, which others answer until it is ready.

        Raises:
            CannotStartError: A port is in use, the service cannot or may not listen on the address, or API keys cannot
                be read.
        """
        self._sampler.start()
        if self._access is not None:
            await _start_access(self._access)
        if self._is_port_shared:
            await self._load()
            self.state = "serving"
        addresses = await self._listen()
        if not self._is_port_shared:
            await self._load()
        await self._grpc.serve()
        self.state = "serving"
        return addresses

    async def _load(self) -> None:
        self.host.refresh()
        self._runs.start()
        await self.host.start()
        await self.host.local.start()

    async def _listen(self) -> Addresses:
        """Listen on both ports.

        Raises:
            CannotStartError: A port is in use, or the service cannot or may not listen on the address.
        """
        server = self._settings.server
        addresses = find_addresses(server, is_authenticated=self._access is not None)
        try:
            listeners = bind_all(addresses, server.http_port, partial(bind, is_port_shared=self._is_port_shared))
        except OSError as error:
            raise cannot_listen(server.host, server.http_port, "http", error) from None
        try:
            grpc_port = await self._grpc.start(addresses, server.grpc_port)
        except RuntimeError as error:
            for listener in listeners:
                listener.close()
            raise cannot_listen(server.host, server.grpc_port, "grpc", error) from None
        await self._http.start(listeners)
        return Addresses(server.host, addresses, grpc_port, listeners[0].getsockname()[1])

    def _make_grpc_server(
        self, certificates: ListenerCertificates | None, check_certificate: CertificateCheck | None
    ) -> GrpcServer:
        return GrpcServer(
            self.host.services,
            self._settings.server.keepalive,
            self._settings.limits.max_request_bytes,
            settings=lambda: self.host.settings,
            tracing=self._telemetry.tracing,
            budget=self._budget,
            is_port_shared=self._is_port_shared,
            on_health_check=self.signs.note_health_check,
            certificates=certificates,
            check_certificate=check_certificate,
        )

    def _make_gateway(self, check_certificate: CertificateCheck | None) -> Gateway:
        version = metadata.version("rerankd")
        return Gateway(
            self.host.services,
            self._make_pages(version),
            version=version,
            limits=_gateway_limits(self._settings),
            budget=self._budget,
            max_documents=lambda: self.host.settings.limits.max_documents,
            default_model=lambda: self.host.settings.default_model,
            tracing=self._telemetry.tracing,
            admit=admit_everybody if self._access is None else self._access.authenticator.admit,
            session_cookie=_session_cookie(self._access),
            check_certificate=check_certificate,
        )

    def _make_pages(self, version: str) -> WebApp:
        return create_web_app(
            health=lambda: self.state,
            version=version,
            metrics=self._sampler.render,
            on_health_check=self.signs.note_health_check,
            admit_scrape=admit_everybody if self._access is None else self._access.admit_scrape,
            sessions=_session_pages(self._access, self._settings),
            logins=_login_pages(self._access),
        )

    def _open_access(self, settings: Settings) -> Access:
        return Access(
            settings.access,
            self._database,
            lambda: self.host.versions.current.transport,
            state_directory=settings.store.state_directory(),
            is_tls=settings.server.tls.is_on,
        )

    @property
    def drain_delay_s(self) -> float:
        """Seconds between reporting NOT_SERVING and closing the listeners; 0 where it never reported SERVING."""
        return self.signs.drain_delay_s(self._settings.server.drain_delay_s) if self.state == "serving" else 0.0

    async def stop(self, *, is_replaced: bool = False) -> None:
        """Drain: report NOT_SERVING, finish calls in flight within the grace period, stop.

        Args:
            is_replaced: Whether a successor answers under the same ports. Then the listeners close at once, and the
                health, which is that of the whole service for a load balancer, does not change.
        """
        server = self._settings.server
        delay_s = self.drain_delay_s
        self._middleware.drain()
        if not is_replaced:
            self.state = "draining"
            await self._grpc.drain()
            await asyncio.sleep(delay_s)
        await asyncio.gather(self._grpc.stop(server.drain_grace_s), self._http.stop())
        await self.host.close()
        if self._access is not None:
            await self._access.close()
        await self._database.close()
        await self._sampler.close()
        await self._telemetry.close()
        await self._runs.close()


async def _start_access(access: Access) -> None:
    try:
        await access.start()
    except StoreError as error:
        raise CannotStartError(f"API keys cannot be read: {error}") from None


def _session_pages(access: Access | None, settings: Settings) -> SessionPages:
    logins = None if access is None else access.logins
    return SessionPages(logins, _setting_of_sessions(access), settings.server.http.allowed_origins)


def _login_pages(access: Access | None) -> OidcPages:
    return OidcPages(None if access is None else access.redirect_logins, _setting_of_sessions(access))


def _setting_of_sessions(access: Access | None) -> str:
    """Return the setting without which there are no sessions."""
    return "access.enabled" if access is None else "access.sessions.enabled"


def _session_cookie(access: Access | None) -> str:
    return "" if access is None or access.logins is None else access.logins.sessions.cookie_name


def _open_certificates(tls: ListenerTls) -> ListenerCertificates | None:
    """Read the certificates of the listeners; None where they speak plain HTTP and gRPC.

    Raises:
        CannotStartError: A file cannot be used.
    """
    try:
        return ListenerCertificates(tls) if tls.is_on else None
    except OSError as error:
        raise CannotStartError(f"server.tls: {error.filename}: {error.strerror}") from None


def _open_revocation(tls: ListenerTls) -> CertificateCheck | None:
    """Read the revocation lists of callers' certificates; None where there are none.

    Raises:
        CannotStartError: A file cannot be used.
    """
    if not tls.client_crl_file:
        return None
    from rerankd.access.revocation import RevocationLists  # needs cryptography, which no other listener does

    try:
        return RevocationLists(tls.client_crl_file, tls.client_ca_file).check
    except OSError as error:
        raise CannotStartError(f"server.tls: {error.filename}: {error.strerror}") from None


def _gateway_limits(settings: Settings) -> GatewayLimits:
    limits, http = settings.limits, settings.server.http
    return GatewayLimits(
        max_body_bytes=limits.max_request_bytes,
        max_line_bytes=limits.max_request_bytes,
        max_values=limits.max_values,
        body_timeout_s=http.body_timeout_s,
        min_body_bytes_per_s=http.min_body_bytes_per_s,
    )


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
