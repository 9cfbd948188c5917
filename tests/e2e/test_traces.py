"""The whole trace of calls that are cut into chunks, tried again and handed on, as a collector sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml

from rerankd_adapters.testing import Received, ScriptedResponse
from rerankd_client import RerankClient, RerankError
from rerankd_client.requests import BatchItem
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET
from tests.support.collector import Collector, ReceivedSpan
from tests.support.server import ServerProcess
from tests.support.trace_trees import has_server_span, of_trace
from tests.support.upstream import Upstream, answer_well

CHUNK = 10
DOCUMENTS = [f"{CANARY_DOCUMENT} {index} of the harbour" for index in range(25)]
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER_ID = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{CALLER_ID}-01"
FAULTY_ONCE = "fails once"
BROKEN = "always-broken"


def settings(url: str) -> dict[str, Any]:
    return {
        "default_model": "search",
        "local": {"enabled": False},
        "cache": {"enabled": False},
        "providers": {
            "vllm": {
                "base_url": f"{url}/v1",
                "api_key": CANARY_SECRET,
                "models": {"*": {"max_documents": CHUNK, "scoring": "pointwise"}},
            },
            "tei": {"base_url": url},
            "wide": {
                "provider": "vllm",
                "base_url": f"{url}/v1",
                "models": {"*": {"max_documents": 1000, "scoring": "pointwise"}},
            },
        },
        "models": {
            "search": {
                "deployments": [{"model": "vllm/ranker"}],
                "retries": {"initial_delay_ms": 1},
                "fallbacks": [],
            },
            "shaky": {
                "deployments": [{"model": f"vllm/{BROKEN}", "name": "shaky-one"}],
                "retries": {"max_attempts": 2, "initial_delay_ms": 1},
                "cooldown": {"failures": 2},
                "fallbacks": ["search"],
            },
            "hopeless": {"deployments": [{"model": f"vllm/{BROKEN}"}], "retries": {"max_attempts": 1}},
        },
    }


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as opened:
        yield opened


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    faulty: set[str] = set()

    def respond(request: Received) -> ScriptedResponse:
        body = request.json() if request.body else {"query": ""}
        if body.get("model") == BROKEN:
            return ScriptedResponse.of_json({"message": "no"}, status=503)
        if FAULTY_ONCE in body["query"] and body["query"] not in faulty and DOCUMENTS[CHUNK] in body["documents"]:
            faulty.add(body["query"])
            return ScriptedResponse.of_json({"message": "busy"}, status=503)
        return answer_well(request)

    with Upstream(respond) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(
    upstream: Upstream, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    file = tmp_path_factory.mktemp("traces") / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings(upstream.url)))
    process = ServerProcess("--config", str(file), environment=collector.environment())
    yield process
    assert process.stop() == 0


def one(spans: list[ReceivedSpan], kind: str) -> ReceivedSpan:
    (found,) = [span for span in spans if span.kind == kind]
    return found


def calls_of(spans: list[ReceivedSpan], parent: ReceivedSpan) -> list[ReceivedSpan]:
    return [span for span in spans if span.kind == "client" and span.parent_id == parent.span_id]


def check_tree(spans: list[ReceivedSpan], upstream: Upstream, trace_id: str) -> ReceivedSpan:
    """Check what holds of every trace of one call that was cut in three; return the model's span."""
    server, model = one(spans, "server"), one(spans, "internal")
    assert model.parent_id == server.span_id
    assert len({span.span_id for span in spans}) == len(spans)
    assert model.name == "rerank search"
    assert model.attributes["gen_ai.operation.name"] == "rerank"
    assert model.attributes["gen_ai.request.model"] == "search", "the default, where the caller names none"
    assert model.attributes["rerank.documents"] == len(DOCUMENTS)
    assert model.attributes["rerank.chunk.count"] == 3
    assert model.attributes["rerank.outcome"] == "ok"
    answered = [span for span in calls_of(spans, model) if span.attributes["rerank.outcome"] == "ok"]
    assert sorted(span.attributes["rerank.chunk.index"] for span in answered) == [0, 1, 2]
    assert sum(span.attributes["rerank.documents"] for span in answered) == len(DOCUMENTS)
    for span in calls_of(spans, model):
        assert span.name == "rerank ranker"
        assert span.attributes["gen_ai.provider.name"] == "vllm"
        assert span.attributes["rerank.deployment"] == "vllm/ranker"
        assert span.attributes["rerank.latency_ms"] == pytest.approx(span.duration_ms, abs=1)
        assert server.started_ns <= model.started_ns <= span.started_ns
        assert span.ended_ns <= model.ended_ns <= server.ended_ns
    longest_ms = max(span.duration_ms for span in calls_of(spans, model))
    assert longest_ms <= model.attributes["rerank.latency_ms"] <= server.duration_ms
    tokens = sum(span.attributes["gen_ai.usage.input_tokens"] for span in answered)
    assert model.attributes["gen_ai.usage.input_tokens"] == tokens > 0
    received = {request.headers["traceparent"] for request in upstream.received if trace_id in str(request.headers)}
    assert received == {f"00-{trace_id}-{span.span_id}-01" for span in calls_of(spans, model)}
    return model


def test_a_grpc_call_cut_in_chunks_with_a_retry_is_one_tree(
    server: ServerProcess, upstream: Upstream, collector: Collector
) -> None:
    trace_id = "a" * 31 + "1"
    metadata = {"traceparent": f"00-{trace_id}-{CALLER_ID}-01", "tracestate": "vendor=x"}
    with RerankClient(server.grpc_address) as client:
        client.rerank(f"harbour, {FAULTY_ONCE} over grpc", DOCUMENTS, metadata=metadata)
    spans = of_trace(collector.wait_for(has_server_span(trace_id)), trace_id)
    root = one(spans, "server")
    assert root.name == "rerank.v1.RerankService/Rerank"
    assert root.parent_id == CALLER_ID
    assert root.attributes["rpc.system.name"] == "grpc"
    assert root.attributes["rpc.response.status_code"] == "OK"
    assert root.resource["service.name"] == "rerankd"
    model = check_tree(spans, upstream, trace_id)
    failed = [span for span in calls_of(spans, model) if span.is_error]
    assert [(span.attributes["rerank.chunk.index"], span.attributes["rerank.attempt"]) for span in failed] == [(1, 1)]
    assert failed[0].attributes["error.type"] == "unavailable"
    again = [span for span in calls_of(spans, model) if span.attributes["rerank.attempt"] == 2]
    assert [span.attributes["rerank.chunk.index"] for span in again] == [1]
    assert [name for name, _ in model.events] == ["retry"]
    assert model.events[0][1]["rerank.chunk.index"] == 1
    assert all(
        request.headers["tracestate"] == "vendor=x"
        for request in upstream.received
        if trace_id in request.headers.get("traceparent", "")
    )
    call = server.wait_for_log("call", trace_id=trace_id)
    assert call["retries"] == 1
    assert call["chunks"] == 3
    assert call["deployment"] == "vllm/ranker"


def test_ten_thousand_documents_are_ten_chunks_at_once(server: ServerProcess, collector: Collector) -> None:
    trace_id = "a" * 31 + "e"
    documents = [f"a harbour of {number} ships" for number in range(10_000)]
    with RerankClient(server.grpc_address) as client:
        answer = client.rerank(
            "harbour",
            documents,
            model="wide/ranker",
            top_n=3,
            include_details=True,
            metadata={"traceparent": f"00-{trace_id}-{CALLER_ID}-01"},
        )
    spans = of_trace(collector.wait_for(has_server_span(trace_id)), trace_id)
    calls = sorted(calls_of(spans, one(spans, "internal")), key=lambda span: span.attributes["rerank.chunk.index"])
    assert [span.attributes["rerank.chunk.index"] for span in calls] == list(range(10))
    assert [span.attributes["rerank.documents"] for span in calls] == [1000] * 10
    assert {span.attributes["rerank.chunk.count"] for span in calls} == {10}
    assert max(span.started_ns for span in calls) < min(span.ended_ns for span in calls)
    assert [(chunk.chunk_index, chunk.documents) for chunk in answer.chunks] == [(index, 1000) for index in range(10)]
    assert len(answer.results) == 3


def test_an_http_call_is_the_same_tree(server: ServerProcess, upstream: Upstream, collector: Collector) -> None:
    trace_id = "a" * 31 + "2"
    headers = {"traceparent": f"00-{trace_id}-{CALLER_ID}-01", "x-request-id": "http-1"}
    answer = httpx.post(
        f"{server.http_url}/v1/rerank",
        json={"query": f"harbour, {FAULTY_ONCE} over http", "documents": DOCUMENTS},
        headers=headers,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    spans = of_trace(collector.wait_for(has_server_span(trace_id)), trace_id)
    root = one(spans, "server")
    assert root.name == "POST /v1/rerank"
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["http.route"] == "/v1/rerank"
    assert root.attributes["rerankd.request_id"] == "http-1"
    check_tree(spans, upstream, trace_id)
    assert answer.headers["rerankd-provider"] == "vllm"
    assert answer.headers["rerankd-model"] == "search"
    assert answer.headers["rerankd-cache"] == "miss"


def test_a_fallback_and_a_cooldown_are_events(server: ServerProcess, collector: Collector) -> None:
    trace_id = "a" * 31 + "3"
    with RerankClient(server.grpc_address) as client:
        metadata = {"traceparent": f"00-{trace_id}-{CALLER_ID}-01"}
        answer = client.rerank("harbour", DOCUMENTS[:3], model="shaky", metadata=metadata)
    assert answer.model == "search"
    spans = of_trace(collector.wait_for(has_server_span(trace_id)), trace_id)
    model = one(spans, "internal")
    assert model.name == "rerank search"
    assert model.attributes["gen_ai.request.model"] == "shaky"
    assert [name for name, _ in model.events] == ["retry", "fallback"]
    assert model.events[1][1] == {"from": "shaky", "to": "search", "reason": "PROVIDER_UNAVAILABLE"}
    tried = sorted(calls_of(spans, model), key=lambda span: span.started_ns)
    assert [span.attributes["rerank.deployment"] for span in tried] == ["shaky-one", "shaky-one", "vllm/ranker"]
    assert [span.is_error for span in tried] == [True, True, False]
    assert [name for name, _ in tried[1].events] == ["cooldown"]
    assert tried[1].events[0][1]["deployment"] == "shaky-one"


def test_a_batch_links_its_items(server: ServerProcess, upstream: Upstream, collector: Collector) -> None:
    trace_id = "a" * 31 + "4"
    items = [BatchItem(item_id=f"item-{index}", query=f"harbour {index}", documents=DOCUMENTS) for index in range(3)]
    with RerankClient(server.grpc_address) as client:
        answers = list(client.batch_rerank(items, metadata={"traceparent": f"00-{trace_id}-{CALLER_ID}-01"}))
    assert len(answers) == 3
    spans = of_trace(collector.wait_for(has_server_span(trace_id)), trace_id)
    root = one(spans, "server")
    assert root.name == "rerank.v1.RerankService/BatchRerank"
    models = [span for span in spans if span.kind == "internal"]
    assert len(models) == 3
    assert sorted(root.links) == sorted(span.span_id for span in models)
    for model in models:
        assert model.parent_id == root.span_id
        indices = sorted(span.attributes["rerank.chunk.index"] for span in calls_of(spans, model))
        assert indices == [0, 1, 2]
    received = [request for request in upstream.received if trace_id in request.headers.get("traceparent", "")]
    assert len(received) == 9


def test_an_aborted_rpc_has_the_status_the_caller_saw(server: ServerProcess, collector: Collector) -> None:
    refused, failed = "a" * 31 + "5", "a" * 31 + "6"
    with RerankClient(server.grpc_address, max_attempts=1) as client:
        with pytest.raises(RerankError) as bad_request:
            client.rerank("", DOCUMENTS, metadata={"traceparent": f"00-{refused}-{CALLER_ID}-01"})
        with pytest.raises(RerankError) as unavailable:
            client.rerank(
                "harbour",
                DOCUMENTS[:2],
                model="hopeless",
                metadata={"traceparent": f"00-{failed}-{CALLER_ID}-01"},
            )
    assert bad_request.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert unavailable.value.code is grpc.StatusCode.UNAVAILABLE
    collector.wait_for(has_server_span(refused))
    spans = collector.wait_for(has_server_span(failed))
    root = one(of_trace(spans, refused), "server")
    assert root.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert not root.is_error, "a caller's mistake is no fault of the server"
    root = one(of_trace(spans, failed), "server")
    assert root.attributes["rpc.response.status_code"] == "UNAVAILABLE"
    assert root.is_error
    model = one(of_trace(spans, failed), "internal")
    assert model.is_error
    assert model.attributes["rerank.outcome"] == "PROVIDER_UNAVAILABLE"


@pytest.mark.parametrize("over_http", [False, True])
def test_sampling_leaves_good_calls_out_and_keeps_failures(upstream: Upstream, tmp_path: Path, over_http: bool) -> None:
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings(upstream.url)))
    with Collector() as collector:
        variables = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
        if over_http:
            variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.http_url
            variables["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
        process = ServerProcess("--config", str(file), environment=collector.environment(**variables))
        with RerankClient(process.grpc_address, max_attempts=1) as client:
            client.rerank("harbour", DOCUMENTS)
            with pytest.raises(RerankError):
                client.rerank("harbour", DOCUMENTS[:2], model="hopeless")
        assert process.stop() == 0
        spans = collector.wait_for(lambda spans: any(span.kind == "server" for span in spans))
    assert sorted(span.kind for span in spans) == ["client", "internal", "server"]
    assert len({span.trace_id for span in spans}) == 1
    assert one(spans, "internal").attributes["rerank.outcome"] == "PROVIDER_UNAVAILABLE"


def test_a_dead_collector_costs_only_its_spans(upstream: Upstream, tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings(upstream.url)))
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_BSP_MAX_QUEUE_SIZE": "8",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
    }
    process = ServerProcess("--config", str(file), environment=environment)
    with RerankClient(process.grpc_address) as client:
        for _ in range(10):
            assert len(client.rerank("harbour", DOCUMENTS).results) == len(DOCUMENTS)
    text = httpx.get(f"{process.http_url}/metrics", trust_env=False).text
    (dropped,) = [line for line in text.splitlines() if line.startswith('rerankd_spans_total{result="dropped"}')]
    assert float(dropped.split()[1]) >= 10 * 5 - 8 - 4
    assert process.stop() == 0
