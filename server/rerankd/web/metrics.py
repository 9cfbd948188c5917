"""Metrics for Prometheus to scrape."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response


class MetricsPage:
    """Answers scrapes.

    Args:
        render: Renders the metrics as an `accept` header asks, with their media type.
    """

    def __init__(self, render: Callable[[str], tuple[bytes, str]]) -> None:
        self._render = render

    async def show(self, request: Request) -> Response:
        """Return the metrics in the text format, or in OpenMetrics where `accept` prefers it."""
        body, media_type = self._render(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type})
