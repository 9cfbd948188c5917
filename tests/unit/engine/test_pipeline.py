import asyncio
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, FailedModel, GetModelRequest, ListModelsRequest, RerankRequest
from rerankd.engine.limits import RequestLimits
from rerankd.engine.pipeline import Engine
from rerankd.engine.routing.router import Router
from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    ProviderCall,
    ProviderReply,
    ScoreSpace,
    Scoring,
)
from tests.support.providers import FACTS, Answer, ScriptedProvider, by_length
from tests.support.waiting import settle

CALL = CallContext(request_id="r1")


def engine(provider: ScriptedProvider, **limits: int) -> Engine:
    router = Router([provider], default_model="scripted/model", aliases={"short": "scripted/model"})
    return Engine(router, RequestLimits(**limits))


def failing(kind: AdapterErrorKind, retry_after_s: float | None = None) -> Answer:
    async def answer(_: ProviderCall) -> ProviderReply:
        raise AdapterError(kind, "said no", retry_after_s=retry_after_s, status=500)

    return answer


async def hang(_: ProviderCall) -> ProviderReply:
    await asyncio.Event().wait()
    raise AssertionError


async def test_response_carries_what_the_call_was() -> None:
    request = RerankRequest(query="q", documents=["a", "bbb", "bb"], top_n=2, include_details=True)
    response = await engine(ScriptedProvider()).rerank(request, CALL)
    assert [(r.index, r.relevance_score, r.document) for r in response.results] == [
        (1, 3.0, None),
        (2, 2.0, None),
    ]
    assert (response.id, response.model) == ("r1", "scripted/model")
    assert response.usage is not None
    assert (response.usage.documents, response.usage.total_tokens, response.usage.cost) == (3, 3, None)
    assert response.extra_fields is not None
    assert [(c.chunk_index, c.documents, c.attempts) for c in response.extra_fields.chunks] == [(0, 3, 1)]


@pytest.mark.parametrize("name", ["", "short", "scripted/model"])
async def test_model_names(name: str) -> None:
    request = RerankRequest(model=name, query="q", documents=["a"])
    assert (await engine(ScriptedProvider()).rerank(request, CALL)).model == "scripted/model"


async def test_a_fallback_reruns_the_whole_request() -> None:
    provider = ScriptedProvider(model=failing(AdapterErrorKind.UNAVAILABLE), other=by_length)
    request = RerankRequest(query="q", documents=["a", "bb"], fallbacks=["scripted/other"])
    response = await engine(provider).rerank(request, CALL)
    assert response.model == "scripted/other"
    assert response.meta is not None
    assert response.meta.warnings == ["fell back: scripted/model: said no"]
    assert [(call.model, len(call.documents)) for call in provider.calls] == [("model", 2)] * 3 + [("other", 2)]
    assert response.extra_fields is not None
    assert response.extra_fields.fell_back_from == [
        FailedModel(model="scripted/model", reason="PROVIDER_UNAVAILABLE", message="scripted/model: said no")
    ]


async def test_a_rejected_request_takes_no_fallback() -> None:
    provider = ScriptedProvider(model=failing(AdapterErrorKind.REJECTED), other=by_length)
    request = RerankRequest(query="q", documents=["a"], fallbacks=["scripted/other"])
    with pytest.raises(ServiceError) as raised:
        await engine(provider).rerank(request, CALL)
    assert raised.value.reason is Reason.PROVIDER_REJECTED_REQUEST
    assert len(provider.calls) == 1


async def test_when_all_fail_the_error_lists_what_each_said() -> None:
    provider = ScriptedProvider(
        model=failing(AdapterErrorKind.UNAVAILABLE), other=failing(AdapterErrorKind.RATE_LIMITED, 7.0)
    )
    request = RerankRequest(query="q", documents=["a"], fallbacks=["scripted/other"])
    with pytest.raises(ServiceError) as raised:
        await engine(provider).rerank(request, CALL)
    assert raised.value.reason is Reason.PROVIDER_UNAVAILABLE
    assert "scripted/model: said no" in str(raised.value)
    assert "scripted/other: said no" in str(raised.value)
    assert raised.value.retry_after_s == 7.0


async def test_a_deadline_ends_the_provider_call() -> None:
    provider = ScriptedProvider(model=hang)
    call = CallContext(request_id="r", deadline_s=time.monotonic() + 0.05)
    with pytest.raises(ServiceError) as raised:
        await engine(provider).rerank(RerankRequest(query="q", documents=["a"]), call)
    assert raised.value.reason is Reason.DEADLINE_EXCEEDED
    assert provider.cancelled == 1


async def test_a_passed_deadline_reaches_no_provider() -> None:
    provider = ScriptedProvider()
    call = CallContext(request_id="r", deadline_s=time.monotonic() - 1)
    with pytest.raises(ServiceError):
        await engine(provider).rerank(RerankRequest(query="q", documents=["a"]), call)
    assert provider.calls == []


async def test_cancelling_the_call_cancels_the_provider_call_and_frees_its_place() -> None:
    provider = ScriptedProvider(model=hang)
    tested = engine(provider, max_concurrent_calls=1)
    request = RerankRequest(query="q", documents=["a"])
    task = asyncio.create_task(tested.rerank(request, CALL))
    await settle()
    with pytest.raises(ServiceError) as raised:
        await tested.rerank(request, CALL)
    assert raised.value.reason is Reason.OVERLOADED
    assert raised.value.retry_after_s is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert provider.cancelled == 1
    second = asyncio.create_task(tested.rerank(request, CALL))
    await settle()
    assert len(provider.calls) == 2
    second.cancel()


async def test_models_are_listed_in_pages() -> None:
    tested = engine(ScriptedProvider(a=by_length, b=by_length, c=by_length, model=by_length))
    names: list[str] = []
    token = ""
    while True:
        page = await tested.list_models(ListModelsRequest(page_size=3, page_token=token), CALL)
        names += [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            break
    assert names == ["scripted/a", "scripted/b", "scripted/c", "scripted/model"]
    model = (await tested.get_model(GetModelRequest(model="short"), CALL)).model
    assert model is not None
    assert (model.name, model.aliases) == ("scripted/model", ["short"])


@given(
    st.lists(st.text("abc", min_size=1), min_size=1, max_size=60),
    st.integers(1, 20),
    st.none() | st.integers(1, 70),
)
def test_split_and_merged_is_the_same_as_one_call(documents: list[str], most: int, top_n: int | None) -> None:
    facts = Capabilities(scoring=Scoring.POINTWISE, score_space=ScoreSpace.PROBABILITY)
    request = RerankRequest(query="q", documents=list(documents), top_n=top_n)
    split = ScriptedProvider(facts=replace(facts, max_documents=most))
    one = asyncio.run(engine(ScriptedProvider(facts=facts)).rerank(request, CALL))
    many = asyncio.run(engine(split).rerank(request, CALL))
    assert many.results == one.results
    assert many.usage == one.usage
    assert max(len(call.documents) for call in split.calls) <= most


async def test_a_failing_chunk_fails_the_call_and_cancels_the_others() -> None:
    async def fail_or_hang(call: ProviderCall) -> ProviderReply:
        if "bad" in call.documents:
            raise AdapterError(AdapterErrorKind.REJECTED, "too long", field=f"documents[{call.documents.index('bad')}]")
        return await hang(call)

    provider = ScriptedProvider(facts=replace(FACTS, max_documents=2), model=fail_or_hang)
    request = RerankRequest(query="q", documents=["a", "b", "c", "bad", "e"])
    with pytest.raises(ServiceError) as raised:
        await engine(provider).rerank(request, CALL)
    assert raised.value.violations[0].field == "documents[3]"
    assert provider.cancelled == len(provider.calls) - 1


async def test_prior_scores_reach_the_provider_only_when_every_document_has_one() -> None:
    provider = ScriptedProvider()
    scored: list[str | Document] = [Document(text="a", prior_score=2.0), Document(text="b", prior_score=0.0)]
    await engine(provider).rerank(RerankRequest(query="q", documents=scored), CALL)
    await engine(provider).rerank(RerankRequest(query="q", documents=[*scored, "c"]), CALL)
    assert [call.prior_scores for call in provider.calls] == [[2.0, 0.0], None]


@pytest.mark.parametrize("size", [0, -1, 1001])
async def test_page_size_out_of_range(size: int) -> None:
    with pytest.raises(ServiceError) as raised:
        await engine(ScriptedProvider()).list_models(ListModelsRequest(page_size=size), CALL)
    assert raised.value.violations[0].field == "page_size"


@pytest.mark.parametrize(
    ("provider", "why"),
    [
        ("cohere", "provider cohere is not configured: set COHERE_API_KEY or add providers.cohere to the settings"),
        ("scriptd", "there is no provider scriptd; did you mean scripted?"),
    ],
)
async def test_a_list_of_models_that_is_empty_says_why(provider: str, why: str) -> None:
    with pytest.raises(ServiceError) as raised:
        await engine(ScriptedProvider()).list_models(ListModelsRequest(provider=provider), CALL)
    assert (raised.value.reason, raised.value.violations[0].field) == (Reason.INVALID_REQUEST, "provider")
    assert raised.value.message == why


async def test_an_instruction_goes_only_to_models_that_follow_it() -> None:
    request = RerankRequest(query="q", documents=["a"], instruction="Be brief.")
    follows = ScriptedProvider(facts=replace(FACTS, takes_instruction=True))
    ignores = ScriptedProvider()
    answers = [await engine(provider).rerank(request, CALL) for provider in (follows, ignores)]
    assert [provider.calls[0].instruction for provider in (follows, ignores)] == ["Be brief.", ""]
    warnings = [list(answer.meta.warnings) for answer in answers if answer.meta]
    assert warnings[0] == []
    assert [warning.split()[0] for warning in warnings[1]] == ["instruction"]


async def test_images_are_refused_before_any_work() -> None:
    documents: list[str | Document] = [
        "a",
        Document(text="b", image="https://host/1"),
        Document(image="https://host/2"),
    ]
    request = RerankRequest(query="q", documents=documents)
    provider = ScriptedProvider()
    with pytest.raises(ServiceError) as raised:
        await engine(provider).rerank(request, CALL)
    assert raised.value.reason is Reason.CAPABILITY_UNSUPPORTED
    assert [violation.field for violation in raised.value.violations] == ["documents[1].image", "documents[2].image"]
    assert provider.calls == []


async def test_images_and_objects_stay_with_their_documents_when_split() -> None:
    documents: list[str | Document] = [
        Document(text=str(place), image=f"https://host/{place}", fields={"n": place}) for place in range(5)
    ]
    request = RerankRequest(query="q", documents=documents, rank_fields=["n", "text"])
    provider = ScriptedProvider(facts=replace(FACTS, takes_images=True, max_documents=2))
    await engine(provider).rerank(request, CALL)
    seen = [
        (fields and fields["n"], fields and fields["text"], image)
        for call in provider.calls
        for fields, image in zip(call.objects or (), call.images or (), strict=True)
    ]
    assert sorted(seen) == [(place, str(place), f"https://host/{place}") for place in range(5)]
    assert max(len(call.documents) for call in provider.calls) == 2


async def test_the_catalog_says_which_models_take_images() -> None:
    request = GetModelRequest(model="scripted/model")
    for takes_images in (True, False):
        provider = ScriptedProvider(facts=replace(FACTS, takes_images=takes_images))
        answer = await engine(provider).get_model(request, CALL)
        assert answer.model is not None
        assert answer.model.takes_images is takes_images


@pytest.mark.parametrize("query", ["", "q"])
async def test_an_image_is_the_query_where_the_model_takes_it(query: str) -> None:
    image = "https://host/q.png"
    provider = ScriptedProvider(facts=replace(FACTS, takes_query_images=True))
    opened = engine(provider)
    request = RerankRequest(query=query, query_image=image, documents=["a", "bb"])
    answer = await opened.rerank(request, CALL)
    assert [result.index for result in answer.results] == [1, 0]
    assert (provider.calls[0].query, provider.calls[0].query_image) == (query, image)
    model = (await opened.get_model(GetModelRequest(model="scripted/model"), CALL)).model
    assert model is not None
    assert model.takes_query_images
