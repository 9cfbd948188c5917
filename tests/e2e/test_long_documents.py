"""A llama.cpp that refuses long pairs: documents are cut to what it tells, over gRPC and HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.cases import Case
from tests.support.server import ServerProcess
from tests.support.transports import GrpcTransport
from tests.support.upstream import Upstream

BATCH_CHARS = 300
LONG = "a sentence about apples. " * 40
REQUEST: dict[str, Any] = {"model": "llama_cpp/m", "query": "apple", "documents": ["an apple", LONG, "a pear"]}
EXPECTED = "documents were cut to about 90 tokens (the window of llama_cpp/m): 1 of 3, at index 1"


def llama_cpp(request: Received) -> ScriptedResponse:
    """Take a pair of at most `BATCH_CHARS` characters, told as 100 tokens; score by length."""
    if request.method == "GET":
        return ScriptedResponse.of_json({"data": [{"id": "m"}]})
    documents = request.json()["documents"]
    longest = max(map(len, documents))
    if longest > BATCH_CHARS:
        said = f"input ({longest} tokens) is too large to process. increase the physical batch size"
        return ScriptedResponse.of_json({"error": {"message": f"{said} (current batch size: 100)"}}, status=500)
    results = [{"index": index, "relevance_score": len(text)} for index, text in enumerate(documents)]
    return ScriptedResponse.of_json({"results": results})


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(llama_cpp) as opened:
        yield opened


@pytest.fixture
def server(upstream: Upstream) -> Iterator[ServerProcess]:
    started = ServerProcess(environment={"LLAMA_CPP_API_BASE": upstream.url, "RERANKD_CACHE__ENABLED": "false"})
    yield started
    assert started.stop() == 0


def test_the_first_refusal_tells_the_window(server: ServerProcess, upstream: Upstream) -> None:
    grpc = GrpcTransport(server.grpc_address)
    before = len([each for each in upstream.received if each.method == "POST"])
    first = grpc.call(Case(name="first", expect={}, request=REQUEST)).response
    second = httpx.post(f"{server.http_url}/v1/rerank", json=REQUEST, trust_env=False).json()
    grpc.close()

    for answer in (first, second):
        assert [result["index"] for result in answer["results"]] == [1, 0, 2]
        assert answer["meta"]["warnings"] == [EXPECTED]
    assert len([each for each in upstream.received if each.method == "POST"]) - before == 3


def test_both_transports_say_the_refusal_of_truncation_none(server: ServerProcess) -> None:
    request = {**REQUEST, "truncation": "none"}
    grpc = GrpcTransport(server.grpc_address)
    refused = grpc.call(Case(name="none", expect={}, request=request))
    grpc.close()
    answer = httpx.post(f"{server.http_url}/v1/rerank", json=request, trust_env=False)

    assert (refused.reason, answer.json()["reason"]) == ("PROVIDER_REJECTED_REQUEST", "PROVIDER_REJECTED_REQUEST")
    assert "too large to process" in refused.message
