from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from rerankd.local.onnx.session import OnnxSession
from rerankd.local.onnx.weights import CROSS_ENCODER, TOKENIZER
from rerankd.local.provider import LocalProvider
from rerankd.local.scheduler import WorkPool
from rerankd.local.settings import LocalSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, Truncation
from tests.support.waiting import until

QUERY = "how do plants make food"
DOCUMENTS = [
    "Photosynthesis is how plants turn light, water and carbon dioxide into sugar.",
    "The stock market fell sharply on Monday.",
    "Leaves are green.",
    "A recipe for bread: flour, water, salt and yeast, baked for forty minutes in a hot oven. " * 3,
    "Roots take up water.",
]
CROSS = "ms-marco-minilm-l12-v2"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def provider(shared: LocalProvider) -> LocalProvider:
    return shared


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(TOKENIZER.read().decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@pytest.fixture(scope="module")
def score_alone(tokenizer: Any) -> Callable[[str, str], float]:
    """ONNX Runtime called directly on one pair."""
    import onnxruntime  # type: ignore[import-untyped]  # it has no types

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(CROSS_ENCODER.locate()), settings)

    def score(query: str, document: str) -> float:
        pair = tokenizer.encode(query, document)
        feed = {
            "input_ids": np.array([pair.ids]),
            "attention_mask": np.array([pair.attention_mask]),
            "token_type_ids": np.array([pair.type_ids]),
        }
        return 1 / (1 + math.exp(-float(session.run(None, feed)[0][0][0])))

    return score


async def test_a_score_hangs_on_its_own_pair_alone(
    provider: LocalProvider, score_alone: Callable[[str, str], float]
) -> None:
    expected = {text: score_alone(QUERY, text) for text in DOCUMENTS}
    companies = [DOCUMENTS, DOCUMENTS[::-1], [DOCUMENTS[3]], [*DOCUMENTS, *DOCUMENTS]]
    calls = [ProviderCall(model=CROSS, query=QUERY, documents=texts) for texts in companies]
    replies = await asyncio.gather(*(provider.rerank(call) for call in calls))
    for texts, reply in zip(companies, replies, strict=True):
        assert list(reply.indices) == list(range(len(texts)))
        assert list(reply.scores) == pytest.approx([expected[text] for text in texts], abs=1e-4)


async def test_usage_counts_the_tokens_read(provider: LocalProvider, tokenizer: Any) -> None:
    documents = [f"usage {text}" for text in DOCUMENTS]
    call = ProviderCall(model=CROSS, query=QUERY, documents=documents)
    reply = await provider.rerank(call)
    assert reply.prompt_tokens == sum(len(tokenizer.encode(QUERY, text).ids) for text in documents)
    single = await provider.rerank(structs.replace(call, model="all-minilm-l6-v2"))
    assert single.prompt_tokens == sum(len(tokenizer.encode(text).ids) for text in [QUERY, *documents])
    words = await provider.rerank(structs.replace(call, model="bm25"))
    assert words.prompt_tokens == 0


@pytest.mark.parametrize(
    "model", ["bge-small-en-v1.5", "answerai-colbert-small-v1", "all-minilm-l6-v2", "all-minilm-l6-v2-maxsim", "bm25"]
)
async def test_every_model_puts_the_answer_first(provider: LocalProvider, model: str) -> None:
    reply = await provider.rerank(ProviderCall(model=model, query=QUERY, documents=DOCUMENTS))
    assert max(range(len(DOCUMENTS)), key=lambda index: reply.scores[index]) == 0
    if model != "bm25":
        assert all(-1 <= score <= 1 for score in reply.scores)


async def test_kept_vectors_cost_only_the_query(
    provider: LocalProvider, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    run = OnnxSession.run

    def count(self: OnnxSession, ids: list[int], types: list[int]) -> Any:
        runs.append(len(ids))
        return run(self, ids, types)

    monkeypatch.setattr(OnnxSession, "run", count)
    call = ProviderCall(model="all-minilm-l6-v2-maxsim", query=QUERY, documents=["one kept", "two kept"])
    fresh = await provider.rerank(call)
    assert len(runs) == 3
    runs.clear()
    kept = await provider.rerank(call)
    assert list(kept.scores) == list(fresh.scores)
    assert runs == [len(tokenizer.encode(QUERY).ids)]
    assert kept.prompt_tokens == runs[0]


async def test_kept_documents_are_compared_by_one_worker_and_the_others_read(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "all-minilm-l6-v2-maxsim"
    documents = [f"document {number} about plants" for number in range(220)]
    await provider.rerank(ProviderCall(model=model, query="any", documents=documents[10:]))
    units: list[int] = []
    run = WorkPool.run

    async def count(self: WorkPool, work: Any, count: int, ticket: Any, **options: Any) -> Any:
        units.append(count)
        return await run(self, work, count, ticket, **options)

    monkeypatch.setattr(WorkPool, "run", count)
    mixed = [*documents[200:], *documents[:200]]
    reply = await provider.rerank(ProviderCall(model=model, query=QUERY, documents=mixed))
    assert units == [1, 1, 1, 10]
    fresh = LocalProvider(LocalSettings(threads=1))
    try:
        again = await fresh.rerank(ProviderCall(model=model, query=QUERY, documents=mixed[:40]))
    finally:
        await fresh.close()
    assert list(reply.scores)[:40] == list(again.scores)


async def test_long_documents_are_cut_at_the_end_asked_for(
    provider: LocalProvider, score_alone: Callable[[str, str], float]
) -> None:
    answer = "Plants make food by photosynthesis."
    filler = "It rained all day. " * 200
    texts = [answer + " " + filler, filler + answer]
    scores: dict[Truncation, list[float]] = {}
    for cut in (Truncation.END, Truncation.START):
        call = ProviderCall(model=CROSS, query=QUERY, documents=texts, truncation=cut)
        reply = await provider.rerank(call)
        scores[cut] = list(reply.scores)
        assert list(reply.warnings) == ["2 documents were longer than the 256 tokens that are read and were cut"]
        assert reply.prompt_tokens == 2 * 256
    assert scores[Truncation.END][0] > scores[Truncation.END][1]
    assert scores[Truncation.START][1] > scores[Truncation.START][0]


async def test_a_document_too_long_is_refused_when_cutting_is_off(provider: LocalProvider) -> None:
    call = ProviderCall(model=CROSS, query=QUERY, documents=["short", "long " * 600], truncation=Truncation.NONE)
    for model in (CROSS, "all-minilm-l6-v2", "default"):
        with pytest.raises(AdapterError) as caught:
            await provider.rerank(structs.replace(call, model=model))
        assert caught.value.kind is AdapterErrorKind.REJECTED
        assert caught.value.field == "documents[1].text"
    reply = await provider.rerank(structs.replace(call, max_tokens_per_doc=20))
    assert list(reply.warnings) == []


async def test_passages_let_the_best_part_of_a_long_document_count(provider: LocalProvider) -> None:
    text = "It rained all day. " * 200 + "Plants make food by photosynthesis."
    call = ProviderCall(model=CROSS, query=QUERY, documents=[text])
    cut = await provider.rerank(call)
    whole = await provider.rerank(structs.replace(call, max_passages_per_doc=5))
    assert whole.scores[0] > cut.scores[0]
    assert not whole.warnings
    assert whole.prompt_tokens > cut.prompt_tokens == 256


async def test_an_endless_query_is_cut_and_said_so(provider: LocalProvider) -> None:
    reply = await provider.rerank(ProviderCall(model=CROSS, query="why " * 5000, documents=["because"]))
    assert list(reply.warnings) == ["the query was longer than half of the 512 tokens that are read and was cut"]
    assert reply.prompt_tokens == 256 + 3 + 1


async def test_texts_without_words_are_scored(provider: LocalProvider) -> None:
    for model in (info.name for info in provider.models()):
        reply = await provider.rerank(ProviderCall(model=model, query="🍕", documents=["", "\u200b", "...", "🍕"]))
        assert len(reply.scores) == 4
        assert all(math.isfinite(score) for score in reply.scores)


async def test_a_passed_deadline_is_a_timeout(provider: LocalProvider) -> None:
    call = ProviderCall(model=CROSS, query=QUERY, documents=["long text " * 300] * 50)
    with pytest.raises(AdapterError) as caught:
        await provider.rerank(structs.replace(call, deadline_s=time.monotonic() - 1))
    assert caught.value.kind is AdapterErrorKind.TIMEOUT
    await provider.rerank(structs.replace(call, documents=["warm up"]))
    began_s = time.monotonic()
    with pytest.raises(AdapterError) as caught:
        await provider.rerank(structs.replace(call, deadline_s=began_s + 0.2))
    assert caught.value.kind is AdapterErrorKind.TIMEOUT
    assert time.monotonic() - began_s < 15
    assert provider._pool.queued_units() == 0


async def test_a_deadline_passes_while_words_are_counted(provider: LocalProvider) -> None:
    began_s = time.monotonic()
    call = ProviderCall(model="bm25", query="a", documents=["some words " * 100_000] * 50, deadline_s=began_s + 0.02)
    with pytest.raises(AdapterError) as caught:
        await provider.rerank(call)
    assert caught.value.kind is AdapterErrorKind.TIMEOUT
    assert time.monotonic() - began_s < 10


async def test_cancelling_a_call_frees_the_queue(provider: LocalProvider) -> None:
    call = ProviderCall(model=CROSS, query=QUERY, documents=["long text " * 100] * 500)
    await provider.rerank(structs.replace(call, documents=["warm up"]))
    task = asyncio.create_task(provider.rerank(call))
    await until(lambda: provider._pool.queued_units() > 400)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert provider._pool.queued_units() == 0


async def test_unknown_models_and_closed_providers(settings: LocalSettings) -> None:
    provider = LocalProvider(settings)
    call = ProviderCall(model="nothing", query=QUERY, documents=["a"])
    with pytest.raises(AdapterError) as caught:
        await provider.rerank(call)
    assert caught.value.kind is AdapterErrorKind.MODEL_NOT_FOUND
    await provider.close()
    for model in ("bm25", "default"):
        with pytest.raises(AdapterError) as caught:
            await provider.rerank(structs.replace(call, model=model))
        assert caught.value.kind is AdapterErrorKind.UNAVAILABLE


async def test_a_call_that_says_how_much_to_read_gets_the_whole_window(provider: LocalProvider) -> None:
    call = ProviderCall(model=CROSS, query=QUERY, documents=["It rained all day. " * 200])
    assert (await provider.rerank(call)).prompt_tokens == 256
    assert (await provider.rerank(structs.replace(call, max_tokens_per_doc=5000))).prompt_tokens == 512


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"max_tokens_per_doc": 5}, "max_tokens_per_doc was ignored"),
        ({"max_passages_per_doc": 3}, "max_chunks_per_doc was ignored"),
    ],
)
async def test_what_a_model_leaves_aside_is_named(provider: LocalProvider, asked: dict[str, Any], named: str) -> None:
    call = ProviderCall(model="bm25", query="a", documents=["a b", "c"])
    reply = await provider.rerank(structs.replace(call, **asked))
    assert any(named in warning for warning in reply.warnings)
    assert not (await provider.rerank(call)).warnings
