"""Stored rerankers over both transports: the golden cases, and what a change does to calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from rerankd.access.key_format import digest_of, new_secret
from tests.support.rpc_cases import (
    GrpcCaller,
    HttpCaller,
    RpcCase,
    filled,
    kept_of,
    read_rpc_cases,
    rpc_differences,
)
from tests.support.server import ServerProcess

SCOPES: Final = {
    "admin": ["rerankers.read", "rerankers.write", "rerank", "models"],
    "reader": ["rerankers.read"],
    "caller": ["rerank"],
    "limited": ["rerank"],
    "slow": ["rerank"],
}
SECRETS: Final = {name: new_secret() for name in SCOPES}
CASES: Final = read_rpc_cases("reranker_service.yaml")


def settings_of(folder: Path, **more: Any) -> dict[str, Any]:
    keys: dict[str, dict[str, Any]] = {
        name: {"hash": digest_of(SECRETS[name]), "scopes": scopes} for name, scopes in SCOPES.items()
    }
    keys["admin"]["owner"] = "writers"
    keys["limited"]["models"] = ["cohere/*"]
    keys["slow"]["group"] = "slow"
    limits = [{"name": "slow", "per": "group", "match": "slow", "calls_per_minute": 1}]
    return {
        "default_model": "local/bm25",
        "aliases": {"fast": "local/bm25"},
        "providers": {"cohere": {"api_key": "none", "base_url": "http://127.0.0.1:9"}},
        "rerankers": {"declared": {"strategy": "dedicated-model", "config": {"model": "local/bm25", "top_n": 1}}},
        "access": {"enabled": True, "keys": keys, "spend": {"enabled": False}, "limits": limits},
        "store": {"state_dir": str(folder / "state")},
        **more,
    }


class Conversation:
    """A server of its own, a transport to it, and what earlier cases kept."""

    def __init__(self, transport: str, folder: Path) -> None:
        self.transport = transport
        file = folder / "rerankd.yaml"
        file.write_text(yaml.safe_dump(settings_of(folder)))
        self.server = ServerProcess("--config", str(file), preloads=True)
        self.caller = GrpcCaller(self.server.grpc_address) if transport == "grpc" else HttpCaller(self.server.http_url)
        self.kept: dict[str, Any] = {}

    def run(self, case: RpcCase) -> list[str]:
        """Return what the outcome of a case has other than it must."""
        outcome = self.caller.call(case, filled(case.request, self.kept), SECRETS.get(case.caller))
        self.kept |= kept_of(case, outcome) if outcome.code == "OK" else {}
        return list(rpc_differences(filled(case.expect, self.kept), outcome))


@pytest.fixture(scope="module", params=["grpc", "http"])
def conversation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    opened = Conversation(request.param, tmp_path_factory.mktemp("reranker_service"))
    yield opened
    opened.caller.close()
    assert opened.server.stop() == 0


def test_golden_cases(conversation: Conversation) -> None:
    cases = [case for case in CASES if case.only in ("", conversation.transport)]
    found = {case.name: differences for case in cases if (differences := conversation.run(case))}
    assert found == {}


class Client:
    """A caller of `/api/client/v1` with a key."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/client/v1", timeout=60, trust_env=False)

    def __call__(self, method: str, path: str, body: object = None, key: str | None = "admin") -> tuple[int, Any]:
        headers = {} if key is None else {"authorization": f"Bearer {SECRETS[key]}"}
        answer = self._client.request(method, path, json=body, headers=headers)
        return answer.status_code, answer.json()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("client")
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings_of(folder)))
    server = ServerProcess("--config", str(file))
    made = httpx.post(
        f"{server.http_url}/api/reranker",
        json={"name": "support-rerank", "strategy": "dedicated-model", "config": {"model": "local/bm25"}},
        headers={"authorization": f"Bearer {SECRETS['admin']}"},
        trust_env=False,
    )
    assert made.status_code == 201
    opened = Client(server.http_url)
    yield opened
    opened.close()
    assert server.stop() == 0


def test_the_client_api_lists_and_returns_rerankers(client: Client) -> None:
    status, listed = client("GET", "/rerankers")
    assert (status, [each["key"] for each in listed["rerankers"]]) == (200, ["declared", "support-rerank"])
    status, found = client("GET", "/rerank/support-rerank")
    assert status == 200
    assert {**found["reranker"], **dict.fromkeys(("createdAt", "updatedAt", "etag"), ...)} == {
        "key": "support-rerank",
        "name": "support-rerank",
        "description": "",
        "strategy": "dedicated-model",
        "status": "active",
        "config": {"model": "local/bm25"},
        "metadata": {},
        "totalRuns": 0,
        "avgLatencyMs": 0.0,
        "lastUsedAt": None,
        "createdAt": ...,
        "updatedAt": ...,
        "version": 1,
        "etag": ...,
        "source": "store",
        "problem": "",
    }


def test_a_reranker_of_the_settings_has_every_field(client: Client) -> None:
    status, found = client("GET", "/rerank/declared")
    assert status == 200
    assert found["reranker"] == {
        "key": "declared",
        "name": "declared",
        "description": "",
        "strategy": "dedicated-model",
        "status": "active",
        "config": {"model": "local/bm25", "top_n": 1},
        "metadata": {},
        "totalRuns": 0,
        "avgLatencyMs": 0.0,
        "lastUsedAt": None,
        "createdAt": None,
        "updatedAt": None,
        "version": 0,
        "etag": "",
        "source": "settings",
        "problem": "",
    }


DOCUMENTS: Final = ["Two-factor setup.", "Forgot password? Click here to reset your password."]


@pytest.mark.parametrize("field", ["top_n", "topN"])
def test_the_client_api_runs_rerankers_as_documented(client: Client, field: str) -> None:
    body = {"query": "How do I reset my password?", "documents": DOCUMENTS, field: 5}
    status, answer = client("POST", "/rerank/support-rerank", body, key="caller")
    assert status == 200
    first, second = answer["results"]
    assert first == {"index": 1, "relevance_score": first["relevance_score"], "document": {"text": DOCUMENTS[1]}}
    assert second == {"index": 0, "relevance_score": second["relevance_score"], "document": {"text": DOCUMENTS[0]}}
    assert first["relevance_score"] > second["relevance_score"]
    assert answer["id"]
    assert answer["meta"].pop("latency_ms") > 0
    assert answer["meta"] == {
        "api_version": {"version": "1"},
        "reranker": "support-rerank",
        "strategy": "dedicated-model",
        "model": "local/bm25",
    }
    status, answer = client("POST", "/rerank/support-rerank", {**body, field: 1}, key="caller")
    assert [each["index"] for each in answer["results"]] == [1]


def test_the_client_api_takes_documents_of_every_form(client: Client) -> None:
    documents = [{"id": "a", "text": "guide"}, {"content": "my password", "score": 1, "metadata": {"p": 1}}, "password"]
    status, answer = client(
        "POST", "/rerank/support-rerank", {"model": "x", "query": "password", "documents": documents}, key="caller"
    )
    assert status == 200
    returned = {each["index"]: each["document"] for each in answer["results"]}
    assert returned == {
        0: {"text": "guide", "id": "a"},
        1: {"text": "my password", "metadata": {"p": 1}},
        2: {"text": "password"},
    }


@pytest.mark.parametrize(
    ("path", "body", "key", "status", "reason", "fields"),
    [
        ("support-rerank", {"documents": ["a"]}, "caller", 400, "INVALID_REQUEST", ["query"]),
        ("support-rerank", {"query": "a"}, "caller", 400, "INVALID_REQUEST", ["documents"]),
        ("support-rerank", {"query": "a", "documents": [1]}, "caller", 400, "INVALID_REQUEST", ["documents[0]"]),
        ("support-rerank", {"query": "a", "documents": [{}]}, "caller", 400, "INVALID_REQUEST", ["documents[0]"]),
        ("support-rerank", {"query": "a", "documents": ["a"], "top_n": 0}, "caller", 400, "INVALID_REQUEST", ["top_n"]),
        ("support-rerank", {"query": "a", "documents": ["a"], "topN": 0}, "caller", 400, "INVALID_REQUEST", ["topN"]),
        (
            "support-rerank",
            {"query": "a", "documents": [{"content": " "}]},
            "caller",
            400,
            "INVALID_REQUEST",
            ["documents[0].content"],
        ),
        ("support-rerank", {"query": "a", "documents": ["a"]}, None, 401, "API_KEY_MISSING", None),
        ("support-rerank", {"query": "a", "documents": ["a"]}, "reader", 403, "INSUFFICIENT_SCOPE", None),
        ("support-rerank", {"query": "a", "documents": ["a"]}, "limited", 403, "MODEL_NOT_ALLOWED", None),
        ("suport-rerank", {"query": "a", "documents": ["a"]}, "caller", 404, "RERANKER_NOT_FOUND", None),
        ("fast", {"query": "a", "documents": ["a"]}, "caller", 404, "RERANKER_NOT_FOUND", None),
    ],
)
def test_errors_of_the_client_api(
    client: Client, path: str, body: object, key: str | None, status: int, reason: str, fields: list[str] | None
) -> None:
    found, answer = client("POST", f"/rerank/{path}", body, key)
    assert (found, answer["reason"]) == (status, reason)
    assert answer["message"]
    assert fields is None or [each["field"] for each in answer["fields"]] == fields


def test_a_key_of_the_body_that_is_not_that_of_the_path_is_refused(client: Client) -> None:
    """It would be ignored, and a reranker seem to have another key."""
    body = {"key": "declared", "query": "a", "documents": ["a"]}
    status, answer = client("POST", "/rerank/support-rerank", body, "caller")
    assert (status, [each["field"] for each in answer["fields"]]) == (400, ["key"])
    assert client("POST", "/rerank/support-rerank", {**body, "key": "support-rerank"}, "caller")[0] == 200


def test_the_client_api_limits_calls(client: Client) -> None:
    body = {"query": "a", "documents": ["a"]}
    assert client("POST", "/rerank/support-rerank", body, "slow")[0] == 200
    status, answer = client("POST", "/rerank/support-rerank", body, "slow")
    assert (status, answer["reason"]) == (429, "RATE_LIMITED")


def test_readers_of_the_client_api(client: Client) -> None:
    assert client("GET", "/rerankers", key=None)[0] == 401
    assert client("GET", "/rerank/none", key="reader")[0] == 404
    assert client("GET", "/rerankers", key="caller")[0] == 403
