"""Prices of the settings: what they cost, and which are refused."""

from __future__ import annotations

import math

import pytest

from rerankd.providers.prices import price_problems
from rerankd.providers.settings import ProviderModelSettings, ProviderSettings
from rerankd_adapters.base import ProviderReply
from rerankd_adapters.chat.adapter import ChatReply
from rerankd_adapters.price import cost_usd
from rerankd_adapters.registry import find_provider


def problems(name: str, model: str, **prices: float) -> list[str]:
    provider = find_provider(name)
    assert provider is not None
    return price_problems(name, ProviderSettings(models={model: ProviderModelSettings(**prices)}), provider)  # type: ignore[arg-type]  # given by name


@pytest.mark.parametrize(
    ("name", "model", "prices"),
    [
        ("vllm", "m", {"usd_per_call": 0.002}),
        ("vllm", "m", {"usd_per_million_tokens": 0.02}),
        ("vllm", "*", {"usd_per_million_tokens": 0.0}),
        ("cohere", "rerank-v3.5", {"usd_per_million_search_units": 2000}),
        ("cohere", "*", {"usd_per_million_search_units": 2000}),
        ("bedrock", "amazon.rerank-v1:0", {"usd_per_million_search_units": 1000}),
        ("sagemaker", "my-endpoint", {"usd_per_million_search_units": 1000}),
        ("generic", "m", {"usd_per_million_search_units": 1}),
        ("ovms", "m", {"usd_per_call": 1}),
        ("vllm", "m", {"usd_per_million_tokens": 0.4, "usd_per_million_output_tokens": 1.6}),
    ],
)
def test_prices_that_apply(name: str, model: str, prices: dict[str, float]) -> None:
    assert problems(name, model, **prices) == []


@pytest.mark.parametrize(
    ("name", "prices", "problem"),
    [
        (
            "vllm",
            {"usd_per_million_search_units": 2000},
            'providers.vllm.models."m".usd_per_million_search_units can never apply: vLLM reports no search units; '
            "state the price as usd_per_million_tokens or usd_per_call",
        ),
        (
            "pinecone",
            {"usd_per_million_tokens": 1},
            'providers.pinecone.models."m".usd_per_million_tokens can never apply: Pinecone reports no tokens; '
            "state the price as usd_per_million_search_units or usd_per_call",
        ),
        (
            "vllm",
            {"usd_per_million_output_tokens": 1.6},
            'providers.vllm.models."m".usd_per_million_output_tokens must be a finite price of at least 0, beside '
            "usd_per_million_tokens",
        ),
        ("vllm", {"usd_per_call": -1}, 'providers.vllm.models."m".usd_per_call must be a finite price of at least 0'),
        (
            "vllm",
            {"usd_per_call": math.inf},
            'providers.vllm.models."m".usd_per_call must be a finite price of at least 0',
        ),
        (
            "vllm",
            {"usd_per_call": 1, "usd_per_million_tokens": 1},
            'providers.vllm.models."m" has 2 prices, usd_per_million_tokens and usd_per_call; state one',
        ),
    ],
)
def test_prices_that_do_not(name: str, prices: dict[str, float], problem: str) -> None:
    assert problems(name, "m", **prices) == [problem]


def test_price_of_a_call_needs_no_usage() -> None:
    (price,) = ProviderModelSettings(usd_per_call=0.002).prices("m")
    assert cost_usd(price, ProviderReply(indices=[0], scores=[0.5])) == pytest.approx(0.002)


def test_tokens_that_a_chat_model_reads_and_writes_have_prices_of_their_own() -> None:
    facts = ProviderModelSettings(usd_per_million_tokens=0.4, usd_per_million_output_tokens=1.6)
    (price,) = facts.prices("m")
    reply = ChatReply(text="yes", prompt_tokens=1000, completion_tokens=100)
    assert cost_usd(price, reply) == pytest.approx(0.00056)
    assert cost_usd(price, ChatReply(text="yes")) is None
