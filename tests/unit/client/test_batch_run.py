"""The bookkeeping of a batch: what is sent again, how often, and what is counted."""

from __future__ import annotations

import grpc
import pytest

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client import BatchProgress, RerankError
from rerankd_client.batch_run import BatchRun
from rerankd_client.errors import ERROR_OF_CODE
from rerankd_client.requests import encode_batch_item


def new_run(*, max_resumes: int = 8, is_closed: bool = False, window: int = 3) -> BatchRun:
    return BatchRun(
        defaults=None,
        ordered=False,
        max_concurrency=window,
        on_progress=None,
        max_resumes=max_resumes,
        is_closed=lambda: is_closed,
    )


def add(run: BatchRun, *names: str) -> None:
    for name in names:
        run.add(encode_batch_item({"item_id": name, "query": "q", "documents": ["d"]}))


def send(run: BatchRun) -> list[str]:
    sent = []
    while run.has_message:
        sent.append(run.take().item.item_id)
    return sent


def answer(run: BatchRun, position: int, documents: int = 1, cost: float | None = None) -> int | None:
    item = pb.BatchItemResult(item_index=position)
    item.response.usage.documents = documents
    if cost is not None:
        item.response.usage.cost = cost
    result = run.receive(pb.BatchRerankResponse(item=item))
    return None if result is None else result.item_index


def broken(code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE, **facts: str) -> RerankError:
    error = ERROR_OF_CODE.get(code, RerankError)(code=code, reason=code.name, message="gone", metadata={})
    for name, value in facts.items():
        setattr(error, name, value)
    return error


def test_the_unanswered_are_sent_again_in_order_before_others() -> None:
    run = new_run()
    run.begin_stream()
    add(run, "a", "b", "c", "d")
    assert send(run) == ["a", "b", "c", "d"]
    assert answer(run, 2) == 2
    assert answer(run, 0) == 0

    run.begin_stream()
    add(run, "e")

    assert send(run) == ["b", "d", "e"]
    assert [answer(run, position) for position in (0, 1, 2)] == [1, 3, 4]


def test_an_item_is_answered_once() -> None:
    run = new_run()
    run.begin_stream()
    add(run, "a")
    send(run)
    assert answer(run, 0) == 0
    assert answer(run, 0) is None
    assert answer(run, 7) is None


def test_what_was_not_sent_before_the_break_is_sent_after_it() -> None:
    run = new_run()
    run.begin_stream()
    add(run, "a", "b")
    assert run.take().item.item_id == "a"
    run.begin_stream()
    assert send(run) == ["a", "b"]


def test_room_is_for_unanswered_items() -> None:
    run = new_run(window=1)
    run.begin_stream()
    add(run, "a", "b")
    assert not run.has_room
    run.begin_stream()
    assert not run.has_room
    send(run)
    answer(run, 1)
    assert run.has_room


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_only_a_lost_connection_is_resumed(code: grpc.StatusCode) -> None:
    is_lost = code.name in ("UNAVAILABLE", "CANCELLED", "INTERNAL", "UNKNOWN")
    for error, is_resumed in (
        (broken(code), is_lost),
        (broken(code, request_id="the server said it"), False),
        (broken(code, request_id="the server said it", reason="DRAINING"), is_lost),
    ):
        run = new_run()
        run.begin_stream()
        assert (run.resume_delay_s(error) is not None) == is_resumed
    assert new_run(max_resumes=0).resume_delay_s(broken(code)) is None
    assert new_run(is_closed=True).resume_delay_s(broken(code)) is None


def count_resumes(run: BatchRun) -> list[float]:
    delays_s: list[float] = []
    while True:
        run.begin_stream()
        send(run)
        delay_s = run.resume_delay_s(broken())
        if delay_s is None:
            return delays_s
        delays_s.append(delay_s)


def test_a_server_that_never_answered_is_given_up_soon() -> None:
    assert len(count_resumes(new_run())) == 2
    assert len(count_resumes(new_run(max_resumes=1))) == 1


def test_streams_without_an_answer_are_bounded_and_back_off() -> None:
    run = new_run()
    run.begin_stream()
    add(run, "a")
    send(run)
    answer(run, 0)
    delays_s = count_resumes(run)
    assert len(delays_s) == 8
    assert all(0.2 * 2 ** (n - 1) <= delay_s <= 0.2 * 2**n for n, delay_s in enumerate(delays_s[:4], start=1))
    assert max(delays_s) <= 5


def test_an_item_that_breaks_every_stream_ends_the_batch_although_others_are_answered() -> None:
    run = new_run(max_resumes=3)
    add(run, "breaks")
    streams = 0
    while True:
        run.begin_stream()
        add(run, f"i{streams}")
        streams += 1
        send(run)
        answer(run, 1)
        if run.resume_delay_s(broken()) is None:
            break
    assert streams == 4


def test_totals_of_all_streams() -> None:
    seen: list[BatchProgress] = []
    run = BatchRun(
        defaults=None,
        ordered=False,
        max_concurrency=None,
        on_progress=seen.append,
        max_resumes=8,
        is_closed=lambda: False,
    )
    run.begin_stream()
    add(run, "a", "b", "c")
    send(run)
    answer(run, 0, documents=5, cost=0.5)
    failed = pb.BatchItemResult(item_index=1)
    failed.status.code = 3
    run.receive(pb.BatchRerankResponse(item=failed))
    run.begin_stream()
    send(run)
    answer(run, 0, documents=7)
    run.receive(pb.BatchRerankResponse(progress=pb.BatchProgress(items_received=1, items_succeeded=1, items_failed=0)))
    last = pb.BatchSummary(items_received=1, items_succeeded=1, usage=pb.Usage(documents=7), latency_ms=1)
    run.receive(pb.BatchRerankResponse(summary=last))

    assert seen == [BatchProgress(3, 2, 1)]
    assert run.summary is not None
    assert (run.summary.items_received, run.summary.items_succeeded, run.summary.items_failed) == (3, 2, 1)
    assert (run.summary.usage.documents, run.summary.usage.cost) == (12, 0.5)
    assert run.summary.resumes == 1


def test_resumes_are_not_negative() -> None:
    with pytest.raises(ValueError, match="max_resumes"):
        new_run(max_resumes=-1)
