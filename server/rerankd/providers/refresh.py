"""Asks servers, in the background, which models they serve and what those take."""

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
    """A deployment that can ask its server."""

    name: str
    refresh_s: float
    """Seconds between two questions; 0 for none at all."""

    async def refresh(self) -> bool:
        """Ask once and keep the answer; `False` when there is nobody to ask.

        Raises:
            AdapterError: What the server did instead; what was known before stays known.
        """
        ...


class Refresher:
    """Has every deployment it watches ask at once, and then every `refresh_s`.

    A deployment's next question waits for the answer to its last one, so a slow server is never asked twice at
    once. Failures are no caller's business: they are logged when they begin and when they end.

    Args:
        sleep: Waits for so many seconds.
    """

    def __init__(self, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._tasks: dict[Refreshable, asyncio.Task[None]] = {}

    def watch(self, deployments: Iterable[object]) -> None:
        """Watch these deployments and no others; returns at once.

        Args:
            deployments: Those that are not `Refreshable` are left alone.
        """
        wanted = [each for each in deployments if isinstance(each, Refreshable) and each.refresh_s > 0]
        for gone in self._tasks.keys() - set(wanted):
            self._tasks.pop(gone).cancel()
        for each in wanted:
            if each not in self._tasks:
                self._tasks[each] = asyncio.create_task(self._keep(each))

    async def close(self) -> None:
        """Stop asking; questions under way are dropped."""
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
    """Return why the server did not tell, empty when it did; `None` when there is nobody to ask."""
    try:
        return "" if await deployment.refresh() else None
    except AdapterError as error:
        return error.message
    except Exception as error:
        # An adapter of somebody else's may raise anything; it must not end the asking of this one for good.
        return f"its answer could not be read: {type(error).__name__}"


def _report(name: str, problem: str) -> None:
    if problem:
        _log.warning("models and limits not refreshed", provider=name, problem=problem)
    else:
        _log.info("models and limits refreshed", provider=name)
