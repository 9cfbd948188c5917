"""Deployments: deadlines, authentication, prices, what the operator overrides."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.http_provider import HttpProvider
from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    HttpRequest,
    HttpResponse,
    Price,
    ProviderCall,
    Scoring,
)
from rerankd_adapters.providers.llama_cpp import LLAMA_CPP
from rerankd_adapters.providers.vllm import VLLM
from tests.support.canary import CANARY_SECRET

CALL = ProviderCall(model="m", query="q", documents=["a"])
GOOD = HttpResponse(
    status=200, body=b'{"results": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 50}}'
)
KEY = CANARY_SECRET


class Transport:
    """Answers from a function and remembers the timeouts."""

    name = "fake"
    settings = TransportSettings()

    def __init__(self, answer: Callable[[HttpRequest], HttpResponse]) -> None:
        self._answer = answer
        self.timeouts_s: list[float] = []

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        self.timeouts_s.append(timeout_s)
        return self._answer(request)

    async def close(self) -> None:
        pass


def timing_out(request: HttpRequest) -> HttpResponse:
    raise AdapterError(AdapterErrorKind.TIMEOUT, "no whole answer")


def deployment(transport: Transport, *, timeout_s: float = 60.0) -> HttpProvider:
    endpoint = Endpoint(base_url="http://h", api_key=KEY)
    return HttpProvider(
        VLLM,
        endpoint,
        transport,
        overrides={"*": Capabilities(max_documents=7), "m": Capabilities(scoring=Scoring.POINTWISE)},
        prices=[Price(model="m", unit="token", usd_per_million=2.0, source="ours", date="2026-11-21")],
        timeout_s=timeout_s,
    )


async def test_remaining_time_is_the_timeout() -> None:
    transport = Transport(lambda _: GOOD)
    near = ProviderCall(model="m", query="q", documents=["a"], deadline_s=time.monotonic() + 5)
    await deployment(transport).rerank(near)
    await deployment(transport).rerank(CALL)
    assert 4 < transport.timeouts_s[0] <= 5
    assert transport.timeouts_s[1] == 60


async def test_nothing_is_sent_after_the_deadline() -> None:
    transport = Transport(lambda _: GOOD)
    late = ProviderCall(model="m", query="q", documents=["a"], deadline_s=time.monotonic() - 1)
    with pytest.raises(AdapterError) as failed:
        await deployment(transport).rerank(late)
    assert failed.value.kind is AdapterErrorKind.TIMEOUT
    assert transport.timeouts_s == []


async def test_own_timeout_is_not_the_callers_deadline() -> None:
    with pytest.raises(AdapterError) as failed:
        await deployment(Transport(timing_out), timeout_s=1).rerank(CALL)
    assert failed.value.kind is AdapterErrorKind.UNAVAILABLE
    near = ProviderCall(model="m", query="q", documents=["a"], deadline_s=time.monotonic() + 1)
    with pytest.raises(AdapterError) as failed:
        await deployment(Transport(timing_out)).rerank(near)
    assert failed.value.kind is AdapterErrorKind.TIMEOUT


async def test_price_of_the_operator() -> None:
    reply = await deployment(Transport(lambda _: GOOD)).rerank(CALL)
    assert reply.cost_usd == 0.0001


def test_overrides() -> None:
    facts = deployment(Transport(lambda _: GOOD)).describe("m").capabilities
    assert (facts.scoring, facts.max_documents) == (Scoring.POINTWISE, 7)
    assert [model.name for model in deployment(Transport(lambda _: GOOD)).models()] == ["m"]


async def test_a_window_that_a_refusal_tells_is_known_until_the_next_refresh() -> None:
    said = "input (9 tokens) is too large to process. increase the physical batch size (current batch size: 8)"
    refusal = HttpResponse(status=500, body=f'{{"error": {{"message": "{said}"}}}}'.encode())
    models = HttpResponse(status=200, body=b'{"data": [{"id": "m"}]}')
    transport = Transport(lambda request: models if request.method == "GET" else refusal)
    opened = HttpProvider(LLAMA_CPP, Endpoint(base_url="http://h"), transport)
    assert opened.describe("m").capabilities.max_tokens_per_document is None
    with pytest.raises(AdapterError) as failed:
        await opened.rerank(CALL)
    assert (failed.value.kind, failed.value.max_tokens) == (AdapterErrorKind.REJECTED, 8)
    assert opened.describe("m").capabilities.max_tokens_per_document == 8
    await opened.refresh()
    assert opened.describe("m").capabilities.max_tokens_per_document is None


async def test_key_never_shows() -> None:
    echo = HttpResponse(status=400, body=f'{{"message": "wrong key: {KEY}"}}'.encode())
    with pytest.raises(AdapterError) as failed:
        await deployment(Transport(lambda _: echo)).rerank(CALL)
    assert KEY not in failed.value.message + str(failed.value) + repr(failed.value)


def test_scores_of_another_address_or_other_options_are_of_another_revision() -> None:
    def revision(base_url: str, **options: Any) -> str:
        endpoint = Endpoint(base_url=base_url, api_key=KEY)
        return HttpProvider(VLLM, endpoint, Transport(timing_out), options=options).describe("m").revision

    assert revision("http://h") == revision("http://h")
    assert len({revision("http://h"), revision("http://other")}) == 2
    endpoint = Endpoint(base_url="http://h", api_key=KEY)
    assert endpoint.revision({"a": 1, "b": 2}) == endpoint.revision({"b": 2, "a": 1})
    assert endpoint.revision({"a": 1}) != endpoint.revision({"a": 2})
    assert endpoint.revision({}) == Endpoint(base_url="http://h", api_key="another").revision({})
