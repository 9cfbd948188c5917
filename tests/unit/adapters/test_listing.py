"""What servers tell of the models they serve, and what they say instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    HttpResponse,
    Provider,
    ScoreSpace,
    Scoring,
)
from rerankd_adapters.registry import find_provider, open_adapter

INFO = {
    "model_id": "BAAI/bge-reranker-base",
    "served_model_name": None,
    "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
    "max_input_length": 512,
    "max_client_batch_size": 128,
}
ASKING = ["infinity", "litellm_proxy", "llama_cpp", "openrouter", "pinecone", "sglang", "tei", "vllm", "xinference"]


def provider_of(name: str) -> Provider:
    provider = find_provider(name)
    assert provider is not None
    return provider


def told(name: str, body: Any, status: int = 200) -> Any:
    return open_adapter(provider_of(name)).parse_capabilities(
        HttpResponse(status=status, body=json.dumps(body).encode())
    )


@pytest.mark.parametrize(
    ("name", "base_url", "url"),
    [
        ("tei", "http://h:3000", "http://h:3000/info"),
        ("tei", "http://h/tei/rerank/", "http://h/tei/info"),
        ("vllm", "http://h/v1", "http://h/v1/models"),
        ("vllm", "http://h/rerank", "http://h/v1/models"),
        ("vllm", "http://h/a/v1/rerank?tenant=x", "http://h/a/v1/models?tenant=x"),
        ("infinity", "http://h/v1", "http://h/v1/models"),
        ("litellm_proxy", "http://h:4000", "http://h:4000/model/info"),
        ("openrouter", "https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/models?output_modalities=rerank"),
        ("sglang", "http://h:30000", "http://h:30000/v1/models"),
        ("pinecone", "https://api.pinecone.io", "https://api.pinecone.io/models?type=rerank"),
    ],
)
def test_where_it_is_asked(name: str, base_url: str, url: str) -> None:
    endpoint = Endpoint(base_url=base_url, headers={"x-tenant": "t"})
    request = open_adapter(provider_of(name)).capabilities_request(endpoint)
    assert request is not None
    assert (request.method, request.url, request.body) == ("GET", url, b"")
    assert request.headers["x-tenant"] == "t"
    assert ("x-pinecone-api-version" in request.headers) == (name == "pinecone")


def test_others_are_not_asked() -> None:
    assert open_adapter(provider_of("cohere")).capabilities_request(Endpoint(base_url="http://h")) is None


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, {"*", "BAAI/bge-reranker-base"}),
        ({"served_model_name": "ours"}, {"*", "ours"}),
        ({"model_id": "/data/models/ours/"}, {"*", "ours"}),
        ({"model_id": 7}, {"*"}),
    ],
)
def test_tei(fields: dict[str, Any], names: set[str]) -> None:
    facts = told("tei", INFO | fields)
    assert set(facts) == names
    assert (facts["*"].max_documents, facts["*"].max_tokens_per_document) == (128, 512)


def test_tei_with_another_kind_of_model() -> None:
    with pytest.raises(AdapterError) as refused:
        told("tei", INFO | {"model_type": {"embedding": {"pooling": "cls"}}})
    assert refused.value.kind is AdapterErrorKind.MODEL_NOT_FOUND
    assert refused.value.message == "the server runs BAAI/bge-reranker-base, which is not a reranker"


def test_vllm_knows_the_model_behind_a_name_of_ones_own() -> None:
    entries = [
        {"id": "ours", "root": "BAAI/bge-reranker-v2-m3", "max_model_len": 4096},
        {"id": "list", "root": "jinaai/jina-reranker-v3", "max_model_len": 65_536},
        {"id": "bge-reranker-base", "root": "/weights/x", "max_model_len": None},
    ]
    facts = told("vllm", {"object": "list", "data": entries})
    assert (facts["ours"].scoring, facts["ours"].max_tokens_per_document) == (Scoring.POINTWISE, 4096)
    assert (facts["list"].scoring, facts["list"].max_total_tokens) == (Scoring.LISTWISE, 65_536)
    assert facts["list"].score_space is ScoreSpace.COSINE
    assert facts["list"].max_tokens_per_document is None
    assert facts["bge-reranker-base"].scoring is Scoring.UNKNOWN


def test_a_listwise_name_is_never_made_pointwise() -> None:
    entry = {"id": "jina-reranker-v3", "root": "BAAI/bge-reranker-v2-m3", "max_model_len": 100}
    assert told("vllm", {"data": [entry]})["jina-reranker-v3"].scoring is Scoring.UNKNOWN


@pytest.mark.parametrize(
    ("name", "body", "names"),
    [
        (
            "infinity",
            {"data": [{"id": "r", "capabilities": ["rerank"]}, {"id": "e", "capabilities": ["embed"]}]},
            {"r"},
        ),
        ("xinference", {"data": [{"id": "r", "model_type": "rerank"}, {"id": "c", "model_type": "LLM"}]}, {"r"}),
        (
            "litellm_proxy",
            {"data": [{"model_name": "r", "model_info": {"mode": "rerank"}}, {"model_name": "c", "model_info": None}]},
            {"r"},
        ),
        (
            "sglang",
            {"data": [{"id": "r", "root": "r", "max_model_len": 512}, {"id": "lora", "max_model_len": None}]},
            {"r", "lora"},
        ),
        ("llama_cpp", {"data": [{"id": "r"}, {"id": ""}, {"id": "a\nb"}, {"id": "x" * 201}, {"id": 1}, None]}, {"r"}),
        ("openrouter", {"data": [{"id": "cohere/rerank-v3.5"}]}, {"cohere/rerank-v3.5"}),
    ],
)
def test_only_rerankers_with_a_name_count(name: str, body: Any, names: set[str]) -> None:
    assert set(told(name, body)) == names


def test_pinecone_tells_limits() -> None:
    entry = {"model": "bge-reranker-v2-m3", "max_batch_size": 50, "max_sequence_length": 512}
    facts = told("pinecone", {"models": [entry]})["bge-reranker-v2-m3"]
    assert (facts.max_documents, facts.max_tokens_per_document) == (50, 512)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "32", None, 2**31, []])
def test_a_limit_that_is_nonsense_is_none(limit: Any) -> None:
    assert told("tei", INFO | {"max_client_batch_size": limit})["*"].max_documents is None


@pytest.mark.parametrize("name", ASKING)
def test_refusals(name: str) -> None:
    with pytest.raises(AdapterError) as refused:
        told(name, {"error": "no such key"}, 401)
    assert refused.value.kind is AdapterErrorKind.CREDENTIALS
    assert refused.value.message == "HTTP 401: no such key"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "id", "models", "model_type", "model_id", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ASKING)
@given(body=JSON)
def test_whatever_comes_is_facts_or_an_adapter_error(name: str, body: Any) -> None:
    try:
        facts = told(name, body)
    except AdapterError:
        return
    assert all(isinstance(each, Capabilities) for each in facts.values())
