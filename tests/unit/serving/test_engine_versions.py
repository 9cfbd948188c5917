"""EngineVersions: calls finish in their version; replaced versions are closed after their last call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.messages import BatchItem, BatchRerankRequest, RerankRequest, RerankResponse
from rerankd.engine.batch import BatchService
from rerankd.engine.models import Models
from rerankd.engine.routing.deployment import Deployment
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.estimate import Needed, Quote
from rerankd.serving.engine_versions import EngineVersion, EngineVersions
from rerankd.settings import Settings
from tests.support.waiting import settle

CALL = CallContext(request_id="r", transport="grpc")
REQUEST = RerankRequest(query="q")


class Part:
    """A transport or deployment that only counts."""

    def __init__(self) -> None:
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


class Broken(Part):
    async def close(self) -> None:
        await super().close()
        raise RuntimeError("cannot be closed")


class Engine:
    """Answers with its name, when it may."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.may_answer = asyncio.Event()
        self.entered = asyncio.Semaphore(0)

    async def rerank(self, request: RerankRequest, call: CallContext) -> RerankResponse:
        self.entered.release()
        await self.may_answer.wait()
        if request.query == "fail":
            raise RuntimeError
        return RerankResponse(model=self.name)

    async def list_models(self, request: Any, call: CallContext) -> messages.ListModelsResponse:
        return messages.ListModelsResponse(next_page_token=self.name)

    async def get_model(self, request: Any, call: CallContext) -> messages.GetModelResponse:
        return messages.GetModelResponse(model=messages.Model(name=self.name))

    async def warm_documents(self, request: Any, call: CallContext) -> messages.WarmDocumentsResponse:
        self.entered.release()
        await self.may_answer.wait()
        return messages.WarmDocumentsResponse(model=self.name)

    @property
    def models(self) -> Models:
        return Models(Router([], default_model=self.name))

    def with_models(self, models: Models) -> Engine:
        return self

    def deployments(self) -> Iterable[Deployment]:
        return ()

    def quote(self, request: RerankRequest, needed: Needed) -> Quote:
        return Quote(self.name, None)

    def reachable(self, request: RerankRequest) -> Iterable[Deployment]:
        return ()


def version(name: str, transport: Any, *deployments: Any) -> tuple[EngineVersion, Engine]:
    engine = Engine(name)
    return EngineVersion(Settings(), engine, transport, deployments), engine


@pytest.mark.parametrize("end", ["answer", "failure", "cancellation"])
async def test_a_replaced_version_is_closed_after_its_last_call(end: str) -> None:
    transport, deployment = Part(), Part()
    old, engine = version("old", transport, deployment)
    versions = EngineVersions(old)
    request = RerankRequest(query="fail") if end == "failure" else REQUEST
    calls = [asyncio.create_task(versions.rerank(request, CALL)) for _ in range(2)]
    for _ in calls:
        await engine.entered.acquire()
    new, new_engine = version("new", Part())
    versions.replace(new)
    new_engine.may_answer.set()
    assert (await versions.rerank(REQUEST, CALL)).model == "new"
    await settle()
    assert transport.closed == deployment.closed == 0
    if end == "cancellation":
        for call in calls:
            call.cancel()
    engine.may_answer.set()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    await settle()
    assert (transport.closed, deployment.closed) == (1, 1)
    if end == "answer":
        assert [each.model for each in ended if isinstance(each, RerankResponse)] == ["old", "old"]


async def test_shared_parts_live_as_long_as_any_version_that_has_them() -> None:
    transport, kept, dropped, broken = Part(), Part(), Part(), Broken()
    first, first_engine = version("1", transport, kept, dropped)
    second, _ = version("2", transport, kept, dropped, broken)
    third, _ = version("3", transport, kept)
    versions = EngineVersions(first)
    call = asyncio.create_task(versions.rerank(REQUEST, CALL))
    await first_engine.entered.acquire()
    versions.replace(second)
    versions.replace(third)
    await settle()
    assert (transport.closed, kept.closed, dropped.closed, broken.closed) == (0, 0, 0, 1)
    first_engine.may_answer.set()
    await call
    await settle()
    assert (transport.closed, kept.closed, dropped.closed) == (0, 0, 1)
    await versions.close()
    assert (transport.closed, kept.closed, dropped.closed, broken.closed) == (1, 1, 1, 1)


async def test_close_does_not_wait_for_calls() -> None:
    transport = Part()
    old, engine = version("old", transport)
    versions = EngineVersions(old)
    call = asyncio.create_task(versions.rerank(REQUEST, CALL))
    await engine.entered.acquire()
    versions.replace(version("new", transport)[0])
    await asyncio.wait_for(versions.close(), 5)
    assert transport.closed == 1
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_each_item_of_a_stream_goes_to_the_current_version() -> None:
    transport = Part()
    old, engine = version("old", transport)
    new, new_engine = version("new", Part())
    versions = EngineVersions(old)
    engine.may_answer.set()
    new_engine.may_answer.set()

    async def items() -> AsyncIterator[BatchRerankRequest]:
        yield BatchRerankRequest(item=BatchItem(request=REQUEST))
        await engine.entered.acquire()
        await settle()
        versions.replace(new)
        await settle()
        assert transport.closed == 1
        yield BatchRerankRequest(item=BatchItem(request=REQUEST))

    outcomes = [each.item async for each in BatchService(versions, lambda: 1).batch_rerank(items(), CALL) if each.item]
    assert [each.response.model for each in outcomes if each.response] == ["old", "new"]
    assert (await versions.list_models(messages.ListModelsRequest(), CALL)).next_page_token == "new"
    model = (await versions.get_model(messages.GetModelRequest(), CALL)).model
    assert model is not None
    assert model.name == "new"
    await versions.close()
