"""CPU of a rerank call in the gateway, beside the same handler as an endpoint of Starlette, in one run.

Both are called as ASGI applications in this process, without a server, and answer from a service that returns the
same response at once, so what is measured is the ASGI layer alone. The endpoint has the gateway's parts but for the
server span and the routes of other methods and mounts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rerankd.contract import messages
from rerankd.contract.call_context import CallContext
from rerankd.contract.response_headers import raw_response_headers
from rerankd.contract.service import Services
from rerankd.engine.byte_budget import ByteBudget
from rerankd.engine.limits import RequestLimits
from rerankd.gateway.app import Gateway
from rerankd.gateway.asgi import Message, Receive, Scope, Send
from rerankd.gateway.body import BodyReader, GatewayLimits
from rerankd.gateway.dialects.registry import identify
from rerankd.gateway.guard import CallGuard
from rerankd.gateway.large_bodies import LargeBodies
from rerankd.gateway.listener.http_middleware import HttpMiddleware
from rerankd.gateway.negotiation import JSON_TYPES, check_media_type, open_call, read_headers, request_id_of
from rerankd.gateway.translation.dialect_service import rerank_in_dialect
from rerankd.http.settings import ListenerSettings
from rerankd.web.app import create_web_app

COMPRESS_FROM_BYTES: Final = ListenerSettings().compress_from_bytes
BODY: Final = json.dumps({"query": "q" * 40, "documents": ["d" * 490] * 4}).encode()
HEADERS: Final = [
    (b"host", b"localhost"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
]


class FixedService:
    """Satisfies the service protocol: every rerank call gets the same four results, there are no models."""

    async def rerank(self, _request: messages.RerankRequest, call: CallContext, /) -> messages.RerankResponse:
        """Return four results."""
        results = [messages.RerankResult(index=index, relevance_score=1 / (index + 1)) for index in range(4)]
        return messages.RerankResponse(id=call.request_id, results=results, model="fixed/model")

    async def list_models(
        self, _request: messages.ListModelsRequest, _call: CallContext, /
    ) -> messages.ListModelsResponse:
        """Return no models."""
        return messages.ListModelsResponse()

    async def get_model(self, request: messages.GetModelRequest, _call: CallContext, /) -> messages.GetModelResponse:
        """Return a model of the name."""
        return messages.GetModelResponse(model=messages.Model(name=request.model))

    async def warm_documents(
        self, request: messages.WarmDocumentsRequest, _call: CallContext, /
    ) -> messages.WarmDocumentsResponse:
        """Keep nothing."""
        return messages.WarmDocumentsResponse(skipped=len(request.documents))

    async def batch_rerank(
        self, requests: AsyncIterator[messages.BatchRerankRequest], call: CallContext, /
    ) -> AsyncIterator[messages.BatchRerankResponse]:
        """Answer item by item."""
        async for request in requests:
            item = request.item or messages.BatchItem()
            response = await self.rerank(item.request or messages.RerankRequest(), call)
            yield messages.BatchRerankResponse(item=messages.BatchItemResult(item_id=item.item_id, response=response))


def by_hand(service: FixedService) -> Gateway:
    web = create_web_app(health=lambda: "serving", version="0", metrics=lambda _accept: (b"", "text/plain"))
    return Gateway(Services(service, service), web, version="0")


def on_starlette(service: FixedService, *middleware: Middleware) -> Starlette:
    limits, budget = GatewayLimits(), ByteBudget(RequestLimits().max_bytes_in_flight)
    reader = BodyReader(limits, budget, LargeBodies(lambda: RequestLimits().max_documents, limits.max_values))

    async def rerank(request: Request) -> Response:
        headers = read_headers(request.headers.raw)
        request_id = request_id_of(headers)
        call = open_call(headers, request_id, "1")
        check_media_type(headers, JSON_TYPES)
        async with CallGuard(call.deadline_s) as guard:
            body = await reader.read(request.receive, headers, guard)
            dialect, parsed, keys = identify(body)
            parsed = parsed or dialect.read(body, keys)
            answer = await rerank_in_dialect(service, parsed, call)
        facts = {
            name.decode(): value.decode()
            for name, value in [*raw_response_headers(answer, call), *dialect.headers(answer)]
        }
        return Response(
            dialect.write(answer, parsed), headers={"x-request-id": request_id, **facts}, media_type="application/json"
        )

    return Starlette(routes=[Route("/v1/rerank", rerank, methods=["POST"])], middleware=middleware)


async def calls(app: Callable[[Scope, Receive, Send], Any], count: int) -> float:
    """Make calls one after another; returns CPU microseconds a call."""

    async def receive() -> Message:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 200) == 200, message

    started_s = time.process_time()
    for _ in range(count):
        scope = {"type": "http", "method": "POST", "path": "/v1/rerank", "query_string": b"", "headers": HEADERS}
        await app(scope, receive, send)
    return (time.process_time() - started_s) / count * 1e6


async def measure(apps: Mapping[str, Any], rounds: int, count: int) -> Mapping[str, float]:
    """Take turns, so that what else the machine does falls on all alike; medians of the rounds."""
    readings: dict[str, list[float]] = {name: [] for name in apps}
    for _ in range(rounds + 1):
        for name, app in apps.items():
            readings[name].append(await calls(app, count))
    return {name: statistics.median(found[1:]) for name, found in readings.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    service = FixedService()
    gzip = Middleware(GZipMiddleware, minimum_size=COMPRESS_FROM_BYTES)
    apps = {
        "gateway": by_hand(service),
        "Starlette": on_starlette(service),
        "gateway in HttpMiddleware": HttpMiddleware(by_hand(service), ListenerSettings()),
        "Starlette in GZipMiddleware": on_starlette(service, gzip),
    }
    found = asyncio.run(measure(apps, options.rounds, options.calls))
    table = Table("ASGI application", "CPU us a call", "beside the gateway")
    for name, cpu_us in found.items():
        beside = found["gateway in HttpMiddleware" if " in " in name else "gateway"]
        table.add_row(name, f"{cpu_us:.0f}", f"{cpu_us / beside:.2f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
