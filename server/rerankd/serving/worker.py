"""Runs one worker process: signals, start, reload, drain, stop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec
import structlog

from rerankd.providers.factory import ProviderSettingsError
from rerankd.serving.listening import Addresses, CannotStartError
from rerankd.serving.reload import Reloader
from rerankd.serving.service import Service
from rerankd.settings import Settings, SettingsOrigin
from rerankd.telemetry.exporters import TelemetrySettingsError

EXIT_OK: Final = 0
EXIT_CANNOT_START: Final = 1
_YOUNG_OBJECTS: Final = 10_000
"""Threshold of the youngest generation: more objects than 128 calls of the run log have. The default, 700, costs a call
12 us (docs/decisions/0059)."""

_log = structlog.get_logger("rerankd")


class WorkerStart(msgspec.Struct, frozen=True):
    """Arguments of a worker process."""

    settings: Settings
    """Initial settings, with resolved ports and threads."""
    as_read: Settings
    """The settings as read, before ports and threads were resolved for the workers."""
    origin: SettingsOrigin
    """Reads the settings again."""


def run_worker(
    start: WorkerStart,
    announce: Callable[[Addresses], None],
    balancer_seen: ctypes.c_bool | None = None,
    supervisor: int | None = None,
) -> int:
    """Run one worker in this process until SIGTERM or SIGINT; return the exit code.

    Args:
        start: Settings and their origin.
        announce: Called with the addresses once the worker is ready.
        balancer_seen: Shared by the workers; see `LoadBalancerSigns`.
        supervisor: Becomes readable when the process that started this one has ended, whereupon this one stops too;
            default: this one is alone.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(start, announce, balancer_seen, supervisor))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


class _Stop:
    """Whether and why to stop. For one event loop."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.is_replaced = False
        """Whether a successor answers already."""

    def retire(self) -> None:
        """Stop, as the successor answers."""
        self.is_replaced = True
        self.requested.set()

    def watch(self, supervisor: int | None) -> None:
        """Stop on SIGTERM and SIGINT, on SIGUSR2 of the supervisor, and when that has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.requested.set)
        if supervisor is None:
            loop.add_signal_handler(signal.SIGUSR2, _refuse_rolling_restart)
            return
        loop.add_signal_handler(signal.SIGUSR2, self.retire)

        def orphaned() -> None:
            loop.remove_reader(supervisor)
            _log.error("the supervisor has ended")
            self.requested.set()

        loop.add_reader(supervisor, orphaned)


def _refuse_rolling_restart() -> None:
    _log.warning("a rolling restart needs server.workers of 2 or more; SIGHUP reloads the settings")


async def _serve(
    start: WorkerStart,
    announce: Callable[[Addresses], None],
    balancer_seen: ctypes.c_bool | None,
    supervisor: int | None,
) -> int:
    stop = _Stop()
    stop.watch(supervisor)
    stopping = stop.requested
    loop = asyncio.get_running_loop()
    started_s = time.monotonic()
    try:
        service = Service(start.settings, start.as_read, balancer_seen)
    except (ProviderSettingsError, TelemetrySettingsError, CannotStartError) as error:
        _log.error("cannot start", problem=str(error))
        return EXIT_CANNOT_START
    reloader = Reloader(start.origin, service.reload)
    loop.add_signal_handler(signal.SIGHUP, reloader.request_reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGUSR2})
    await reloader.catch_up()
    try:
        addresses = await _unless(stopping, service.start())
    except CannotStartError as error:
        _log.error("cannot start", problem=str(error))
        await service.stop()
        return EXIT_CANNOT_START
    reloading = asyncio.create_task(reloader.run())
    if addresses is not None:
        _relieve_garbage_collector()
        _log.info(
            "ready",
            **msgspec.structs.asdict(addresses),
            start_ms=round((time.monotonic() - started_s) * 1000),
        )
        announce(addresses)
        await stopping.wait()
    reloading.cancel()
    _log.info(
        "draining",
        delay_s=0.0 if stop.is_replaced else service.drain_delay_s,
        grace_s=start.settings.server.drain_grace_s,
        load_balancer=service.signs.sign or None,
        is_replaced=stop.is_replaced or None,
    )
    await service.stop(is_replaced=stop.is_replaced)
    _log.info("stopped")
    return EXIT_OK


def _relieve_garbage_collector() -> None:
    """Exclude start-up objects from garbage collection: a full one of 90,000 objects pauses all calls for 40 ms.

    A young one, in a call's path too, comes after more objects than those of the calls that wait for deferred work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


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
