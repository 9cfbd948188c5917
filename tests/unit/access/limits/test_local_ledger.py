"""The ledger in a file that processes share: what it promises beside the suite over both ledgers."""

from __future__ import annotations

import asyncio
import fcntl
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from rerankd.access.limits.counts_file import BUCKET
from rerankd.access.limits.ledger import Charge, Lease, LedgerUnavailableError
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.windows import MINUTE, Span, Window
from tests.support.ledgers import Clock, admitted, calls, comes_to, local, refused, used


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_second_process_sees_at_once_what_the_first_counts(tmp_path: Path, clock: Clock) -> None:
    day = calls(10, 4, Window(Span.DAY), "a:usd:")
    first = local(tmp_path, clock)
    await first.start()
    first.settle(await admitted(first, day), [2])
    lease = await admitted(first, day)
    second = local(tmp_path, clock)
    await second.start()
    assert await used(second, day) == 6
    assert (await refused(second, calls(10, 4.5, Window(Span.DAY), "a:usd:"))).reading.used == 6
    first.settle(lease, [3])
    other = await admitted(second, day)
    assert await used(first, day) == 9
    await first.close()
    second.settle(other, [1])
    assert await used(second, day) == pytest.approx(6)
    await second.close()
    assert await used(local(tmp_path, clock), day) == pytest.approx(6)


async def test_what_is_used_is_in_the_file_at_once(tmp_path: Path, clock: Clock) -> None:
    """So that a process that is killed at any moment forgets no money."""
    ledger, file = local(tmp_path, clock), local(tmp_path, clock)
    await ledger.start()
    for number in range(1, 201):
        ledger.settle(await admitted(ledger, calls(200, 1, Window(Span.MONTH), "a:usd:")), [0.99])
        assert await used(file, calls(200, 1, Window(Span.MONTH), "a:usd:")) == pytest.approx(0.99 * number)
    await ledger.close()
    assert await used(file, calls(200, 1, Window(Span.MONTH), "a:usd:")) == pytest.approx(198)
    await file.close()


async def test_what_a_process_reserved_that_ended_counts_for_none_that_takes_its_column(
    tmp_path: Path, clock: Clock
) -> None:
    first, watching = local(tmp_path, clock), local(tmp_path, clock)
    await watching.start()
    await first.start()
    await admitted(first, calls(10, 10))
    await first.close()
    second = local(tmp_path, clock)
    await second.start()
    await admitted(second, calls(10, 10))
    assert await used(watching, calls(10)) == 10
    await refused(watching, calls(10))
    await second.close()
    await watching.close()


async def test_what_a_call_uses_however_it_ends_is_used_at_once_and_once(tmp_path: Path, clock: Clock) -> None:
    month = Window(Span.MONTH)
    charges = [Charge("a:calls:", 3, 1, MINUTE, is_final=True), Charge("a:usd:", 9, 2, month)]
    one, other = local(tmp_path, clock), local(tmp_path, clock)
    await one.start()
    await other.start()
    lease = await admitted(one, charges)
    assert [reading.used for reading in await other.read(charges)] == [1, 2]
    clock.now_s += 60
    assert [reading.used for reading in await other.read(charges)] == [1, 2]
    clock.now_s += 60
    assert [reading.used for reading in await other.read(charges)] == [0, 2]
    one.settle(lease, [1, 0.5])
    assert [reading.used for reading in await other.read(charges)] == [0, 0.5]
    leases = [await admitted(ledger, charges) for ledger in (one, other, one)]
    refusal = await refused(other, charges)
    assert (refusal.reading.charge, refusal.reading.used) == (charges[0], 3)
    assert (await other.read(charges))[1].used == 6.5, "a refused call reserves nothing"
    for ledger, each in zip((one, other, one), leases, strict=True):
        ledger.settle(each, [1, 0])
    assert [reading.used for reading in await one.read(charges)] == [3, 0.5]
    await one.close()
    await other.close()


async def test_a_full_bucket_forgets_the_meter_that_expires_first_and_none_that_is_reserved(
    tmp_path: Path, clock: Clock
) -> None:
    ledger = LocalLedger(tmp_path / "limits.counts", 1, clock, meters=BUCKET)
    await ledger.start()
    month = Window(Span.MONTH, is_calendar=True)
    held = await admitted(ledger, calls(5, meter="held"))
    ledger.settle(await admitted(ledger, calls(5, meter="minute")), [1])
    for number in range(BUCKET - 2):
        ledger.settle(await admitted(ledger, calls(5, 1, month, f"month{number}")), [1])
    await admitted(ledger, calls(5, 1, month, "one more"))
    assert await used(ledger, calls(5, meter="minute")) == 0
    assert await used(ledger, calls(5, meter="held")) == 1
    for number in range(BUCKET - 2):
        assert await used(ledger, calls(5, 1, month, f"month{number}")) == 1
    ledger.settle(held, [0])
    await ledger.close()


async def test_a_new_meter_takes_the_row_of_no_other_meter_of_its_call(tmp_path: Path, clock: Clock) -> None:
    ledger = LocalLedger(tmp_path / "limits.counts", 1, clock, meters=BUCKET)
    await ledger.start()
    for number in range(BUCKET):
        ledger.settle(await admitted(ledger, calls(5, meter=f"m{number}")), [1])
        clock.now_s += 0.1
    lease = await admitted(ledger, [*calls(5, meter="new"), *calls(5, 2, meter="m0")])
    assert (await used(ledger, calls(5, meter="new")), await used(ledger, calls(5, meter="m0"))) == (1, 3)
    assert await used(ledger, calls(5, meter="m1")) == 0, "forgotten, as it expires first"
    ledger.settle(lease, [1, 3])
    assert (await used(ledger, calls(5, meter="new")), await used(ledger, calls(5, meter="m0"))) == (1, 4)
    await ledger.close()


async def test_a_row_on_which_nothing_was_reserved_may_be_another_meters_when_the_call_ends(
    tmp_path: Path, clock: Clock
) -> None:
    ledger = LocalLedger(tmp_path / "limits.counts", 1, clock, meters=BUCKET)
    await ledger.start()
    free, costly = [await admitted(ledger, [*calls(5), *calls(9, 0, meter=f"usd{number}")]) for number in range(2)]
    clock.now_s += 600
    for number in range(BUCKET):
        ledger.settle(await admitted(ledger, calls(5, meter=f"m{number}")), [1])
        clock.now_s += 0.1
    before = [await used(ledger, calls(5, meter=f"m{number}")) for number in range(BUCKET)]
    ledger.settle(free, [1, 0])
    assert [await used(ledger, calls(5, meter=f"m{number}")) for number in range(BUCKET)] == before
    ledger.settle(costly, [1, 4])
    assert await used(ledger, calls(9, meter="usd1")) == 4
    assert await used(ledger, calls(5)) == 2
    await ledger.close()


async def test_calls_that_hold_every_meter_of_a_bucket_leave_no_room(tmp_path: Path, clock: Clock) -> None:
    ledger = LocalLedger(tmp_path / "limits.counts", 1, clock, meters=BUCKET)
    await ledger.start()
    leases = [await admitted(ledger, calls(5, meter=f"m{number}")) for number in range(BUCKET)]
    with pytest.raises(LedgerUnavailableError, match="no room"):
        await ledger.acquire(calls(5, meter="more"))
    ledger.settle(leases[0], [0])
    clock.now_s += 600
    await admitted(ledger, calls(5, meter="more"))
    await ledger.close()


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + bytes(8000), b"rerankd counts 9" + bytes(100)])
async def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "limits.counts").write_bytes(content)
    ledger = local(tmp_path)
    await ledger.start()
    with pytest.raises(LedgerUnavailableError, match="is not a file of counts; move it"):
        await ledger.acquire(calls(1))
    await ledger.close()
    assert (tmp_path / "limits.counts").read_bytes() == content


async def test_a_file_that_cannot_be_written_is_a_ledger_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ledger = LocalLedger(tmp_path / "file" / "limits.counts", 0.1)
    await ledger.start()
    with pytest.raises(LedgerUnavailableError):
        await ledger.acquire(calls(1))
    await ledger.close()


RACING = """
import asyncio, sys
from pathlib import Path
from rerankd.access.limits.ledger import Charge, Lease
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.windows import Span, Window

async def main(where):
    ledger = LocalLedger(Path(where), 10)
    await ledger.start()
    print("ready", flush=True)
    sys.stdin.readline()
    admitted = 0
    charges = [Charge("a:calls:", 3000, 1, Window(Span.DAY)), Charge("a:usd:", 1e6, 0.25, Window(Span.DAY))]
    while isinstance(lease := await ledger.acquire(charges), Lease):
        admitted += 1
        ledger.settle(lease, [1, 0.5])
    await ledger.close()
    print(admitted, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_race_admit_exactly_the_limit(tmp_path: Path) -> None:
    file = str(tmp_path / "limits.counts")
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", RACING, file, stdin=PIPE, stdout=PIPE)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    told = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert sum(int(out) for out, _ in told) == 3000
    reader = local(tmp_path)
    assert await used(reader, calls(1, window=Window(Span.DAY))) == 3000
    assert await used(reader, calls(1, window=Window(Span.DAY), meter="a:usd:")) == 1500
    await reader.close()


WITHOUT_LOCKS = """
import asyncio, ctypes, platform, struct, sys
from pathlib import Path
from rerankd.access.limits.ledger import Charge, LedgerUnavailableError
from rerankd.access.limits.local_ledger import LocalLedger
from rerankd.access.limits.windows import MINUTE

# A filter of the kernel answers flock as a filesystem does that has no locks: EOPNOTSUPP.
number = {"x86_64": 73, "aarch64": 32}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 95), (0x06, 0, 0, 0x7FFF0000)]
filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
program = struct.pack("@HP", len(steps), ctypes.addressof(filters))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0

async def main(where):
    ledger = LocalLedger(Path(where), 0.1)
    await ledger.start()
    for _ in range(2):
        try:
            await ledger.acquire([Charge("a:calls:", 1, 1, MINUTE)])
        except LedgerUnavailableError as error:
            print(error)
    await ledger.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the filter that takes flock away is one of Linux")
async def test_a_filesystem_without_locks_is_named_with_what_to_do(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WITHOUT_LOCKS, str(tmp_path / "limits.counts"), stdout=PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    said = out.decode()
    problem = (
        f"the filesystem of {tmp_path} has no locks between processes (flock: Operation not supported), without which "
        "calls cannot be counted; set access.ledger.path to a file on a local disk, or access.ledger.redis_url"
    )
    assert said.count("limits_not_counted") == 1
    assert said.count(problem) == 3  # in the log once, in each of two refusals


async def test_calls_wait_for_another_process_that_writes_and_are_counted(tmp_path: Path) -> None:
    ledger = LocalLedger(tmp_path / "limits.counts", 0.001)
    await ledger.start()
    lease = await admitted(ledger, calls(3))
    with (tmp_path / "limits.counts").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        ledger.settle(lease, [1])
        waiting = [asyncio.create_task(ledger.acquire(calls(3))) for _ in range(4)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        fcntl.flock(other, fcntl.LOCK_UN)
    outcomes = await asyncio.gather(*waiting)
    assert sum(isinstance(outcome, Lease) for outcome in outcomes) == 2
    await comes_to(ledger, calls(3), 3)
    await ledger.close()


async def test_a_file_that_stays_locked_is_waited_for_a_second(tmp_path: Path) -> None:
    ledger = LocalLedger(tmp_path / "limits.counts", 0.001)
    await ledger.start()
    with (tmp_path / "limits.counts").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LedgerUnavailableError):
            await ledger.acquire(calls(3))
        async with asyncio.timeout(0.5):
            with pytest.raises(LedgerUnavailableError):
                await ledger.acquire(calls(3))
        fcntl.flock(other, fcntl.LOCK_UN)
    await admitted(ledger, calls(3))
    await ledger.close()
