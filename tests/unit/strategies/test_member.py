"""Members: asked through the engine, with retries, fallbacks, cache, admission and telemetry of a model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.engine.pipeline import Engine
from rerankd.telemetry.calls.call_record import CallRecord
from rerankd.telemetry.calls.recorder import EndedBatch, Recorder
from rerankd.telemetry.calls.recording import RecordedService
from rerankd_adapters.base import AdapterErrorKind, ProviderCall, ProviderReply
from rerankd_adapters.parameter import Parameters
from rerankd_adapters.providers.nvidia_nim import NVIDIA_NIM
from tests.support.engines import engine, failing, hanging, in_turn
from tests.support.providers import ScriptedProvider, by_length
from tests.support.virtual_time import virtual_time
from tests.support.waiting import settle

CALL = CallContext(request_id="r1")
DOCUMENTS = ["aaaa", "b", "ccccc", "dd", "eee"]
AT_ONCE = {"retries": {"max_attempts": 3, "initial_delay_ms": 0}, "cooldown": {"failures": 0}}
STAGES: list[dict[str, Any]] = [{"model": "one", "keep": 3}, {"model": "two"}]


def cascade(*providers: ScriptedProvider, is_cached: bool = False, **limits: Any) -> Engine:
    """Make a cascade, `deep`, of the models `one` and `two` of the first and the last provider."""
    models = {
        name: {**AT_ONCE, "deployments": [{"model": f"{provider.name}/model"}]}
        for name, provider in (("one", providers[0]), ("two", providers[-1]))
    }
    rerankers = {"deep": {"strategy": "cascade", "config": {"stages": STAGES, **limits.pop("config", {})}}}
    return engine(providers, models, rerankers=rerankers, is_cached=is_cached, **limits)


async def ask(found: Engine, documents: list[str] = DOCUMENTS, **fields: Any) -> RerankResponse:
    return await found.rerank(RerankRequest(model="deep", query="q", documents=[*documents], **fields), CALL)


async def test_each_member_has_the_retries_of_its_model() -> None:
    def shaky() -> Any:
        return in_turn(failing(), failing(), by_length)

    one, two = ScriptedProvider("one", model=shaky()), ScriptedProvider("two", model=shaky())
    answer = await ask(cascade(one, two))
    assert answer.extra_fields is not None
    assert [stage.status for stage in answer.extra_fields.stages] == ["ok", "ok"]
    assert (len(one.calls), len(two.calls)) == (3, 3)


async def test_scores_of_members_are_cached_by_pair() -> None:
    one, two = ScriptedProvider("one"), ScriptedProvider("two")
    found = cascade(one, two, is_cached=True)
    first = await ask(found)
    again = await ask(found, [*DOCUMENTS, "ffffff"])
    assert [call.documents for call in one.calls] == [DOCUMENTS, ["ffffff"]]
    assert [call.documents for call in two.calls] == [["aaaa", "ccccc", "eee"], ["ffffff"]]
    assert first.usage is not None
    assert again.usage is not None
    assert (first.usage.cached_documents, again.usage.cached_documents) == (0, 5 + 2)
    await ask(found, cache="bypass")
    assert len(two.calls) == 3


async def test_options_and_instruction_reach_every_member() -> None:
    one, two = ScriptedProvider("one"), ScriptedProvider("two")
    await ask(cascade(one, two), provider_options={"temperature": 1}, top_n=2, max_tokens_per_doc=7)
    for call in one.calls + two.calls:
        assert (call.options, call.max_tokens_per_doc) == ({"temperature": 1}, 7)


@pytest.mark.parametrize(
    ("known", "warnings"),
    [
        (({}, NVIDIA_NIM.parameters), []),
        ((NVIDIA_NIM.parameters, None), []),
        (({}, {}), ["truncate was ignored: no member of deep has such a parameter; Cohere has"]),
    ],
    ids=["one member has it", "one takes any", "none has it"],
)
async def test_one_warning_of_an_option_that_no_member_has(known: Sequence[Parameters], warnings: list[str]) -> None:
    members = [ScriptedProvider("one"), ScriptedProvider("two")]
    for member, parameters in zip(members, known, strict=True):
        member.parameters = parameters
    answer = await ask(cascade(*members), provider_options={"truncate": "END"})
    assert answer.meta is not None
    assert [each.partition(";")[0] for each in answer.meta.warnings] == [each.partition(";")[0] for each in warnings]
    taken = [{"truncate": "END"} if parameters != {} else {} for parameters in known]
    assert [member.calls[0].options for member in members] == taken


async def test_rerankers_within_rerankers_warn_once() -> None:
    one, two = ScriptedProvider("one"), ScriptedProvider("two")
    one.parameters = two.parameters = {}
    listed = [{"model": "inner", "keep": 2}, {"model": "two/model"}]
    inner = [{"model": "one/model", "keep": 3}, {"model": "two/model"}]
    rerankers = {
        "deep": {"strategy": "cascade", "config": {"stages": listed}},
        "inner": {"strategy": "cascade", "config": {"stages": inner}},
    }
    answer = await ask(engine([one, two], rerankers=rerankers), provider_options={"colour": 1})
    assert answer.meta is not None
    assert answer.meta.warnings == ["colour was ignored: no provider has such a parameter"]


async def test_rerankers_over_a_hung_provider_leave_places_for_others() -> None:
    hung, quick = ScriptedProvider("hung", model=hanging), ScriptedProvider("quick")
    listed = [{"model": "hung/model", "keep": 2}, {"model": "quick/model"}]
    rerankers = {name: {"strategy": "cascade", "config": {"stages": listed}} for name in ("first", "second", "third")}
    found = engine([hung, quick], rerankers=rerankers, max_concurrent_calls=16)

    def call(model: str) -> asyncio.Task[RerankResponse]:
        request = RerankRequest(model=model, query="q", documents=["a", "b"])
        return asyncio.create_task(found.rerank(request, CALL))

    running = [call(model) for model in ("first", "second", "third") for _ in range(5)]
    await settle()
    refused = [task.exception() for task in running if task.done()]
    assert 4 <= len(refused) < len(running)
    assert all(isinstance(error, ServiceError) and error.reason is Reason.OVERLOADED for error in refused)
    holders = {error.metadata["provider"] for error in refused if isinstance(error, ServiceError)}
    assert "hung" in holders, "rerankers of one provider share its slots"
    assert (await call("quick/model")).model == "quick/model"
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert len((await call("quick/model")).results) == 2


async def test_bad_requests_of_a_member_are_those_of_the_call() -> None:
    rejecting = failing(AdapterErrorKind.REJECTED, "documents[1] is too long", field="documents[1]")
    with pytest.raises(ServiceError) as raised:
        await ask(cascade(ScriptedProvider("one", model=rejecting), ScriptedProvider("two")))
    assert (raised.value.reason, raised.value.violations[0].field) == (Reason.PROVIDER_REJECTED_REQUEST, "documents[1]")


async def test_an_error_of_a_later_stage_names_documents_of_the_request() -> None:
    rejecting = failing(AdapterErrorKind.REJECTED, "it is too long", field="documents[1]")
    stages = [STAGES[0], {**STAGES[1], "required": True}]
    found = cascade(ScriptedProvider("one"), ScriptedProvider("two", model=rejecting), config={"stages": stages})
    with pytest.raises(ServiceError) as raised:
        await ask(found)
    assert raised.value.violations[0].field == "documents[2]", "the second of documents 0, 2 and 4"


class Kept:
    """Keeps ended calls. Satisfies `Sink`."""

    name = "kept"
    needs_texts = None
    is_prompt = True

    def __init__(self) -> None:
        self.records: list[CallRecord] = []

    def consume(self, batch: EndedBatch) -> None:
        self.records += batch.calls


@virtual_time
async def test_the_record_of_a_call_has_its_members_with_their_outcomes() -> None:
    kept = Kept()
    recorder = Recorder([kept])

    async def slow(call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(60)
        return await by_length(call)

    found = cascade(ScriptedProvider("one"), ScriptedProvider("two", model=slow), config={"budget_ms": 100})
    service = RecordedService(found, recorder)
    await service.rerank(RerankRequest(model="deep", query="q", documents=[*DOCUMENTS]), CALL)
    await asyncio.sleep(1)
    (record,) = kept.records
    assert [(each.name, each.documents, each.outcome) for each in record.members] == [
        ("one", 5, "ok"),
        ("two", 3, "DEADLINE_EXCEEDED"),
    ]
    assert [attempt.chunk_index for attempt in record.attempts] == [0, 1]
    assert [attempt.parent for attempt in record.attempts] == [*record.members]
    assert (record.chunks, record.model) == (2, "deep")
