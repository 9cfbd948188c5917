"""A small rerank server for tests of what calls one: scores by shared words, and fails on request.

Query                 | what happens
----------------------|-----------------------------------------------------------
`fail <CODE>`         | that code with ErrorInfo, BadRequest, QuotaFailure and RetryInfo
`fail-bare <CODE>`    | that code without details
`flaky <n>`           | UNAVAILABLE n times, then an answer
`slow`                | no answer until the call is cancelled
anything else         | share of the query's words that a document has
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerank.v1 import rerank_service_pb2_grpc as pb_grpc

SERVICE = "rerank.v1.RerankService"
REQUEST_ID = "req-7"
MODELS = (
    pb.Model(
        name="cohere/rerank-v3.5",
        provider="cohere",
        limits=pb.ModelLimits(max_documents=1000, max_tokens_per_document=4096),
        scoring=pb.SCORING_POINTWISE,
        score_space=pb.SCORE_SPACE_PROBABILITY,
        truncation_default=pb.TRUNCATION_END,
        price=pb.Price(unit="search_unit", usd_per_million=2000.0, source="price list", date="2026-01-02"),
        status=pb.MODEL_STATUS_UNAVAILABLE,
        status_detail="no API key",
    ),
    pb.Model(name="local/bm25", provider="local", scoring=pb.SCORING_LISTWISE, status=pb.MODEL_STATUS_AVAILABLE),
    pb.Model(
        name="local/default",
        provider="local",
        description="Cascade of three stages.",
        aliases=["default"],
        limits=pb.ModelLimits(max_tokens_per_document=512),
        scoring=pb.SCORING_LISTWISE,
        score_space=pb.SCORE_SPACE_RELATIVE,
        status=pb.MODEL_STATUS_AVAILABLE,
        license="Apache-2.0",
    ),
    pb.Model(
        name="two-stages",
        provider="rerankd",
        kind=pb.MODEL_KIND_RERANKER,
        strategy=pb.STRATEGY_CASCADE,
        members=["local/bm25", "local/default"],
        status=pb.MODEL_STATUS_AVAILABLE,
    ),
)


@dataclass
class Journal:
    """What the server saw."""

    requests: list[pb.RerankRequest] = field(default_factory=list)
    warmed: list[pb.WarmDocumentsRequest] = field(default_factory=list)
    headers: dict[str, Any] = field(default_factory=dict)
    batch_options: list[pb.BatchOptions] = field(default_factory=list)
    items_read: int = 0
    is_slow: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    breaks_left: int = 0
    """How often a batch stream still breaks at the query `break`, as if its connection were lost."""
    may_read: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: the server reads no further item of a batch."""


class FakeRerankService(pb_grpc.RerankServiceServicer):
    """Implements the contract."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._failures_left: dict[str, int] = {}

    async def Rerank(self, request: pb.RerankRequest, context: Any) -> pb.RerankResponse:  # noqa: N802 - gRPC's name
        self._journal.requests.append(request)
        self._journal.headers = dict(context.invocation_metadata())
        await self._misbehave(request.query, context)
        return answer(request)

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802 - gRPC's name
        models = [model for model in MODELS if request.provider in ("", model.provider)]
        start = int(request.page_token or 0)
        end = start + (request.page_size or 100)
        token = str(end) if end < len(models) else ""
        return pb.ListModelsResponse(models=models[start:end], next_page_token=token)

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:  # noqa: N802 - gRPC's name
        for model in MODELS:
            if request.model in (model.name, *model.aliases):
                return pb.GetModelResponse(model=model)
        info = error_details_pb2.ErrorInfo(
            reason="MODEL_NOT_FOUND",
            domain="rerankd",
            metadata={"model": request.model, "suggestion": "local/default"},
        )
        await abort(context, grpc.StatusCode.NOT_FOUND, f"there is no model {request.model!r}", info)
        raise AssertionError

    async def WarmDocuments(  # noqa: N802 - gRPC's name
        self, request: pb.WarmDocumentsRequest, _context: Any
    ) -> pb.WarmDocumentsResponse:
        self._journal.warmed.append(request)
        return pb.WarmDocumentsResponse(
            model=request.model, warmed=len(request.documents) - 1, already_warm=1, warnings=["a warning"]
        )

    async def BatchRerank(  # noqa: N802 - gRPC's name
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[pb.BatchRerankResponse]:
        index = succeeded = 0
        await self._journal.may_read.wait()
        async for message in request_iterator:
            if message.WhichOneof("message") == "options":
                self._journal.batch_options.append(message.options)
                continue
            self._journal.items_read += 1
            if message.item.request.query == "fail stream":
                await abort(context, grpc.StatusCode.UNAVAILABLE, "shutting down")
            if message.item.request.query == "break" and self._journal.breaks_left:
                self._journal.breaks_left -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            result = answer_item(message.item, index)
            index += 1
            succeeded += result.HasField("response")
            yield pb.BatchRerankResponse(item=result)
            if index % 100 == 0:
                progress = pb.BatchProgress(
                    items_received=index, items_succeeded=succeeded, items_failed=index - succeeded
                )
                yield pb.BatchRerankResponse(progress=progress)
            await self._journal.may_read.wait()
        yield pb.BatchRerankResponse(
            summary=pb.BatchSummary(
                items_received=index,
                items_succeeded=succeeded,
                items_failed=index - succeeded,
                usage=pb.Usage(documents=index),
                latency_ms=1.5,
            )
        )

    async def _misbehave(self, query: str, context: Any) -> None:
        verb, _, argument = query.partition(" ")
        if verb == "slow":
            self._journal.is_slow.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self._journal.cancelled.set()
                raise
        elif verb == "flaky":
            left = self._failures_left.setdefault(query, int(argument))
            if left:
                self._failures_left[query] = left - 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        elif verb == "fail":
            await abort(context, grpc.StatusCode[argument], "it failed", *details())
        elif verb == "fail-bare":
            await context.abort(grpc.StatusCode[argument], "it failed")


def answer(request: pb.RerankRequest) -> pb.RerankResponse:
    """Score by the share of the query's words that each document has."""
    words = set(request.query.lower().split())
    results = [
        pb.RerankResult(
            index=index,
            relevance_score=len(words & set(document.text.lower().split())) / max(1, len(words)),
            document=document if request.return_documents else None,
        )
        for index, document in enumerate(request.documents)
    ]
    results.sort(key=lambda result: (-result.relevance_score, result.index))
    if request.HasField("top_n"):
        del results[request.top_n :]
    response = pb.RerankResponse(id=REQUEST_ID, results=results, model=request.model or "local/default")
    response.usage.documents = len(request.documents)
    response.usage.total_tokens = response.usage.prompt_tokens = 42
    response.meta.warnings.append("document 0 was cut")
    response.extra_fields.provider = "local"
    response.extra_fields.latency = 3.25
    if request.include_details:
        response.extra_fields.chunks.add(documents=len(results), provider="local", attempts=1, latency_ms=2.0)
        response.extra_fields.stages.add(stage="cross-encoder", documents=1, shortened_by="budget", indices=[0])
        failed = response.extra_fields.stages.add(stage="last", status=pb.STAGE_STATUS_FAILED, message="it is down")
        failed.reason = "PROVIDER_UNAVAILABLE"
        failed.usage.cost = 0.5
        if response.results:
            parts = response.results[0].explanation.parts
            parts.add(name="words", rank=1, relevance_score=0.0, weight=0.25)
    return response


def answer_item(item: pb.BatchItem, index: int) -> pb.BatchItemResult:
    """Answer one item; the query `fail` fails alone."""
    result = pb.BatchItemResult(item_id=item.item_id, item_index=index, status=status_pb2.Status())
    if item.request.query == "fail":
        result.status.CopyFrom(build_status(grpc.StatusCode.INVALID_ARGUMENT, "it failed", *details()))
    else:
        result.response.CopyFrom(answer(item.request))
    return result


def details() -> tuple[Any, ...]:
    """Return one of each kind of detail that clients decode."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="top_n", description="must be at least 1, was 0")
    quota = error_details_pb2.QuotaFailure.Violation(subject="calls", description="600 of 600 are used")
    return (
        error_details_pb2.ErrorInfo(reason="INVALID_REQUEST", domain="rerankd", metadata={"fields": "top_n"}),
        error_details_pb2.BadRequest(field_violations=[violation]),
        error_details_pb2.QuotaFailure(violations=[quota]),
        error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1, nanos=500_000_000)),
    )


def build_status(code: grpc.StatusCode, message: str, *details: Any) -> Any:
    """Pack details into a `google.rpc.Status`."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)


async def abort(context: Any, code: grpc.StatusCode, message: str, *details: Any) -> None:
    """End the call as the service does: status, details and request id in the trailing metadata."""
    trailing = [("x-request-id", REQUEST_ID)]
    if details:
        trailing.append(("grpc-status-details-bin", build_status(code, message, *details).SerializeToString()))
    await context.abort(code, message, tuple(trailing))


@dataclass(frozen=True)
class FakeServer:
    """A running server."""

    address: str
    journal: Journal
    health: health.aio.HealthServicer


@asynccontextmanager
async def run_server(credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[FakeServer]:
    """Serve on a free loopback port until the block ends."""
    journal = Journal()
    journal.may_read.set()
    server = grpc.aio.server()
    pb_grpc.add_RerankServiceServicer_to_server(FakeRerankService(journal), server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    for service in ("", SERVICE):
        await health_servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield FakeServer(f"127.0.0.1:{port}", journal, health_servicer)
    finally:
        await server.stop(0)
