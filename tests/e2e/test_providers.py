"""Providers of a real server, configured by a file and by the environment, over both transports."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.canary import CANARY_DOCUMENT
from tests.support.provider_service import (
    KEY,
    Call,
    Refused,
    Service,
    answered,
    by_grpc,
    by_http,
    of_environment,
    of_file,
)
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well, ranked

QUERY = "solar sail"
DOCUMENTS = ["a desert planet", "the solar sail opened", "a sail", f"another {CANARY_DOCUMENT}", "solar sail"]
ORDER = [4, 1, 2, 0, 3]
"""Of `DOCUMENTS`, best first; the last two tie, and the provider has them the other way round."""
WORDS = sum(len(document.split()) for document in DOCUMENTS)
MODELS = {
    "cohere": "cohere/rerank-v3.5",
    "tei": "tei/any",
    "generic": "ranker/any",
    "alias": "together_ai/Salesforce/Llama-Rank-v1",
    "other alias": "hosted_vllm/BAAI/bge-reranker-v2-m3",
}
FAILURES: dict[str, ScriptedResponse] = {
    "401": ScriptedResponse.of_json({"message": f"invalid api key {KEY}"}, 401),
    "429": ScriptedResponse.of_json({"message": "slow down"}, 429, {"retry-after": "7"}),
    "500": ScriptedResponse.of_json({"message": f"failed for Bearer {KEY}"}, 500),
    "garbage": ScriptedResponse(body=b"\x00<html>not json"),
    "index": ScriptedResponse.of_json({"results": [{"index": 9, "relevance_score": 1.0}]}),
}


def respond(request: Received) -> ScriptedResponse:
    query = str(request.json().get("query", ""))
    return FAILURES.get(query.removeprefix("fail "), answer_well(request))


@pytest.fixture(scope="module", params=[of_file, of_environment])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Upstream(respond) as upstream:
        arguments, environment = request.param(upstream.url, tmp_path_factory.mktemp("settings"))
        # One test must neither open the circuit breaker for the next nor answer it from the cache.
        apart = {"RERANKD_MODELS": '{"*": {"cooldown": {"failures": 0}}}', "RERANKD_CACHE__ENABLED": "false"}
        environment = {**environment, **apart}
        server = ServerProcess(*arguments, environment={**environment, "NO_PROXY": "127.0.0.1"})
        try:
            yield Service(server, upstream)
        finally:
            assert server.stop() == 0
        assert KEY not in json.dumps(server.log)


@pytest.fixture(params=[by_grpc, by_http])
def call(request: pytest.FixtureRequest) -> Call:
    made: Call = request.param
    return made


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_order_and_documents(service: Service, call: Call, model: str) -> None:
    documents = [{"id": f"doc-{index}", "text": text} for index, text in enumerate(DOCUMENTS)]
    request = {"model": model, "query": QUERY, "documents": documents, "return_documents": True}

    answer = answered(call(service.server, request))

    results = answer["results"]
    assert [result["index"] for result in results] == ORDER
    assert [(result["document"]["id"], result["document"]["text"]) for result in results] == [
        (f"doc-{index}", DOCUMENTS[index]) for index in ORDER
    ]
    assert answer["extra_fields"]["provider"] == canonical(model)
    assert answer["model"] == f"{canonical(model)}/{model.partition('/')[2]}"


def canonical(model: str) -> str:
    name = model.partition("/")[0]
    return {"together_ai": "together", "hosted_vllm": "vllm"}.get(name, name)


@pytest.mark.parametrize(
    ("model", "tokens", "search_units", "cost"),
    [
        ("cohere/rerank-v3.5", 0, 1, 0.002),
        ("tei/any", WORDS, 0, WORDS * 10 / 1e6),
        ("ranker/any", 0, 0, None),
    ],
)
def test_usage(service: Service, call: Call, model: str, tokens: int, search_units: int, cost: float | None) -> None:
    answer = answered(call(service.server, {"model": model, "query": QUERY, "documents": DOCUMENTS}))

    usage = answer["usage"]
    assert (usage["documents"], usage["prompt_tokens"], usage["search_units"]) == (5, tokens, search_units)
    assert usage.get("cost") == (None if cost is None else pytest.approx(cost))


def test_a_long_request_is_split_and_merged(service: Service, call: Call) -> None:
    documents = [" ".join(["solar"] * (index % 7) + ["sail", "x"] * (index % 3) + ["y"]) for index in range(100)]
    oracle = sorted(ranked(QUERY, documents), key=lambda pair: (-pair[1], pair[0]))
    before = len(service.upstream.calls)
    request = {"model": "tei/any", "query": QUERY, "documents": documents, "include_details": True}

    answer = answered(call(service.server, request))

    assert [(result["index"], result["relevance_score"]) for result in answer["results"]] == [
        (index, pytest.approx(score)) for index, score in oracle
    ]
    sizes = [len(request.json()["texts"]) for request in service.upstream.calls[before:]]
    chunks = answer["extra_fields"]["chunks"]
    assert [chunk["chunk_index"] for chunk in chunks] == list(range(len(sizes)))
    assert sorted(sizes) == sorted(chunk["documents"] for chunk in chunks)
    assert max(sizes) <= 32
    assert answer["usage"]["prompt_tokens"] == sum(len(document.split()) for document in documents)


def test_top_n_over_chunks(service: Service, call: Call) -> None:
    documents = [f"{'solar ' * (index % 11)}{index}" for index in range(70)]
    oracle = sorted(ranked(QUERY, documents), key=lambda pair: (-pair[1], pair[0]))[:3]

    answer = answered(call(service.server, {"model": "tei/any", "query": QUERY, "documents": documents, "top_n": 3}))

    assert [result["index"] for result in answer["results"]] == [index for index, _ in oracle]


STRUCTURED = [
    {"id": "a", "fields": {"body": "a planet", "title": "desert", "year": 1965}, "metadata": {"shelf": 3}},
    "solar sail",
    {"id": "c", "text": "unread", "fields": {"title": "solar", "body": "sail"}},
]


def test_objects_go_as_objects_of_their_scored_fields(service: Service, call: Call) -> None:
    request = {"query": QUERY, "documents": STRUCTURED, "rank_fields": ["title", "body"], "return_documents": True}

    answer = answered(call(service.server, {**request, "model": MODELS["alias"]}))
    sent = service.upstream.calls[-1].json()
    answered(call(service.server, {**request, "model": "cohere/rerank-v3.5"}))
    texts = service.upstream.calls[-1].json()

    assert sent["rank_fields"] == ["title", "body"]
    assert sent["documents"] == [
        {"title": "desert", "body": "a planet"},
        {"title": "solar sail"},
        {"title": "solar", "body": "sail"},
    ]
    assert "rank_fields" not in texts
    assert texts["documents"] == ["title: desert\nbody: a planet", "solar sail", "title: solar\nbody: sail"]
    best = {result["index"]: result["document"] for result in answer["results"]}
    assert (best[0]["id"], best[0]["metadata"], best[0]["fields"]["year"]) == ("a", {"shelf": 3}, 1965)


def test_images_go_to_models_that_take_them(service: Service, call: Call) -> None:
    documents = [{"image": "https://host/1.png"}, {"text": "solar sail"}]
    request = {"query": QUERY, "documents": documents}

    answered(call(service.server, {**request, "model": "hosted_vllm/jinaai/jina-reranker-m0"}))
    refused = call(service.server, {**request, "model": "vllm/BAAI/bge-reranker-v2-m3"})

    image = {"type": "image_url", "image_url": {"url": "https://host/1.png"}}
    assert service.upstream.calls[-1].json()["documents"] == [{"content": [image]}, "solar sail"]
    assert isinstance(refused, Refused)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "CAPABILITY_UNSUPPORTED")
    assert "documents[0].image" in refused.text


@pytest.mark.parametrize(
    ("failure", "code", "reason", "status", "retry_after_s"),
    [
        ("401", "INTERNAL", "PROVIDER_CREDENTIALS_REJECTED", 502, None),
        ("429", "RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED", 429, 7.0),
        ("500", "UNAVAILABLE", "PROVIDER_UNAVAILABLE", 503, None),
        ("garbage", "INTERNAL", "PROVIDER_BAD_RESPONSE", 502, None),
        ("index", "INTERNAL", "PROVIDER_BAD_RESPONSE", 502, None),
    ],
)
@pytest.mark.parametrize("model", [MODELS["cohere"], MODELS["alias"]])
def test_failures(
    service: Service,
    call: Call,
    model: str,
    *,
    failure: str,
    code: str,
    reason: str,
    status: int,
    retry_after_s: float | None,
) -> None:
    outcome = call(service.server, {"model": model, "query": f"fail {failure}", "documents": DOCUMENTS})

    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.reason) == (code, reason)
    assert outcome.retry_after_s == retry_after_s
    assert outcome.status in (None, status)
    assert KEY not in outcome.text


def test_a_provider_that_is_not_configured_is_explained(service: Service, call: Call) -> None:
    refused = call(service.server, {"model": "voyage/rerank-2.5", "query": QUERY, "documents": DOCUMENTS})

    assert isinstance(refused, Refused)
    assert (refused.code, refused.reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert "VOYAGE_API_KEY" in refused.text


def test_a_call_without_a_model_gets_the_default_one(service: Service, call: Call) -> None:
    answer = answered(call(service.server, {"query": QUERY, "documents": DOCUMENTS}))

    assert (answer["model"], answer["results"][0]["index"]) == ("cohere/rerank-v3.5", ORDER[0])


def test_the_key_was_sent_to_the_provider(service: Service, call: Call) -> None:
    before = len(service.upstream.calls)
    for model in ("cohere", "tei", "generic"):
        answered(call(service.server, {"model": MODELS[model], "query": QUERY, "documents": DOCUMENTS}))
    sent = service.upstream.calls[before:]
    by_path = {request.path: request.headers.get("authorization") for request in sent}
    assert by_path["/v2/rerank"] == by_path["/api/rank"] == f"Bearer {KEY}"
    assert by_path["/rerank"] is None
