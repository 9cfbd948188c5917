"""What headers and trailing metadata say of an answer."""

from __future__ import annotations

import re
from typing import Any

import grpc
import httpx
import pytest

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.contract.call_context import CallContext
from rerankd.contract.messages import ExtraFields, RerankResponse, Usage
from rerankd.contract.response_headers import raw_response_headers, response_headers
from tests.support.server import ServerProcess

CALL = CallContext(request_id="r")


def answer(**usage: Any) -> RerankResponse:
    return RerankResponse(
        model="cohere/rerank",
        usage=Usage(**usage),
        extra_fields=ExtraFields(provider="cohere"),
    )


@pytest.mark.parametrize(
    ("documents", "cached", "wanted"), [(3, 0, "miss"), (3, 2, "partial"), (3, 3, "hit"), (0, 0, "miss")]
)
def test_the_state_of_the_cache(documents: int, cached: int, wanted: str) -> None:
    assert dict(response_headers(answer(documents=documents, cached_documents=cached), CALL))["rerankd-cache"] == wanted


@pytest.mark.parametrize(
    ("cost", "wanted"), [(None, None), (0.0, "0"), (0.002, "0.002"), (1e-7, "0.0000001"), (12.5, "12.5")]
)
def test_the_cost_is_a_plain_number(cost: float | None, wanted: str | None) -> None:
    facts = dict(response_headers(answer(cost=cost) if cost is not None else answer(), CALL))
    assert facts.get("rerankd-cost") == wanted


@pytest.mark.parametrize("name", ["mod\u00e8le", "a\r\nx: y", "\N{SNOWMAN}"])
def test_names_cannot_break_out_of_a_header(name: str) -> None:
    value = dict(response_headers(RerankResponse(model=name), CALL))["rerankd-model"]
    assert value.isascii()
    assert value.isprintable()


def test_other_answers_have_none() -> None:
    assert response_headers(object(), CALL) == []


def test_layers_below_may_add_some() -> None:
    call = CallContext(request_id="r", response_metadata={"ratelimit-limit": "5"})
    assert response_headers(answer(), call)[0] == ("ratelimit-limit", "5")
    assert response_headers(object(), call) == [("ratelimit-limit", "5")]
    assert raw_response_headers(object(), call) == [(b"ratelimit-limit", b"5")]


def test_both_transports_say_the_same(server: ServerProcess) -> None:
    http = httpx.post(
        f"{server.http_url}/v1/rerank",
        json={"query": "harbour", "documents": ["a boat"], "model": "local/bm25"},
        trust_env=False,
    )
    request = pb.RerankRequest(query="harbour", documents=[pb.Document(text="a boat")], model="local/bm25")
    with grpc.insecure_channel(server.grpc_address) as channel:
        call: Any = channel.unary_unary("/rerank.v1.RerankService/Rerank", pb.RerankRequest.SerializeToString)
        _, done = call.with_call(request, metadata=(("x-request-id", "facts-1"),))
    trailing = dict(done.trailing_metadata())
    assert trailing["x-request-id"] == "facts-1"
    assert trailing["rerankd-model"] == http.headers["rerankd-model"] == "local/bm25"
    assert trailing["rerankd-provider"] == http.headers["rerankd-provider"] == "local"
    assert {"rerankd-cache"} <= trailing.keys() & http.headers.keys()
    for timing in (trailing["server-timing"], http.headers["server-timing"]):
        assert re.fullmatch(r"total;dur=\d+\.\d{3}", timing)
