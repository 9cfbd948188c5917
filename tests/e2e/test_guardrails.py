"""Guardrails of a real server, over both transports and in a dialect."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import yaml

from rerankd_client import AsyncRerankClient, PermissionDenied
from tests.support.server import ServerProcess

GUARDRAILS = [
    {"name": "secrets", "type": "patterns", "kinds": ["secret"]},
    {"name": "mail", "type": "patterns", "kinds": ["email"], "mode": "mask"},
]
KEY = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    file = tmp_path_factory.mktemp("guardrails") / "rerankd.yaml"
    file.write_text(yaml.safe_dump({"default_model": "local/bm25", "access": {"guardrails": GUARDRAILS}}))
    started = ServerProcess("--config", str(file))
    yield started
    started.stop()


async def test_both_transports_refuse_alike(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.http_url) as client:
        refused = await client.post("/v1/rerank", json={"query": "q", "documents": ["a", f"key {KEY}"]})
    assert (refused.status_code, refused.json()["reason"]) == (403, "GUARDRAIL_BLOCKED")
    message = "guardrail secrets refuses the call: secret in documents[1]"
    assert refused.json()["message"] == message
    async with AsyncRerankClient(server.grpc_address) as stubs:
        with pytest.raises(PermissionDenied) as caught:
            await stubs.rerank("q", ["a", f"key {KEY}"])
    assert (caught.value.reason, caught.value.message) == ("GUARDRAIL_BLOCKED", message)
    assert [violation.field for violation in caught.value.fields] == ["documents[1]"]
    assert KEY not in str(server.log)


async def test_a_dialect_refuses_in_its_own_shape(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.http_url) as client:
        refused = await client.post("/tei/rerank", json={"query": KEY, "texts": ["a"]})
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "guardrail secrets refuses the call: secret in query",
    )


async def test_masked_texts_score_as_masked_and_come_back_as_they_were(server: ServerProcess) -> None:
    body = {"query": "mail of jane@example.org", "documents": ["no", "jane@example.org"], "return_documents": True}
    async with httpx.AsyncClient(base_url=server.http_url) as client:
        answer = (await client.post("/v1/rerank", json=body)).json()
    assert answer["results"][0]["document"]["text"] == "jane@example.org"
    assert answer["meta"]["warnings"] == ["guardrail mail: 2 email masked"]
