"""rerankd in front of a Text Embeddings Inference server that speaks gRPC, over TCP and over a Unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from rerankd_adapters.grpc_upstream.messages import find_method
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET
from tests.support.provider_service import ONE_CALL_EACH, Refused, by_grpc, by_http
from tests.support.server import ServerProcess
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream

RERANK = find_method("tei.v1.Rerank", "Rerank")
INFO = find_method("tei.v1.Info", "Info")
DOCUMENTS = ["bb", "a", "cccc", "dd", "eee"]
LIMIT = 2


async def score(requests: list[Any], context: Any) -> Any:
    """Score by length; refuse what a server with this limit refuses."""
    texts = list(requests[0].texts)
    if len(texts) > LIMIT:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"batch size {len(texts)} > maximum {LIMIT}")
    if requests[0].query == "echo":
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"cannot read {texts} for Bearer {CANARY_SECRET}")
    if requests[0].query == "busy":
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Model is overloaded")
    ranks = [{"index": index, "score": len(text) / 8} for index, text in enumerate(texts)]
    return RERANK.response(ranks=ranks[::-1], metadata={"compute_tokens": sum(map(len, texts))})


@pytest.fixture(params=["tcp", "unix"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ServerProcess]:
    fake = FakeUpstream()
    fake.on(RERANK, score)
    info = INFO.response(model_id="BAAI/x", model_type=2, max_client_batch_size=LIMIT, max_input_length=512)
    fake.answer(INFO, info)
    socket = f"unix:{tmp_path}/tei.sock"
    fake._server.add_insecure_port(socket)
    await fake.start()
    base_url = fake.base_url if request.param == "tcp" else socket
    environment = {
        "TEI_GRPC_API_BASE": base_url,
        "RERANKD_LOCAL__ENABLED": "false",
        "RERANKD_CACHE__ENABLED": "false",
        "RERANKD_MODELS": json.dumps(ONE_CALL_EACH),
        "NO_PROXY": "127.0.0.1",
    }
    running = await asyncio.to_thread(ServerProcess, environment=environment)
    await asyncio.to_thread(running.wait_for_log, "models and limits refreshed", provider="tei_grpc")
    yield running
    assert await asyncio.to_thread(running.stop) == 0
    await fake.stop()


async def test_calls_are_split_by_the_limit_that_the_server_tells(server: ServerProcess) -> None:
    for call in (by_grpc, by_http):
        request = {"model": "tei_grpc/BAAI/x", "query": "q", "documents": DOCUMENTS}
        answer = await asyncio.to_thread(call, server, request)
        assert isinstance(answer, dict), answer
        assert [result["index"] for result in answer["results"]] == [2, 4, 0, 3, 1]
        assert [result["relevance_score"] for result in answer["results"]] == [0.5, 0.375, 0.25, 0.25, 0.125]


async def test_overload(server: ServerProcess) -> None:
    request = {"model": "tei_grpc/any", "query": "busy", "documents": ["a"]}
    outcome = await asyncio.to_thread(by_grpc, server, request)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "PROVIDER_RATE_LIMITED"


async def test_texts_and_keys_that_a_server_echoes_stay_out_of_errors(server: ServerProcess) -> None:
    for call in (by_grpc, by_http):
        request = {"model": "tei_grpc/any", "query": "echo", "documents": [f"a {CANARY_DOCUMENT} of the harbour"]}
        outcome = await asyncio.to_thread(call, server, request)
        assert isinstance(outcome, Refused)
        assert outcome.reason == "PROVIDER_REJECTED_REQUEST"
        assert "cannot read" in outcome.text
        assert "canary" not in outcome.text
