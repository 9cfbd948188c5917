import asyncio
from collections.abc import AsyncIterator

import pytest

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import BatchItem, BatchOptions, BatchRerankRequest, BatchRerankResponse, RerankRequest
from rerankd.engine.batch import BatchService
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd_adapters.base import ProviderCall, ProviderReply
from tests.support.providers import ScriptedProvider, by_length
from tests.support.waiting import settle

CALL = CallContext(request_id="batch")


def engine(provider: ScriptedProvider, concurrency: int = 4) -> BatchService:
    answering = Engine(Router([provider], default_model="scripted/model"), RequestLimits())
    return BatchService(answering, lambda: concurrency)


def item(name: str, *documents: str) -> BatchRerankRequest:
    request = RerankRequest(query="q", documents=list(documents) or ["a"])
    return BatchRerankRequest(item=BatchItem(item_id=name, request=request))


async def stream(*messages: BatchRerankRequest) -> AsyncIterator[BatchRerankRequest]:
    for message in messages:
        yield message


async def collect(responses: AsyncIterator[BatchRerankResponse]) -> list[BatchRerankResponse]:
    return [response async for response in responses]


async def test_every_item_is_answered_and_the_summary_is_last() -> None:
    responses = await collect(engine(ScriptedProvider()).batch_rerank(stream(item("a"), item("b", "x", "yy")), CALL))
    items = [response.item for response in responses if response.item]
    assert sorted(i.item_id for i in items) == ["a", "b"]
    assert {i.item_id: i.item_index for i in items} == {"a": 0, "b": 1}
    summary = responses[-1].summary
    assert summary is not None
    assert (summary.items_received, summary.items_succeeded, summary.items_failed) == (2, 2, 0)
    assert summary.usage is not None
    assert summary.usage.documents == 3


async def test_a_failing_item_fails_alone() -> None:
    bad = BatchRerankRequest(item=BatchItem(item_id="bad", request=RerankRequest(query="")))
    responses = await collect(engine(ScriptedProvider()).batch_rerank(stream(item("a"), bad, item("b")), CALL))
    by_id = {response.item.item_id: response.item for response in responses if response.item}
    assert by_id["a"].response is not None
    status = by_id["bad"].status
    assert by_id["bad"].response is None
    assert status is not None
    assert status.code == 3
    assert status.details[0]["reason"] == "INVALID_REQUEST"
    assert [v["field"] for v in status.details[1]["fieldViolations"]] == ["query", "documents"]
    assert responses[-1].summary is not None
    assert responses[-1].summary.items_failed == 1


async def test_a_fault_of_ours_in_an_item_is_internal_without_its_text() -> None:
    async def explode(_: ProviderCall) -> ProviderReply:
        raise RuntimeError("secret")

    responses = await collect(engine(ScriptedProvider(model=explode)).batch_rerank(stream(item("a")), CALL))
    assert responses[0].item is not None
    status = responses[0].item.status
    assert status is not None
    assert status.code == 13
    assert "secret" not in status.message


async def test_defaults_fill_what_an_item_leaves_unset() -> None:
    provider = ScriptedProvider(model=by_length, other=by_length)
    defaults = RerankRequest(model="scripted/other", query="shared", top_n=1, documents=["ignored"])
    options = BatchRerankRequest(options=BatchOptions(defaults=defaults))
    own = RerankRequest(query="own", documents=["a", "bb"])
    none = RerankRequest(documents=["a", "bb"])
    requests = [BatchRerankRequest(item=BatchItem(item_id=str(i), request=r)) for i, r in enumerate([own, none])]
    responses = await collect(engine(provider).batch_rerank(stream(options, *requests), CALL))
    answers = {r.item.item_id: r.item.response for r in responses if r.item}
    assert {call.query for call in provider.calls} == {"own", "shared"}
    assert all(answer is not None and len(answer.results) == 1 for answer in answers.values())
    assert all(call.model == "other" for call in provider.calls)


async def test_ordered_answers_keep_the_order_of_the_items() -> None:
    async def slow_first(call: ProviderCall) -> ProviderReply:
        if call.documents[0] == "first":
            await settle()
        return await by_length(call)

    for ordered, expected in ((True, ["1", "2", "3"]), (False, ["2", "3", "1"])):
        options = BatchRerankRequest(options=BatchOptions(ordered=ordered))
        messages = stream(options, item("1", "first"), item("2"), item("3"))
        responses = await collect(engine(ScriptedProvider(model=slow_first)).batch_rerank(messages, CALL))
        assert [r.item.item_id for r in responses if r.item] == expected


@pytest.mark.parametrize("asked", [None, 2])
async def test_at_most_the_concurrency_is_read_ahead_of_the_reader(asked: int | None) -> None:
    read = 0

    async def endless() -> AsyncIterator[BatchRerankRequest]:
        nonlocal read
        yield BatchRerankRequest(options=BatchOptions(max_concurrency=asked))
        while True:
            read += 1
            yield item(str(read))

    responses = engine(ScriptedProvider(), concurrency=4).batch_rerank(endless(), CALL)
    await anext(responses)
    await settle()
    assert read == (asked or 4)
    for _ in range(10):
        await anext(responses)
    await settle()
    assert read == 10 + (asked or 4)
    await responses.aclose()  # type: ignore[attr-defined]  # a generator


async def test_closing_the_stream_cancels_what_is_under_way() -> None:
    async def hang(_: ProviderCall) -> ProviderReply:
        await asyncio.Event().wait()
        raise AssertionError

    provider = ScriptedProvider(model=hang)
    responses = engine(provider).batch_rerank(stream(*[item(str(i)) for i in range(9)]), CALL)
    task = asyncio.ensure_future(anext(responses))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(provider.calls), provider.cancelled) == (4, 4)


async def test_progress_after_every_hundred_items() -> None:
    messages = [item(str(i)) for i in range(250)]
    responses = await collect(engine(ScriptedProvider()).batch_rerank(stream(*messages), CALL))
    progress = [r.progress.items_succeeded for r in responses if r.progress]
    assert progress == [100, 200]


async def test_an_empty_stream_has_an_empty_summary() -> None:
    responses = await collect(engine(ScriptedProvider()).batch_rerank(stream(), CALL))
    assert responses[0].summary is not None
    assert responses[0].summary.items_received == 0


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([item("a"), BatchRerankRequest(options=BatchOptions())], "options"),
        ([BatchRerankRequest(options=BatchOptions(max_concurrency=0))], "options.max_concurrency"),
    ],
)
async def test_a_stream_that_breaks_its_rules_fails_as_a_whole(
    messages: list[messages.BatchRerankRequest], field: str
) -> None:
    with pytest.raises(ServiceError) as raised:
        await collect(engine(ScriptedProvider()).batch_rerank(stream(*messages), CALL))
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert raised.value.violations[0].field == field


BOTH = BatchRerankRequest(options=BatchOptions(), item=BatchItem(item_id="x"))


@pytest.mark.parametrize(
    "messages",
    [[BatchRerankRequest()], [BOTH], [item("a"), BatchRerankRequest()], [item("a"), BOTH]],
    ids=["empty first", "both first", "empty later", "both later"],
)
async def test_a_message_holds_one_thing(messages: list[BatchRerankRequest]) -> None:
    with pytest.raises(ServiceError) as raised:
        await collect(engine(ScriptedProvider()).batch_rerank(stream(*messages), CALL))
    assert raised.value.reason is Reason.INVALID_REQUEST
