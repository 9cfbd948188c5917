"""Stored rerankers in an engine: taken up when they change, kept while the store is away, alone when unusable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.registry.live_rerankers import LiveRerankers
from rerankd.registry.loading import load
from rerankd.registry.stored_reranker import StoredReranker
from rerankd.serving.engine_host import EngineHost
from rerankd.settings import Settings
from rerankd.store.errors import StoreError
from rerankd.store.settings import StoreSettings
from tests.support.registry import Replica, content

CALL = CallContext(request_id="test")


def stored(key: str, **fields: object) -> StoredReranker:
    return StoredReranker(key=key, content=content(key, **fields), version=1, change=1)  # type: ignore[arg-type]  # given by name


class Shelf:
    """A store that can be changed and taken away."""

    def __init__(self) -> None:
        self.change = 0
        self.rerankers: Sequence[StoredReranker] = ()
        self.fault: Exception | None = None
        self.reads = 0

    async def read_if_changed(self, change: int) -> tuple[int, Sequence[StoredReranker] | None]:
        if self.fault is not None:
            raise self.fault
        if change == self.change:
            return change, None
        self.reads += 1
        return self.change, self.rerankers


@pytest_asyncio.fixture
async def host() -> AsyncIterator[EngineHost]:
    opened = EngineHost(Settings(aliases={"fast": "local/bm25"}), {})
    yield opened
    await opened.close()


async def ask(host: EngineHost, model: str, **fields: object) -> messages.RerankResponse:
    request = RerankRequest(model=model, query="apple", documents=["pear", "apple"], **fields)  # type: ignore[arg-type]  # given by name
    return await host.services.rerank_service.rerank(request, CALL)


async def test_what_was_read_stays_while_the_store_is_away(host: EngineHost) -> None:
    shelf = Shelf()
    live = LiveRerankers(shelf, host.use_stored)
    first = host.versions.current
    await live.refresh()
    assert host.versions.current is first  # nothing is stored, and nothing was built
    shelf.change, shelf.rerankers = 1, [stored("mine")]
    await live.refresh()
    await live.refresh()
    assert shelf.reads == 2
    assert (await ask(host, "mine")).model == "mine"
    shelf.fault = StoreError("away")
    await live.refresh()
    assert (await ask(host, "mine")).model == "mine"
    shelf.fault, shelf.change, shelf.rerankers = None, 2, []
    await live.refresh()
    with pytest.raises(ServiceError, match="model mine not found"):
        await ask(host, "mine")


async def test_a_change_keeps_admission_and_model_groups(host: EngineHost) -> None:
    await ask(host, "local/bm25")
    (deployment,) = host.versions.current.engine.deployments()
    host.use_stored(load([stored("mine")]))
    await ask(host, "mine")
    assert list(host.versions.current.engine.deployments()) == [deployment]


async def test_one_that_cannot_be_served_says_why_and_disturbs_nothing(host: EngineHost) -> None:
    host.use_stored(
        load(
            [
                stored("gone", config={"model": "cohere/rerank-v3.5"}),
                stored("odd", strategy="quantum"),
                stored("outer", config={"model": "gone"}),
                stored("good"),
            ]
        )
    )
    assert set(host.problems) == {"gone", "odd"}
    for name, said in (("gone", "provider cohere is not configured"), ("odd", "strategy: must be one of")):
        with pytest.raises(ServiceError, match=f"reranker {name} cannot be served: .*{said}") as refused:
            await ask(host, name)
        assert (refused.value.reason, refused.value.http_status) == (Reason.RERANKER_UNUSABLE, 409)
    with pytest.raises(ServiceError, match="reranker gone cannot be served"):
        await ask(host, "outer")
    assert (await ask(host, "gone", fallbacks=["good"])).model == "good"
    listed = await host.services.rerank_service.list_models(messages.ListModelsRequest(provider="rerankd"), CALL)
    status = {each.name: (each.status, bool(each.status_detail)) for each in listed.models}
    assert status["gone"] == (messages.ModelStatus.UNAVAILABLE, True)
    assert status["good"] == (messages.ModelStatus.AVAILABLE, False)


async def test_a_cycle_made_by_two_processes_makes_one_unusable(host: EngineHost) -> None:
    host.use_stored(load([stored("a", config={"model": "b"}), stored("b", config={"model": "a"})]))
    assert list(host.problems) == ["a"]
    with pytest.raises(ServiceError, match="a -> b -> a is a cycle"):
        await ask(host, "b")


async def test_names_of_the_settings_win() -> None:
    declared = load([stored("mine", config={"model": "local/bm25", "top_n": 1})]).settings
    host = EngineHost(Settings(aliases={"fast": "local/bm25"}, rerankers=dict(declared)), {})
    host.use_stored(load([stored("mine"), stored("fast", config={"model": "mine"})]))
    assert len((await ask(host, "mine")).results) == 1
    assert (await ask(host, "fast")).model == "local/bm25"
    assert "answers instead" in host.problems["mine"][0]
    assert "aliases.fast has the same name" in host.problems["fast"][0]
    await host.close()


async def test_a_reload_keeps_stored_rerankers(host: EngineHost) -> None:
    host.use_stored(load([stored("mine", config={"model": "fast"})]))
    host.replace(Settings(aliases={"fast": "local/default"}))
    assert (await ask(host, "mine")).model == "mine"
    host.replace(Settings())
    with pytest.raises(ServiceError, match=r"reranker mine cannot be served: .*model fast not found"):
        await ask(host, "mine")


async def test_reading_creates_no_file(tmp_path: Path) -> None:
    replica = Replica(StoreSettings(state_dir=str(tmp_path / "state")))
    await replica.live.refresh()
    assert (await replica.table.read_if_changed(0)) == (0, None)
    assert not (tmp_path / "state").exists()
    await replica.close()
