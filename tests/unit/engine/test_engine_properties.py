"""Properties: splitting, merging and caching give the ranking of a single call."""

import asyncio
import random
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import blake2b

from hypothesis import given, settings
from hypothesis import strategies as st

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import CacheControl, RerankRequest
from rerankd_adapters.base import AdapterError, AdapterErrorKind, Capabilities, ProviderCall, ProviderReply, Scoring
from tests.support.engines import deployments_of, engine
from tests.support.providers import FACTS, ScriptedProvider

CALL = CallContext(request_id="r1")
SCORES = [-1e308, -3.5, -0.0, 0.0, 5e-324, 0.1, 0.5, 0.5, 1.0, 1e308]

texts = st.sampled_from(["a", "b", "a ", "A", "same", "word " * 60, "é", "\ud83d\ude00", "0", "line\nline"]) | st.text(
    min_size=1, max_size=12
).filter(str.strip)
facts = st.builds(
    Capabilities,
    scoring=st.just(Scoring.POINTWISE),
    max_documents=st.none() | st.integers(1, 30),
    max_total_tokens=st.none() | st.integers(20, 400),
    max_request_bytes=st.none() | st.integers(5_000, 20_000),
    billing_unit=st.sampled_from([None, "token", "search_unit"]),
)
requests = st.lists(
    st.tuples(
        st.lists(texts, min_size=1, max_size=40),
        st.sampled_from(["q", "another"]),
        st.none() | st.integers(1, 50),
        st.none() | st.sampled_from(SCORES),
        st.sampled_from(CacheControl),
    ),
    min_size=1,
    max_size=5,
)


Asked = tuple[list[str], str, int | None, float | None, CacheControl]


def score(query: str, document: str) -> float:
    """Score a pair: the same in every process, with many equal scores."""
    digest = blake2b(f"{query}\0{document}".encode("utf-8", "surrogatepass"), digest_size=2).digest()
    return SCORES[digest[0] % len(SCORES)]


def pointwise(chance: random.Random, pause: Callable[[], Awaitable[None]]) -> Callable[[ProviderCall], object]:
    """Answer in an order of its own, after a pause."""

    async def answer(call: ProviderCall) -> ProviderReply:
        await pause()
        indices = list(range(len(call.documents)))
        chance.shuffle(indices)
        return ProviderReply(indices=indices, scores=[score(call.query, call.documents[index]) for index in indices])

    return answer


def expected(
    query: str, documents: Sequence[str], top_n: int | None, threshold: float | None
) -> list[tuple[int, float]]:
    """Rank as one big call would be ranked."""
    pairs = [(index, score(query, document)) for index, document in enumerate(documents)]
    kept = [pair for pair in pairs if threshold is None or pair[1] >= threshold]
    return sorted(kept, key=lambda pair: (-pair[1], pair[0]))[:top_n]


@settings(max_examples=250)
@given(facts, requests, st.integers(0, 2**32), st.booleans())
def test_several_requests_one_after_the_other_or_at_once_rank_as_one_call_each(
    given_facts: Capabilities, asked: list[Asked], seed: int, is_at_once: bool
) -> None:
    asyncio.run(_check(given_facts, asked, seed, is_at_once=is_at_once))


async def _check(given_facts: Capabilities, asked: list[Asked], seed: int, *, is_at_once: bool) -> None:
    chance = random.Random(seed)

    async def pause() -> None:
        for _ in range(chance.randint(0, 3)):
            await asyncio.sleep(0)

    provider = ScriptedProvider(facts=given_facts, model=pointwise(chance, pause))  # type: ignore[arg-type]  # drawn
    opened = engine([provider], is_cached=True)

    async def check(
        documents: list[str], query: str, top_n: int | None, threshold: float | None, use: CacheControl
    ) -> None:
        request = RerankRequest(query=query, documents=[*documents], top_n=top_n, score_threshold=threshold, cache=use)
        response = await opened.rerank(request, CALL)
        found = [(result.index, result.relevance_score) for result in response.results]
        assert found == expected(query, documents, top_n, threshold)

    if is_at_once:
        await asyncio.gather(*(check(*each) for each in asked))
    else:
        for each in asked:
            await check(*each)
    most = given_facts.max_documents
    assert most is None or all(len(call.documents) <= most for call in provider.calls)
    assert deployments_of(opened, "")[0].in_flight == 0


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_a_storm_of_cancellations_and_failures_leaves_nothing_behind(seed: int) -> None:
    asyncio.run(_storm(seed))


async def _storm(seed: int) -> None:
    chance = random.Random(seed)

    async def pause() -> None:
        for _ in range(chance.randint(0, 4)):
            await asyncio.sleep(0)
        if chance.random() < 0.2:
            raise AdapterError(chance.choice(list(AdapterErrorKind)), "failed", retry_after_s=0.0)

    limited = replace(FACTS, max_documents=3)
    providers = [
        ScriptedProvider(name, limited, model=pointwise(chance, pause))  # type: ignore[arg-type]  # drawn
        for name in "abc"
    ]
    policy = {
        "deployments": [
            {"model": f"{each.name}/model", "max_concurrent": chance.randint(1, 4), "max_queued": chance.randint(0, 4)}
            for each in providers
        ],
        "balancing": chance.choice(["weighted", "least-in-flight", "latency", "usage", "cost"]),
        "retries": {"initial_delay_ms": 1, "max_delay_s": 0.01},
        "cooldown": {"failures": 2, "initial_s": 0.002, "max_s": 0.004},
        "hedge": {"enabled": True, "min_delay_ms": 0.0, "budget": 1.0, "burst": 100},
    }
    opened = engine(providers, {"search": policy}, is_cached=True)
    deployments = deployments_of(opened, "search")
    for each in deployments:
        for _ in range(20):
            each.latency.observe(0.0)
    documents = [f"text {number}" for number in range(12)]

    async def call() -> None:
        chosen = chance.sample(documents, chance.randint(1, 8))
        request = RerankRequest(query="q", documents=[*chosen], model="search", priority=chance.randint(0, 3))
        response = await opened.rerank(request, CALL)
        found = [(result.index, result.relevance_score) for result in response.results]
        assert found == expected("q", chosen, None, None)

    tasks = []
    for _ in range(40):
        tasks.append(asyncio.create_task(call()))
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    unexpected = [each for each in outcomes if not isinstance(each, None | ServiceError | asyncio.CancelledError)]
    assert unexpected == []
    assert [each.in_flight for each in deployments] == [0, 0, 0]
    assert not any(each.breaker.is_half_open for each in deployments)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_ten_thousand_documents_are_ten_calls_at_once_in_bounded_memory() -> None:
    chance = random.Random(7)
    everyone = asyncio.Barrier(10)

    async def pause() -> None:
        await asyncio.wait_for(everyone.wait(), 30)

    provider = ScriptedProvider(
        facts=replace(FACTS, max_documents=1000),
        model=pointwise(chance, pause),  # type: ignore[arg-type]  # drawn
    )
    opened = engine([provider])
    documents = [f"{number % 9000} " + "some words of a document " * 20 for number in range(10_000)]
    request = RerankRequest(query="q", documents=[*documents])
    tracemalloc.start()
    response = await opened.rerank(request, CALL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [len(call.documents) for call in provider.calls] == [1000] * 10
    found = [(result.index, result.relevance_score) for result in response.results]
    assert found == expected("q", documents, None, None)
    assert peak < 1.5 * sum(map(len, documents))
