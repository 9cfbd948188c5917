"""Scoring of a request: fallbacks, cache, chunks, passages, tournaments, warnings."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import CacheControl, RerankRequest, RerankResponse, ScoreNormalization
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ModelInfo, Price, ProviderCall, ProviderReply, Scoring
from tests.support.engines import deployments_of, engine, failing, hanging, is_tripped
from tests.support.providers import FACTS, ScriptedProvider, by_length

CALL = CallContext(request_id="r1")
DOCUMENTS = ["a", "bbbb", "ccc", "dd"]


def ask(documents: Sequence[str] = DOCUMENTS, **fields: Any) -> RerankRequest:
    return RerankRequest(query="q", documents=[*documents], **fields)


def ranking(response: RerankResponse) -> list[tuple[int, float]]:
    return [(result.index, result.relevance_score) for result in response.results]


def usage(response: RerankResponse) -> messages.Usage:
    assert response.usage is not None
    return response.usage


def extra(response: RerankResponse) -> messages.ExtraFields:
    assert response.extra_fields is not None
    return response.extra_fields


def warnings(response: RerankResponse) -> list[str]:
    assert response.meta is not None
    return list(response.meta.warnings)


class Priced(ScriptedProvider):
    """Costs money."""

    unit = "search_unit"

    def describe(self, model: str) -> ModelInfo | None:
        price = Price(model="*", unit=self.unit, usd_per_million=2000.0, source="", date="")
        return ModelInfo(model, self.facts, price=price)


async def for_money(call: ProviderCall) -> ProviderReply:
    return structs.replace(await by_length(call), search_units=1, cost_usd=0.002)


# Fallbacks.


async def test_a_fallback_answers_and_the_answer_says_so() -> None:
    first, second = ScriptedProvider("one", model=failing(message="is down")), ScriptedProvider("two")
    opened = engine([first, second], {"search": {"deployments": [{"model": "one/model"}], "fallbacks": ["two/model"]}})
    response = await opened.rerank(ask(model="search"), CALL)
    assert (response.model, extra(response).provider) == ("two/model", "two")
    (failed,) = extra(response).fell_back_from
    assert (failed.model, failed.reason) == ("search", "PROVIDER_UNAVAILABLE")
    assert "is down" in failed.message
    assert any(warning.startswith("fell back") for warning in warnings(response))


async def test_a_named_model_answers_under_its_name() -> None:
    opened = engine([ScriptedProvider("one")], {"search": {"deployments": [{"model": "one/model"}]}})
    for name in ("search", "one/model"):
        assert (await opened.rerank(ask(model=name), CALL)).model == name


@pytest.mark.parametrize("kind", [AdapterErrorKind.REJECTED, AdapterErrorKind.UNSUPPORTED])
async def test_what_the_request_is_to_blame_for_is_not_tried_elsewhere(kind: AdapterErrorKind) -> None:
    second = ScriptedProvider("two")
    opened = engine([ScriptedProvider("one", model=failing(kind)), second])
    with pytest.raises(ServiceError):
        await opened.rerank(ask(fallbacks=["two/model"]), CALL)
    assert second.calls == []


async def test_the_settings_say_which_failures_lead_to_a_fallback() -> None:
    providers = [ScriptedProvider("one", model=failing(AdapterErrorKind.REJECTED)), ScriptedProvider("two")]
    policy = {"fallbacks": ["two/model"], "fallback_on": ["PROVIDER_REJECTED_REQUEST"]}
    opened = engine(providers, {"one/model": policy})
    assert (await opened.rerank(ask(), CALL)).model == "two/model"


async def test_when_all_fail_each_is_quoted() -> None:
    opened = engine([ScriptedProvider(name, model=failing(message=f"said by {name}")) for name in "abc"])
    with pytest.raises(ServiceError) as raised:
        await opened.rerank(ask(fallbacks=["b/model", "c/model"]), CALL)
    assert raised.value.reason is Reason.PROVIDER_UNAVAILABLE
    assert all(f"{name}/model: said by {name}" in str(raised.value) for name in "abc")


async def test_the_first_model_leaves_time_for_the_fallback() -> None:
    opened = engine([ScriptedProvider("one", model=hanging), ScriptedProvider("two")])
    call = CallContext("r", deadline_s=time.monotonic() + 2.0)
    assert (await opened.rerank(ask(fallbacks=["two/model"]), call)).model == "two/model"


async def test_time_that_runs_out_is_told_as_such() -> None:
    opened = engine([ScriptedProvider("one", model=hanging), ScriptedProvider("two", model=hanging)])
    with pytest.raises(ServiceError) as raised:
        await opened.rerank(ask(fallbacks=["two/model"]), CallContext("r", deadline_s=time.monotonic() + 0.1))
    assert raised.value.reason is Reason.DEADLINE_EXCEEDED


async def test_a_fallback_scores_the_whole_request() -> None:
    async def fail_one(call: ProviderCall) -> ProviderReply:
        if "ccc" in call.documents:
            raise AdapterError(AdapterErrorKind.CREDENTIALS, "wrong key")
        return await by_length(call)

    second = ScriptedProvider("two")
    opened = engine([ScriptedProvider("one", replace(FACTS, max_documents=1), model=fail_one), second], is_cached=True)
    response = await opened.rerank(ask(fallbacks=["two/model"]), CALL)
    assert [list(call.documents) for call in second.calls] == [DOCUMENTS]
    assert [index for index, _ in ranking(response)] == [1, 2, 3, 0]


# Cache.


async def test_what_is_known_is_not_asked_for_again() -> None:
    provider = ScriptedProvider("one")
    opened = engine([provider], is_cached=True)
    first = await opened.rerank(ask(), CALL)
    second = await opened.rerank(ask([*DOCUMENTS, "eeeee"]), CALL)
    assert (usage(first).cached_documents, usage(second).cached_documents) == (0, 4)
    assert [list(call.documents) for call in provider.calls] == [DOCUMENTS, ["eeeee"]]
    assert ranking(second)[0] == (4, 5.0)
    third = await opened.rerank(ask(), CALL)
    assert (len(provider.calls), ranking(third), extra(third).provider) == (2, ranking(first), "one")


@pytest.mark.parametrize(
    ("use", "asked"), [(CacheControl.UNSPECIFIED, 1), (CacheControl.NO_STORE, 2), (CacheControl.BYPASS, 2)]
)
async def test_how_the_caller_has_the_cache_used(use: CacheControl, asked: int) -> None:
    provider = ScriptedProvider("one")
    opened = engine([provider], is_cached=True)
    for _ in range(2):
        await opened.rerank(ask(cache=use), CALL)
    assert len(provider.calls) == asked
    await opened.rerank(ask(), CALL)
    response = await opened.rerank(ask(cache=use), CALL)
    assert usage(response).cached_documents == (0 if use is CacheControl.BYPASS else 4)


@pytest.mark.parametrize("scoring", [Scoring.LISTWISE, Scoring.UNKNOWN])
async def test_scores_that_depend_on_the_other_documents_are_never_kept(scoring: Scoring) -> None:
    provider = ScriptedProvider("one", replace(FACTS, scoring=scoring))
    opened = engine([provider], is_cached=True)
    for _ in range(2):
        assert usage(await opened.rerank(ask(), CALL)).cached_documents == 0
    assert len(provider.calls) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"query": "another"},
        {"instruction": "Be brief."},
        {"truncation": messages.Truncation.START},
        {"max_tokens_per_doc": 7},
        {"provider_options": {"x": 1}},
        {"fallbacks": [], "model": "two/model"},
    ],
)
async def test_whatever_may_change_a_score_is_part_of_its_name(other: dict[str, Any]) -> None:
    facts = replace(FACTS, takes_instruction=True)
    providers = [ScriptedProvider("one", facts), ScriptedProvider("two", facts)]
    opened = engine(providers, is_cached=True)
    await opened.rerank(ask(), CALL)
    changed = ask()
    for name, value in other.items():
        setattr(changed, name, value)
    assert usage(await opened.rerank(changed, CALL)).cached_documents == 0


async def test_a_model_may_be_kept_out_of_the_cache() -> None:
    provider = ScriptedProvider("one")
    opened = engine([provider], {"one/*": {"cache": False}}, is_cached=True)
    for _ in range(2):
        await opened.rerank(ask(), CALL)
    assert len(provider.calls) == 2


async def test_top_n_does_not_hide_documents_from_the_cache() -> None:
    provider = ScriptedProvider("one")
    opened = engine([provider], is_cached=True)
    await opened.rerank(ask(top_n=1), CALL)
    assert usage(await opened.rerank(ask(), CALL)).cached_documents == 4


async def test_two_calls_at_once_ask_once() -> None:
    go_on = asyncio.Event()

    async def slow(call: ProviderCall) -> ProviderReply:
        await go_on.wait()
        return await by_length(call)

    provider = ScriptedProvider("one", model=slow)
    opened = engine([provider], is_cached=True)
    calls = [asyncio.create_task(opened.rerank(ask(), CALL)) for _ in range(3)]
    while not provider.calls:
        await asyncio.sleep(0)
    go_on.set()
    responses = await asyncio.gather(*calls)
    assert sorted(usage(response).cached_documents for response in responses) == [0, 4, 4]
    assert len(provider.calls) == 1


async def test_money_spent_saved_and_not_known() -> None:
    opened = engine([Priced("one", model=for_money), ScriptedProvider("two")], is_cached=True)
    first, second = [usage(await opened.rerank(ask(), CALL)) for _ in range(2)]
    assert (first.cost, first.saved_cost, first.search_units) == (0.002, None, 1)
    assert (second.cost, second.saved_cost, second.search_units) == (0, 0.002, 0)
    unknown = [usage(await opened.rerank(ask(model="two/model"), CALL)) for _ in range(2)]
    assert [(each.cost, each.saved_cost) for each in unknown] == [(None, None), (None, None)]


async def test_a_price_per_request_is_saved_whole_or_not_at_all() -> None:
    provider = Priced("one", model=for_money)
    provider.unit = "call"
    opened = engine([provider], is_cached=True)
    await opened.rerank(ask(), CALL)
    same = usage(await opened.rerank(ask(), CALL))
    more = usage(await opened.rerank(ask([*DOCUMENTS, "one more"]), CALL))
    assert (same.cost, same.saved_cost) == (0, 0.002)
    assert (more.cost, more.saved_cost) == (0.002, 0)


# Chunks, passages, tournaments.


async def reject_long(call: ProviderCall) -> ProviderReply:
    for index, document in enumerate(call.documents):
        if "bad" in document:
            raise AdapterError(AdapterErrorKind.REJECTED, "is not allowed", field=f"documents[{index}].text")
    return await by_length(call)


async def test_an_error_names_the_document_by_its_place_in_the_request() -> None:
    facts = replace(FACTS, max_documents=2, max_tokens_per_document=40)
    opened = engine([ScriptedProvider("one", facts, model=reject_long)], is_cached=True)
    known = ["a", "bb"]
    await opened.rerank(ask(known), CALL)
    long = "some words of a long document. " * 20
    documents = ["a", long, "bb", "c", "a", long + "bad", "d"]
    with pytest.raises(ServiceError) as raised:
        await opened.rerank(ask(documents, max_chunks_per_doc=10), CALL)
    assert raised.value.violations[0].field == "documents[5].text"


async def test_the_best_passage_of_a_document_counts() -> None:
    async def by_word(call: ProviderCall) -> ProviderReply:
        scores = [float(document.count("needle")) for document in call.documents]
        return ProviderReply(indices=range(len(scores)), scores=scores)

    facts = replace(FACTS, max_tokens_per_document=60, max_documents=3)
    provider = ScriptedProvider("one", facts, model=by_word)
    opened = engine([provider], is_cached=True)
    hay = "a lot of hay in one heap. " * 30
    documents = [hay, "needle", hay + "needle needle needle", hay]
    request = ask(documents, max_chunks_per_doc=20)
    response = await opened.rerank(request, CALL)
    assert ranking(response) == [(2, 3.0), (1, 1.0), (0, 0.0), (3, 0.0)]
    assert max(len(call.documents) for call in provider.calls) == 3
    asked = len(provider.calls)
    again = await opened.rerank(request, CALL)
    assert (ranking(again), usage(again).cached_documents, len(provider.calls)) == (ranking(response), 4, asked)


async def test_a_listwise_model_beyond_its_window_plays_a_tournament() -> None:
    facts = replace(FACTS, scoring=Scoring.LISTWISE, max_documents=10)
    provider = ScriptedProvider("one", facts)
    documents = ["x" * (1 + number * 37 % 101) for number in range(100)]
    response = await engine([provider], is_cached=True).rerank(ask(documents, top_n=5), CALL)
    best = sorted(range(100), key=lambda index: -len(documents[index]))[:5]
    assert [index for index, _ in ranking(response)] == best
    assert any("tournament" in warning for warning in warnings(response))
    assert max(len(call.documents) for call in provider.calls) <= 10


async def test_normalisation_per_model_and_per_request() -> None:
    opened = engine([ScriptedProvider("one")], {"one/model": {"normalization": "minmax"}})
    assert [score for _, score in ranking(await opened.rerank(ask(), CALL))] == pytest.approx([1, 2 / 3, 1 / 3, 0])
    cut = await opened.rerank(ask(top_n=2), CALL)
    assert [score for _, score in ranking(cut)] == pytest.approx([1, 2 / 3])
    raw = await opened.rerank(ask(normalization=ScoreNormalization.NONE), CALL)
    assert [score for _, score in ranking(raw)] == [4.0, 3.0, 2.0, 1.0]
    squeezed = await opened.rerank(ask(normalization=ScoreNormalization.SIGMOID), CALL)
    assert all(0 < score < 1 for _, score in ranking(squeezed))


@pytest.mark.parametrize(("scoring", "limit"), [(Scoring.POINTWISE, 1), (Scoring.LISTWISE, 4)])
async def test_a_request_of_more_calls_than_places_and_queue_is_answered(scoring: Scoring, limit: int) -> None:
    running = most = 0

    async def counted(call: ProviderCall) -> ProviderReply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return await by_length(call)

    provider = ScriptedProvider("one", replace(FACTS, scoring=scoring, max_documents=limit), model=counted)
    policy = {"deployments": [{"model": "one/model", "max_concurrent": 2, "max_queued": 3}]}
    opened = engine([provider], {"search": policy})
    documents = ["x" * number for number in range(1, 51)]
    response = await opened.rerank(ask(documents, model="search"), CALL)
    assert (len(response.results), most) == (50, 2)
    assert deployments_of(opened, "search")[0].in_flight == 0


async def test_a_split_request_brings_a_deployment_back_from_its_cooldown() -> None:
    provider = ScriptedProvider("one", replace(FACTS, max_documents=1), model=failing())
    cooldown = {"failures": 1, "initial_s": 0.01}
    opened = engine([provider], {"one/model": {"cooldown": cooldown, "retries": {"max_attempts": 1}}})
    with pytest.raises(ServiceError):
        await opened.rerank(ask(), CALL)
    (only,) = deployments_of(opened, "one/model")
    assert is_tripped(only)

    async def slowly(call: ProviderCall) -> ProviderReply:
        await asyncio.sleep(0)
        return await by_length(call)

    provider._answers["model"] = slowly
    assert len((await opened.rerank(ask(), CALL)).results) == 4
    assert not is_tripped(only)
    assert only.in_flight == 0
