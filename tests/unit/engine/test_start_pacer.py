"""StartPacer: a limited number of starts per iteration, first in, first out."""

from __future__ import annotations

import asyncio

from rerankd.engine.start_pacer import StartPacer


class Clock:
    """Counts the pacer of the event loop."""

    def __init__(self) -> None:
        self.turn = 0
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._count)

    def _count(self) -> None:
        self.turn += 1
        if self.turn < 1000:
            self._loop.call_soon(self._count)


async def begin(pacer: StartPacer, begun: list[tuple[int, int]], number: int, clock: Clock) -> None:
    if not pacer.try_start():
        await pacer.wait()
    begun.append((clock.turn, number))


async def test_calls_that_come_at_once_begin_two_a_turn_in_their_order() -> None:
    pacer, begun, clock = StartPacer(2), list[tuple[int, int]](), Clock()
    await asyncio.gather(*(begin(pacer, begun, number, clock) for number in range(9)))
    assert [number for _, number in begun] == list(range(9))
    per_turn = [sum(turn == each for turn, _ in begun) for each in {turn for turn, _ in begun}]
    assert max(per_turn) == 2
    assert len(per_turn) <= 6


async def test_a_call_that_comes_alone_does_not_wait() -> None:
    pacer = StartPacer(2)
    for _ in range(5):
        assert pacer.try_start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_calls_that_are_cancelled_while_they_wait_keep_nobody_back() -> None:
    pacer, begun, clock = StartPacer(1), list[tuple[int, int]](), Clock()
    tasks = [asyncio.create_task(begin(pacer, begun, number, clock)) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[1:19]:
        task.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [number for _, number in begun if number in (0, 19)] == [0, 19]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pacer.try_start()
