"""A replica of the service that fails by script, for what cannot be had from a real one at will.

Query                | what happens
---------------------|-----------------------------------------------------------------------------
`flaky ID`           | UNAVAILABLE the first time that this query comes, then an answer
`pushback MS ID`     | the same, with `grpc-retry-pushback-ms` and RetryInfo
`slow`               | no answer until the call is cancelled
`fail` (batch item)  | INVALID_ARGUMENT with ErrorInfo and BadRequest for this item alone
`hold` (batch item)  | no answer to this item, nor an end of the stream
anything else        | the documents in their order
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from rerank.v1 import rerank_service_pb2 as pb
from rerank.v1 import rerank_service_pb2_grpc as pb_grpc

SERVICE: Final = "rerank.v1.RerankService"
_THREADS: Final = 48
_MAX_BYTES: Final = 64 * 1024 * 1024


class Received(NamedTuple):
    """A call that came in."""

    query: str
    at_s: float
    """Monotonic seconds."""


class ScriptedReplica:
    """A gRPC server on a free port of loopback, with health; a context manager.

    Args:
        credentials: For TLS; default: plain.
    """

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self.received: list[Received] = []
        self.cancelled = threading.Event()
        """Set once a `slow` call or a batch was cancelled."""
        self._server = grpc.server(
            ThreadPoolExecutor(_THREADS),
            options=[("grpc.max_receive_message_length", _MAX_BYTES), ("grpc.so_reuseport", 0)],
        )
        self._health = health.HealthServicer()
        pb_grpc.add_RerankServiceServicer_to_server(_Servicer(self), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.set_serving(is_serving=True)
        if credentials is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def set_serving(self, *, is_serving: bool) -> None:
        """Change what the health service says of the rerank service."""
        status = health_pb2.HealthCheckResponse.SERVING if is_serving else health_pb2.HealthCheckResponse.NOT_SERVING
        self._health.set(SERVICE, status)

    def attempts(self, query: str) -> list[float]:
        """Return when calls with this query came, in monotonic seconds."""
        return [call.at_s for call in self.received if call.query == query]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(0).wait()


class _Servicer(pb_grpc.RerankServiceServicer):
    def __init__(self, replica: ScriptedReplica) -> None:
        self._replica = replica

    def Rerank(self, request: pb.RerankRequest, context: Any) -> pb.RerankResponse:  # noqa: N802 - gRPC's name
        is_first = not self._replica.attempts(request.query)
        self._replica.received.append(Received(request.query, time.monotonic()))
        verb, _, rest = request.query.partition(" ")
        if verb == "slow":
            _wait_for_cancellation(context, self._replica)
        elif verb == "flaky" and is_first:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        elif verb == "pushback" and is_first:
            _push_back(int(rest.split()[0]), context)
        return _answer(request)

    def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802 - gRPC's name
        return pb.ListModelsResponse()

    def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:  # noqa: N802 - gRPC's name
        return pb.GetModelResponse()

    def WarmDocuments(  # noqa: N802 - gRPC's name
        self, request: pb.WarmDocumentsRequest, context: Any
    ) -> pb.WarmDocumentsResponse:
        return pb.WarmDocumentsResponse()

    def BatchRerank(  # noqa: N802 - gRPC's name
        self, request_iterator: Iterable[pb.BatchRerankRequest], context: Any
    ) -> Iterator[pb.BatchRerankResponse]:
        is_over, has_ended = threading.Event(), threading.Event()

        def end() -> None:
            if not is_over.is_set():
                self._replica.cancelled.set()
            has_ended.set()

        context.add_callback(end)
        items = (message.item for message in request_iterator if message.HasField("item"))
        answered = failed = held = 0
        for index, item in enumerate(items):
            if item.request.query == "hold":
                held += 1
                continue
            is_failed = item.request.query == "fail"
            failed += is_failed
            answered += not is_failed
            yield pb.BatchRerankResponse(item=_answer_item(item, index))
        if held:
            has_ended.wait(30)  # items without an answer are under way: a client that ends its side waits for them
            return
        yield pb.BatchRerankResponse(
            summary=pb.BatchSummary(
                items_received=answered + failed, items_succeeded=answered, items_failed=failed, latency_ms=1.0
            )
        )
        is_over.set()


def _wait_for_cancellation(context: Any, replica: ScriptedReplica) -> None:
    ended = threading.Event()
    if not context.add_callback(ended.set) or ended.wait(30):
        replica.cancelled.set()


def _push_back(delay_ms: int, context: Any) -> None:
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(max(0, delay_ms))
    info = error_details_pb2.ErrorInfo(reason="NO_HEALTHY_DEPLOYMENT", domain="rerankd", metadata={"model": "m"})
    status = _status(grpc.StatusCode.UNAVAILABLE, "cooling down", info, error_details_pb2.RetryInfo(retry_delay=delay))
    context.set_trailing_metadata(
        (
            ("grpc-status-details-bin", status.SerializeToString()),
            ("grpc-retry-pushback-ms", str(delay_ms)),
            ("x-request-id", "req-7"),
        )
    )
    context.abort(grpc.StatusCode.UNAVAILABLE, "cooling down")


def _answer(request: pb.RerankRequest) -> pb.RerankResponse:
    results = [pb.RerankResult(index=index, relevance_score=1 / (1 + index)) for index in range(len(request.documents))]
    return pb.RerankResponse(id="req-7", results=results, model=request.model)


def _answer_item(item: pb.BatchItem, index: int) -> pb.BatchItemResult:
    result = pb.BatchItemResult(item_id=item.item_id, item_index=index)
    if item.request.query == "fail":
        violation = error_details_pb2.BadRequest.FieldViolation(field="query", description="must not be `fail`")
        info = error_details_pb2.ErrorInfo(reason="INVALID_REQUEST", domain="rerankd", metadata={"fields": "query"})
        bad = error_details_pb2.BadRequest(field_violations=[violation])
        result.status.CopyFrom(_status(grpc.StatusCode.INVALID_ARGUMENT, "it failed", info, bad))
    else:
        result.response.CopyFrom(_answer(item.request))
    return result


def _status(code: grpc.StatusCode, message: str, *details: Any) -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code.value[0], message=message, details=packed)
