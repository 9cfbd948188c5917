"""Every dialect against real servers: requests as its SDKs send them, answers and errors to the last key."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.support.cases import Case
from tests.support.dialect_cases import DialectCase, mismatches, read_dialect_cases, send
from tests.support.provider_service import ONE_CALL_EACH
from tests.support.server import ServerProcess
from tests.support.transports import GrpcTransport

CASES = read_dialect_cases()
MOST_BYTES = 4000


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[str, ServerProcess]]:
    """A server with a low limit for bodies, one whose only slot is taken, and one that refuses blank documents."""
    limits = {"RERANKD_LIMITS__MAX_REQUEST_BYTES": str(MOST_BYTES), "NO_PROXY": "127.0.0.1"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        provider = {
            "silent": {"provider": "cohere", "base_url": f"http://127.0.0.1:{silent.getsockname()[1]}", "api_key": "k"}
        }
        full_settings = {
            "RERANKD_LIMITS__MAX_CONCURRENT_CALLS": "1",
            "RERANKD_PROVIDERS": json.dumps(provider),
            "RERANKD_MODELS": json.dumps(ONE_CALL_EACH),
        }
        serving, full = ServerProcess(environment=limits), ServerProcess(environment={**limits, **full_settings})
        asked = {"model": "silent/m", "query": "q", "documents": ["a"]}
        holder = threading.Thread(target=_ask_and_wait, args=(full.http_url, asked), daemon=True)
        holder.start()
        connection, _ = silent.accept()
        strict = ServerProcess(environment={"RERANKD_BLANK_DOCUMENTS": "reject"})
        yield {"serving": serving, "full": full, "strict": strict}
        strict.stop()
        connection.close()
        holder.join(30)
        assert serving.stop() == 0
        full.stop()


def _ask_and_wait(url: str, asked: Mapping[str, object]) -> None:
    with httpx.Client(trust_env=False, timeout=60) as client:
        client.post(f"{url}/v1/rerank", json=asked)


FAULTS: dict[str, dict[str, Any]] = {
    "blank query": {"query": " ", "documents": ["a"]},
    "no documents": {"query": "q", "documents": []},
    "unknown model": {"model": "local/none", "query": "q", "documents": ["a"]},
    "no results asked for": {"query": "q", "documents": ["a"], "top_n": 0},
    "no room": {"query": "q", "documents": ["a"]},
}
"""Requests with the faults of the cases of these names."""


@pytest.mark.parametrize("name", FAULTS)
def test_grpc_gives_the_same_reasons(name: str, servers: Mapping[str, ServerProcess]) -> None:
    transport = GrpcTransport(servers["full" if name == "no room" else "serving"].grpc_address)
    outcome = transport.call(Case(name=name, expect={}, request=FAULTS[name]))
    transport.close()
    refused = [case for case in CASES if case.name == name and case.status != 200]

    assert len(refused) > 5
    assert {case.answer_headers["x-error-reason"] for case in refused} == {outcome.reason}


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.dialect}: {case.name}") for case in CASES])
def test_answer(case: DialectCase, servers: Mapping[str, ServerProcess]) -> None:
    reply = send(servers[case.server].http_url, case)

    assert list(mismatches(case.answer, reply.body)) == []
    assert reply.status == case.status
    assert reply.headers["content-type"] == "application/json"
    for name, value in case.answer_headers.items():
        assert reply.headers.get(name) == value, name
