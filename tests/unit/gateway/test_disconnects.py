"""Work ends when nobody waits for it, and other cancellations pass through."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rerankd.contract.errors import ServiceError
from rerankd.gateway.guard import CallGuard
from rerankd.gateway.refusal import ClientGoneError

BODY = b'{"query":"q","documents":["a"]}'


async def test_client_that_leaves_cancels_its_call(address: tuple[str, int], service: Any) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(*_: Any) -> Any:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.set()
            raise

    service.answer = wait
    _, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /rerank HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY))
    await asyncio.wait_for(started.wait(), 5)
    writer.close()

    await asyncio.wait_for(ended.wait(), 5)


async def test_connection_is_kept_for_the_next_call(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(3):
        writer.write(b"POST /rerank HTTP/1.1\r\nhost: g\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert (await reader.readexactly(length)).startswith(b'{"id"')
    writer.close()


async def test_guard_turns_a_departure_into_its_error() -> None:
    async def leave() -> None:
        await asyncio.sleep(0)

    async def work() -> None:
        async with CallGuard(None) as guard:
            guard.watch(leave)
            await asyncio.sleep(60)

    with pytest.raises(ClientGoneError):
        await work()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_guard_passes_other_cancellations_on() -> None:
    async def work() -> None:
        async with CallGuard(time.monotonic() + 60) as guard:
            guard.watch(lambda: asyncio.sleep(60))
            started.set()
            await asyncio.sleep(60)

    started = asyncio.Event()
    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("is_recorded", [False, True])
async def test_a_deadline_is_recorded_once(*, is_recorded: bool) -> None:
    async def wait() -> None:
        async with CallGuard(time.monotonic()) as guard:
            guard.is_recorded = is_recorded
            await asyncio.Event().wait()

    with pytest.raises(ServiceError) as raised:
        await wait()
    assert raised.value.is_recorded is is_recorded
