"""What the clouds' adapters do that a server on this machine cannot show: hosts, regions, long texts."""

from __future__ import annotations

from typing import Any

import pytest

from rerankd_adapters.base import AdapterError, AdapterErrorKind, Endpoint, HttpRequest, ProviderCall, Scoring
from rerankd_adapters.providers.azure_ai import rerank_url
from rerankd_adapters.registry import find_provider, open_adapter

FOUNDRY = "https://r.services.ai.azure.com"
COHERE = "cohere.rerank-v3-5:0"


def built(name: str, call: ProviderCall, options: dict[str, Any] | None = None, base_url: str = "") -> HttpRequest:
    provider = find_provider(name)
    assert provider is not None
    adapter = open_adapter(provider, options)
    return adapter.build(call, Endpoint(base_url=base_url or provider.base_url))


def call_of(model: str, **changes: Any) -> ProviderCall:
    return ProviderCall(**{"model": model, "query": "q", "documents": ["a"], **changes})


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (FOUNDRY, f"{FOUNDRY}/providers/cohere/v2/rerank"),
        (f"{FOUNDRY}/", f"{FOUNDRY}/providers/cohere/v2/rerank"),
        (f"{FOUNDRY}/models", f"{FOUNDRY}/providers/cohere/v2/rerank"),
        (f"{FOUNDRY}/models/", f"{FOUNDRY}/providers/cohere/v2/rerank"),
        (f"{FOUNDRY}/providers/cohere", f"{FOUNDRY}/providers/cohere/v2/rerank"),
        (f"{FOUNDRY}/providers/cohere/v2", f"{FOUNDRY}/providers/cohere/v2/rerank"),
        (f"{FOUNDRY}/providers/cohere/v2/rerank", f"{FOUNDRY}/providers/cohere/v2/rerank"),
        (f"{FOUNDRY}/models/v1/rerank", f"{FOUNDRY}/models/v1/rerank"),
        ("https://n.eastus.models.ai.azure.com", "https://n.eastus.models.ai.azure.com/v1/rerank"),
        ("https://n.eastus.models.ai.azure.com/v1", "https://n.eastus.models.ai.azure.com/v1/rerank"),
        ("https://n.eastus.models.ai.azure.com/v2/", "https://n.eastus.models.ai.azure.com/v2/rerank"),
        ("https://n.eastus.inference.ai.azure.com", "https://n.eastus.inference.ai.azure.com/v1/rerank"),
        ("https://gw.example/azure?code=7", "https://gw.example/azure/v1/rerank?code=7"),
    ],
)
def test_azure_urls(base_url: str, url: str) -> None:
    assert rerank_url(base_url) == url
    assert built("azure_ai", call_of("m"), base_url=base_url).url == url


def test_azure_path_of_the_operator() -> None:
    assert rerank_url(FOUNDRY, "/models/v1/rerank") == f"{FOUNDRY}/models/v1/rerank"


@pytest.mark.parametrize(
    ("model", "options", "base_url", "region"),
    [
        (COHERE, {"region": "eu-central-1"}, "", "eu-central-1"),
        (f"arn:aws:bedrock:us-west-2::foundation-model/{COHERE}", {}, "", "us-west-2"),
        (
            f"arn:aws:bedrock:us-west-2::foundation-model/{COHERE}",
            {"region": "us-east-1"},
            "",
            "us-west-2",
        ),
        (
            f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{COHERE}",
            {"region": "eu-west-1"},
            "",
            "us-east-1",
        ),
        ("arn:aws:bedrock:ca-central-1:123456789012:application-inference-profile/a1", {}, "", "ca-central-1"),
        (COHERE, {"region": "eu-west-1"}, "https://bedrock-agent-runtime.us-east-1.amazonaws.com", "us-east-1"),
        (COHERE, {}, "https://bedrock-agent-runtime.ca-central-1.amazonaws.com", "ca-central-1"),
    ],
)
def test_bedrock_regions(model: str, options: dict[str, Any], base_url: str, region: str) -> None:
    request = built("bedrock", call_of(model), options, base_url)
    assert request.url == f"https://bedrock-agent-runtime.{region}.amazonaws.com/rerank"
    assert request.region == region
    if not model.startswith("arn:"):
        assert f'"arn:aws:bedrock:{region}::foundation-model/{COHERE}"' in request.body.decode()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("bedrock", f"arn:aws:bedrock:us-east-1::foundation-model/{COHERE}"),
        ("bedrock_invoke", f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.{COHERE}"),
        ("sagemaker", "arn:aws:sagemaker:us-east-1:123456789012:endpoint/my-endpoint"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"region": "eu-west-1"}, {"profile_region": "eu-west-1"}])
def test_arn_decides_the_region_behind_a_proxy_too(name: str, model: str, options: dict[str, Any]) -> None:
    assert built(name, call_of(model), options, "https://proxy.example").region == "us-east-1"


def test_vpc_endpoint_of_another_region_is_signed_for_its_own() -> None:
    host = "https://vpce-1-2.bedrock-agent-runtime.us-west-2.vpce.amazonaws.com"
    arn = f"arn:aws:bedrock:us-east-1::foundation-model/{COHERE}"
    assert built("bedrock", call_of(arn), {}, host).region == "us-west-2"


def test_sagemaker_arn_names_an_endpoint() -> None:
    arn = "arn:aws-cn:sagemaker:cn-north-1:123456789012:endpoint/my-endpoint"
    url = "https://runtime.sagemaker.cn-north-1.amazonaws.com.cn/endpoints/my-endpoint/invocations"
    assert built("sagemaker", call_of(arn)).url == url


RESOURCE = "projects/other/locations/us/rankingConfigs/mine"


@pytest.mark.parametrize(
    ("options", "base_url", "host", "resource"),
    [
        ({}, "", "", "projects/p/locations/global/rankingConfigs/default_ranking_config"),
        ({"location": "eu"}, "", "eu-", "projects/p/locations/eu/rankingConfigs/default_ranking_config"),
        ({"ranking_config": RESOURCE, "location": "eu"}, "", "us-", RESOURCE),
        (
            {},
            "https://eu-discoveryengine.googleapis.com",
            "eu-",
            "projects/p/locations/eu/rankingConfigs/default_ranking_config",
        ),
        (
            {"location": "global"},
            "https://eu-discoveryengine.googleapis.com",
            "",
            "projects/p/locations/global/rankingConfigs/default_ranking_config",
        ),
    ],
)
def test_vertex_locations(options: dict[str, Any], base_url: str, host: str, resource: str) -> None:
    request = built("vertex", call_of("m"), {"project": "p", **options}, base_url)
    assert request.url == f"https://{host}discoveryengine.googleapis.com/v1/{resource}:rank"
    assert request.headers["x-goog-user-project"] == resource.split("/")[1]


def test_vertex_host_of_ones_own_stays() -> None:
    options = {"project": "p", "location": "eu"}
    url = built("vertex", call_of("m"), options, "https://proxy.example").url
    assert url.startswith("https://proxy.example/v1/projects/p/locations/eu/")


def test_vertex_without_a_project() -> None:
    with pytest.raises(AdapterError, match="set the option project"):
        built("vertex", call_of("m"))


@pytest.mark.parametrize(
    ("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn"), ("us-east-1", "aws")]
)
def test_bedrock_partitions(region: str, partition: str) -> None:
    body = built("bedrock", call_of(COHERE), {"region": region}).body.decode()
    assert f'"arn:{partition}:bedrock:{region}::foundation-model/{COHERE}"' in body


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"query": "q" * 32_001}, "query"),
        ({"documents": ["a", "b" * 32_001]}, "documents[1].text"),
        ({"documents": ["a", "b", ""]}, "documents[2].text"),
    ],
)
def test_bedrock_refuses_long_texts_unsent(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(AdapterError) as refused:
        built("bedrock", call_of(COHERE, **changes), {"region": "us-east-1"})
    assert refused.value.kind is AdapterErrorKind.REJECTED
    assert refused.value.field == field


def test_bedrock_counts_characters_not_bytes() -> None:
    built("bedrock", call_of(COHERE, documents=["é" * 32_000]), {"region": "us-east-1"})


def test_bedrock_asks_for_no_more_than_it_gives() -> None:
    body = built("bedrock", call_of(COHERE, documents=["a"] * 1200), {"region": "us-east-1"}).body
    assert b'"numberOfResults":1000' in body


def test_bedrock_facts_hold_for_arns() -> None:
    bedrock = find_provider("bedrock")
    assert bedrock is not None
    arn = f"arn:aws:bedrock:us-west-2::foundation-model/{COHERE}"
    assert bedrock.capabilities_of(arn) == bedrock.capabilities_of(COHERE)
    assert bedrock.capabilities_of(arn).scoring is Scoring.POINTWISE
    assert bedrock.capabilities_of("amazon.rerank-v1:0").scoring is Scoring.UNKNOWN
    price = bedrock.price_of(arn)
    assert price is not None
    assert price.usd_per_million == 2000


@pytest.mark.parametrize(
    ("model", "scoring"),
    [
        ("bge-reranker-v2-m3", Scoring.UNKNOWN),
        ("cohere/rerank-v3.5", Scoring.UNKNOWN),
        ("jina-reranker-v3", Scoring.LISTWISE),
    ],
)
def test_litellm_proxy_is_never_split_on_a_guess(model: str, scoring: Scoring) -> None:
    proxy = find_provider("litellm_proxy")
    assert proxy is not None
    assert open_adapter(proxy).capabilities(model).scoring is scoring


@pytest.mark.parametrize(
    ("provider", "options", "model", "cuts"),
    [
        ("cohere", {"api_version": "1"}, "rerank-v3.5", True),
        ("cohere", {}, "rerank-v3.5", False),
        ("litellm_proxy", {}, "anything", True),
        ("xinference", {}, "bge-reranker-base", True),
        ("siliconflow", {}, "Pro/BAAI/bge-reranker-v2-m3", True),
        ("siliconflow", {}, "Qwen/Qwen3-Reranker-8B", False),
        ("tei", {}, "anything", False),
    ],
)
def test_who_cuts_passages(provider: str, options: dict[str, str], model: str, cuts: bool) -> None:
    declared = find_provider(provider)
    assert declared is not None
    assert bool(open_adapter(declared, options).capabilities(model).cuts_passages) is cuts
