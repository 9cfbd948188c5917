"""Any interleaving of calls, answers, failures and cancellations gives every caller exactly its scores."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.cache.pair_scores import CacheUse, Filled
from rerankd.cache.redis_tier import RedisTier
from tests.support.waiting import settle
from tests.unit.cache.upstream import Upstream, UpstreamError, begin, new_scores, score_of

DOCUMENTS = st.lists(st.sampled_from("abcdef"), max_size=6)
STEPS = st.lists(
    st.tuples(st.just("call"), DOCUMENTS, st.sampled_from(CacheUse))
    | st.tuples(st.sampled_from(["answer", "fail", "cancel"]), st.integers(0, 9), st.none()),
    max_size=30,
)
QUIET_STEPS = st.lists(
    st.tuples(st.just("call"), DOCUMENTS, st.just(CacheUse.READ_WRITE))
    | st.tuples(st.just("answer"), st.integers(0, 9), st.none()),
    max_size=30,
)


class SlowTier:
    """Stands for Redis where the order of events matters: it knows some documents and takes a few turns to say so."""

    is_up = True
    dropped = errors = 0

    def __init__(self) -> None:
        self.kept: dict[bytes, float] = {}

    async def get_many(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        for _ in range(3):
            await asyncio.sleep(0)
        return {key: self.kept[key] for key in keys if key in self.kept}

    def put_many(self, pairs: Mapping[bytes, float]) -> None:
        self.kept.update(pairs)


async def play(steps: list[tuple[str, Any, Any]], *, has_tier: bool) -> tuple[Upstream, list[asyncio.Task[Filled]]]:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    scores, upstream = new_scores(cast("RedisTier", SlowTier()) if has_tier else None), Upstream()
    calls: list[tuple[list[str], asyncio.Task[Filled]]] = []
    for action, value, use in steps:
        if action == "call":
            calls.append((value, await begin(scores, upstream, value, use)))
        elif action == "cancel" and calls:
            calls[value % len(calls)][1].cancel()
            await settle()
        elif action == "answer" and upstream.open:
            await upstream.answer(value % len(upstream.open))
        elif action == "fail" and upstream.open:
            await upstream.fail(value % len(upstream.open))
    while upstream.open:
        await upstream.answer()
    for documents, call in calls:
        assert call.done(), "nobody waits for ever"
        if not call.cancelled() and not isinstance(call.exception(), UpstreamError):
            filled = call.result()
            assert filled.scores == [score_of(document) for document in documents]
            assert filled.hits + filled.coalesced + filled.fetched <= len(documents)
    assert scores.counters().under_way == 0
    assert len(asyncio.all_tasks()) == 1, "no task is left"
    assert not complaints
    return upstream, [call for _, call in calls]


@settings(max_examples=200)
@given(STEPS, st.booleans())
def test_every_caller_gets_its_scores(steps: list[tuple[str, Any, Any]], has_tier: bool) -> None:
    async def run() -> None:
        _, calls = await play(steps, has_tier=has_tier)
        failures = sum(not call.cancelled() and call.exception() is not None for call in calls)
        assert failures <= sum(action == "fail" for action, _, _ in steps), "one failure fails one call"

    asyncio.run(run())


@settings(max_examples=100)
@given(QUIET_STEPS, st.booleans())
def test_without_failures_no_pair_goes_upstream_twice(steps: list[tuple[str, Any, Any]], has_tier: bool) -> None:
    async def run() -> None:
        upstream, calls = await play(steps, has_tier=has_tier)
        wanted = {document for action, documents, _ in steps if action == "call" for document in documents}
        assert sorted(document for asked in upstream.asked for document in asked) == sorted(wanted)
        assert all(call.exception() is None for call in calls)

    asyncio.run(run())
