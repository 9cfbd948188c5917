"""Takes the session of a browser from a request, on the routes that take one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rerankd.contract.call_context import SessionCredentials
from rerankd.gateway.route_table import Route

CSRF_HEADER: Final = "x-csrf-token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_PAGES: Final = "/api/"
_OF_CLIENTS: Final = "/api/client/"


def takes_sessions(route: Route) -> bool:
    """Tell whether sessions count on a route: on all that manage, and on lists of models under /api/.

    What clients call, above all to rerank, takes keys alone.
    """
    path = route.template
    is_of_pages = path.startswith(_OF_PAGES) and not path.startswith(_OF_CLIENTS)
    return route.is_management or (is_of_pages and route.method != "rerank")


def session_of(headers: Mapping[str, str], http_method: str, cookie_name: str) -> SessionCredentials | None:
    """Return the session that a request of a route that takes sessions names; None if it names none.

    Args:
        headers: Of the request.
        http_method: Of the request.
        cookie_name: Of the session's cookie; empty where there are no sessions.
    """
    value = cookie_of(headers, cookie_name) if cookie_name else ""
    if not value:
        return None
    return SessionCredentials(value, headers.get(CSRF_HEADER, ""), http_method in _SAFE)


def cookie_of(headers: Mapping[str, str], name: str) -> str:
    """Return the value of a cookie; empty where the request does not have it."""
    for pair in headers.get("cookie", "").split(";"):
        found, _, value = pair.partition("=")
        if found.strip() == name:
            return value.strip()
    return ""
