"""Exchanges of several steps, driven without any I/O."""

from __future__ import annotations

import pytest
from msgspec import structs

from rerankd_adapters.base import AdapterError, Endpoint, HttpResponse, Provider, ProviderCall, ProviderReply
from rerankd_adapters.price import cost_usd
from rerankd_adapters.providers.nvidia_nim import MAX_POLLS, NVIDIA_NIM, NvidiaNimAdapter, model_of, retrieval_path
from rerankd_adapters.providers.vllm import VLLM, VllmAdapter
from rerankd_adapters.providers.voyage import VOYAGE, VoyageAdapter

CALL = ProviderCall(model="m", query="q", documents=["a"])
SERVED = HttpResponse(status=200, body=b'{"results": [{"index": 0, "relevance_score": 0.5}]}')
SCORED = HttpResponse(status=200, body=b'{"data": [{"index": 0, "score": 0.5}]}')
MISSING = HttpResponse(status=405)


def test_old_path_is_remembered() -> None:
    adapter, endpoint = VllmAdapter(VLLM), Endpoint(base_url="http://h/v1")
    exchange = adapter.exchange(CALL, endpoint)
    assert next(exchange).url == "http://h/v1/rerank"
    assert exchange.send(MISSING).url == "http://h/rerank"
    with pytest.raises(StopIteration):
        exchange.send(SERVED)
    assert next(adapter.exchange(CALL, endpoint)).url == "http://h/rerank"
    assert next(VllmAdapter(VLLM).exchange(CALL, endpoint)).url == "http://h/v1/rerank"


def test_score_route_is_remembered() -> None:
    adapter, endpoint = VllmAdapter(VLLM), Endpoint(base_url="http://h/v1")
    exchange = adapter.exchange(CALL, endpoint)
    next(exchange)
    assert exchange.send(MISSING).url == "http://h/rerank"
    assert exchange.send(MISSING).url == "http://h/v1/score"
    with pytest.raises(StopIteration):
        exchange.send(SCORED)
    assert next(adapter.exchange(CALL, endpoint)).url == "http://h/v1/score"
    assert next(VllmAdapter(VLLM).exchange(CALL, endpoint)).url == "http://h/v1/rerank"


def test_path_of_the_operator_has_no_older_form() -> None:
    exchange = VllmAdapter(VLLM, {"path": "/proxy/v1/rerank"}).exchange(CALL, Endpoint(base_url="http://h"))
    next(exchange)
    with pytest.raises(AdapterError):
        exchange.send(MISSING)


def test_nim_gives_up_polling() -> None:
    exchange = NvidiaNimAdapter(NVIDIA_NIM).exchange(CALL, Endpoint(base_url="https://ai.api.nvidia.com"))
    request = next(exchange)
    accepted = HttpResponse(status=202, headers={"nvcf-reqid": "abc"})
    for _ in range(MAX_POLLS):
        request = exchange.send(accepted)
        assert request.url == "https://api.nvcf.nvidia.com/v2/nvcf/pexec/status/abc"
        assert request.delay_s > 0
    with pytest.raises(AdapterError, match="no result after"):
        exchange.send(accepted)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("nvidia/llama-3.2-nv-rerankqa-1b-v2", "llama-3_2-nv-rerankqa-1b-v2/reranking"),
        ("nvidia/llama-3_2-nv-rerankqa-1b-v2", "llama-3_2-nv-rerankqa-1b-v2/reranking"),
        ("nv-rerank-qa-mistral-4b:1", "reranking"),
        ("nvidia/new_model-4.1", "new_model-4_1/reranking"),
        ("new-model", "new-model/reranking"),
    ],
)
def test_nim_hosted_paths(name: str, path: str) -> None:
    assert retrieval_path(name) == f"/v1/retrieval/nvidia/{path}"


def test_nim_remembers_the_route_of_each_model() -> None:
    adapter, endpoint = NvidiaNimAdapter(NVIDIA_NIM), Endpoint(base_url="http://h:8000")
    exchange = adapter.exchange(CALL, endpoint)
    assert next(exchange).url == "http://h:8000/v1/retrieval/m/reranking"
    assert exchange.send(MISSING).url == "http://h:8000/v1/ranking"
    with pytest.raises(StopIteration):
        exchange.send(HttpResponse(status=200, body=b'{"rankings": [{"index": 0, "logit": 1}]}'))
    assert next(adapter.exchange(CALL, endpoint)).url == "http://h:8000/v1/ranking"
    other = structs.replace(CALL, model="other")
    assert next(adapter.exchange(other, endpoint)).url == "http://h:8000/v1/retrieval/other/reranking"


def test_nim_hosted_has_one_route() -> None:
    exchange = NvidiaNimAdapter(NVIDIA_NIM).exchange(CALL, Endpoint(base_url="https://ai.api.nvidia.com"))
    assert next(exchange).url == "https://ai.api.nvidia.com/v1/retrieval/nvidia/m/reranking"
    with pytest.raises(AdapterError):
        exchange.send(MISSING)


def test_nim_keeps_underscores_of_names_it_does_not_know() -> None:
    assert model_of("ranking/nvidia/new_model") == "nvidia/new_model"


@pytest.mark.parametrize(
    ("key", "base", "host"),
    [
        ("al-x", VOYAGE.base_url, "https://ai.mongodb.com/v1/rerank"),
        ("pa-x", VOYAGE.base_url, "https://api.voyageai.com/v1/rerank"),
        ("al-x", "https://proxy", "https://proxy/v1/rerank"),
    ],
)
def test_voyage_hosts(key: str, base: str, host: str) -> None:
    endpoint = Endpoint(base_url=base, api_key=key)
    assert VoyageAdapter(VOYAGE).build(CALL, endpoint).url == host


@pytest.mark.parametrize(
    ("provider", "model", "reply", "usd"),
    [
        (VOYAGE, "rerank-2.5-lite", ProviderReply(indices=[], scores=[], prompt_tokens=1_000_000), 0.02),
        (VOYAGE, "rerank-2.5", ProviderReply(indices=[], scores=[]), None),
        (VLLM, "m", ProviderReply(indices=[], scores=[], prompt_tokens=5), None),
    ],
)
def test_prices(provider: Provider, model: str, reply: ProviderReply, usd: float | None) -> None:
    assert cost_usd(provider.price_of(model), reply) == usd
