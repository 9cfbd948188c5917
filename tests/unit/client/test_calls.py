"""Unary calls of both clients against a real server."""

from __future__ import annotations

import asyncio
import pickle
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from rerank.v1 import rerank_service_pb2 as pb
from rerankd_client import (
    AsyncRerankClient,
    Contribution,
    Document,
    HealthStatus,
    ModelStatus,
    NotFound,
    RerankClient,
    ScoreSpace,
    Scoring,
    StageStatus,
    Unavailable,
    Usage,
    WarmedDocuments,
)
from rerankd_client.calls import BATCH_RERANK_PATH, UNARY_METHODS

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer

DOCUMENTS = ["a desert planet", "frank herbert wrote dune", "dune"]


async def test_rerank_returns_results_best_first(client: AsyncRerankClient) -> None:
    response = await client.rerank(query="who wrote dune", documents=DOCUMENTS, top_n=2)

    assert [result.index for result in response.results] == [1, 2]
    assert response.results[0].relevance_score == pytest.approx(2 / 3)
    assert response.results[0].document is None
    assert (response.id, response.model, response.provider) == ("req-7", "local/default", "local")
    assert (response.usage.documents, response.usage.total_tokens, response.usage.cost) == (3, 42, None)
    assert (response.latency_ms, response.warnings) == (3.25, ("document 0 was cut",))


async def test_every_option_reaches_the_server(client: AsyncRerankClient, server: FakeServer) -> None:
    await client.rerank(
        "dune",
        DOCUMENTS,
        model="cohere/rerank-v3.5",
        top_n=1,
        rank_fields=["title"],
        return_documents=True,
        max_chunks_per_doc=2,
        max_tokens_per_doc=3,
        priority=4,
        fallbacks=["local/bm25"],
        truncation="end",
        instruction="books",
        score_threshold=0.5,
        user="u",
        provider_options={"a": {"b": [1, None]}},
        cache="no-store",
        include_details=True,
        query_image="https://h/q.png",
        normalization="minmax",
        documents_ranked=True,
    )

    request = server.journal.requests[-1]
    assert {field.name for field, _ in request.ListFields()} == set(pb.RerankRequest.DESCRIPTOR.fields_by_name)
    assert (request.truncation, request.cache) == (pb.TRUNCATION_END, pb.CACHE_CONTROL_NO_STORE)


async def test_documents_are_warmed(client: AsyncRerankClient, server: FakeServer) -> None:
    warmed = await client.warm_documents(
        [Document(text="dune", id="a"), {"title": "sea"}],
        model="local/default",
        rank_fields=["title"],
        max_chunks_per_doc=2,
        max_tokens_per_doc=3,
        truncation="start",
    )

    assert warmed == WarmedDocuments("local/default", 1, 1, 0, ("a warning",))
    request = server.journal.warmed[-1]
    assert {field.name for field, _ in request.ListFields()} == set(pb.WarmDocumentsRequest.DESCRIPTOR.fields_by_name)
    assert (request.documents[0].text, request.documents[1].fields["title"]) == ("dune", "sea")
    with pytest.raises(TypeError, match="no option 'top_n' of warm_documents"):
        await client.warm_documents(["a"], top_n=1)  # type: ignore[call-arg]  # wrong on purpose


async def test_unset_options_stay_unset(client: AsyncRerankClient, server: FakeServer) -> None:
    await client.rerank("dune", DOCUMENTS, model=None, top_n=None)

    assert {field.name for field, _ in server.journal.requests[-1].ListFields()} == {"query", "documents"}


async def test_documents_come_back_as_they_went(client: AsyncRerankClient) -> None:
    document = Document(
        text="dune",
        id="a",
        fields={"year": 1965},
        prior_score=0.0,
        metadata={"tags": ["x", None], "n": {"k": 1.5}},
        image="https://host/1.png",
    )

    response = await client.rerank("dune", [document, {"text": "sea"}], return_documents=True)

    assert response.results[0].document == document
    assert response.results[1].document == Document(text="sea")


async def test_details(client: AsyncRerankClient) -> None:
    response = await client.rerank("dune", DOCUMENTS, include_details=True)

    assert (response.chunks[0].attempts, response.chunks[0].latency_ms) == (1, 2.0)
    assert (response.stages[0].shortened_by, response.stages[0].indices) == ("budget", (0,))
    assert response.results[0].explanation == (Contribution("words", 1, 0.0, None, 0.25, None),)
    assert response.results[1].explanation == ()
    assert (response.stages[0].status, response.stages[0].usage) == (StageStatus.UNSPECIFIED, None)
    failed = response.stages[1]
    assert (failed.status, failed.reason, failed.message) == ("failed", "PROVIDER_UNAVAILABLE", "it is down")
    assert failed.usage == Usage(cost=0.5)
    assert response.to_dict()["extra_fields"]["stages"][1]["status"] == "failed"


async def test_responses_print_zeros_in_json_and_survive_pickling(client: AsyncRerankClient) -> None:
    response = await client.rerank("x", ["y"])

    assert response.to_dict()["results"] == [{"index": 0, "relevance_score": 0.0}]
    assert pickle.loads(pickle.dumps(response)) == response


async def test_responses_are_written_with_the_keys_of_the_http_interface(client: AsyncRerankClient) -> None:
    response = await client.rerank("dune", [Document(text="sea", id="a"), "land"], return_documents=True)

    written = response.to_dict()
    assert [result["document"] for result in written["results"]] == [{"text": "sea", "id": "a"}, {"text": "land"}]
    assert written["extra_fields"]["score_space"] == "unspecified"


async def test_list_models_walks_the_pages(client: AsyncRerankClient) -> None:
    names = [model.name async for model in client.list_models(page_size=1)]
    local = [model.name async for model in client.list_models(provider="local")]

    assert names == ["cohere/rerank-v3.5", "local/bm25", "local/default", "two-stages"]
    assert local == names[1:3]


async def test_get_model(client: AsyncRerankClient) -> None:
    model = await client.get_model("cohere/rerank-v3.5")

    assert (model.scoring, model.score_space, model.status) == (
        Scoring.POINTWISE,
        ScoreSpace.PROBABILITY,
        ModelStatus.UNAVAILABLE,
    )
    assert model.limits.max_documents == 1000
    assert model.limits.max_total_tokens is None
    assert model.price is not None
    assert model.price.usd_per_million == 2000.0
    assert model.to_dict()["score_space"] == "probability"
    assert (await client.get_model("default")).price is None


async def test_health(client: AsyncRerankClient, server: FakeServer, fake: Any) -> None:
    assert await client.health() is HealthStatus.SERVING
    await server.health.set(fake.SERVICE, 2)
    assert await client.health(fake.SERVICE) is HealthStatus.NOT_SERVING
    with pytest.raises(NotFound):
        await client.health("nobody")


async def test_no_call_goes_to_a_server_that_is_not_serving(server: FakeServer, fake: Any) -> None:
    async with AsyncRerankClient(f"ipv4:{server.address}") as client:
        await client.rerank("dune", DOCUMENTS)
        await server.health.set(fake.SERVICE, 2)
        refused = False
        async with asyncio.timeout(5):
            while not refused:
                try:
                    await client.rerank("dune", DOCUMENTS)
                except Unavailable:
                    refused = True
        received = len(server.journal.requests)
        with pytest.raises(Unavailable):
            await client.rerank("dune", DOCUMENTS)
        assert len(server.journal.requests) == received


async def test_metadata_key_and_user_agent_are_sent(server: FakeServer) -> None:
    options: dict[str, Any] = {"api_key": "secret", "metadata": {"X-Team": "search"}, "user_agent": "shop/1"}
    async with AsyncRerankClient(server.address, **options) as client:
        await client.rerank("dune", DOCUMENTS, metadata={"X-Request-Id": "mine"})

    headers = server.journal.headers
    assert (headers["authorization"], headers["x-team"], headers["x-request-id"]) == (
        "Bearer secret",
        "search",
        "mine",
    )
    assert headers["user-agent"].startswith("shop/1 rerankd-python/")


async def test_cancelling_the_task_cancels_the_call(client: AsyncRerankClient, server: FakeServer) -> None:
    task = asyncio.create_task(client.rerank("slow", DOCUMENTS))
    await asyncio.wait_for(server.journal.is_slow.wait(), 5)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.journal.cancelled.wait(), 5)


async def test_blocking_client(server: FakeServer) -> None:
    def call() -> None:
        with RerankClient(server.address) as client:
            response = client.rerank(query="dune", documents=DOCUMENTS, top_n=1)
            assert [result.index for result in response.results] == [1]
            assert len(list(client.list_models(page_size=2))) == 4
            assert client.get_model("default").name == "local/default"
            assert client.health() is HealthStatus.SERVING
            with pytest.raises(NotFound, match="there is no model 'x'") as caught:
                client.get_model("x")
            assert caught.value.metadata["suggestion"] == "local/default"
            assert caught.value.request_id == "req-7"

    await asyncio.to_thread(call)


async def test_both_clients_make_the_calls_of_the_contract(fake: Any) -> None:
    service = pb.DESCRIPTOR.services_by_name["RerankService"]
    paths = {f"/{service.full_name}/{method.name}" for method in service.methods}

    assert {method.path for method in UNARY_METHODS} | {BATCH_RERANK_PATH} == paths | {"/grpc.health.v1.Health/Check"}
    for method in UNARY_METHODS[:3]:
        name = method.path.rpartition("/")[2]
        assert service.methods_by_name[name].output_type is method.response_type.DESCRIPTOR


async def test_a_client_can_be_made_without_an_event_loop() -> None:
    client = await asyncio.to_thread(AsyncRerankClient, "127.0.0.1:1", max_attempts=1)

    async with client:
        with pytest.raises(Exception, match="UNAVAILABLE") as caught:
            await client.rerank("dune", DOCUMENTS)
    assert getattr(caught.value, "code", None) is grpc.StatusCode.UNAVAILABLE
