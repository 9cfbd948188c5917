from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from rerankd.local.onnx.session import OnnxSession
from rerankd.local.provider import LocalProvider
from rerankd.local.settings import LocalSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall
from rerankd_adapters.warming import WarmingProvider, WarmReply

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "Photosynthesis turns light, water and carbon dioxide into sugar, in plants and in algae. " * 12


def call_of(model: str, documents: list[str]) -> ProviderCall:
    return ProviderCall(model=model, query="", documents=documents)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens of every run of a network."""
    found: list[int] = []
    run = OnnxSession.run

    def count(self: OnnxSession, ids: list[int], types: list[int]) -> Any:
        found.append(len(ids))
        return run(self, ids, types)

    monkeypatch.setattr(OnnxSession, "run", count)
    return found


@pytest.mark.parametrize(
    "model", ["all-minilm-l6-v2", "all-minilm-l6-v2-maxsim", "bge-small-en-v1.5", "answerai-colbert-small-v1"]
)
async def test_a_warm_document_costs_an_encoder_the_query_alone(
    shared: LocalProvider, runs: list[int], model: str
) -> None:
    documents = [f"warm {model} {number}. {LONG}" for number in range(3)]
    assert isinstance(shared, WarmingProvider)
    assert await shared.warm(call_of(model, documents)) == WarmReply(warmed=3)
    assert await shared.warm(call_of(model, [*documents, "new"])) == WarmReply(warmed=1, already_warm=3)
    runs.clear()
    reply = await shared.rerank(structs.replace(call_of(model, documents), query="how do plants make sugar"))
    assert len(runs) == 1
    assert len(reply.scores) == 3


async def test_a_warm_document_costs_the_cascade_the_query_and_the_cross_encoder(
    shared: LocalProvider, runs: list[int]
) -> None:
    documents = [f"warm cascade {number}. {LONG}" for number in range(12)]
    assert (await shared.warm(call_of("default", documents))).warmed == 12
    runs.clear()
    call = structs.replace(call_of("default", documents), query="how do plants make sugar", options={"mode": "quality"})
    await shared.rerank(call)
    assert len(runs) == 1 + 10


async def test_tiles_are_warmed_where_tiles_will_be_read(settings: LocalSettings, runs: list[int]) -> None:
    for makes_table, least in ((True, 1), (False, 200)):
        provider = LocalProvider(structs.replace(settings, static_table=makes_table))
        await provider.warm(call_of("default", [LONG]))
        assert least <= max(runs) <= (82 if makes_table else 256)
        runs.clear()
        await provider.close()


async def test_documents_without_room_are_skipped(settings: LocalSettings) -> None:
    provider = LocalProvider(structs.replace(settings, vector_cache_mb=1))
    documents = [f"{number} {LONG}" for number in range(20)]
    reply = await provider.warm(call_of("default", documents))
    assert (reply.already_warm, reply.warmed + reply.skipped) == (0, 20)
    assert 0 < reply.warmed < 10
    warning = f"{reply.skipped} of 20 documents have no room in the vector cache (local.vector_cache_mb)"
    assert reply.warnings == (warning,)
    again = await provider.warm(call_of("default", documents[: reply.warmed]))
    assert (again.warmed, again.already_warm) == (0, reply.warmed)
    await provider.close()


async def test_without_a_cache_all_are_skipped(settings: LocalSettings) -> None:
    provider = LocalProvider(structs.replace(settings, vector_cache_mb=0))
    assert (await provider.warm(call_of("all-minilm-l6-v2", ["a", "b"]))).skipped == 2
    await provider.close()


@pytest.mark.parametrize("model", ["bm25", "ms-marco-minilm-l12-v2"])
async def test_models_without_document_vectors_say_so(shared: LocalProvider, model: str) -> None:
    with pytest.raises(AdapterError, match="no document vectors") as caught:
        await shared.warm(call_of(model, ["a"]))
    assert caught.value.kind is AdapterErrorKind.UNSUPPORTED


async def test_a_closed_provider_is_unavailable(settings: LocalSettings) -> None:
    provider = LocalProvider(settings)
    await provider.close()
    with pytest.raises(AdapterError) as caught:
        await provider.warm(call_of("default", ["a"]))
    assert caught.value.kind is AdapterErrorKind.UNAVAILABLE
