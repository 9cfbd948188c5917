"""What a call leaves in traces, logs and metrics: exactly so much, however often it is repeated."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.costs.counting import CHUNK, Callers, provider, settings
from tests.costs.scenarios import BM25, REMOTE, SMALL, Scenario, message, texts, traceparent
from tests.support.collector import Collector
from tests.support.server import ServerProcess

pytestmark = pytest.mark.slow

REPEATS = 10
markers = itertools.count()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(collector: Collector) -> Iterator[ServerProcess]:
    with provider() as upstream:
        # What is slow is exported although it is not sampled, and tests share the machine.
        variables = collector.environment(RERANKD_TELEMETRY__SLOW_CALL_MS="0")
        process = ServerProcess(environment=settings(upstream) | variables, preloads=True)
        yield process
        assert process.stop() == 0


@pytest.fixture(scope="module")
def callers(server: ServerProcess) -> Iterator[Callers]:
    with Callers(server) as opened:
        yield opened


def spans_of(collector: Collector, trace_id: int) -> list[str]:
    """Return kinds and names of the spans of a trace, in order, once the server's has come, which is sent last."""
    wanted = f"{trace_id:032x}"
    spans = collector.wait_for(lambda found: any(span.kind == "server" and span.trace_id == wanted for span in found))
    return sorted(f"{span.kind} {span.name}" for span in spans if span.trace_id == wanted)


def test_a_sampled_call_has_a_span_for_itself_its_model_and_each_provider_call(
    callers: Callers, collector: Collector
) -> None:
    callers.grpc(message(BM25), traceparent(1, is_sampled=True))
    callers.http({"model": REMOTE, "query": "a", "documents": texts(CHUNK + 1)}, traceparent(2, is_sampled=True))
    assert spans_of(collector, 1) == [
        "client rerank bm25",
        "internal rerank local/bm25",
        "server rerank.v1.RerankService/Rerank",
    ]
    assert spans_of(collector, 2) == [
        "client rerank ranker",
        "client rerank ranker",
        "internal rerank vllm/ranker",
        "server POST /v1/rerank",
    ]


def test_a_call_that_is_not_sampled_has_no_spans(callers: Callers, collector: Collector) -> None:
    callers.grpc(message(BM25), traceparent(3, is_sampled=False))
    callers.http({"model": REMOTE, "query": "b", "documents": texts(1)}, traceparent(4, is_sampled=False))
    callers.grpc(message(BM25), traceparent(5, is_sampled=True))
    spans_of(collector, 5)
    assert not {span.trace_id for span in collector.spans} & {f"{trace_id:032x}" for trace_id in (3, 4)}


@pytest.mark.parametrize("scenario", SMALL, ids=lambda scenario: scenario.name)
def test_a_call_logs_one_line_and_makes_no_series_after_the_first(
    scenario: Scenario, server: ServerProcess, callers: Callers
) -> None:
    call = scenario.prepare(callers)
    call()
    first = logged_marker(server, callers)
    known = series(callers)
    for _ in range(REPEATS):
        call()
    assert logged_marker(server, callers) - first - 1 == REPEATS
    assert series(callers) == known


def logged_marker(server: ServerProcess, callers: Callers) -> int:
    """Make a call and return the place of its line in the log, which all earlier calls' come before."""
    request_id = f"marker-{next(markers)}"
    callers.http({"model": BM25, "query": "a", "documents": texts(1)}, ("x-request-id", request_id))
    return server.log.index(server.wait_for_log("call", request_id=request_id))


def series(callers: Callers) -> set[str]:
    """Return the names and labels of everything that `/metrics` shows."""
    lines = callers.page("/metrics").splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}
