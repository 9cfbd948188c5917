"""Types of the ASGI interface, as far as the gateway uses it, and of the application mounted beside its routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence, Set
from typing import Any, Protocol, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class MountedApp(Protocol):
    """An ASGI application that answers the paths for which the gateway has no route."""

    @property
    def page_paths(self) -> Sequence[str]:
        """Exact paths of its pages: their requests are not traced, and a 404 may suggest them."""
        ...

    def methods(self, path: str) -> Set[str]:
        """Return the HTTP methods that it takes at a normalised path; empty where it has no route."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; `scope["state"]["request_id"]` is the id of the call."""
        ...
