"""Errors of the service reach the callers of a dialect under the names they wrote."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import FieldViolation, invalid_request
from rerankd.gateway.dialects.registry import DIALECTS
from tests.support.dialect_cases import read_dialect_cases

TEXT = "documents[1].text"
IMAGE = "documents[1].image"
TWO = ["a", "b"]


def refuse_field(service: Any, field: str) -> None:
    async def refuse(request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
        raise invalid_request([FieldViolation(field, f"{field} must be right")])

    service.answer = refuse


@pytest.mark.parametrize(
    ("path", "body", "field", "shown"),
    [
        ("/v1/rerank", {"query": "q", "documents": TWO, "topN": 1}, "top_n", "topN"),
        ("/v1/rerank", {"query": "q", "documents": TWO}, TEXT, TEXT),
        ("/rerankd/v1/rerank", {"query": "q", "documents": TWO}, TEXT, TEXT),
        ("/cohere/v2/rerank", {"query": "q", "documents": TWO}, TEXT, "documents[1]"),
        ("/voyage/v1/rerank", {"query": "q", "documents": TWO, "top_n": 1}, "top_n", "top_n"),
        ("/nim/v1/ranking", {"query": {"text": "q"}, "passages": [{"text": "a"}] * 2, "top_n": 1}, "top_n", "top_n"),
        ("/nim/v1/ranking", {"query": {"text": "q"}, "passages": [{"text": "a"}] * 2}, "query", "query.text"),
        ("/nim/v1/ranking", {"query": "q", "passages": [{"text": "a"}, {}]}, TEXT, "passages[1]"),
        ("/jina/v1/rerank", {"query": "q", "documents": [{"text": "a"}, {"image": "i"}]}, IMAGE, IMAGE),
        (
            "/jina/v1/rerank",
            {"query": "q", "documents": [{"text": "a"}, {"content": "b"}]},
            TEXT,
            "documents[1].content",
        ),
        ("/jina/v1/rerank", {"query": "q", "documents": [{"a": "b"}] * 2}, "documents[1].fields", "documents[1]"),
        ("/jina/v1/rerank", {"query": {"content": "q"}, "documents": TWO}, "query", "query.content"),
        ("/vllm/v1/rerank", {"query": "q", "documents": "a"}, "documents[0].text", "documents"),
        ("/vllm/v1/rerank", {"query": "q", "documents": {"content": "a"}}, "documents[0].text", "documents.content"),
        ("/fireworks/v1/rerank", {"query": "q", "documents": TWO, "task": "t"}, "instruction", "task"),
        ("/sglang/v1/rerank", {"query": "q", "documents": TWO, "instruct": "t"}, "instruction", "instruct"),
        ("/score", {"text_1": "q", "text_2": TWO}, TEXT, "text_2[1]"),
        ("/score", {"queries": ["q"], "documents": TWO}, "query", "queries"),
        ("/score", {"data_1": TWO, "data_2": TWO}, "query", "data_1[0]"),
        ("/score", {"text_1": TWO, "text_2": "a"}, "documents[0].text", "text_2"),
        ("/deepinfra/v1/inference/m", {"queries": [{"text": "q"}], "documents": TWO}, "query", "queries[0].text"),
        (
            "/bedrock/rerank",
            {
                "queries": [{"textQuery": {"text": "q"}}],
                "sources": [{"inlineDocumentSource": {"jsonDocument": {"a": "b"}}}] * 2,
            },
            "documents[1].fields",
            "sources[1].inlineDocumentSource.jsonDocument",
        ),
        (
            "/vertex/v1/projects/p/rankingConfigs/r:rank",
            {"query": "q", "records": [{"content": "a"}, {"title": "long", "content": ""}]},
            TEXT,
            "records[1].title",
        ),
        ("/tei/rerank", {"query": "q", "texts": TWO, "colour": 1}, "provider_options.colour", "colour"),
        ("/tei/rerank", {"query": "q", "texts": TWO}, "provider_options", "provider_options"),
    ],
)
async def test_path(
    client: httpx.AsyncClient, service: Any, path: str, body: dict[str, Any], field: str, shown: str
) -> None:
    refuse_field(service, field)

    answer = await client.post(path, json=body)
    assert f"{shown} must be right" in answer.text
    assert shown == field or f"{field} must be right" not in answer.text


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_has_a_case_of_a_refused_document(name: str) -> None:
    named = {"cohere_v2": "cohere", "vllm_score": "vllm-score"}
    shown = {
        named.get(case.dialect, case.dialect): case.answer
        for case in read_dialect_cases()
        if case.name == "a blank document refused"
    }
    expected = "a case `a blank document refused` with its error in tests/cases/dialects"
    assert name == "rerankd" or "required" in str(shown.get(name)), expected
