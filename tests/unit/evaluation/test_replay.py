from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest
from rerankd.engine.rendering import render
from rerankd.evaluation.identity import hash_of
from rerankd.evaluation.replay import documents_of, query_hash_of, replay_of
from rerankd.runs.capture import RunCapture
from rerankd.runs.run import Run, RunDetails
from rerankd.runs.settings import RunSettings
from tests.support.runs import DOCUMENTS, QUERY, ended_call


async def logged(documents: Sequence[str | Document] | None = None, capture: Any = "full", **request: Any) -> Run:
    """Return the run of a call; the second document was the best."""
    record = ended_call(documents=[""] * len(documents) if documents else None, request=request)
    if documents:
        made = RerankRequest(model="support", query=QUERY, documents=list(documents), **request)
        record.texts = await render(made, omits_blank=True)
    return RunCapture(RunSettings(capture=capture)).run_of(record)


async def test_a_run_is_sent_to_another_model_as_it_came() -> None:
    run = await logged(top_n=2, rank_fields=["title"], priority=3)

    found = replay_of(run, "local/bm25")

    assert found.request == RerankRequest(
        model="local/bm25", query=QUERY, documents=[*DOCUMENTS], top_n=2, rank_fields=["title"], priority=999
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


async def test_objects_keep_ids_fields_and_earlier_scores() -> None:
    documents = [
        Document(id="a", fields={"title": "Berlin", "year": 1}, prior_score=2.0),
        Document(id="b", text="Paris", prior_score=1.0),
        Document(text="Rome", metadata={"kept": False}),
    ]
    run = await logged(documents)

    request = replay_of(run, "local/bm25").request

    assert request.documents == [documents[0], documents[1], "Rome"]
    assert list((await render(request)).texts) == ["title: Berlin\nyear: 1", "Paris", "Rome"]


async def test_indices_are_those_of_the_runs_own_request() -> None:
    run = await logged(["Berlin", " ", "Paris", "Rome"])

    found = replay_of(run, "")

    assert found.request.documents == ["Berlin", "Paris", "Rome"]
    assert found.order_of([1, 2, 0]) == [2, 3, 0]
    assert found.documents[1] == ("", "")
    assert len(found.documents) == 4


async def test_a_short_run_is_replayed_although_long_ones_are_cut() -> None:
    assert replay_of(await logged(capture="truncated"), "").request.documents == DOCUMENTS


@pytest.mark.parametrize(
    ("capture", "request_", "documents", "said"),
    [
        ("none", {}, None, "runs.capture was none when it was logged"),
        ("hashes", {}, None, "runs.capture was hashes when it was logged"),
        ("truncated", {"instruction": "x" * 501}, None, "its query or its instruction was cut"),
        ("truncated", {}, ["a", "x" * 501], "some of its documents were cut"),
        ("truncated", {}, [*map(str, range(101))], "only 100 of its 101 documents were kept"),
        ("full", {}, ["a", Document(image="data:,")], "it has images"),
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
    assert "runs.capture: full keeps all texts" in refused.value.message


async def test_a_failed_run_has_nothing_to_compare_with() -> None:
    run = RunCapture(RunSettings(capture="full")).run_of(ended_call(Reason.PROVIDER_UNAVAILABLE))
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
