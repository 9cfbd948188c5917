"""Ended calls for tests of the run log, and runs in bulk."""

from __future__ import annotations

import time
from typing import Any

from msgspec import structs

from rerankd.contract.call_context import CallContext, Caller
from rerankd.contract.errors import STATUS_OF_REASON, Reason
from rerankd.contract.messages import ExtraFields, Meta, RerankRequest, RerankResponse, RerankResult, Usage
from rerankd.engine.rendering import render_plain
from rerankd.runs.capture import RunCapture
from rerankd.runs.rows import FIELDS, RunRow, row_of, run_of
from rerankd.runs.run import Run, RunDetails, RunDocument, RunResult
from rerankd.runs.run_id import RunIds
from rerankd.telemetry.calls.call_record import CallRecord, RerankerIdentity
from rerankd.telemetry.calls.recorder import Recorder

_IDS = RunIds()
QUERY = "capital of France"
DOCUMENTS = ["Berlin", "Paris, the capital of France", "Rome"]
RERANKER = RerankerIdentity("support", "cascade", 3)


def ended_call(
    reason: Reason | None = None,
    *,
    reranker: RerankerIdentity | None = RERANKER,
    documents: list[str] | None = None,
    is_inspected: bool = True,
    request: dict[str, Any] | None = None,
    **context: Any,
) -> CallRecord:
    """Return the record of a call that has ended, with its texts."""
    recorder = Recorder()
    recorder.keeps_texts = lambda _record: True
    made = RerankRequest(
        model="support", query=QUERY, documents=[*(documents or DOCUMENTS)], user="jane", **(request or {})
    )
    call = CallContext(**{"request_id": "req-1", "caller": Caller("search", "key_1"), **context})
    record = recorder.begin(made, call)
    record.model, record.reranker = "support", reranker
    if is_inspected:
        record.texts = render_plain(made)
    if reason is not None:
        record.failed(reason, STATUS_OF_REASON[reason][0])
        return record
    order = [1, *(index for index in range(len(made.documents)) if index != 1)]
    results = [RerankResult(index=index, relevance_score=1 / (rank + 1)) for rank, index in enumerate(order)]
    usage = Usage(documents=len(order), total_tokens=42, cost=0.002, cached_documents=1)
    extra = ExtraFields(provider="cohere")
    record.answered(
        RerankResponse(results=results, model="support", usage=usage, meta=Meta(warnings=["cut"]), extra_fields=extra)
    )
    return record


def a_run(started_at: float | None = None, **fields: Any) -> Run:
    """Return a run with small details."""
    began = time.time() if started_at is None else started_at
    details = RunDetails(
        query=QUERY, documents=[RunDocument(1, DOCUMENTS[1], chars=28)], results=[RunResult(1, 0.5), RunResult(0, 0.1)]
    )
    made: dict[str, Any] = {
        "run_id": _IDS.new(began),
        "started_at": began,
        "latency_ms": 5.0,
        "source": "grpc",
        "transport": "grpc",
        "status": "ok",
        "model": "support",
        "reranker": "support",
        "query": QUERY,
        "capture": "truncated",
        "details": details,
    }
    return Run(**{**made, **fields})


def rows_of(runs: list[Run]) -> list[RunRow]:
    """Return the rows of runs."""
    return list(map(row_of_run, runs))


def row_of_run(run: Run) -> RunRow:
    """Return the row of a run."""
    return row_of(structs.astuple(run)[:-1], run.details or RunDetails())


def run_in(row: RunRow) -> Run:
    """Return the run of a row, as the store gives it back."""
    return run_of(dict(zip(FIELDS, row.values, strict=True)), row.details)


def run_of_call(record: CallRecord, capture: RunCapture) -> Run:
    """Return the run of an ended call, as the store gives it back."""
    return run_in(capture.row_of(record))
