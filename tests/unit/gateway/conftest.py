"""An in-memory engine behind the gateway, reached through ASGI or through a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.service import Services
from rerankd.gateway.app import Gateway
from rerankd.gateway.body import GatewayLimits
from rerankd.gateway.listener.http_middleware import HttpMiddleware
from rerankd.http.settings import ListenerSettings
from rerankd.web.app import WebApp, create_web_app


async def answer_in_order(request: messages.RerankRequest, call: CallContext) -> messages.RerankResponse:
    results = [messages.RerankResult(index=i, relevance_score=0.0) for i in range(len(request.documents))]
    meta = messages.Meta(api_version=messages.ApiVersion(version=call.api_version))
    return messages.RerankResponse(id=call.request_id, results=results, model="fake", meta=meta)


@dataclass
class FakeService:
    """Records what it is called with and answers with what a test sets."""

    answer: Callable[[messages.RerankRequest, CallContext], Awaitable[messages.RerankResponse]] = answer_in_order
    requests: list[Any] = field(default_factory=list)
    calls: list[CallContext] = field(default_factory=list)
    taken: int = 0

    async def rerank(self, request: messages.RerankRequest, call: CallContext, /) -> messages.RerankResponse:
        self.requests.append(request)
        self.calls.append(call)
        return await self.answer(request, call)

    async def list_models(
        self, request: messages.ListModelsRequest, call: CallContext, /
    ) -> messages.ListModelsResponse:
        self.requests.append(request)
        self.calls.append(call)
        return messages.ListModelsResponse(models=[messages.Model(name="local/default")])

    async def get_model(self, request: messages.GetModelRequest, call: CallContext, /) -> messages.GetModelResponse:
        self.requests.append(request)
        self.calls.append(call)
        return messages.GetModelResponse(model=messages.Model(name=request.model))

    async def warm_documents(
        self, request: messages.WarmDocumentsRequest, call: CallContext, /
    ) -> messages.WarmDocumentsResponse:
        self.requests.append(request)
        self.calls.append(call)
        return messages.WarmDocumentsResponse(model=request.model, warmed=len(request.documents))

    async def batch_rerank(
        self, requests: AsyncIterator[messages.BatchRerankRequest], call: CallContext, /
    ) -> AsyncIterator[messages.BatchRerankResponse]:
        self.calls.append(call)
        count = 0
        async for request in requests:
            self.taken += 1
            item = request.item or messages.BatchItem()
            response = await self.answer(item.request or messages.RerankRequest(), call)
            result = messages.BatchItemResult(item_id=item.item_id, item_index=count, response=response)
            yield messages.BatchRerankResponse(item=result)
            count += 1
        yield messages.BatchRerankResponse(summary=messages.BatchSummary(items_received=count))


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def health() -> dict[str, str]:
    return {"status": "serving"}


def web(health: dict[str, str]) -> WebApp:
    return create_web_app(
        health=lambda: health["status"],
        version="1.2.3",
        metrics=lambda accept: (f"# for {accept}\n".encode(), "text/plain; version=0.0.4"),
    )


@pytest.fixture
def app(service: FakeService, health: dict[str, Any]) -> Gateway:
    limits = GatewayLimits(max_body_bytes=2000, max_line_bytes=500)
    return Gateway(Services(service, service), web(health), version="1.2.3", limits=limits)


@pytest.fixture
def options() -> ListenerSettings:
    return ListenerSettings()


@pytest.fixture
def middleware(service: FakeService, health: dict[str, Any], options: ListenerSettings) -> HttpMiddleware:
    """The gateway as the service runs it, with everything that surrounds it."""
    limits = GatewayLimits(max_body_bytes=200_000, max_line_bytes=500)
    gateway = Gateway(Services(service, service), web(health), version="1.2.3", limits=limits)
    return HttpMiddleware(gateway, options)


@pytest.fixture
async def browser(middleware: HttpMiddleware) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(middleware), base_url="http://gateway") as client:
        yield client


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@contextlib.contextmanager
def free_socket() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
async def address(app: Any) -> AsyncIterator[tuple[str, int]]:
    """Serve the gateway with uvicorn on a free loopback port."""
    async with serving(app) as address:
        yield address


@pytest.fixture
async def middleware_address(middleware: HttpMiddleware) -> AsyncIterator[tuple[str, int]]:
    """Serve the gateway and what surrounds it with uvicorn on a free loopback port."""
    async with serving(middleware) as address:
        yield address


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[tuple[str, int]]:
    config = uvicorn.Config(app, http="httptools", loop="none", ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]  # a test ends it
    with free_socket() as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.005)
        yield listener.getsockname()
        server.should_exit = True
        await running
