"""Which request speaks which dialect, and the page that says so."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from rerankd.contract.errors import UPSTREAM_FAULTS, Reason, ServiceError
from rerankd.gateway.dialects.registry import DIALECTS, MOUNTS
from rerankd.gateway.dialects.table import BODIES, HEADERS, PATHS, dialect_of_body
from rerankd.gateway.response_writer import ResponseWriter
from scripts.generate_dialect_docs import PAGE, render

COHERE = {"query": "q", "documents": ["a"]}
BEDROCK: dict[str, Any] = {
    "queries": [{"textQuery": {"text": "q"}}],
    "sources": [{"inlineDocumentSource": {"textDocument": {"text": "a"}}}],
}


@pytest.mark.parametrize(
    ("path", "headers", "body", "dialect"),
    [
        ("/v1/rerank", {}, COHERE, "superset"),
        ("/rerank", {}, {**COHERE, "unheard_of": 1}, "superset"),
        ("/v1/rerank", {}, {**COHERE, "truncation": "end"}, "superset"),
        ("/v1/rerank", {}, {**COHERE, "truncation": "end", "unheard_of": 1}, "superset"),
        ("/v1/rerank", {}, {**COHERE, "truncation": None}, "voyage"),
        ("/v1/rerank", {}, {**COHERE, "truncation": False}, "voyage"),
        ("/rerank", {}, {**COHERE, "top_k": None}, "voyage"),
        ("/rerank", {}, {**COHERE, "raw_scores": False, "top_k": 1}, "infinity"),
        ("/rerank", {}, {"query": "q", "texts": ["a"], "raw_scores": True}, "tei"),
        ("/rerank", {}, {**COHERE, "texts": ["a"]}, "superset"),
        ("/", {}, {"query": "q", "texts": ["a"]}, "tei"),
        ("/invocations", {}, {"query": "q", "texts": ["a"]}, "tei"),
        ("/v1/reranking", {}, {"query": {"text": "q"}, "passages": [{"text": "a"}]}, "nim"),
        ("/v1/reranking", {}, {"query": "q", "input": ["a"]}, "mixedbread"),
        ("/v1/reranking", {}, COHERE, "superset"),
        ("/rerank", {}, BEDROCK, "bedrock"),
        ("/v1/ranking", {}, {"query": {"text": "q"}, "passages": [{"text": "a"}]}, "nim"),
        ("/v2/rerank", {}, {**COHERE, "top_k": 1}, "cohere"),
        ("/rerank", {"X-Pinecone-Api-Version": "2025-10"}, COHERE, "pinecone"),
        ("/v2/rerank", {"X-Pinecone-Api-Version": "2025-10"}, COHERE, "pinecone"),
        ("/rerank", {"X-Pinecone-Api-Version": "2025-10", "X-Rerank-Dialect": "vllm"}, COHERE, "vllm"),
        ("/sglang/rerank", {"X-Rerank-Dialect": "vllm"}, COHERE, "sglang"),
        ("/voyage/v2/rerank", {}, COHERE, "voyage"),
        ("/huggingface/", {}, {"query": "q", "texts": ["a"]}, "tei"),
        ("/cohere/v1/v2/rerank", {}, COHERE, "cohere"),
        ("/vllm//v1/v1/rerank/", {}, COHERE, "vllm"),
    ],
)
async def test_dialect_of_a_request(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    service: Any,
    path: str,
    headers: dict[str, str],
    body: dict[str, Any],
    dialect: str,
) -> None:
    spoken: list[Any] = []

    async def fail(*_: Any) -> Any:
        raise ServiceError(Reason.OVERLOADED, "full")

    async def note(writer: ResponseWriter, _error: ServiceError) -> None:
        spoken.append(writer.dialect)
        await writer.reply(429, b"{}")

    service.answer = fail
    monkeypatch.setattr(ResponseWriter, "refuse", note)
    await client.post(path, content=json.dumps(body), headers=headers)

    assert spoken == [DIALECTS[dialect]]


def test_every_rule_names_a_dialect() -> None:
    named = {path.dialect for path in PATHS if path.dialect}
    named |= {header.dialect for header in HEADERS} | {body.dialect for body in BODIES}

    assert named <= DIALECTS.keys()
    assert dialect_of_body({}) == "superset"


@pytest.mark.parametrize("name", MOUNTS)
async def test_every_mount_leads_to_models_and_errors_of_its_own(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post(f"/{name}/v1/rerank", content=b"{")

    assert (await client.get(f"/{name}/v1/models")).json()["models"]
    assert answer.headers["x-error-reason"] == "INVALID_REQUEST"
    assert answer.status_code in (400, 422)
    assert isinstance(answer.json(), dict)


async def test_posts_are_never_redirected(client: httpx.AsyncClient) -> None:
    for path in ("/v1/rerank/", "//rerank", "/v1/v1/rerank", "/cohere//v2/rerank/"):
        assert (await client.post(path, json=COHERE)).status_code == 200


def test_the_page_is_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert render(page) == page, "run make generate"


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("reason", sorted(UPSTREAM_FAULTS))
def test_a_providers_fault_is_a_bad_gateway_in_every_dialect(name: str, reason: Reason) -> None:
    error = ServiceError(reason, "cohere/rerank-v3.5: invalid API key")

    assert DIALECTS[name].status(error) == (424 if name == "tei" else 502)
    assert error.message in json.dumps(DIALECTS[name].refusal(error, "r1"))


def test_bedrock_names_its_bad_gateway() -> None:
    error = ServiceError(Reason.PROVIDER_BAD_RESPONSE, "no JSON")
    assert DIALECTS["bedrock"].refusal_headers(error) == [(b"x-amzn-errortype", b"BadGatewayException")]
