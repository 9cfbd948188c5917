"""One suite over both ledgers, and what each promises when processes or Redis fail."""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from rerankd.access.limits.ledger import HEARTBEAT_S, Charge, Lease, Ledger, LedgerUnavailableError, Refusal
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.memory_ledger import MemoryLedger
from rerankd.access.limits.redis_ledger import RedisLedger
from rerankd.access.limits.windows import MINUTE, Span, Window
from rerankd.cache.redis_link import RedisLink
from tests.support.redis import RedisServer

Open = Callable[[], Awaitable[Ledger]]


class Clock:
    """Unix time of a test."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0 // 60 * 60

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.kill()


def in_memory(folder: Path, clock: Callable[[], float] = time.time, write_every_s: float = 0.01) -> MemoryLedger:
    return MemoryLedger(LocalLedger(folder / "limits.db", 1, clock), write_every_s, clock, max_known=1)


@pytest.fixture(params=["local", "memory", "mixed", "redis"])
async def open_ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Open]:
    """Opens a ledger; all of one test share their counts, as processes do; the first counts in memory."""
    prefix = f"t{random.randrange(10**9)}"
    opened_before = 0
    async with AsyncExitStack() as stack:

        async def opened() -> Ledger:
            nonlocal opened_before
            opened_before += 1
            ledger: Ledger
            if request.param == "memory" or (request.param == "mixed" and opened_before % 2):
                ledger = in_memory(tmp_path, clock)
            elif request.param != "redis":
                ledger = LocalLedger(tmp_path / "limits.db", 1, clock)
            else:
                url = request.getfixturevalue("redis").url
                ledger = RedisLedger(RedisLink(url, 1), prefix, 5, clock)
            await ledger.start()
            stack.push_async_callback(ledger.close)
            return ledger

        yield opened


def calls(limit: float, amount: float = 1, window: Window | None = MINUTE, meter: str = "a:calls:") -> list[Charge]:
    return [Charge(meter, limit, amount, window)]


async def admitted(ledger: Ledger, charges: Sequence[Charge]) -> Lease:
    outcome = await ledger.acquire(charges)
    assert isinstance(outcome, Lease)
    return outcome


async def refused(ledger: Ledger, charges: Sequence[Charge]) -> Refusal:
    outcome = await ledger.acquire(charges)
    assert isinstance(outcome, Refusal)
    return outcome


async def used(ledger: Ledger, charges: Sequence[Charge]) -> float:
    [reading] = await ledger.read(charges)
    return reading.used


async def comes_to(ledger: Ledger, charges: Sequence[Charge], value: float) -> None:
    """Wait until a meter has a value; settlements over a network come soon, not at once."""

    async def is_so() -> bool:
        return math.isclose(await used(ledger, charges), value, abs_tol=1e-9)

    async with asyncio.timeout(10):
        while not await is_so():
            await asyncio.sleep(0.005)


async def test_a_burst_is_admitted_up_to_the_limit_by_all_processes_together(open_ledger: Open) -> None:
    ledgers = [await open_ledger() for _ in range(4)]
    outcomes = await asyncio.gather(*(ledgers[number % 4].acquire(calls(100)) for number in range(300)))
    assert sum(isinstance(outcome, Lease) for outcome in outcomes) == 100


async def test_what_is_reserved_counts_until_it_is_settled_to_what_was_used(open_ledger: Open) -> None:
    ledger, other = await open_ledger(), await open_ledger()
    budget = calls(10, 4, Window(Span.MONTH, is_calendar=True), "a:usd:")
    first, second = await admitted(ledger, budget), await admitted(other, budget)
    assert second.readings[0].used == 8
    assert (await refused(ledger, budget)).reading.used == 8
    ledger.settle(first, {"a:usd:": 1.5})
    ledger.settle(first, {"a:usd:": 1.5})
    await comes_to(other, budget, 5.5)
    other.settle(second, {})
    await comes_to(ledger, budget, 1.5)


async def test_all_charges_or_none(open_ledger: Open) -> None:
    ledger = await open_ledger()
    wide, narrow = calls(5, meter="wide:calls:"), calls(1, meter="narrow:calls:")
    await admitted(ledger, [*wide, *narrow])
    refusal = await refused(ledger, [*wide, *narrow])
    assert refusal.reading.charge == narrow[0]
    assert await used(ledger, wide) == 1


async def test_places_are_given_back(open_ledger: Open) -> None:
    ledger = await open_ledger()
    places = calls(1, window=None, meter="a:concurrent:")
    lease = await admitted(ledger, places)
    refusal = await refused(ledger, places)
    assert refusal.retry_after_s == 1
    ledger.settle(lease, {"a:concurrent:": 1})
    await comes_to(ledger, places, 0)


async def test_a_rolling_window_forgets_evenly(open_ledger: Open, clock: Clock) -> None:
    ledger = await open_ledger()
    ledger.settle(await admitted(ledger, calls(60, 60)), {"a:calls:": 60})
    await comes_to(ledger, calls(60), 60)
    clock.now_s += 90
    assert await used(ledger, calls(60)) == pytest.approx(30)
    await admitted(ledger, calls(60, 30))
    refusal = await refused(ledger, calls(60, 10))
    assert refusal.retry_after_s == pytest.approx(10)
    clock.now_s += 120
    assert await used(ledger, calls(60)) == 30


async def test_retry_delay_is_long_enough(open_ledger: Open, clock: Clock) -> None:
    ledger = await open_ledger()
    clock.now_s += 20
    ledger.settle(await admitted(ledger, calls(10, 10)), {"a:calls:": 10})
    await comes_to(ledger, calls(10), 10)
    delay_s = (await refused(ledger, calls(10, 5))).retry_after_s
    assert delay_s is not None
    assert delay_s == pytest.approx(40 + 30)
    clock.now_s += delay_s - 1
    await refused(ledger, calls(10, 5))
    clock.now_s += 1.001
    await admitted(ledger, calls(10, 5))


async def test_a_charge_above_the_limit_never_fits(open_ledger: Open) -> None:
    assert (await refused(await open_ledger(), calls(10, 11))).retry_after_s is None


async def test_a_calendar_month_ends(open_ledger: Open, clock: Clock) -> None:
    ledger, month = await open_ledger(), Window(Span.MONTH, is_calendar=True)
    charges = calls(1, 1, month, "a:usd:")
    ledger.settle(await admitted(ledger, charges), {"a:usd:": 1})
    await comes_to(ledger, charges, 1)
    delay_s = (await refused(ledger, charges)).retry_after_s
    assert delay_s == month.remaining_s(clock.now_s)
    clock.now_s += delay_s
    assert await used(ledger, charges) == 0


async def test_counts_survive_a_restart(open_ledger: Open) -> None:
    first = await open_ledger()
    first.settle(await admitted(first, calls(3, 2)), {"a:calls:": 2})
    await admitted(first, calls(3))
    await first.close()
    assert await used(await open_ledger(), calls(3)) == 2


async def test_random_calls_never_exceed_a_limit(open_ledger: Open, clock: Clock) -> None:
    generator = random.Random(7)
    ledgers = [await open_ledger() for _ in range(3)]
    spent, leases = 0.0, list[tuple[Ledger, Lease, float]]()
    day = Window(Span.DAY, is_calendar=True)
    for _ in range(300):
        ledger = generator.choice(ledgers)
        amount = generator.choice([0.5, 1.0, 7.0])
        outcome = await ledger.acquire(calls(100, amount, day, "r:usd:"))
        if isinstance(outcome, Lease):
            assert outcome.readings[0].used <= 100 + 1e-6
            leases.append((ledger, outcome, amount))
        if leases and generator.random() < 0.5:
            owner, lease, reserved = leases.pop(generator.randrange(len(leases)))
            actual = reserved * generator.random()
            owner.settle(lease, {"r:usd:": actual})
            spent += actual
    assert spent <= 100
    for owner, lease, _ in leases:
        owner.settle(lease, {})
    await comes_to(ledgers[0], calls(100, 1, day, "r:usd:"), spent)


async def test_a_second_process_starts_once_the_first_has_written_all(tmp_path: Path, clock: Clock) -> None:
    day = calls(10, 4, Window(Span.DAY), "a:usd:")
    first = in_memory(tmp_path, clock)
    await first.start()
    first.settle(await admitted(first, day), {"a:usd:": 2})
    lease = await admitted(first, day)
    async with asyncio.timeout(5):
        second = in_memory(tmp_path, clock)
        await second.start()
    assert await used(second, day) == 6
    assert (await refused(second, calls(10, 4.5, Window(Span.DAY), "a:usd:"))).reading.used == 6
    first.settle(lease, {"a:usd:": 3})
    other = await admitted(second, day)
    assert await used(first, day) == 9
    await first.close()
    await asyncio.sleep(0.1)
    second.settle(other, {"a:usd:": 1})
    assert await used(second, day) == pytest.approx(6)
    await second.close()
    assert await used(LocalLedger(tmp_path / "limits.db", 1, clock), day) == pytest.approx(6)


@pytest.mark.parametrize("write_every_s", [0.01, 3600])
async def test_a_killed_process_forgets_no_money(tmp_path: Path, clock: Clock, write_every_s: float) -> None:
    """What is in the file at any moment is what was spent, and a hundredth of the budget at most."""
    ledger, file = in_memory(tmp_path, clock, write_every_s), LocalLedger(tmp_path / "limits.db", 1, clock)
    await ledger.start()
    for number in range(1, 201):
        ledger.settle(await admitted(ledger, calls(200, 1, Window(Span.MONTH), "a:usd:")), {"a:usd:": 0.99})
        left = await used(file, calls(200, 1, Window(Span.MONTH), "a:usd:"))
        assert 0.99 * number - 1e-6 <= left <= 0.99 * number + 2
        if number % 50 == 0:
            await asyncio.sleep(0.03)
            assert await used(ledger, calls(200, 1, Window(Span.MONTH), "a:usd:")) == pytest.approx(0.99 * number)
    assert left <= 200
    await ledger.close()
    assert await used(file, calls(200, 1, Window(Span.MONTH), "a:usd:")) == pytest.approx(198)


async def test_what_the_file_holds_ahead_ends_with_the_period(tmp_path: Path, clock: Clock) -> None:
    ledger, file = in_memory(tmp_path, clock, 3600), LocalLedger(tmp_path / "limits.db", 1, clock)
    day = calls(1000, 1, Window(Span.DAY, is_calendar=True), "a:usd:")
    await ledger.start()
    ledger.settle(await admitted(ledger, day), {"a:usd:": 1})
    assert await used(file, day) == 3
    clock.now_s += 86_400
    ledger.settle(await admitted(ledger, day), {"a:usd:": 1})
    assert await used(ledger, day) == 1
    await ledger.close()
    assert await used(file, day) == 1


async def test_a_file_that_is_away_is_a_ledger_that_is_away_in_memory_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ledger = MemoryLedger(LocalLedger(tmp_path / "file" / "limits.db", 0.1), 60)
    await ledger.start()
    with pytest.raises(LedgerUnavailableError):
        await ledger.acquire(calls(1))
    await ledger.close()


async def test_a_file_that_cannot_be_written_is_a_ledger_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ledger = LocalLedger(tmp_path / "file" / "limits.db", 0.1)
    await ledger.start()
    with pytest.raises(LedgerUnavailableError):
        await ledger.acquire(calls(1))
    await ledger.close()


DYING = """
import asyncio, sys
from pathlib import Path
from rerankd.access.limits.ledger import Charge
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.memory_ledger import MemoryLedger
from rerankd.access.limits.redis_ledger import RedisLedger
from rerankd.access.limits.windows import Span, Window
from rerankd.cache.redis_link import RedisLink

async def main(kind, where):
    if kind == "redis":
        ledger = RedisLedger(RedisLink(where, 1), "dying", 5)
    else:
        ledger = LocalLedger(Path(where), 1)
        ledger = MemoryLedger(ledger, 0.1) if kind == "memory" else ledger
    await ledger.start()
    await ledger.acquire([Charge("a:usd:", 10, 10, Window(Span.DAY))])
    print("reserved", flush=True)
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", ["local", "memory", "redis"])
async def test_what_a_killed_process_reserved_is_dropped_within_ten_seconds(
    kind: str, tmp_path: Path, redis: RedisServer
) -> None:
    where = redis.url if kind == "redis" else str(tmp_path / "limits.db")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", DYING, kind, where, stdout=PIPE)
    assert process.stdout is not None
    while await process.stdout.readline() not in (b"reserved\n", b""):
        pass
    ledger = RedisLedger(RedisLink(where, 1), "dying", 5) if kind == "redis" else LocalLedger(Path(where), 1)
    await ledger.start()
    budget = calls(10, 10, Window(Span.DAY), "a:usd:")
    await asyncio.sleep(HEARTBEAT_S + 0.5)
    await refused(ledger, budget)
    process.kill()
    await process.wait()
    async with asyncio.timeout(10):
        while not isinstance(await ledger.acquire(budget), Lease):
            await asyncio.sleep(0.2)
    await ledger.close()


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_no_call_waits_longer_than_its_timeout_for_redis(how: str) -> None:
    server = RedisServer()
    ledger = RedisLedger(RedisLink(server.url, 1, longest_pause_s=1), "t", 0.2)
    await ledger.start()
    lease = await admitted(ledger, calls(5))
    getattr(server, how)()
    loop = asyncio.get_running_loop()
    for _ in range(5):
        began_s = loop.time()
        with pytest.raises(LedgerUnavailableError):
            await ledger.acquire(calls(5))
        assert loop.time() - began_s < 1
    ledger.settle(lease, {"a:calls:": 1})
    if how == "kill":
        server.start()
    else:
        server.resume()

    async def is_back() -> bool:
        try:
            return await used(ledger, calls(5)) == (1 if how == "pause" else 0)
        except LedgerUnavailableError:
            return False

    async with asyncio.timeout(20):
        while not await is_back():
            await asyncio.sleep(0.05)
    await ledger.close()
    server.kill()


async def test_calls_wait_for_another_process_that_writes_and_are_counted(tmp_path: Path) -> None:
    ledger = LocalLedger(tmp_path / "limits.db", 0.001)
    await ledger.start()
    lease = await admitted(ledger, calls(3))
    with closing(sqlite3.connect(tmp_path / "limits.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        ledger.settle(lease, {"a:calls:": 1})
        waiting = [asyncio.create_task(ledger.acquire(calls(3))) for _ in range(4)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        other.execute("rollback")
    outcomes = await asyncio.gather(*waiting)
    assert [type(outcome) for outcome in outcomes].count(Lease) == 2
    await comes_to(ledger, calls(3), 3)
    await ledger.close()


async def test_a_file_that_stays_locked_is_waited_for_a_second(tmp_path: Path) -> None:
    ledger = LocalLedger(tmp_path / "limits.db", 0.001)
    await ledger.start()
    with closing(sqlite3.connect(tmp_path / "limits.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(LedgerUnavailableError):
            await ledger.acquire(calls(3))
        async with asyncio.timeout(0.5):
            with pytest.raises(LedgerUnavailableError):
                await ledger.acquire(calls(3))
        other.execute("rollback")
    await admitted(ledger, calls(3))
    await ledger.close()
