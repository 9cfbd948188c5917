"""Deployments that ask real servers what they serve, with the clock in our hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from structlog.testing import capture_logs

from rerankd.http.transport import HttpTransport
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.http_provider import HttpProvider
from rerankd.providers.refresh import Refresher
from rerankd_adapters.base import Capabilities, Endpoint, Provider, ProviderCall, Scoring
from rerankd_adapters.providers.cohere import COHERE
from rerankd_adapters.providers.tei import TEI
from rerankd_adapters.providers.vllm import VLLM
from rerankd_adapters.testing import LoopbackServer, Received, ScriptedResponse
from tests.support.canary import CANARY_SECRET

KEY = CANARY_SECRET


class Clock:
    """Sleeps until it is told that the time has come."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []
        self.asleep = asyncio.Event()
        self._wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.asleep.set()
        self._wake.clear()
        await self._wake.wait()

    async def next_round(self) -> None:
        """Let the running question finish, wake the sleeper, and let that one finish too."""
        await self.settle()
        self.asleep.clear()
        self._wake.set()
        await self.settle()

    async def settle(self) -> None:
        await asyncio.wait_for(self.asleep.wait(), 10)


class Tei:
    """A TEI server, of which a test says what it answers."""

    def __init__(self) -> None:
        self.limit = 64
        self.answer: ScriptedResponse | None = None

    def __call__(self, request: Received) -> ScriptedResponse:
        if request.path == "/rerank":
            return ScriptedResponse.of_json([{"index": 0, "score": 0.5}])
        if self.answer is not None:
            return self.answer
        info = {"model_id": "BAAI/x", "max_client_batch_size": self.limit, "max_input_length": 512}
        return ScriptedResponse.of_json(info)


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    opened = open_transport(TransportSettings(client="httpx", uses_environment_proxy=False))
    yield opened
    await opened.close()


def deployment(
    url: str,
    transport: HttpTransport,
    *,
    provider: Provider = TEI,
    overrides: dict[str, Capabilities] | None = None,
    refresh_s: float = 300.0,
) -> HttpProvider:
    endpoint = Endpoint(base_url=url, api_key=KEY)
    return HttpProvider(provider, endpoint, transport, overrides=overrides, refresh_s=refresh_s)


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    structlog.reset_defaults()


async def test_limits_follow_the_server(transport: HttpTransport) -> None:
    tei, clock = Tei(), Clock()
    async with LoopbackServer(tei) as server:
        upstream = deployment(server.url, transport)
        assert upstream.describe("any").capabilities.max_documents == 32
        assert upstream.models() == []
        refresher = Refresher(sleep=clock.sleep)
        refresher.watch([upstream])
        await clock.settle()
        known = upstream.describe("any").capabilities
        assert (known.max_documents, known.max_tokens_per_document) == (64, 512)
        assert known.scoring is Scoring.POINTWISE
        assert [model.name for model in upstream.models()] == ["BAAI/x"]
        tei.limit = 8
        await clock.next_round()
        assert upstream.describe("any").capabilities.max_documents == 8
        await refresher.close()
    assert clock.slept_s == [300.0, 300.0]
    assert [request.headers["authorization"] for request in server.received] == [f"Bearer {KEY}"] * 2


async def test_the_operator_knows_better(transport: HttpTransport) -> None:
    async with LoopbackServer(Tei()) as server:
        upstream = deployment(server.url, transport, overrides={"*": Capabilities(max_documents=5)})
        assert await upstream.refresh()
    facts = upstream.describe("BAAI/x").capabilities
    assert (facts.max_documents, facts.max_tokens_per_document) == (5, 512)


async def test_what_was_known_survives_an_outage_that_is_logged_once(transport: HttpTransport) -> None:
    tei, clock = Tei(), Clock()
    async with LoopbackServer(tei) as server:
        upstream = deployment(server.url, transport)
        refresher = Refresher(sleep=clock.sleep)
        with capture_logs() as logs:
            refresher.watch([upstream])
            await clock.settle()
            for answer in (
                ScriptedResponse.of_json({"error": f"key {KEY}"}, 503),
                ScriptedResponse(body=b"no json"),
                ScriptedResponse.of_json([]),
            ):
                tei.answer = answer
                await clock.next_round()
                assert upstream.describe("any").capabilities.max_documents == 64
            tei.answer = None
            await clock.next_round()
        await refresher.close()
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("info", "models and limits refreshed"),
        ("warning", "models and limits not refreshed"),
        ("info", "models and limits refreshed"),
    ]
    assert logs[1]["provider"] == "tei"
    assert KEY not in str(logs)


async def test_a_server_that_is_not_there(transport: HttpTransport) -> None:
    async with LoopbackServer(Tei()) as server:
        pass
    clock, upstream = Clock(), deployment(server.url, transport)
    refresher = Refresher(sleep=clock.sleep)
    with capture_logs() as logs:
        refresher.watch([upstream])
        await clock.settle()
        await clock.next_round()
    await refresher.close()
    assert len(logs) == 1
    assert upstream.describe("any").capabilities.max_documents == 32


async def test_a_stalled_answer_holds_up_no_call_and_no_second_question_is_asked(transport: HttpTransport) -> None:
    tei, clock = Tei(), Clock()
    tei.answer = ScriptedResponse(body=b"{}", stalls_after_bytes=0)
    async with LoopbackServer(tei) as server:
        upstream = deployment(server.url, transport)
        refresher = Refresher(sleep=clock.sleep)
        refresher.watch([upstream])
        await asyncio.wait_for(server.first_request.wait(), 10)
        reply = await upstream.rerank(ProviderCall(model="m", query="q", documents=["a"]))
        assert list(reply.scores) == [0.5]
        await refresher.close()
        assert [request.path for request in server.received].count("/info") == 1
    assert clock.slept_s == []


@pytest.mark.parametrize(("provider", "refresh_s"), [(TEI, 0.0), (COHERE, 300.0)])
async def test_who_is_not_asked(transport: HttpTransport, provider: Provider, refresh_s: float) -> None:
    clock = Clock()
    async with LoopbackServer(Tei()) as server:
        refresher = Refresher(sleep=clock.sleep)
        refresher.watch([deployment(server.url, transport, provider=provider, refresh_s=refresh_s), object()])
        await asyncio.gather(*refresher._tasks.values())
        await refresher.close()
    assert server.received == []
    assert clock.slept_s == []


async def test_an_adapter_that_breaks_is_asked_again() -> None:
    class Broken:
        name = "broken"
        refresh_s = 7.0

        async def refresh(self) -> bool:
            raise KeyError(KEY)

    clock = Clock()
    refresher = Refresher(sleep=clock.sleep)
    with capture_logs() as logs:
        refresher.watch([Broken()])
        await clock.next_round()
    await refresher.close()
    assert clock.slept_s == [7.0, 7.0]
    assert [entry["problem"] for entry in logs] == ["its answer could not be read: KeyError"]


async def test_a_model_behind_a_name_of_ones_own_is_split(transport: HttpTransport) -> None:
    listing = {"data": [{"id": "ours", "root": "BAAI/bge-reranker-v2-m3", "max_model_len": 1024}]}
    async with LoopbackServer(lambda _: ScriptedResponse.of_json(listing)) as server:
        upstream = deployment(f"{server.url}/v1", transport, provider=VLLM)
        assert upstream.describe("ours").capabilities.scoring is Scoring.UNKNOWN
        await upstream.refresh()
    facts = upstream.describe("ours").capabilities
    assert (facts.scoring, facts.max_tokens_per_document) == (Scoring.POINTWISE, 1024)
    assert facts.takes_instruction
    assert server.received[0].path == "/v1/models"


async def test_who_is_no_longer_there_is_not_asked_again(transport: HttpTransport) -> None:
    clock = Clock()
    async with LoopbackServer(Tei()) as server:
        refresher = Refresher(sleep=clock.sleep)
        kept = deployment(server.url, transport)
        refresher.watch([kept])
        await clock.settle()
        refresher.watch([kept])
        (task,) = refresher._tasks.values()
        refresher.watch([])
        await asyncio.gather(task, return_exceptions=True)
        await refresher.close()
    assert len(server.received) == 1
    assert task.cancelled()
