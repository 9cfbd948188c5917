"""The run log over both transports: the golden cases, and what becomes of masked texts."""

from __future__ import annotations

import json
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

SCOPES: Final = {"admin": ["runs.read", "rerank"], "reader": ["runs.read"], "caller": ["rerank"]}
SECRETS: Final = {name: new_secret() for name in SCOPES}
CASES: Final = read_rpc_cases("run_log.yaml")


def started(folder: Path, **more: Any) -> ServerProcess:
    keys: dict[str, dict[str, Any]] = {
        name: {"hash": digest_of(SECRETS[name]), "scopes": scopes, "owner": "operators"}
        for name, scopes in SCOPES.items()
    }
    access = {"enabled": True, "keys": keys, "spend": {"enabled": False}, **more.pop("access", {})}
    settings = {
        "providers": {"cohere": {"api_key": "none", "base_url": "http://127.0.0.1:9"}},
        "rerankers": {
            "declared": {"strategy": "dedicated-model", "config": {"model": "local/bm25"}},
            "broken": {"strategy": "dedicated-model", "config": {"model": "cohere/rerank-v4.0-fast"}},
        },
        "access": access,
        "store": {"state_dir": str(folder / "state")},
        "runs": {"durability": "sync", "sync_timeout_s": 30},
        **more,
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    return ServerProcess("--config", str(file))


class Conversation:
    """A server of its own, a transport to it, and what earlier cases kept."""

    def __init__(self, transport: str, folder: Path) -> None:
        self.server = started(folder)
        self.caller = GrpcCaller(self.server.grpc_address) if transport == "grpc" else HttpCaller(self.server.http_url)
        self.kept: dict[str, Any] = {}

    def run(self, case: RpcCase) -> list[str]:
        """Return what the outcome of a case has other than it must."""
        outcome = self.caller.call(case, filled(case.request, self.kept), SECRETS.get(case.caller))
        self.kept |= kept_of(case, outcome) if outcome.code == "OK" else {}
        return list(rpc_differences(filled(case.expect, self.kept), outcome))


@pytest.fixture(scope="module", params=["grpc", "http"])
def conversation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    opened = Conversation(request.param, tmp_path_factory.mktemp("run_service"))
    yield opened
    opened.caller.close()
    assert opened.server.stop() == 0


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    """A server of its own with one run: the golden cases state all runs that there are."""
    opened = Conversation("http", tmp_path_factory.mktemp("logged"))
    url = f"{opened.server.http_url}/api/reranker/declared/run"
    headers = {"authorization": f"Bearer {SECRETS['admin']}"}
    body = {"query": "harbour", "documents": ["a harbour"]}
    assert httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False).status_code == 200
    yield opened
    opened.caller.close()
    assert opened.server.stop() == 0


def test_golden_cases(conversation: Conversation) -> None:
    found = {case.name: differences for case in CASES if (differences := conversation.run(case))}
    assert found == {}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("from=2026-04-01&to=2026-05-01&limit=50", 0),
        ("from=2026-04-01&limit=1", 1),
        ("from=2026-04-01T02:00:00%2B02:00&limit=1", 1),
        ("from=2026-04-01T02:00:00+02:00&limit=1", 1),
    ],
)
def test_runs_are_asked_for_by_dates_and_times(logged: Conversation, query: str, found: int) -> None:
    answer = asked(logged, f"/api/reranker/declared/runs?{query}")
    assert (answer.status_code, len(answer.json()["runs"])) == (200, found), answer.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=yesterday", "from must be a time with its zone, such as 2026-01-31T08:00:00Z"),
        ("from=2026-13-01", "from must be a time with its zone, such as 2026-01-31T08:00:00Z"),
        ("to=2026-01-31T08:00:00", "to must be a time with its zone, such as 2026-01-31T08:00:00Z"),
        ("limit=many", "limit must be an integer"),
        ("key=other", "key must be left out, or be 'declared' as in the path: it names what the call is about"),
    ],
)
def test_a_query_that_cannot_be_read_says_what_it_takes(conversation: Conversation, query: str, said: str) -> None:
    answer = asked(conversation, f"/api/reranker/declared/runs?{query}")
    assert (answer.status_code, answer.json()["message"]) == (400, said)


def asked(conversation: Conversation, path: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {SECRETS['admin']}"}
    return httpx.get(f"{conversation.server.http_url}{path}", headers=headers, timeout=60, trust_env=False)


def test_masked_texts_are_logged_masked_and_blocked_ones_not_at_all(tmp_path: Path) -> None:
    guardrails = [
        {"name": "pii", "type": "patterns", "mode": "mask", "kinds": ["email"]},
        {"name": "words", "type": "words", "mode": "block", "deny": ["forbidden"]},
    ]
    server = started(tmp_path, access={"guardrails": guardrails})
    try:
        with httpx.Client(base_url=server.http_url, timeout=60, trust_env=False) as client:
            headers = {"authorization": f"Bearer {SECRETS['admin']}"}
            for query in ("who is jane.doe@example.com", "something forbidden"):
                body = {"model": "declared", "query": query, "documents": ["ask jane.doe@example.com", "nobody"]}
                client.post("/v2/rerank", json=body, headers=headers)
            runs = client.get("/api/runs", headers=headers).json()["runs"]
            whole = [client.get(f"/api/runs/{run['runId']}", headers=headers).json()["run"] for run in runs]
    finally:
        assert server.stop() == 0
    blocked, masked = whole
    assert (blocked["reason"], blocked["query"], blocked["capture"]) == ("GUARDRAIL_BLOCKED", "", "none")
    assert blocked["details"]["documents"] == []
    assert masked["query"].startswith("who is ")
    assert "example.com" not in json.dumps(whole)
    assert "forbidden" not in json.dumps(whole)
