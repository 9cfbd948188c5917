"""An engine with words alone whose calls are logged in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest
from rerankd.contract.service import RerankService
from rerankd.runs.capture import RunCapture
from rerankd.runs.run import Run
from rerankd.runs.settings import RunSettings
from rerankd.serving.engine_host import EngineHost
from rerankd.settings import Settings
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch, Recorder
from tests.support.runs import run_of_call

WORDS: Final = "local/bm25"
EARLIER: Final = "earlier"
"""A reranker that orders documents by their prior scores."""
_RERANKERS: Final = {
    EARLIER: {"strategy": "heuristic", "config": {"weights": {"bm25": 0, "phrase": 0, "proximity": 0, "prior": 1}}}
}
CALL: Final = CallContext("test")


class RunsInMemory:
    """Logs calls, and gives their runs back. Satisfies `Sink` and `LoggedRuns`."""

    name = "runs"
    is_prompt = True

    def __init__(self, settings: RunSettings) -> None:
        self._capture = RunCapture(settings)
        self.runs: dict[str, Run] = {}

    def needs_texts(self, record: CallRecord) -> bool:
        """See `Sink`."""
        return self._capture.takes(record)

    def consume(self, batch: EndedBatch) -> None:
        """See `Sink`."""
        made = [run_of_call(record, self._capture) for record in batch.calls if self._capture.takes(record)]
        self.runs.update((run.run_id, run) for run in made)

    async def get(self, run_id: str) -> Run:
        """See `LoggedRuns`."""
        if (run := self.runs.get(run_id)) is None:
            raise ServiceError(Reason.RUN_NOT_FOUND, f"there is no run {run_id}", {"run_id": run_id})
        return run


class LoggedEngine(NamedTuple):
    """An engine and the log of its calls."""

    service: RerankService
    runs: RunsInMemory

    async def rerank(self, query: str, documents: list[str | Document], model: str = WORDS) -> Run:
        """Rerank, and return the run."""
        known = set(self.runs.runs)
        await self.service.rerank(RerankRequest(model=model, query=query, documents=documents), CALL)
        (made,) = set(self.runs.runs) - known
        return self.runs.runs[made]


@asynccontextmanager
async def logged_engine(capture: str = "full") -> AsyncIterator[LoggedEngine]:
    """Run an engine with `WORDS` and `EARLIER`."""
    runs = RunsInMemory(msgspec.convert({"calls": "all", "capture": capture}, RunSettings))
    host = EngineHost(msgspec.convert({"rerankers": _RERANKERS}, Settings), {}, Recorder([runs]))
    await host.start()
    yield LoggedEngine(host.services.rerank_service, runs)
    await host.close()
