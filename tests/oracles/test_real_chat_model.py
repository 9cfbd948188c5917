"""llm-judge over a real chat model: SmolLM2-135M-Instruct, which a package carries, served by llama.cpp.

It is too small to judge well; what is tested is that a real server takes what the adapter sends, and what it answers.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from rerankd.contract.call_context import CallContext
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.http_provider import HttpProvider
from rerankd_adapters.base import Endpoint
from rerankd_adapters.registry import find_provider
from tests.support.engines import engine
from tests.support.providers import ScriptedProvider
from tests.support.venvs import locked_venv

HERE = Path(__file__).parent
DOCUMENTS = ["The Eiffel Tower is 330 metres tall.", "Bananas are yellow {document}.", "\u0645\u0631\u062d\u0628\u0627"]

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    venv = locked_venv("oracles-smollm2", HERE / "smollm2.lock", "--no-deps")
    command = [str(venv / "bin" / "python"), str(HERE / "programs" / "chat_server.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        found = next((line.split()[1] for line in run.stdout if line.startswith("address ")), "")
        assert found, "the server did not start"
        yield found
        run.stdin.close()
        run.terminate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(address: str) -> AsyncIterator[HttpProvider]:
    transport = open_transport(TransportSettings())
    provider = find_provider("llama_cpp")
    assert provider is not None
    yield HttpProvider(provider, Endpoint(base_url=address), transport, timeout_s=300)
    await transport.close()


async def judged(model: HttpProvider, **config: Any) -> RerankResponse:
    rerankers = {
        "judge": {"strategy": "llm-judge", "config": {"model": "llama_cpp/smollm2", "concurrency": 2, **config}}
    }
    providers: list[Any] = [ScriptedProvider(), model]
    request = RerankRequest(model="judge", query="How tall is the Eiffel Tower?", documents=[*DOCUMENTS])
    return await engine(providers, rerankers=rerankers).rerank(request, CallContext(request_id="r1"))


@pytest.mark.parametrize("config", [{}, {"mode": "yes-no"}], ids=["grades", "yes-no"])
async def test_labels_have_probabilities(model: HttpProvider, config: dict[str, Any]) -> None:
    answer = await judged(model, **config)
    scores = [result.relevance_score for result in answer.results]
    assert sorted(result.index for result in answer.results) == [0, 1, 2]
    assert all(0 < score < 1 for score in scores)
    assert len(set(scores)) == 3
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 100
    assert answer.usage.completion_tokens == 3
    assert answer.meta is not None
    assert answer.meta.warnings == []


async def test_the_server_enforces_a_schema(model: HttpProvider) -> None:
    answer = await judged(model, reading="json_schema")
    assert len(answer.results) == 3
    assert {round(result.relevance_score * 3, 6) for result in answer.results} <= {0, 1, 2, 3}
