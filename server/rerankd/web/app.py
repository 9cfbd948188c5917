"""The web application: the table of its routes, on Starlette."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from rerankd.contract.errors import ServiceError
from rerankd.gateway.asgi import Receive, Scope, Send
from rerankd.web.documents import Documents
from rerankd.web.errors import render_error
from rerankd.web.health import HEALTH_PATHS, HealthPage
from rerankd.web.metrics import MetricsPage

_ERROR_HANDLERS: Final = {ServiceError: render_error, HTTPException: render_error, Exception: render_error}


class WebApp:
    """An ASGI application over a table of routes. Satisfies `rerankd.gateway.asgi.MountedApp`.

    Safe for any number of requests of one event loop. Endpoints are coroutine functions, because Starlette runs plain
    functions in threads.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(routes)
        self._starlette = Starlette(routes=self._routes, exception_handlers=_ERROR_HANDLERS)
        self.page_paths = tuple(
            route.path for route in routes if not route.param_convertors and "GET" in (route.methods or ())
        )

    def methods(self, path: str) -> frozenset[str]:
        """Return the HTTP methods that the routes of a path take; empty where no route matches."""
        scope = {"type": "http", "method": "GET", "path": path}
        matching = [route for route in self._routes if route.matches(scope)[0] is not Match.NONE]
        return frozenset(method for route in matching for method in route.methods or ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope, whose state holds the `request_id`."""
        await self._starlette(scope, receive, send)


def create_web_app(*, health: Callable[[], str], version: str, metrics: Callable[[str], tuple[bytes, str]]) -> WebApp:
    """Build the application with all its routes.

    Args:
        health: Says "starting", "serving" or "draining"; called at every health request.
        version: Version shown by `GET /`.
        metrics: Renders the metrics as an `accept` header asks, with their media type.
    """
    documents = Documents(version)
    show_health = HealthPage(health).show
    return WebApp(
        [
            Route("/", documents.index),
            *(Route(path, show_health) for path in HEALTH_PATHS),
            Route("/openapi.json", documents.openapi),
            Route("/docs", documents.docs),
            Route("/metrics", MetricsPage(metrics).show),
        ]
    )
