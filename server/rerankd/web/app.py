"""The web application: the table of its routes, on Starlette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from rerankd.access.sessions.redirect_logins import CALLBACK_PATH, LOGIN_PATH
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.gateway.asgi import Receive, Scope, Send
from rerankd.gateway.dialects.compatibility_routes import admit_everybody
from rerankd.web.documents import Documents
from rerankd.web.errors import render_error
from rerankd.web.health import HEALTH_PATHS, HealthPage
from rerankd.web.metrics import MetricsPage
from rerankd.web.oidc import OidcPages
from rerankd.web.session import SESSION_PATH, SessionPages

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
            route.path
            for route in routes
            if not route.param_convertors and "GET" in (route.methods or ()) and route.path != SESSION_PATH
        )

    def endpoints(self) -> frozenset[tuple[str, str]]:
        """List every endpoint: HTTP method, without HEAD, and path."""
        return frozenset(
            (method, route.path) for route in self._routes for method in route.methods or () if method != "HEAD"
        )

    def methods(self, path: str) -> frozenset[str]:
        """Return the HTTP methods that the routes of a path take; empty where no route matches."""
        scope = {"type": "http", "method": "GET", "path": path}
        matching = [route for route in self._routes if route.matches(scope)[0] is not Match.NONE]
        return frozenset(method for route in matching for method in route.methods or ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection scope, whose state holds the `request_id`."""
        await self._starlette(scope, receive, send)


def create_web_app(
    *,
    health: Callable[[], str],
    version: str,
    metrics: Callable[[str], tuple[bytes, str]],
    on_health_check: Callable[[str], None] = lambda _address: None,
    admit_scrape: Callable[[CallContext], Awaitable[None]] = admit_everybody,
    sessions: SessionPages | None = None,
    logins: OidcPages | None = None,
) -> WebApp:
    """Build the application with all its routes.

    Args:
        health: Says "starting", "serving" or "draining"; called at every health request.
        version: Version shown by `GET /`.
        metrics: Renders the metrics as an `accept` header asks, with their media type.
        on_health_check: Called with the address of each client that asks for the health.
        admit_scrape: Raises `ServiceError` for callers who may not read the metrics; default: everybody may.
        sessions: Endpoints of sessions; default: they say that there are none.
        logins: Endpoints of logins at an OpenID provider; default: likewise.
    """
    sessions = sessions or SessionPages(None, "access.enabled")
    logins = logins or OidcPages(None, "access.enabled")
    documents = Documents(version)
    show_health = HealthPage(health, on_health_check).show
    return WebApp(
        [
            Route("/", documents.index),
            *(Route(path, show_health) for path in HEALTH_PATHS),
            Route("/openapi.json", documents.openapi),
            Route("/docs", documents.docs),
            Route("/metrics", MetricsPage(metrics, admit_scrape).show),
            Route(SESSION_PATH, sessions.open, methods=["POST"]),
            Route(SESSION_PATH, sessions.show),
            Route(SESSION_PATH, sessions.close, methods=["DELETE"]),
            Route(LOGIN_PATH, logins.begin),
            Route(CALLBACK_PATH, logins.complete),
        ]
    )
