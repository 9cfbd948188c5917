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
    """

    def __init__(self, state: Callable[[], str]) -> None:
        self._state = state

    async def show(self, _request: Request) -> Response:
        """Return the state as `{"status": ...}`."""
        state = self._state()
        return Response(msgspec.json.encode({"status": state}), 200 if state == "serving" else 503, media_type=JSON)
