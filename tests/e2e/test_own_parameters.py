"""Parameters under a provider's own names, by SDK, HTTP and gRPC: what a NIM behind the service receives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rerankd import RerankError, rerank
from rerankd_adapters.testing import Received, ScriptedResponse
from rerankd_client import RerankClient
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream

MODEL = "nvidia_nim/nvidia/llama-3_2-nv-rerankqa-1b-v2"
PATH = "/v1/retrieval/nvidia/llama-3_2-nv-rerankqa-1b-v2/reranking"
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/rerank": {"query": "q", "documents": ["a"]},
    "/v2/rerank": {"query": "q", "documents": ["a"]},
    "/jina/v1/rerank": {"query": "q", "documents": ["a"]},
    "/voyage/v1/rerank": {"query": "q", "documents": ["a"]},
    "/v1/ranking": {"query": {"text": "q"}, "passages": [{"text": "a"}]},
}


def respond(request: Received) -> ScriptedResponse:
    count = len(request.json()["passages"])
    return ScriptedResponse.of_json({"rankings": [{"index": index, "logit": -index} for index in range(count)]})


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(respond) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[ServerProcess]:
    environment = {"NVIDIA_NIM_API_BASE": upstream.url, "RERANKD_CACHE__ENABLED": "false", "NO_PROXY": "127.0.0.1"}
    started = ServerProcess(environment=environment)
    try:
        yield started
    finally:
        assert started.stop() == 0


@pytest.mark.parametrize("value", ["END", "NONE"])
@pytest.mark.parametrize("path", ROUTES)
def test_http(server: ServerProcess, upstream: Upstream, path: str, value: str) -> None:
    body = {**ROUTES[path], "model": MODEL, "truncate": value}
    answer = httpx.post(f"{server.http_url}{path}", json=body)

    assert answer.status_code == 200
    assert (answer.json().get("meta") or {}).get("warnings") is None
    assert (upstream.calls[-1].path, upstream.calls[-1].json()["truncate"]) == (PATH, value)


def test_a_wrong_value_is_named_as_it_was_written(server: ServerProcess) -> None:
    body = {"query": "q", "documents": ["a"], "model": MODEL}
    for fields, field in (
        ({"truncate": 5}, "truncate"),
        ({"provider_options": {"truncate": 5}}, "provider_options.truncate"),
    ):
        answer = httpx.post(f"{server.http_url}/v1/rerank", json={**body, **fields})
        assert answer.status_code == 400
        assert "truncate must be a string, was an integer" in answer.text
        assert f'"{field}"' in answer.text


def test_grpc(server: ServerProcess, upstream: Upstream) -> None:
    with RerankClient(server.grpc_address) as client:
        response = client.rerank("q", ["a"], model=MODEL, provider_options={"truncate": "NONE", "latency": "fast"})
    assert upstream.calls[-1].json()["truncate"] == "NONE"
    assert list(response.warnings) == [f"latency was ignored: {MODEL} has no such parameter; ZeroEntropy has"]


def test_sdk(upstream: Upstream) -> None:
    documents: list[Any] = [{"title": "t", "text": "a"}, "b"]
    response = rerank(MODEL, "q", documents, top_k=1, truncate="END", api_base=upstream.url, api_key="k")

    assert (response.results[0].document, response.meta.warnings) == (documents[0], [])
    assert (upstream.calls[-1].path, upstream.calls[-1].json()["truncate"]) == (PATH, "END")
    with pytest.raises(RerankError, match="truncate must be NONE or END, was 'MIDDLE'") as refused:
        rerank(MODEL, "q", documents, truncate="MIDDLE", api_base=upstream.url, api_key="k")
    assert [violation.field for violation in refused.value.fields] == ["truncate"]
