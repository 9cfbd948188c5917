"""Names of providers and models, and what every declaration must hold."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint

import pytest

from rerankd_adapters import registry
from rerankd_adapters.base import HttpAdapter, Scheme, Scoring
from rerankd_adapters.registry import find_provider, open_adapter, parse_model, provider_names
from rerankd_adapters.vllm import VLLM


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("cohere/rerank-v3.5", "cohere", "rerank-v3.5"),
        ("vllm/BAAI/bge-reranker-v2-m3", "vllm", "BAAI/bge-reranker-v2-m3"),
        ("hosted_vllm/BAAI/bge-reranker-v2-m3", "vllm", "BAAI/bge-reranker-v2-m3"),
        (
            "nvidia_nim/ranking/nvidia/llama-3.2-nv-rerankqa-1b-v2",
            "nvidia_nim",
            "ranking/nvidia/llama-3.2-nv-rerankqa-1b-v2",
        ),
        ("together_ai/Salesforce/Llama-Rank-v1", "together", "Salesforce/Llama-Rank-v1"),
        ("jina_ai/jina-reranker-v3", "jina", "jina-reranker-v3"),
        ("huggingface/BAAI/bge-reranker-large", "tei", "BAAI/bge-reranker-large"),
    ],
)
def test_model_names(name: str, provider: str, model: str) -> None:
    assert parse_model(name) == (provider, model)


@pytest.mark.parametrize("name", ["", "cohere", "cohere/", "/rerank-v3.5", "nobody/model"])
def test_names_that_are_none(name: str) -> None:
    assert parse_model(name) is None


@pytest.mark.parametrize("name", provider_names())
def test_declaration(name: str) -> None:
    provider = find_provider(name)
    assert provider is not None
    assert provider.name == name
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", provider.checked)
    assert provider.reference.startswith("https://")
    assert provider.is_grpc or isinstance(open_adapter(provider), HttpAdapter)
    assert provider.capabilities.source
    assert all(facts.source for facts in provider.models.values())
    assert all(price.source and price.date and price.usd_per_million > 0 for price in provider.prices)
    assert {price.unit for price in provider.prices} <= {"token", "search_unit"}
    assert all(quirk.endswith(".") for quirk in provider.quirks)
    if provider.key_is_required:
        assert provider.key_variables
        assert all(way.scheme is not Scheme.NONE for way in provider.authentication)


def test_aliases_are_unique() -> None:
    providers = [find_provider(name) for name in provider_names()]
    names = [name for provider in providers if provider for name in (provider.name, *provider.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", provider_names())
@pytest.mark.parametrize("model", ["jina-reranker-v3", "jinaai/jina-reranker-v3.5", "x/jina-reranker-v3-GGUF"])
def test_jina_v3_is_listwise_wherever_it_is_served(name: str, model: str) -> None:
    provider = find_provider(name)
    assert provider is not None
    assert provider.capabilities_of(model).scoring is Scoring.LISTWISE


def test_unknown_models_are_not_split() -> None:
    assert VLLM.capabilities_of("reranker").scoring is Scoring.UNKNOWN


def test_what_is_known_of_a_model_adds_to_what_is_known_of_the_provider() -> None:
    facts = VLLM.capabilities_of("BAAI/bge-reranker-v2-m3")
    assert facts.scoring is Scoring.POINTWISE
    assert facts.max_tokens_per_document == 8192
    assert facts.truncation_default is VLLM.capabilities.truncation_default


@pytest.mark.parametrize(
    ("name", "model", "scoring"),
    [
        ("openrouter", "BAAI/bge-reranker-v2-m3", Scoring.UNKNOWN),
        ("openrouter", "jina-reranker-v3", Scoring.LISTWISE),
        ("litellm_proxy", "bge-reranker-v2-m3", Scoring.UNKNOWN),
        ("opper", "bge-reranker-v2-m3", Scoring.UNKNOWN),
        ("opper", "berget/bge-reranker-v2-m3", Scoring.POINTWISE),
    ],
)
def test_a_model_that_several_servers_answer_is_not_split(name: str, model: str, scoring: Scoring) -> None:
    provider = find_provider(name)
    assert provider is not None
    facts = provider.capabilities_of(model)
    assert facts.scoring is scoring
    assert scoring is Scoring.LISTWISE or facts.max_tokens_per_document == 8192


def test_third_parties_come_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("acme", "rerankd_adapters.vllm:VLLM", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])
    cached = (registry._third_party, registry.provider_names, registry.find_provider, registry._aliases)
    for each in cached:
        each.cache_clear()
    try:
        assert "acme" in provider_names()
        assert find_provider("acme") is VLLM
    finally:
        for each in cached:
            each.cache_clear()
