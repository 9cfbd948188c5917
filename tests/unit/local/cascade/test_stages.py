from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from rerankd.local.cascade import stages, static_table
from rerankd.local.cascade.budget import Budget
from rerankd.local.cascade.calibration import at_even_odds
from rerankd.local.cascade.static_table import StaticTable, TableFile
from rerankd.local.onnx.session import OnnxSession
from rerankd.local.provider import LocalProvider
from rerankd.local.settings import LocalSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall

QUERY = "how do plants make food"
ANSWER = "Photosynthesis is how plants turn light, water and carbon dioxide into sugar."
TOPICS = ["plants", "markets", "trains", "bread", "stars", "water", "music", "food", "law", "snow"]
DOCUMENTS = [f"Notes on {TOPICS[number % 10]}, part {number}." for number in range(60)] + [ANSWER]


def long_of(tag: str) -> list[str]:
    """Long documents that no other test has put into the vector cache."""
    return [f"{tag} {text} " + "More is said about this at some length elsewhere. " * 20 for text in DOCUMENTS]


def call_of(documents: list[str], **options: Any) -> ProviderCall:
    return ProviderCall(model="default", query=QUERY, documents=documents, include_details=True, options=options)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def provider(shared: LocalProvider) -> LocalProvider:
    """A provider with a static table of noise: stages matter here, not quality."""
    assert shared._default is not None
    vectors = np.random.default_rng(1).normal(size=(30_522, 256)).astype(np.float16)
    shared._default._cascade.table = StaticTable(vectors)
    return shared


async def test_quality_runs_every_stage_in_full(provider: LocalProvider) -> None:
    reply = await provider.rerank(call_of(DOCUMENTS, mode="quality"))
    assert [(stage.name, stage.documents, stage.shortened_by) for stage in reply.stages] == [
        ("lexical-static", 61, ""),
        ("late-interaction", 61, ""),
        ("cross-encoder", 10, ""),
    ]
    assert all(0 < score < 1 for score in reply.scores)
    again = await provider.rerank(call_of(DOCUMENTS, mode="quality"))
    assert list(again.scores) == list(reply.scores)


async def test_few_documents_all_get_the_cross_encoder(provider: LocalProvider) -> None:
    reply = await provider.rerank(call_of([*DOCUMENTS[:4], ANSWER], mode="quality"))
    assert [stage.documents for stage in reply.stages] == [5, 5, 5]
    assert reply.scores[4] == max(reply.scores)


async def test_a_score_does_not_depend_on_other_documents(provider: LocalProvider) -> None:
    together = await provider.rerank(call_of([*DOCUMENTS[:9], ANSWER], mode="quality"))
    for position, document in enumerate([*DOCUMENTS[:9], ANSWER]):
        alone = await provider.rerank(call_of([document], mode="quality"))
        assert alone.scores[0] == together.scores[position]


async def test_scores_of_what_was_not_read_stay_below_their_bands(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "LATE_DOCUMENTS", 50)
    reply = await provider.rerank(call_of([f"bands {text}" for text in DOCUMENTS], budget_ms=60_000))
    late, cross = set(reply.stages[1].positions), set(reply.stages[2].positions)
    assert cross < late
    assert (len(late), len(cross)) == (50, 10)
    assert max(reply.scores[position] for position in late - cross) < at_even_odds(0.3)
    assert max(reply.scores[position] for position in set(range(61)) - late) < at_even_odds(0.05)


async def test_a_budget_shortens_the_later_stages(provider: LocalProvider) -> None:
    await provider.rerank(call_of(long_of("warm")[:3], mode="quality"))
    began_s = time.monotonic()
    reply = await provider.rerank(call_of(long_of("budget"), budget_ms=120))
    assert time.monotonic() - began_s < 15
    first, late, cross = reply.stages
    assert late.documents < 50
    # On a busy machine the first stage is short of time too, and leaves the second no more than it has time for.
    assert "budget" in (late.shortened_by, first.shortened_by)
    assert cross.documents <= 10
    assert len(reply.scores) == len(DOCUMENTS)


async def test_the_cross_encoder_goes_beyond_what_minilm_had_time_for(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert provider._default is not None
    stages = provider._default._cascade
    monkeypatch.setattr(Budget, "late_interaction_end_s", lambda *_: time.monotonic())
    reply = await provider.rerank(call_of([f"beyond {text}" for text in DOCUMENTS], budget_ms=5000))
    assert [stage.documents for stage in reply.stages] == [61, 0, 10]
    calls = iter([True, True, True])
    monkeypatch.setattr(stages, "_is_cached", lambda run, position: next(calls, False))
    reply = await provider.rerank(call_of([f"beyond {text}" for text in DOCUMENTS], budget_ms=5000))
    late, cross = reply.stages[1:]
    assert (late.documents, cross.documents) == (3, 10)
    assert set(late.positions) < set(cross.positions)


async def test_minilm_reads_the_tile_that_fits_the_query(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = "Nothing of interest is said here at all. " * 12
    documents = [f"{filler} {ANSWER} {filler}", *DOCUMENTS[:3]]
    assert provider._default is not None
    minilm = provider._default._minilm.session
    read: list[list[int]] = []
    run = OnnxSession.run

    def record(self: OnnxSession, ids: list[int], types: list[int]) -> Any:
        if self is minilm:
            read.append(ids)
        return run(self, ids, types)

    monkeypatch.setattr(OnnxSession, "run", record)
    reply = await provider.rerank(call_of(documents, mode="quality"))
    tokenizer = provider._default._minilm.tokenizer
    longest = max(read, key=len)
    assert len(longest) < 64 + 16 + 2
    assert set(tokenizer.tokenize("plants food photosynthesis", 20).ids) & set(longest)
    assert reply.scores[0] == max(reply.scores)


async def test_documents_said_to_be_ranked_are_read_in_their_order(provider: LocalProvider) -> None:
    alike = [f"Notes on {topic} number {number}." for number in range(5) for topic in ("rocks", "wool", "soap")]
    said = structs.replace(call_of(alike, budget_ms=1), documents_ranked=True)
    reply = await provider.rerank(said)
    assert sorted(reply.scores, reverse=True) == list(reply.scores)
    priors = structs.replace(call_of(alike, budget_ms=1), prior_scores=[float(number) for number in range(15)])
    reply = await provider.rerank(priors)
    assert sorted(reply.scores) == list(reply.scores)
    unsaid = await provider.rerank(call_of(alike, budget_ms=1))
    assert len(set(unsaid.scores)) == 1
    whole = await provider.rerank(call_of(alike, mode="quality"))
    again = await provider.rerank(structs.replace(said, options={"mode": "quality"}))
    both = set(whole.stages[2].positions) & set(again.stages[2].positions)
    assert both
    assert all(whole.scores[position] == again.scores[position] for position in both)


async def test_no_time_at_all_leaves_words(provider: LocalProvider) -> None:
    reply = await provider.rerank(call_of(long_of("words"), budget_ms=1))
    assert [stage.documents for stage in reply.stages[1:]] == [0, 0]
    assert len(reply.scores) == len(DOCUMENTS)


async def test_a_deadline_shortens_even_quality(provider: LocalProvider) -> None:
    unhurried = await provider.rerank(call_of(long_of("unhurried"), mode="quality"))
    quarter_s = sum(stage.latency_ms for stage in unhurried.stages) / 4 / 1000
    call = structs.replace(call_of(long_of("deadline"), mode="quality"), deadline_s=time.monotonic() + quarter_s)
    reply = await provider.rerank(call)
    assert "budget" in [stage.shortened_by for stage in reply.stages]


async def test_known_documents_cost_no_run_of_minilm(provider: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [f"known {text}" for text in DOCUMENTS[:20]]
    first = await provider.rerank(call_of(documents, mode="quality"))
    assert provider._default is not None
    minilm = provider._default._minilm.session
    runs: list[int] = []
    run = OnnxSession.run

    def count(self: OnnxSession, ids: list[int], types: list[int]) -> Any:
        if self is minilm:
            runs.append(len(ids))
        return run(self, ids, types)

    monkeypatch.setattr(OnnxSession, "run", count)
    second = await provider.rerank(call_of(documents, mode="quality"))
    assert len(runs) == 1
    assert list(second.scores) == list(first.scores)
    assert second.prompt_tokens < first.prompt_tokens
    runs.clear()
    await provider.rerank(structs.replace(call_of(documents), model="all-minilm-l6-v2", options={}))
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"mode": "best"}, "provider_options.mode"),
        ({"budget_ms": 0}, "provider_options.budget_ms"),
        ({"budget_ms": "fast"}, "provider_options.budget_ms"),
        ({"budget_ms": float("nan")}, "provider_options.budget_ms"),
    ],
)
async def test_wrong_options_are_refused(provider: LocalProvider, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(AdapterError) as caught:
        await provider.rerank(call_of(["a"], **wrong))
    assert (caught.value.kind, caught.value.field) == (AdapterErrorKind.REJECTED, field)


@pytest.fixture
def quick_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of words that take no inference."""
    monkeypatch.setattr(static_table, "_BATCH", 2048)

    def embed(session: object, tokenizer: Any, batch: int) -> Any:
        last = min(tokenizer.vocabulary_size, (batch + 1) * 2048)
        time.sleep(0.005)
        return np.random.default_rng(batch).normal(size=(last - batch * 2048, 384)).astype(np.float32)

    monkeypatch.setattr(static_table, "embed_batch", embed)


@pytest.mark.usefixtures("quick_vectors")
async def test_the_table_is_made_in_the_background_and_kept(tmp_path: Path) -> None:
    settings = LocalSettings(threads=1, cache_dir=str(tmp_path))
    provider = LocalProvider(settings)
    await provider.start()
    assert provider._default is not None
    assert provider._default._cascade.table is None
    while not provider._default.loading_detail:
        await asyncio.sleep(0)
    info = provider.describe("default")
    assert info is not None
    assert (info.status, "static word vectors" in info.status_detail) == ("loading", True)
    reply = await provider.rerank(call_of(DOCUMENTS[:5]))
    assert len(reply.scores) == 5
    await asyncio.gather(*provider._tasks)
    info = provider.describe("default")
    assert info is not None
    assert info.status == "available"
    identity = provider._default._minilm.identity
    assert TableFile(tmp_path, identity).load(30_522) is not None
    await provider.close()


@pytest.mark.usefixtures("quick_vectors")
async def test_without_preload_the_first_call_loads_it_and_has_the_table_made(tmp_path: Path) -> None:
    provider = LocalProvider(LocalSettings(threads=1, cache_dir=str(tmp_path), preload=False))
    await provider.start()
    info = provider.describe("default")
    assert info is not None
    assert (info.status, provider._default) == ("available", None)
    replies = await asyncio.gather(*(provider.rerank(call_of(DOCUMENTS[:5])) for _ in range(2)))
    assert [len(reply.scores) for reply in replies] == [5, 5]
    assert provider._default is not None
    await provider.wait_loaded()
    assert TableFile(tmp_path, provider._default._minilm.identity).load(30_522) is not None
    await provider.close()
