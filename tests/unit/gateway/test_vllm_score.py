"""vLLM's score API: which pairs are scored, how they are split into calls, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, Reason, ServiceError, invalid_request
from rerankd.gateway.dialects import vllm_score


@pytest.fixture(autouse=True)
def _scoring(service: Any) -> None:
    """Score a document by its length plus ten for each letter of the query, best first."""

    async def answer(request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        texts = [each if isinstance(each, str) else each.text for each in request.documents]
        results = [
            messages.RerankResult(index=index, relevance_score=float(len(text) + 10 * len(request.query)))
            for index, text in enumerate(texts)
        ]
        results.sort(key=lambda result: -result.relevance_score)
        usage = messages.Usage(prompt_tokens=len(texts), total_tokens=len(texts), documents=len(texts))
        extra = messages.ExtraFields(score_space=messages.ScoreSpace.PROBABILITY)
        return messages.RerankResponse(
            id=call.request_id, results=results, model=request.model or "m", usage=usage, extra_fields=extra
        )

    service.answer = answer


def scores(answer: httpx.Response) -> list[float]:
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert [row["index"] for row in data] == list(range(len(data)))
    assert {row["object"] for row in data} == {"score"}
    return [row["score"] for row in data]


@pytest.mark.parametrize("path", ["/score", "/v1/score", "/vllm/score", "/vllm/v1/score", "/cohere/v1/score"])
@pytest.mark.parametrize(
    ("first", "second"),
    [("text_1", "text_2"), ("data_1", "data_2"), ("queries", "documents"), ("queries", "items")],
)
async def test_one_query_for_all_documents(
    client: httpx.AsyncClient, service: Any, path: str, first: str, second: str
) -> None:
    answer = await client.post(path, json={"model": "m", first: "q", second: ["a", "bbb"]})

    assert scores(answer) == [11.0, 13.0]
    assert answer.json().keys() == {"id", "object", "created", "model", "data", "usage"}
    assert answer.json()["object"] == "list"
    assert answer.json()["usage"] == {"prompt_tokens": 2, "completion_tokens": 0, "total_tokens": 2}
    assert [request.query for request in service.requests] == ["q"]


@pytest.mark.parametrize(
    ("first", "second", "expected", "calls"),
    [
        ("q", "a", [11.0], 1),
        (["q"], ["a"], [11.0], 1),
        ("q", ["a", "bb"], [11.0, 12.0], 1),
        (["q"], ["a", "bb"], [11.0, 12.0], 1),
        (["q", "rr", "q"], ["a", "bb", "ccc"], [11.0, 22.0, 13.0], 2),
        (["q", "rr", "sss"], "a", [11.0, 21.0, 31.0], 3),
        (["q", "rr"], ["a"], [11.0, 21.0], 2),
        (["q", "q"], ["a", "bb"], [11.0, 12.0], 1),
        ({"content": [{"type": "text", "text": "q"}]}, [{"content": [{"type": "text", "text": "a"}]}], [11.0], 1),
    ],
)
async def test_pairs(
    client: httpx.AsyncClient, service: Any, first: Any, second: Any, expected: list[float], calls: int
) -> None:
    answer = await client.post("/score", json={"text_1": first, "text_2": second})

    assert scores(answer) == expected
    assert len(service.requests) == calls
    assert answer.json()["usage"]["prompt_tokens"] == len(expected)


async def test_image_of_a_document_is_kept(client: httpx.AsyncClient, service: Any) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "https://h/i"}}, {"type": "text", "text": "a"}]
    await client.post("/score", json={"data_1": "q", "data_2": {"content": parts}})

    assert service.requests[0].documents == [messages.Document(text="a", image="https://h/i")]


async def test_images_of_queries_are_kept(client: httpx.AsyncClient, service: Any) -> None:
    image = {"content": [{"type": "image_url", "image_url": {"url": "https://h/i"}}]}
    await client.post("/score", json={"data_1": image, "data_2": "a"})
    await client.post("/score", json={"data_1": [image, "q", image], "data_2": ["a", "b", "c"]})

    asked = [(request.query, request.query_image, list(request.documents)) for request in service.requests]
    assert asked == [("", "https://h/i", ["a"]), ("", "https://h/i", ["a", "c"]), ("q", "", ["b"])]


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({}, "text_1", "text_1 and text_2, or queries and documents, are required"),
        ({"text_1": "q"}, "text_2", "text_2 is required"),
        ({"documents": ["a"]}, "queries", "queries are required"),
        ({"text_1": [], "text_2": ["a"]}, "text_1", "text_1 must have at least one item"),
        ({"text_1": "q", "text_2": []}, "text_2", "text_2 must have at least one item"),
        (
            {"text_1": ["q", "r"], "text_2": ["a", "b", "c"]},
            "text_2",
            "text_2 has 3 items and text_1 2: they must be as many, or one of them one",
        ),
        ({"text_1": 7, "text_2": "a"}, "text_1", "text_1 must be"),
        ({"text_1": ["q"], "text_2": [7]}, "text_2[0]", "text_2[0] must be a string or an object, was an integer"),
    ],
)
async def test_faults(client: httpx.AsyncClient, body: dict[str, Any], field: str, text: str) -> None:
    answer = await client.post("/score", json=body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert text in answer.json()["message"]


async def test_different_queries_are_bounded(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_score, "MAX_QUERIES", 2)

    assert scores(await client.post("/score", json={"text_1": ["q", "rr", "q"], "text_2": "a"})) == [11.0, 21.0, 11.0]
    answer = await client.post("/score", json={"text_1": ["q", "rr", "sss"], "text_2": "a"})
    assert (answer.status_code, answer.json()["message"]) == (
        400,
        "text_1 has 3 different queries; at most 2 are taken",
    )


async def test_a_failure_names_the_pair(client: httpx.AsyncClient, service: Any) -> None:
    async def refuse(request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        if request.query == "rr":
            raise invalid_request([FieldViolation("documents[0].text", "documents[0].text is too long")])
        return messages.RerankResponse(results=[messages.RerankResult(index=0)])

    service.answer = refuse
    answer = await client.post("/score", json={"text_1": ["q", "rr"], "text_2": ["a", "b"]})

    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "message": "text_2[1] is too long",
        "type": "invalid_argument",
        "param": "text_2[1]",
        "code": 400,
    }


async def test_scores_of_two_models_are_not_mixed(client: httpx.AsyncClient, service: Any) -> None:
    async def fall_back(request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        return messages.RerankResponse(model=request.query, results=[messages.RerankResult(index=0)])

    service.answer = fall_back
    answer = await client.post("/score", json={"text_1": ["one", "two"], "text_2": ["a", "b"]})

    assert (answer.status_code, answer.headers["x-error-reason"]) == (503, "PROVIDER_UNAVAILABLE")


async def test_the_first_failure_is_the_answer(client: httpx.AsyncClient, service: Any) -> None:
    async def fail(request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        raise ServiceError(Reason.OVERLOADED, "full", retry_after_s=1)

    service.answer = fail
    answer = await client.post("/score", json={"text_1": ["one", "two"], "text_2": ["a", "b"]})

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
