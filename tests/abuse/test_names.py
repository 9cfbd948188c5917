"""Strings that a caller chooses are bounded before anything keeps them."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest

from rerank.v1 import rerank_service_pb2 as pb
from tests.abuse.drill import drill
from tests.abuse.probe import METHOD
from tests.abuse.raw import Outcome, post_json
from tests.support.server import ServerProcess

LONG = "x" * 500_000


def _refusals_over_http(server: ServerProcess) -> list[Outcome]:
    found = []
    for number in range(200):
        model = f"local/{number}{LONG}" if number % 2 else f"cohere/{number}{LONG}"
        found.append(post_json(server.http_url, {"model": model, "query": "q", "documents": ["d"]}))
    return found


def _scrape(server: ServerProcess) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=20)
    connection.request("GET", "/metrics")
    body = connection.getresponse().read()
    connection.close()
    return body


def test_long_model_names_over_http(attacked: ServerProcess) -> None:
    lines = len(attacked.log)

    scraped: list[int] = []

    def attack() -> list[Outcome]:
        outcomes = _refusals_over_http(attacked)
        scraped.append(len(_scrape(attacked)))
        return outcomes

    seen = drill("model names of 500 KB", attacked, attack, before="RSS 0.5 to 8.8 GB, nobody answered for 45 s")
    seen.check()
    assert {each.status for each in seen.result} == {400}
    assert "model is 50000" in seen.result[-1].message()
    assert scraped[-1] < 200_000
    assert max(len(json.dumps(entry)) for entry in attacked.log[lines:]) < 2_000


def test_long_model_names_over_grpc(attacked: ServerProcess) -> None:
    def attack() -> set[tuple[str, str]]:
        found = set()
        with grpc.insecure_channel(attacked.grpc_address) as channel:
            rerank: Any = channel.unary_unary(METHOD)
            for number in range(200):
                request = pb.RerankRequest(model=f"local/{number}{LONG}", query="q", documents=[pb.Document(text="d")])
                with pytest.raises(grpc.RpcError) as caught:
                    rerank(request.SerializeToString(), timeout=20)
                found.add((caught.value.code().name, str(caught.value.details())[:10]))
        return found

    seen = drill("model names of 500 KB over gRPC", attacked, attack)
    seen.check()
    assert seen.result == {("INVALID_ARGUMENT", "model is 5")}


def test_other_strings_and_lists(attacked: ServerProcess) -> None:
    good = {"model": "local/bm25", "query": "q", "documents": ["d"]}
    bad = {
        "fallbacks": ["local/bm25"] * 100,
        "fallbacks[0]": [f"local/{LONG}"],
        "rank_fields": ["f"] * 5_000,
        "rank_fields[0]": [LONG],
        "user": LONG,
        "provider_options": {f"key{number}": number for number in range(5_000)},
    }

    def attack() -> dict[str, Outcome]:
        return {
            name: post_json(attacked.http_url, {**good, name.partition("[")[0]: value})
            for _ in range(5)
            for name, value in bad.items()
        }

    seen = drill("long users, fields and lists", attacked, attack)
    seen.check()
    for name, outcome in seen.result.items():
        assert outcome.status == 400, (name, outcome)
        assert outcome.message().startswith(name), outcome
        assert len(outcome.body) < 2_000
