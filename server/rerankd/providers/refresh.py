"""Background refresh of the models and capabilities that servers report."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol, runtime_checkable

import structlog

from rerankd_adapters.base import AdapterError

DEFAULT_REFRESH_S: Final = 300.0

_log = structlog.get_logger("rerankd.providers")


@runtime_checkable
class Refreshable(Protocol):
    """A provider that can refresh its models and capabilities from the server."""

    name: str
    refresh_s: float
    """Seconds between refreshes; 0 disables them."""

    async def refresh(self) -> bool:
        """Refresh once; return `False` if the provider has no such route.

        Raises:
            AdapterError: The request failed; the previous capabilities stay in effect.
        """
        ...


class Refresher:
    """Refreshes every watched provider immediately and then every `refresh_s` seconds.

    At most one refresh per provider is in flight. Failures never reach callers; they are logged when they start and
    when they end.

    Args:
        sleep: Awaits a number of seconds.
    """

    def __init__(self, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._tasks: dict[Refreshable, asyncio.Task[None]] = {}

    def watch(self, deployments: Iterable[object]) -> None:
        """Replace the watched providers; returns immediately.

        Args:
            deployments: Providers; those that are not `Refreshable` are ignored.
        """
        wanted = [each for each in deployments if isinstance(each, Refreshable) and each.refresh_s > 0]
        for gone in self._tasks.keys() - set(wanted):
            self._tasks.pop(gone).cancel()
        for each in wanted:
            if each not in self._tasks:
                self._tasks[each] = asyncio.create_task(self._keep(each))

    async def close(self) -> None:
        """Stop; refreshes in flight are cancelled."""
        tasks = list(self._tasks.values())
        self._tasks = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, deployment: Refreshable) -> None:
        was_told: bool | None = None
        while True:
            problem = await _ask(deployment)
            if problem is None:
                return
            is_told = not problem
            if is_told is not was_told:
                _report(deployment.name, problem)
            was_told = is_told
            await self._sleep(deployment.refresh_s)


async def _ask(deployment: Refreshable) -> str | None:
    """Refresh once; return the failure, empty on success, or `None` if the provider cannot refresh."""
    try:
        return "" if await deployment.refresh() else None
    except AdapterError as error:
        return error.message
    except Exception as error:  # a third-party adapter may raise anything; that must not end the refresh loop
        return f"its answer could not be read: {type(error).__name__}"


def _report(name: str, problem: str) -> None:
    if problem:
        _log.warning("models and limits not refreshed", provider=name, problem=problem)
    else:
        _log.info("models and limits refreshed", provider=name)
