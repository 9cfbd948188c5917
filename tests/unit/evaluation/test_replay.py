from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import CacheControl, Document, RerankRequest, ScoreNormalization, Truncation
from rerankd.engine.rendering import render
from rerankd.evaluation.replay import documents_of, query_hash_of, replay_of
from rerankd.runs.capture import RunCapture
from rerankd.runs.run import Run, RunDetails
from rerankd.runs.settings import RunSettings
from rerankd.runs.text_hash import hash_of
from tests.support.runs import DOCUMENTS, QUERY, ended_call, row_of_run, run_in, run_of_call

_UNSET = RerankRequest()


def stored(run: Run) -> Run:
    """Return a run as the store gives it back."""
    return run_in(row_of_run(run))


async def logged(
    documents: Sequence[str | Document] | None = None, capture: Any = "full", max_run_kb: int = 4096, **request: Any
) -> Run:
    """Return the run of a call; the second document was the best."""
    record = ended_call(documents=[""] * len(documents) if documents else None, request=request)
    if documents:
        made = RerankRequest(model="support", query=QUERY, documents=list(documents), **request)
        record.texts = await render(made, omits_blank=True)
    return run_of_call(record, RunCapture(RunSettings(capture=capture, max_run_kb=max_run_kb)))


async def test_a_run_is_sent_to_another_model_as_it_came() -> None:
    run = await logged(top_n=2, rank_fields=["title"], priority=3)

    found = replay_of(run, "local/bm25")

    assert found.request == RerankRequest(
        model="local/bm25", query=QUERY, documents=[*DOCUMENTS], top_n=2, rank_fields=["title"], priority=3
    )
    assert (found.order, found.indices) == ([1, 0, 2], [0, 1, 2])
    assert found.documents == [(hash_of(text), "") for text in DOCUMENTS]
    assert found.query_hash == hash_of(QUERY)
    assert (found.side.model, found.side.cost_usd, found.side.cached_documents) == ("support", 0.002, 1)


async def test_only_the_same_model_gets_what_means_something_else_to_others() -> None:
    own: dict[str, Any] = {"fallbacks": ["b"], "provider_options": {"a": 1}, "score_threshold": 0.5}
    run = await logged(**own)

    for model in ("", "support"):
        request = replay_of(run, model).request
        assert (request.model, request.fallbacks, request.provider_options) == ("support", ["b"], {"a": 1})
        assert request.score_threshold == 0.5
    other = replay_of(run, "local/bm25").request
    assert (other.fallbacks, other.provider_options, other.score_threshold) == ([], None, None)


EVERY_KIND: list[str | Document] = [
    Document(id="a", fields={"title": "Berlin", "year": 1, "ratio": 2.0}, prior_score=2.0),
    Document(id="b", text="Paris", prior_score=1.0, metadata={"date": "2026-01-31", "tags": ["x", None]}),
    Document(text="Rome", fields={"unscored": [1, {"deep": True}]}),
    Document(text="own text", fields={"title": "Madrid", "secret": 0}, image="data:image/png;base64,AAAA"),
    Document(image="https://example.com/lisbon.png"),
    " ",
    Document(id="blank", text="", metadata={"kept": True}),
    "Vienna",
]


@pytest.mark.parametrize("rank_fields", [[], ["title"], ["secret", "title"], ["missing"]])
async def test_the_request_is_the_one_that_was_logged(rank_fields: list[str]) -> None:
    parameters: dict[str, Any] = {
        "top_n": 4, "rank_fields": rank_fields, "return_documents": True, "max_chunks_per_doc": 3,
        "max_tokens_per_doc": 100, "priority": 7, "fallbacks": ["b"], "truncation": Truncation.END,
        "instruction": "news", "score_threshold": 0.5, "provider_options": {"a": {"b": [1]}},
        "cache": CacheControl.BYPASS, "include_details": True, "normalization": ScoreNormalization.SIGMOID,
        "query_image": "data:image/png;base64,BBBB", "documents_ranked": False,
    }  # fmt: skip
    original = RerankRequest(model="support", query=QUERY, documents=EVERY_KIND, **parameters)
    unset = [name for name in RerankRequest.__struct_fields__ if getattr(original, name) == getattr(_UNSET, name)]
    run = await logged(EVERY_KIND, **parameters)

    found = replay_of(stored(run), "")

    assert found.request == original
    assert (found.indices, found.has_blank) == (list(range(8)), True)
    assert set(unset) <= {"user", "rank_fields"}, "every field of the contract has a value here"


async def test_a_replay_is_a_call_of_the_same_caller_that_ranks_blank_documents_last() -> None:
    call = CallContext("r", transport="http")
    blank, plain = replay_of(await logged(["a", " "]), ""), replay_of(await logged(), "")

    context = blank.context_of(call, "exp_1")

    assert (context.source, context.replay_of, context.experiment_id) == ("replay", blank.run_id, "exp_1")
    assert (context.ranks_blank_last, plain.context_of(call).ranks_blank_last) == (True, False)


async def test_indices_are_those_of_the_runs_own_request() -> None:
    run = await logged(["Berlin", " ", "Paris", "Rome"], "truncated")

    found = replay_of(run, "")

    assert found.request.documents == ["Berlin", "Paris", "Rome"]
    assert found.order_of([1, 2, 0]) == [2, 3, 0]
    assert found.documents[1] == ("", "")
    assert len(found.documents) == 4


async def test_of_a_document_that_guardrails_changed_the_scored_text_is_sent() -> None:
    secret = {"mail": "jane@example.com"}
    documents = [
        Document(id="a", text="by jane@example.com", metadata=secret, fields=secret, prior_score=1.0),
        Document(id="b", fields={"title": "Paris"}, metadata={"year": 1}),
    ]
    record = ended_call()
    rendered = await render(RerankRequest(model="support", query=QUERY, documents=[*documents]))
    texts = ["by <EMAIL>", rendered.texts[1]]
    record.texts = msgspec.structs.replace(rendered, texts=texts, changed_indices={0})
    run = run_of_call(record, RunCapture(RunSettings(capture="full")))

    assert "jane@example.com" not in str(run.details)
    assert replay_of(run, "").request.documents == [Document(id="a", text="by <EMAIL>", prior_score=1.0), documents[1]]


async def test_a_short_run_is_replayed_although_long_ones_are_cut() -> None:
    assert replay_of(await logged(capture="truncated"), "").request.documents == DOCUMENTS


@pytest.mark.parametrize(
    ("capture", "request_", "documents", "said"),
    [
        ("truncated", {}, ["a", Document(image="data:,")], "its images were not kept, because of runs.capture"),
        ("truncated", {"query_image": "data:,"}, None, "its images were not kept"),
        ("truncated", {}, ["a", Document(text="b", metadata={"year": 1})], "fields and metadata of its documents"),
        ("truncated", {}, [Document(fields={"title": "b"})], "fields and metadata of its documents"),
        ("none", {}, None, "runs.capture was none when it was logged"),
        ("hashes", {}, None, "runs.capture was hashes when it was logged"),
        ("truncated", {"instruction": "x" * 501}, None, "its query or its instruction was cut"),
        ("truncated", {}, ["a", "x" * 501], "some of its documents were cut"),
        ("truncated", {}, [*map(str, range(101))], "only 100 of its 101 documents were kept"),
    ],
)
async def test_what_was_not_kept_cannot_be_replayed(
    capture: str, request_: dict[str, Any], documents: Any, said: str
) -> None:
    run = await logged(documents, capture, **request_)

    with pytest.raises(ServiceError, match=said) as refused:
        replay_of(run, "local/bm25")

    assert refused.value.reason is Reason.RUN_INCOMPLETE
    assert refused.value.metadata == {"run_id": run.run_id, "setting": "runs.capture", "capture": capture}
    assert "runs.capture: full keeps later requests whole" in refused.value.message


@pytest.mark.parametrize(
    ("documents", "kept", "said"),
    [
        (["a", Document(text="b", image="x" * 2000)], "full", "images were not kept, because of runs.max_run_kb"),
        (["a", "x" * 2000], "truncated", "it takes more than runs.max_run_kb, so its texts were cut"),
        (["a", Document(text="b", metadata={"x": "y" * 2000})], "truncated", "it takes more than runs.max_run_kb"),
        (["a", Document(text="b", fields={"x": "y" * 2000}, image="z")], "truncated", "it takes more than"),
    ],
)
async def test_a_run_keeps_no_more_than_the_settings_allow(documents: Any, kept: str, said: str) -> None:
    run = await logged(documents, max_run_kb=1)

    with pytest.raises(ServiceError, match=said) as refused:
        replay_of(run, "")

    assert (run.capture, refused.value.metadata["setting"]) == (kept, "runs.max_run_kb")
    assert "a larger runs.max_run_kb keeps later requests whole" in refused.value.message
    assert len(msgspec.json.encode(run)) < 1500
    assert replay_of(await logged(documents), "").request.documents == documents


async def test_images_of_masked_documents_are_missed() -> None:
    record = ended_call()
    rendered = await render(RerankRequest(query=QUERY, documents=[Document(text="a", image="data:,")]))
    record.texts = msgspec.structs.replace(rendered, texts=["b"], changed_indices={0})

    with pytest.raises(ServiceError, match=r"its images were not kept, because of access\.guardrails"):
        replay_of(run_of_call(record, RunCapture(RunSettings(capture="full"))), "")


async def test_a_failed_run_has_nothing_to_compare_with() -> None:
    run = run_of_call(ended_call(Reason.PROVIDER_UNAVAILABLE), RunCapture(RunSettings(capture="full")))
    with pytest.raises(ServiceError, match="it failed with PROVIDER_UNAVAILABLE"):
        replay_of(run, "")


@pytest.mark.parametrize("capture", ["hashes", "truncated", "full"])
async def test_a_judgement_finds_the_texts_of_every_capture_but_none(capture: str) -> None:
    long = "y" * 600
    run = await logged([Document(id="d", text="a"), long], capture)
    details = run.details or RunDetails()

    assert documents_of(run, details) == [(hash_of("a"), "d"), (hash_of(long), "")]
    assert query_hash_of(run, details) == hash_of(QUERY)
    none = msgspec.structs.replace(run, capture="none")
    assert query_hash_of(none, RunDetails()) == ""
    assert documents_of(none, RunDetails()) == [("", "")] * 2
