"""rerankd as the TEI server that another rerankd reaches over gRPC."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.provider_service import by_http
from tests.support.server import ServerProcess

DOCUMENTS = ["Berlin is the capital of Germany", "Paris is the capital of France", "France borders Spain"]


@pytest.mark.parametrize("streams", ["false", "true"])
async def test_one_rerankd_behind_another(streams: str) -> None:
    behind = await asyncio.to_thread(ServerProcess, environment={"RERANKD_DEFAULT_MODEL": "local/bm25"})
    environment = {
        "RERANKD_PROVIDERS__HOUSE": (
            f"{{provider: tei_grpc, base_url: 'grpc://{behind.grpc_address}', options: {{streams: {streams}}}}}"
        ),
        "RERANKD_LOCAL__ENABLED": "false",
        "NO_PROXY": "127.0.0.1",
    }
    front = await asyncio.to_thread(ServerProcess, environment=environment)
    try:
        await asyncio.to_thread(front.wait_for_log, "models and limits refreshed", provider="house")
        request = {"query": "capital of France", "documents": DOCUMENTS}
        answer = await asyncio.to_thread(by_http, front, {"model": "house/any", **request})
        direct = await asyncio.to_thread(by_http, behind, {"model": "local/bm25", **request})
        assert isinstance(answer, dict), answer
        assert isinstance(direct, dict), direct
        assert answer["results"][0]["index"] == 1
        assert [result["index"] for result in answer["results"]] == [result["index"] for result in direct["results"]]
        for here, there in zip(answer["results"], direct["results"], strict=True):
            assert here["relevance_score"] == pytest.approx(there["relevance_score"], abs=1e-6)
    finally:
        codes = [await asyncio.to_thread(running.stop) for running in (front, behind)]
    assert codes == [0, 0]
