"""Scores on the scale a dialect promises, and documents that hold nothing to be scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from rerankd.contract import messages
from rerankd.contract.messages import ScoreSpace

TEI = {"query": "q", "texts": ["a", "b"]}
NIM = {"query": {"text": "q"}, "passages": [{"text": "a"}, {"text": "b"}]}


def score_with(service: Any, scores: Sequence[float], space: ScoreSpace) -> None:
    async def answer(request: messages.RerankRequest, _call: Any) -> messages.RerankResponse:
        pairs = sorted(enumerate(scores[: len(request.documents)]), key=lambda pair: -pair[1])[: request.top_n]
        results = [messages.RerankResult(index=index, relevance_score=score) for index, score in pairs]
        return messages.RerankResponse(model="m", results=results)

    async def get_model(request: messages.GetModelRequest, _call: Any) -> messages.GetModelResponse:
        return messages.GetModelResponse(model=messages.Model(name=request.model, score_space=space))

    service.answer = answer
    service.get_model = get_model


@pytest.mark.parametrize(
    ("path", "body", "space", "scores"),
    [
        ("/rerank", TEI, ScoreSpace.LOGIT, [1 / (1 + math.exp(-2)), 0.5]),
        ("/rerank", {**TEI, "raw_scores": True}, ScoreSpace.LOGIT, [2.0, 0.0]),
        ("/rerank", TEI, ScoreSpace.UNBOUNDED, [2.0, 0.0]),
        ("/v1/ranking", NIM, ScoreSpace.LOGIT, [2.0, 0.0]),
    ],
)
async def test_logits(
    client: httpx.AsyncClient, service: Any, path: str, body: Any, space: ScoreSpace, scores: list[float]
) -> None:
    score_with(service, [2.0, 0.0], space)
    answer = (await client.post(path, json=body)).json()
    rows = answer["rankings"] if isinstance(answer, dict) else answer

    assert [row.get("score", row.get("logit")) for row in rows] == pytest.approx(scores)


async def test_probabilities_become_logits_that_clients_can_turn_back(client: httpx.AsyncClient, service: Any) -> None:
    score_with(service, [1.0, 0.0], ScoreSpace.PROBABILITY)
    rows = (await client.post("/v1/ranking", json=NIM)).json()["rankings"]

    assert [1 / (1 + math.exp(-row["logit"])) for row in rows] == pytest.approx([1.0, 0.0])
    assert all(math.isfinite(row["logit"]) for row in rows)


@pytest.mark.parametrize("path", ["/vllm/rerank", "/infinity/rerank", "/sglang/rerank", "/localai/rerank"])
async def test_blank_documents_come_last_in_request_order(client: httpx.AsyncClient, service: Any, path: str) -> None:
    score_with(service, [-5.0, -1.0], ScoreSpace.UNBOUNDED)
    answer = (await client.post(path, json={"query": "q", "documents": ["", "a", {"text": " "}, "b"]})).json()
    rows = answer["results"] if isinstance(answer, dict) else answer

    assert [row["index"] for row in rows] == [3, 1, 0, 2]
    assert [row.get("relevance_score", row.get("score")) for row in rows] == [-1.0, -5.0, -5.0, -5.0]


async def test_top_n_counts_blank_documents(client: httpx.AsyncClient, service: Any) -> None:
    score_with(service, [0.5, 0.9], ScoreSpace.PROBABILITY)
    body = {"query": "q", "documents": ["a", "", "b", " "], "top_n": 3}
    rows = (await client.post("/infinity/rerank", json=body)).json()["results"]

    assert [row["index"] for row in rows] == [2, 0, 1]
    assert [row["relevance_score"] for row in rows] == [0.9, 0.5, 0.0]


async def test_fields_without_content_are_blank(client: httpx.AsyncClient, service: Any) -> None:
    body = {"query": "q", "documents": [{"title": " ", "n": None}, {"title": "a"}]}
    rows = (await client.post("/sglang/rerank", json=body)).json()

    assert [row["index"] for row in rows] == [1, 0]
    assert len(service.requests[0].documents) == 1
