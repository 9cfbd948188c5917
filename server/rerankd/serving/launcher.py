"""Runs the service in this process, or in several worker processes."""

from __future__ import annotations

from rerankd.serving.banner import announce
from rerankd.serving.supervisor import supervise
from rerankd.serving.worker import WorkerStart, run_worker
from rerankd.settings import Settings, SettingsOrigin
from rerankd.telemetry.logging import configure_logging


def run(settings: Settings, origin: SettingsOrigin) -> int:
    """Run the service until SIGTERM or SIGINT; return the process's exit code.

    Args:
        settings: Initial settings.
        origin: Reads them again on SIGHUP and when a file changes.
    """
    configure_logging(settings.log)
    if settings.server.workers > 1:
        return supervise(settings, origin, lambda addresses: announce(settings, addresses))
    return run_worker(WorkerStart(settings, settings, origin), lambda addresses: announce(settings, addresses))
