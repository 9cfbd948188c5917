"""Takes the session of a browser from a request, on the routes that take one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rerankd.contract.call_context import SessionCredentials

CSRF_HEADER: Final = "x-csrf-token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_TAKES: Final = "/api/"
_TAKES_KEYS_ONLY: Final = "/api/client/"


def session_of(route: str, headers: Mapping[str, str], http_method: str, cookie_name: str) -> SessionCredentials | None:
    """Return the session that a request names; None if it names none, or if its route takes none.

    Routes under /api/ take sessions, but for the interface of clients.

    Args:
        route: Template of its route.
        headers: Of the request.
        http_method: Of the request.
        cookie_name: Of the session's cookie; empty where there are no sessions.
    """
    if not cookie_name or not route.startswith(_TAKES) or route.startswith(_TAKES_KEYS_ONLY):
        return None
    sent = headers.get("cookie")
    value = None if sent is None else _value_of(sent, cookie_name)
    if not value:
        return None
    return SessionCredentials(value, headers.get(CSRF_HEADER, ""), http_method in _SAFE)


def _value_of(sent: str, name: str) -> str | None:
    for pair in sent.split(";"):
        found, _, value = pair.partition("=")
        if found.strip() == name:
            return value.strip()
    return None
