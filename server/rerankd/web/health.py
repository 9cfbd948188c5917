"""Health checks over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rerankd.web.errors import JSON

HEALTH_PATHS: Final = (
    "/health",
    "/healthz",
    "/ready",
    "/ping",
    "/v1/health",
    "/v1/health/live",
    "/v1/health/ready",
    "/.well-known/ready",
)
"""Kubernetes' usual paths, and those that other rerank servers' clients and probes know."""


class HealthPage:
    """Answers health checks: 200 while serving, else 503.

    Args:
        state: Says "starting", "serving" or "draining".
        on_check: Called with the address of each client.
    """

    def __init__(self, state: Callable[[], str], on_check: Callable[[str], None]) -> None:
        self._state = state
        self._on_check = on_check

    async def show(self, request: Request) -> Response:
        """Return the state as `{"status": ...}`."""
        if request.client is not None:
            self._on_check(request.client.host)
        state = self._state()
        return Response(msgspec.json.encode({"status": state}), 200 if state == "serving" else 503, media_type=JSON)
