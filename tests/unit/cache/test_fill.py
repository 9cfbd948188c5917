"""Only misses go upstream, once, and nobody pays for the failure of another call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from msgspec import structs

from rerankd.cache.pair_scores import CacheUse
from tests.support.waiting import settle
from tests.unit.cache.upstream import SCOPE, Upstream, UpstreamError, begin, new_scores, score_of


async def fetch_nothing(positions: Sequence[int]) -> Sequence[float]:
    raise AssertionError(f"asked for {positions}")


async def test_only_misses_go_upstream_in_one_request() -> None:
    scores, upstream = new_scores(), Upstream()
    first = await begin(scores, upstream, ["a", "b", "c"])
    await upstream.answer()
    second = await begin(scores, upstream, ["d", "b", "e", "a"])
    await upstream.answer()
    assert upstream.asked == [["a", "b", "c"], ["d", "e"]]
    assert (await first).fetched == 3
    filled = await second
    assert filled.scores == [score_of(document) for document in "dbea"]
    assert (filled.hits, filled.coalesced, filled.fetched) == (2, 0, 2)


async def test_a_call_that_is_known_whole_starts_no_task_and_asks_nobody() -> None:
    scores, upstream = new_scores(), Upstream()
    first = await begin(scores, upstream, ["a", "b"])
    await upstream.answer()
    await first
    fill = scores.fill(SCOPE, ["b", "a", "b"], CacheUse.READ_WRITE, fetch_nothing)
    with pytest.raises(StopIteration) as done:
        fill.send(None)
    assert done.value.value.scores == [score_of("b"), score_of("a"), score_of("b")]
    assert done.value.value.hits == 3


async def test_no_documents_ask_nobody() -> None:
    for use in CacheUse:
        assert (await new_scores().fill(SCOPE, [], use, fetch_nothing)).scores == []


async def test_a_document_that_is_there_twice_is_fetched_once() -> None:
    scores, upstream = new_scores(), Upstream()
    call = await begin(scores, upstream, ["a", "b", "a", "a"])
    await upstream.answer()
    assert upstream.asked == [["a", "b"]]
    filled = await call
    assert filled.scores == [score_of(document) for document in "abaa"]
    assert (filled.hits, filled.fetched) == (0, 2)


async def test_identical_misses_of_concurrent_calls_are_fetched_once() -> None:
    scores, upstream = new_scores(), Upstream()
    calls = [await begin(scores, upstream, ["a", "b"]) for _ in range(50)]
    await upstream.answer()
    filled = [await call for call in calls]
    assert upstream.asked == [["a", "b"]]
    assert {tuple(each.scores) for each in filled} == {(score_of("a"), score_of("b"))}
    assert sum(each.coalesced for each in filled) == scores.counters().coalesced == 98


async def test_own_misses_are_fetched_at_once_while_others_are_awaited() -> None:
    scores, upstream = new_scores(), Upstream()
    first = await begin(scores, upstream, ["a", "b"])
    second = await begin(scores, upstream, ["b", "c"])
    assert upstream.asked == [["a", "b"], ["c"]]
    await upstream.answer(1)
    assert not second.done()
    await upstream.answer(0)
    assert (await second).scores == [score_of("b"), score_of("c")]
    assert (await second).coalesced == 1
    await first


async def test_two_calls_that_wait_for_each_other_both_end() -> None:
    scores, upstream = new_scores(), Upstream()
    calls = [await begin(scores, upstream, documents) for documents in (["a"], ["b"], ["a", "b", "c"], ["c", "b", "d"])]
    while upstream.open:
        await upstream.answer(len(upstream.open) - 1)
    assert upstream.pairs == 4
    assert [(await call).scores[0] for call in calls] == [score_of(document) for document in "abac"]


@pytest.mark.parametrize("end", ["fails", "is cancelled"])
async def test_when_a_call_ends_early_one_of_those_who_wait_fetches_for_all(end: str) -> None:
    scores, upstream = new_scores(), Upstream()
    leader = await begin(scores, upstream, ["a", "b"])
    followers = [await begin(scores, upstream, ["a", "b"]) for _ in range(20)]
    if end == "fails":
        await upstream.fail()
        with pytest.raises(UpstreamError):
            await leader
    else:
        leader.cancel()
        await settle()
        assert leader.cancelled()
    assert upstream.asked == [["a", "b"]] * 2
    await upstream.answer()
    assert {tuple((await follower).scores) for follower in followers} == {(score_of("a"), score_of("b"))}
    assert scores.counters().under_way == 0


async def test_who_waits_is_not_held_by_the_deadline_of_who_fetches() -> None:
    scores, upstream = new_scores(), Upstream()

    async def hurried() -> None:
        async with asyncio.timeout(0):
            await scores.fill(SCOPE, ["a"], CacheUse.READ_WRITE, upstream.fetch_for(["a"]))

    leader = asyncio.create_task(hurried())
    follower = await begin(scores, upstream, ["a"])
    with pytest.raises(TimeoutError):
        await leader
    await settle()
    await upstream.answer()
    assert (await follower).scores == [score_of("a")]


async def test_cancelling_who_waits_disturbs_nobody() -> None:
    scores, upstream = new_scores(), Upstream()
    leader = await begin(scores, upstream, ["a"])
    impatient, patient = [await begin(scores, upstream, ["a"]) for _ in range(2)]
    impatient.cancel()
    await settle()
    assert impatient.cancelled()
    await upstream.answer()
    assert (await leader).scores == (await patient).scores == [score_of("a")]
    assert upstream.asked == [["a"]]


async def test_no_store_reads_but_leaves_nothing() -> None:
    scores, upstream = new_scores(), Upstream()
    for documents, use in ((["a"], CacheUse.READ_WRITE), (["a", "b"], CacheUse.READ_ONLY)):
        call = await begin(scores, upstream, documents, use)
        await upstream.answer()
        await call
    again = await begin(scores, upstream, ["a", "b"])
    assert upstream.asked == [["a"], ["b"], ["b"]]
    await upstream.answer()
    await again


async def test_who_waits_for_a_no_store_call_stores_for_itself() -> None:
    scores, upstream = new_scores(), Upstream()
    leader = await begin(scores, upstream, ["a"], CacheUse.READ_ONLY)
    follower = await begin(scores, upstream, ["a"])
    await upstream.answer()
    await leader
    await follower
    assert (await scores.fill(SCOPE, ["a"], CacheUse.READ_WRITE, fetch_nothing)).hits == 1


async def test_bypass_neither_reads_nor_stores_nor_shares() -> None:
    scores, upstream = new_scores(), Upstream()
    calls = [await begin(scores, upstream, ["a", "a"], CacheUse.BYPASS) for _ in range(2)]
    calls.append(await begin(scores, upstream, ["a"]))
    assert upstream.asked == [["a", "a"], ["a", "a"], ["a"]]
    while upstream.open:
        await upstream.answer()
    assert [(await call).fetched for call in calls] == [2, 2, 1]
    assert scores.counters().stored == 1


async def test_another_scope_shares_nothing() -> None:
    scores, upstream = new_scores(), Upstream()
    first = await begin(scores, upstream, ["a"])
    await upstream.answer()
    await first
    other = scores.fill(structs.replace(SCOPE, revision="2"), ["a"], CacheUse.READ_WRITE, upstream.fetch_for(["a"]))
    call = asyncio.create_task(other)
    await settle()
    await upstream.answer()
    assert (await call).fetched == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
async def test_what_is_no_number_is_neither_stored_nor_shared(bad: float) -> None:
    scores, upstream = new_scores(), Upstream()
    may_answer = asyncio.Event()

    async def fetch(positions: Sequence[int]) -> list[float]:
        await may_answer.wait()
        return [bad, 1.0]

    leader = asyncio.create_task(scores.fill(SCOPE, ["a", "b"], CacheUse.READ_WRITE, fetch))
    await settle()
    follower = await begin(scores, upstream, ["a", "b"])
    may_answer.set()
    await settle()
    assert upstream.asked == [["a"]]
    await upstream.answer()
    assert repr((await leader).scores) == repr([bad, 1.0])
    assert (await follower).scores == [score_of("a"), 1.0]
    assert scores.counters().entries == 2


@pytest.mark.parametrize("use", list(CacheUse))
@pytest.mark.parametrize("answer", [[], [1.0], [1.0, 2.0, 3.0]])
async def test_a_wrong_number_of_scores_is_refused_and_not_kept(use: CacheUse, answer: list[float]) -> None:
    async def fetch(positions: Sequence[int]) -> list[float]:
        return answer

    scores = new_scores()
    with pytest.raises(ValueError, match="scores for 2 documents"):
        await scores.fill(SCOPE, ["a", "b"], use, fetch)
    counters = scores.counters()
    assert (counters.entries, counters.under_way) == (0, 0)


async def test_counters_add_up() -> None:
    scores, upstream = new_scores(), Upstream()
    first = await begin(scores, upstream, ["a", "b"])
    second = await begin(scores, upstream, ["b", "c"])
    while upstream.open:
        await upstream.answer()
    await first
    await second
    await scores.fill(SCOPE, ["a", "c"], CacheUse.READ_ONLY, fetch_nothing)
    counters = scores.counters()
    assert (counters.misses, counters.coalesced, counters.hits_memory, counters.stored) == (3, 1, 2, 3)
    assert counters.entries == 3
    assert counters.bytes > 0
    assert (counters.hits_redis, counters.dropped, counters.errors, counters.is_redis_up) == (0, 0, 0, None)
