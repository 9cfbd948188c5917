"""Gates: what a call of a service passes before the service answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeAlias, TypeVar

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError

S = TypeVar("S")

Gate: TypeAlias = Callable[[str, CallContext], Awaitable[tuple[S, CallContext]]]
"""Takes the rpc, such as "AccessService.GetKey", and the call; returns the service that answers it, and the call to
answer. Raises `ServiceError` for a call that may not be made."""


def open_to_all(service: S) -> Gate[S]:
    """Make the gate of a service that everybody may call."""

    async def admit(_rpc: str, call: CallContext) -> tuple[S, CallContext]:
        return service, call

    return admit


def closed(setting: str, problem: str) -> Callable[[str, CallContext], Awaitable[NoReturn]]:
    """Make the gate of a service that the settings leave closed.

    Args:
        setting: The setting that opens it.
        problem: Why it is closed and what to do, without the name of the service.
    """

    async def refuse(rpc: str, _call: CallContext) -> NoReturn:
        service = rpc.partition(".")[0]
        metadata = {"service": service, "setting": setting}
        raise ServiceError(Reason.SERVICE_DISABLED, f"{service} is not available: {problem}", metadata=metadata)

    return refuse


async def not_opened(rpc: str, _call: CallContext) -> NoReturn:
    """Refuse a call of a service that this process does not serve at all."""
    service = rpc.partition(".")[0]
    message = f"{service} is not served here; call a server (`rerankd serve`)"
    raise ServiceError(Reason.SERVICE_DISABLED, message, metadata={"service": service})
