"""Scores on the scale a dialect promises, and documents that hold nothing to be scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from rerankd.gateway.dialects.registry import DIALECTS
from rerankd_adapters.base import ProviderCall, ProviderReply, ScoreSpace
from tests.support.engines import engine
from tests.support.providers import FACTS, ScriptedProvider

TEI = {"query": "q", "texts": ["a", "b"]}
NIM = {"query": {"text": "q"}, "passages": [{"text": "a"}, {"text": "b"}]}


def score_with(service: Any, scores: Sequence[float], space: ScoreSpace) -> None:
    """Have documents `a`, `b` and so on scored by a real engine."""

    async def answer(call: ProviderCall) -> ProviderReply:
        found = [scores[ord(text[0]) - ord("a")] for text in call.documents]
        return ProviderReply(indices=range(len(found)), scores=found)

    facts = replace(FACTS, score_space=space)
    opened = engine([ScriptedProvider("scripted", facts=facts, model=answer)])
    service.answer = opened.rerank


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


@pytest.mark.parametrize("path", ["/vllm/rerank", "/infinity/rerank", "/v1/rerank", "/v2/rerank"])
async def test_blank_documents_come_last_in_request_order(client: httpx.AsyncClient, service: Any, path: str) -> None:
    score_with(service, [-5.0, -1.0], ScoreSpace.UNBOUNDED)
    documents: list[Any] = ["", "a", {"text": " "}, "b"]
    answer = (await client.post(path, json={"query": "q", "documents": documents})).json()
    rows = answer["results"] if isinstance(answer, dict) else answer

    assert [row["index"] for row in rows] == [3, 1, 0, 2]
    assert [row.get("relevance_score", row.get("score")) for row in rows] == [-1.0, -5.0, -5.0, -5.0]
    assert len(service.requests[0].documents) == 4


async def test_top_n_counts_blank_documents(client: httpx.AsyncClient, service: Any) -> None:
    score_with(service, [0.5, 0.9], ScoreSpace.PROBABILITY)
    body = {"query": "q", "documents": ["a", "", "b", " "], "top_n": 3}
    rows = (await client.post("/infinity/rerank", json=body)).json()["results"]

    assert [row["index"] for row in rows] == [2, 0, 1]
    assert [row["relevance_score"] for row in rows] == [0.9, 0.5, 0.0]


def test_only_the_contract_refuses_blank_documents() -> None:
    assert [name for name, dialect in DIALECTS.items() if not dialect.ranks_blank_last] == ["rerankd"]


async def test_the_strict_mount_refuses_blank_documents(client: httpx.AsyncClient, service: Any) -> None:
    score_with(service, [0.5], ScoreSpace.PROBABILITY)
    answer = await client.post("/rerankd/v1/rerank", json={"query": "q", "documents": ["a", ""]})

    assert (answer.status_code, "documents[1].text is required" in answer.text) == (400, True)
