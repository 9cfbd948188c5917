"""Totals of rerankers: counted under the key that was asked for, and kept while the store is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import RerankRequest
from rerankd.registry.reranker_table import RerankerTable
from rerankd.registry.stored_reranker import CallTotals
from rerankd.registry.totals_sink import TotalsSink
from rerankd.serving.engine_host import EngineHost
from rerankd.settings import Settings
from rerankd.store.errors import StoreError
from rerankd.store.settings import StoreSettings
from rerankd.telemetry.calls.recorder import Recorder
from tests.support.registry import Replica, content

CALL = CallContext(request_id="test")
SETTINGS = Settings(aliases={"short": "mine"})


class Source:
    """Opens a table, unless it is away."""

    def __init__(self, table: RerankerTable) -> None:
        self._table = table
        self.is_away = False

    async def table(self) -> RerankerTable:
        if self.is_away:
            raise StoreError("away")
        return self._table


async def test_calls_are_counted_under_the_reranker_that_was_asked_for(tmp_path: Path) -> None:
    replica = Replica(StoreSettings(state_dir=str(tmp_path / "state")), SETTINGS)
    await replica.changes.create(content("mine"))
    recorder = Recorder()
    host = EngineHost(SETTINGS, {}, recorder)
    source = Source(await replica.table.table())
    sink = TotalsSink(source, replica.host.reranker_of, clock=lambda: 5.0)
    recorder.add(sink)
    host.use_stored(replica.host.versions.current.stored)

    async def ask(model: str, top_n: int | None = None) -> None:
        request = RerankRequest(model=model, query="apple", documents=["pear", "apple"], top_n=top_n)
        await host.services.rerank_service.rerank(request, CALL)

    for name in ("mine", "short", "local/bm25"):
        await ask(name)
    with pytest.raises(ServiceError):
        await ask("mine", top_n=-1)
    recorder.flush()
    source.is_away = True
    await sink.flush()
    assert (await replica.listing.get("mine")).totals == CallTotals()
    source.is_away = False
    await sink.flush()
    await sink.flush()
    totals = (await replica.listing.get("mine")).totals
    assert (totals.runs, totals.failures, totals.last_used_at) == (3, 1, 5.0)
    assert 0 < totals.average_latency_ms == totals.latency_ms / 2
    sink.start()
    await ask("mine")
    recorder.flush()
    await sink.close()
    assert (await replica.listing.get("mine")).totals.runs == 4
    await host.close()
    await replica.close()
