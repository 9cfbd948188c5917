"""What a run keeps of a call under each policy."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from msgspec import structs

from rerankd.contract.errors import Reason
from rerankd.contract.messages import Document, RerankRequest
from rerankd.engine.rendering import render
from rerankd.runs.capture import RunCapture, chars_of
from rerankd.runs.rows import COLUMNS, FIELDS
from rerankd.runs.run import RunDocument
from rerankd.runs.settings import RunSettings
from rerankd.runs.tables import RUNS
from rerankd.runs.text_hash import hash_of
from tests.support.runs import DOCUMENTS, QUERY, ended_call, row_of_run, run_in, run_of_call

LONG = "x" * 900
HASHES = [hash_of(text) for text in (QUERY, *DOCUMENTS)]


def captured(*, record: dict[str, Any] | None = None, **settings: Any) -> Any:
    run = run_of_call(ended_call(**(record or {})), RunCapture(RunSettings(**settings)))
    assert run.details is not None
    return run, run.details


def test_a_run_has_the_facts_of_its_call() -> None:
    before = time.time()
    run, details = captured(record={"transport": "http", "dialect": "cohere", "request": {"top_n": 3}})
    assert before <= run.started_at <= time.time()
    facts = {
        name: getattr(run, name) for name in run.__struct_fields__ if name not in ("run_id", "started_at", "details")
    }
    assert facts.pop("latency_ms") >= 0
    assert facts == {
        "source": "api", "transport": "http", "status": "ok", "dialect": "cohere", "caller": "search",
        "key_id": "key_1",
        "user": "jane", "model": "support", "reranker": "support", "reranker_version": 3, "strategy": "cascade",
        "reason": "", "query": QUERY, "document_count": 3, "result_count": 3, "total_tokens": 42, "cost_usd": 0.002,
        "cache_hits": 1, "trace_id": "", "request_id": "req-1", "replay_of": "", "experiment_id": "",
        "capture": "truncated",
    }  # fmt: skip
    assert (details.parameters, details.warnings, details.provider) == ({"top_n": 3}, ["cut"], "cohere")
    assert [(each.index, each.relevance_score) for each in details.results] == [(1, 1.0), (0, 0.5), (2, 1 / 3)]


@pytest.mark.parametrize(
    ("context", "source"),
    [
        ({}, "grpc"),
        ({"transport": "http"}, "api"),
        ({"transport": "http", "request_type": "batch_rerank"}, "batch"),
        ({"source": "replay", "replay_of": "r", "experiment_id": "e"}, "replay"),
    ],
)
def test_the_source_is_what_made_the_call(context: dict[str, Any], source: str) -> None:
    run, _ = captured(record=context)
    assert run.source == source
    assert (run.replay_of, run.experiment_id) == (context.get("replay_of", ""), context.get("experiment_id", ""))


def test_texts_are_kept_best_ranked_first_and_cut() -> None:
    run, details = captured(record={"documents": ["a", LONG, "b"]}, max_chars=10, max_documents=2)
    assert (run.query, details.query) == (QUERY[:10], QUERY[:10])
    assert details.documents == [
        RunDocument(1, "x" * 10, hash_of(LONG), chars=900),
        RunDocument(0, "a", chars=1),
    ]
    assert len(details.results) == 2
    assert run.result_count == 3


def test_full_keeps_every_document_whole_and_what_else_was_asked() -> None:
    asked = {"provider_options": {"a": 1}, "instruction": "news"}
    _, details = captured(record={"documents": ["a", LONG, "b"], "request": asked}, capture="full", max_documents=1)
    assert {each.index: each.text for each in details.documents} == {1: LONG, 0: "a", 2: "b"}
    assert len(details.results) == 3
    assert details.parameters == asked


def test_full_keeps_documents_as_they_came() -> None:
    scored = Document(id="d", fields={"title": "a"}, prior_score=1.5)
    documents: list[str | Document] = [scored, Document(text="b", fields={"c": 1}, metadata={"d": 2}), "e"]
    request = RerankRequest(model="support", query=LONG, documents=documents, instruction=LONG)
    record = ended_call()
    record.texts = asyncio.run(render(request))
    details = run_of_call(record, RunCapture(RunSettings(capture="full"))).details
    assert details is not None
    assert sorted(details.documents, key=lambda each: each.index) == [
        RunDocument(0, "a", id="d", chars=1, fields={"title": "a"}, prior_score=1.5, own_text=""),
        RunDocument(1, "b", chars=1, fields={"c": 1}, metadata={"d": 2}),
        RunDocument(2, "e", chars=1),
    ]
    assert (details.query, details.query_hash, details.scored_documents) == (LONG, "", 3)
    assert details.left_out == {}
    cut = run_of_call(record, RunCapture(RunSettings())).details
    assert cut is not None
    assert (cut.query, cut.query_hash) == (LONG[:500], hash_of(LONG))
    assert cut.parameters == {"instruction": LONG[:500], "instruction_hash": hash_of(LONG)}
    (first,) = [each for each in cut.documents if each.index == 0]
    assert (first.fields, first.prior_score) == (None, 1.5)
    assert cut.left_out == {"fields": "runs.capture"}


def test_only_texts_of_known_length_are_written_down_in_the_event_loop() -> None:
    """With `full`, fields, metadata and options of any size are; otherwise nothing but texts is."""
    plain, structured = RerankRequest(documents=["a"]), RerankRequest(documents=[Document(text="a")])
    optional = RerankRequest(documents=["a"], provider_options={"b": 1})
    for request, is_quick in ((plain, True), (structured, False), (optional, False)):
        record = ended_call()
        record.texts = asyncio.run(render(request))
        assert RunCapture(RunSettings(capture="full")).is_quick(record) is is_quick
        assert RunCapture(RunSettings()).is_quick(record)


def test_what_waits_for_the_store_is_counted_with_its_images() -> None:
    documents: list[str | Document] = [Document(text="abc", image="x" * 1000), "de"]
    texts = asyncio.run(render(RerankRequest(query="q", documents=documents, query_image="y" * 100)))
    assert chars_of(texts) == 1 + 5 + 1100


def test_hashes_tell_texts_apart_without_them() -> None:
    run, details = captured(record={"request": {"instruction": "news"}}, capture="hashes")
    assert (run.query, details.query) == (HASHES[0], HASHES[0])
    assert {each.index: (each.text, each.hash) for each in details.documents} == {
        index: ("", each) for index, each in enumerate(HASHES[1:])
    }
    assert details.parameters == {}
    assert hash_of("a") == "27c35e6e9373877f29e562464e46497e", "as BLAKE2b of 16 bytes has it"


def test_none_keeps_no_text_and_no_hash() -> None:
    run, details = captured(capture="none")
    assert (run.query, details.query, details.documents) == ("", "", [])
    assert len(details.results) == 3


def test_a_failed_call_keeps_the_first_documents() -> None:
    run, details = captured(record={"reason": Reason.PROVIDER_UNAVAILABLE}, max_documents=2)
    assert (run.status, run.reason, run.result_count) == ("error", "PROVIDER_UNAVAILABLE", 0)
    assert [each.index for each in details.documents] == [0, 1]


def test_texts_that_guardrails_have_not_read_or_have_refused_are_not_kept() -> None:
    run, details = captured(record={"reason": Reason.GUARDRAIL_BLOCKED, "is_inspected": False}, capture="full")
    assert (run.query, details.query, details.documents, run.capture) == ("", "", [], "none")
    assert run.document_count == 3


def test_masked_texts_are_what_is_kept() -> None:
    record = ended_call()
    assert record.texts is not None
    record.texts = structs.replace(record.texts, query="[EMAIL]", texts=["[NAME]", "b"], indices=[0, 2])  # type: ignore[type-var]  # they were kept
    details = run_of_call(record, RunCapture(RunSettings(capture="full"))).details
    assert details is not None
    assert details.query == "[EMAIL]"
    assert {each.index: each.text for each in details.documents} == {0: "[NAME]", 2: "b"}


@pytest.mark.parametrize(
    ("calls", "reranker", "reason", "is_logged"),
    [
        ("rerankers", True, None, True),
        ("rerankers", False, None, False),
        ("all", False, None, True),
        ("all", False, Reason.RATE_LIMITED, True),
        ("all", False, Reason.API_KEY_INVALID, False),
        ("all", False, Reason.API_KEY_MISSING, False),
    ],
)
def test_what_is_logged(calls: Any, reranker: bool, reason: Reason | None, is_logged: bool) -> None:
    record = ended_call(reason) if reranker else ended_call(reason, reranker=None)
    assert RunCapture(RunSettings(calls=calls)).takes(record) is is_logged
    if reason is None:
        record.call = structs.replace(record.call, replay_of="another run")
        assert RunCapture(RunSettings(calls=calls)).takes(record)
    record.path = "/nowhere"
    assert not RunCapture(RunSettings(calls=calls)).takes(record)


@pytest.mark.parametrize("documents", [["a", "b"], [LONG] * 50])
def test_a_row_gives_the_run_back(documents: list[str]) -> None:
    run = run_of_call(ended_call(documents=documents), RunCapture(RunSettings(capture="full")))
    row = row_of_run(run)
    assert run_in(row) == run
    assert len(row.details) < row.size < len(row.details) + 2000


@pytest.mark.parametrize("capture", ["none", "hashes", "truncated", "full"])
def test_columns_keep_what_lists_do(capture: Any) -> None:
    """Documents of text alone are stored as columns, others as a list: readers see no difference."""
    texts = ["b", LONG, "c"]
    settings = RunSettings(capture=capture, max_chars=10)
    plain = run_of_call(ended_call(documents=texts), RunCapture(settings)).details
    record = ended_call(documents=texts)
    assert record.texts is not None
    objects = RerankRequest(query=QUERY, documents=[Document(text=text) for text in texts])
    record.texts = asyncio.run(render(objects))
    listed = run_of_call(record, RunCapture(settings)).details
    assert plain is not None
    assert listed is not None
    assert (plain.documents, plain.results) == (listed.documents, listed.results)
    assert len(plain.documents) == (0 if capture == "none" else 3)


def test_no_text_that_postgresql_refuses_is_in_a_row() -> None:
    run = run_of_call(ended_call(request_id="a\0b"), RunCapture(RunSettings()))
    row = row_of_run(structs.replace(run, query="q\0"))
    stored = dict(zip(FIELDS, row.values, strict=True))
    assert (stored["request_id"], stored["query"]) == ("a\ufffdb", "q\ufffd")


def test_rows_have_the_columns_of_the_table() -> None:
    assert tuple(RUNS.c.keys()) == COLUMNS
