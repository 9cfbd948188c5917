"""One suite over both ledgers, and what each promises when processes or Redis fail."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from rerankd.access.limits.ledger import HEARTBEAT_S, Lease, Ledger, LedgerUnavailableError
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.redis_ledger import RedisLedger
from rerankd.access.limits.windows import Span, Window
from rerankd.cache.redis_link import RedisLink
from tests.support.ledgers import Clock, admitted, calls, comes_to, local, refused, used
from tests.support.redis import RedisServer
from tests.support.waiting import until

Open = Callable[[], Awaitable[Ledger]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.kill()


@pytest.fixture(params=["local", "redis"])
async def open_ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Open]:
    """Opens a ledger; all of one test share their counts, as processes do."""
    prefix = f"t{random.randrange(10**9)}"
    async with AsyncExitStack() as stack:

        async def opened() -> Ledger:
            if request.param == "local":
                ledger: Ledger = local(tmp_path, clock)
                await ledger.start()
            else:
                # Patient: a machine that is busy for ten seconds is no Redis that is away, and no process that died.
                link = RedisLink(request.getfixturevalue("redis").url, 60)
                ledger = RedisLedger(link, prefix, 60, clock, owner_ttl_s=600)
                await ledger.start()
                await until(lambda: link.is_up)
            stack.push_async_callback(ledger.close)
            return ledger

        yield opened


async def test_a_burst_is_admitted_up_to_the_limit_by_all_processes_together(open_ledger: Open) -> None:
    ledgers = [await open_ledger() for _ in range(4)]
    outcomes = await asyncio.gather(*(ledgers[number % 4].acquire(calls(100)) for number in range(300)))
    assert sum(isinstance(outcome, Lease) for outcome in outcomes) == 100


async def test_what_is_reserved_counts_until_it_is_settled_to_what_was_used(open_ledger: Open) -> None:
    ledger, other = await open_ledger(), await open_ledger()
    budget = calls(10, 4, Window(Span.MONTH, is_calendar=True), "a:usd:")
    first, second = await admitted(ledger, budget), await admitted(other, budget)
    assert second.used[0] == 8
    assert (await refused(ledger, budget)).reading.used == 8
    ledger.settle(first, [1.5])
    ledger.settle(first, [1.5])
    await comes_to(other, budget, 5.5)
    other.settle(second, [0])
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
    ledger.settle(lease, [1])
    await comes_to(ledger, places, 0)


async def test_a_rolling_window_forgets_evenly(open_ledger: Open, clock: Clock) -> None:
    ledger = await open_ledger()
    ledger.settle(await admitted(ledger, calls(60, 60)), [60])
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
    ledger.settle(await admitted(ledger, calls(10, 10)), [10])
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
    ledger.settle(await admitted(ledger, charges), [1])
    await comes_to(ledger, charges, 1)
    delay_s = (await refused(ledger, charges)).retry_after_s
    assert delay_s == month.remaining_s(clock.now_s)
    clock.now_s += delay_s
    assert await used(ledger, charges) == 0


async def test_counts_survive_a_restart(open_ledger: Open) -> None:
    first = await open_ledger()
    first.settle(await admitted(first, calls(3, 2)), [2])
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
            assert outcome.used[0] <= 100 + 1e-6
            leases.append((ledger, outcome, amount))
        if leases and generator.random() < 0.5:
            owner, lease, reserved = leases.pop(generator.randrange(len(leases)))
            actual = reserved * generator.random()
            owner.settle(lease, [actual])
            spent += actual
    assert spent <= 100
    for owner, lease, _ in leases:
        owner.settle(lease, [0])
    await comes_to(ledgers[0], calls(100, 1, day, "r:usd:"), spent)


DYING = """
import asyncio, sys
from pathlib import Path
from rerankd.access.limits.ledger import Charge
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.redis_ledger import RedisLedger
from rerankd.access.limits.windows import Span, Window
from rerankd.cache.redis_link import RedisLink

async def main(kind, where):
    if kind == "redis":
        ledger = RedisLedger(RedisLink(where, 1), "dying", 5)
    else:
        ledger = LocalLedger(Path(where), 1)
    await ledger.start()
    await ledger.acquire([Charge("a:usd:", 10, 10, Window(Span.DAY))])
    print("reserved", flush=True)
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", ["local", "redis"])
async def test_what_a_killed_process_reserved_is_dropped_within_ten_seconds(
    kind: str, tmp_path: Path, redis: RedisServer
) -> None:
    where = redis.url if kind == "redis" else str(tmp_path / "limits.counts")
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
    ledger.settle(lease, [1])
    if how == "kill":
        server.start()
    else:
        server.resume()

    async def is_back() -> bool:
        try:
            return await used(ledger, calls(5)) == 1  # what the call used, also in a Redis that lost everything
        except LedgerUnavailableError:
            return False

    async with asyncio.timeout(20):
        while not await is_back():
            await asyncio.sleep(0.05)
    await ledger.close()
    server.kill()
