"""Runs the service as its settings say: in this process, or in several."""

from __future__ import annotations

from rerankd.app import run_worker
from rerankd.banner import announce
from rerankd.settings import Settings
from rerankd.telemetry.logging import configure_logging
from rerankd.workers import supervise


def run(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT; return the process's exit code."""
    configure_logging(settings.log)
    if settings.server.workers > 1:
        return supervise(settings, lambda addresses: announce(settings, addresses))
    return run_worker(settings, lambda addresses: announce(settings, addresses))
