"""Metrics for Prometheus to scrape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from rerankd.contract.call_context import CallContext
from rerankd.gateway.client_certificate import certificate_of
from rerankd.gateway.dialects.compatibility_routes import admit_everybody


class MetricsPage:
    """Answers scrapes.

    Args:
        render: Renders the metrics as an `accept` header asks, with their media type.
        admit: Raises `ServiceError` for callers who may not read them.
    """

    def __init__(
        self,
        render: Callable[[str], tuple[bytes, str]],
        admit: Callable[[CallContext], Awaitable[None]] = admit_everybody,
    ) -> None:
        self._render = render
        self._admit = admit

    async def show(self, request: Request) -> Response:
        """Return the metrics in the text format, or in OpenMetrics where `accept` prefers it."""
        call = CallContext(
            request_id=request.state.request_id,
            transport="http",
            metadata=dict(request.headers),
            client_certificate=certificate_of(request.scope),
        )
        await self._admit(call)
        body, media_type = self._render(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type})
