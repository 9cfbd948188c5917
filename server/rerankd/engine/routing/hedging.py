"""Hedges: a second copy of a slow call. The first reply is used and the other call is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rerankd.engine.routing.deployment import Deployment
from rerankd_adapters.call import R

Send = Callable[[Deployment], Coroutine[Any, Any, R]]
"""Makes one provider call."""
ChooseHedge = Callable[[bool], Deployment | None]
"""Returns the deployment for the second copy, `None` if there is none; takes whether the delay has elapsed twice."""


async def send_hedged(
    send: Send[R], deployment: Deployment, delay_s: float, choose: ChooseHedge
) -> tuple[Deployment, R]:
    """Call `deployment`, and another one if it has not replied after `delay_s`; return the first reply.

    Args:
        send: Makes a call.
        deployment: Of the first call.
        delay_s: Seconds before the second copy; before each further question for one, if there is none.
        choose: Chooses the deployment of the second copy.

    Raises:
        Exception: Of the call that failed last, if all failed.
    """
    first = asyncio.create_task(send(deployment))
    calls = {first: deployment}
    try:
        second, is_late = None, False
        while second is None:
            await asyncio.wait(calls, timeout=delay_s)
            if first.done():
                return deployment, first.result()
            second = choose(is_late)
            is_late = True
        calls[asyncio.create_task(send(second))] = second
        return await _first_reply(calls)
    finally:
        for task in calls:
            task.cancel()
        if len(calls) > 1 or not first.done():
            await asyncio.gather(*calls, return_exceptions=True)
        elif not first.cancelled():
            first.exception()


async def _first_reply(calls: dict[asyncio.Task[R], Deployment]) -> tuple[Deployment, R]:
    pending: set[asyncio.Task[R]] = set(calls)
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return calls[task], task.result()
        if not pending:
            last = done.pop()
            return calls[last], last.result()
