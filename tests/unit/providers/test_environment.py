"""Which deployments the environment asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.environment import (
    endpoint_from_environment,
    options_from_environment,
    providers_from_environment,
)
from rerankd_adapters.base import Endpoint, HttpRequest, HttpResponse
from rerankd_adapters.providers.vllm import VLLM
from rerankd_adapters.registry import find_provider


class Unused:
    """A transport nobody calls."""

    name = "unused"
    settings = TransportSettings()

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        raise AssertionError

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "environ", "endpoint"),
    [
        ("cohere", {}, None),
        ("cohere", {"CO_API_KEY": "k"}, ("https://api.cohere.com", "k")),
        ("cohere", {"CO_API_KEY": "a", "COHERE_API_KEY": " b "}, ("https://api.cohere.com", "b")),
        ("cohere", {"COHERE_API_KEY": "  "}, None),
        ("cohere", {"COHERE_API_BASE": "http://h"}, None),
        ("tei", {"HF_TOKEN": "k"}, None),
        ("tei", {"TEI_API_BASE": "http://h"}, ("http://h", "")),
        ("vllm", {"HOSTED_VLLM_API_BASE": "http://h", "VLLM_API_KEY": "k"}, ("http://h", "k")),
        ("nvidia_nim", {}, None),
        ("nvidia_nim", {"NVIDIA_API_KEY": "k"}, ("https://ai.api.nvidia.com", "k")),
        ("nvidia_nim", {"NVIDIA_NIM_API_BASE": "http://h"}, ("http://h", "")),
    ],
)
def test_endpoint(name: str, environ: dict[str, str], endpoint: tuple[str, str] | None) -> None:
    provider = find_provider(name)
    assert provider is not None
    expected = endpoint and Endpoint(base_url=endpoint[0], api_key=endpoint[1])
    assert endpoint_from_environment(provider, environ) == expected


def test_options() -> None:
    provider = replace(VLLM, option_variables={"project": ("A", "B"), "region": ("C",)})
    assert options_from_environment(provider, {"B": "p"}) == {"project": "p"}


def test_nothing_set_nothing_opened() -> None:
    assert list(providers_from_environment({}, Unused())) == []


def test_a_key_is_enough() -> None:
    (deployment,) = providers_from_environment({"VOYAGE_API_KEY": "k"}, Unused())
    assert deployment.name == "voyage"
    assert "rerank-2.5" in [model.name for model in deployment.models()]
