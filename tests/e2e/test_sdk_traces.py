"""Traces of programs that rerank in their own process: what a collector and a provider are told of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from opentelemetry import trace as otel

from rerankd import Reranker
from rerankd.settings import Settings
from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET
from tests.support.collector import Collector
from tests.support.trace_trees import of_trace, outline
from tests.support.upstream import Upstream, answer_well

DOCUMENTS = [f"{CANARY_DOCUMENT} {index} of the harbour" for index in range(5)]
PROGRAM = """
import asyncio
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from rerankd import Reranker

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(insecure=True)))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("a program")
documents = [f"CANARY_DOCUMENT {index} of the harbour" for index in range(5)]
reranker = Reranker()


async def search(query):
    with tracer.start_as_current_span(f"search {query}"):
        await reranker.arerank("", query, documents)


async def search_twice():
    with tracer.start_as_current_span("both"):
        await asyncio.gather(search("harbour one"), search("harbour two"))


with tracer.start_as_current_span("request"):
    reranker.rerank("", "fails once", documents)
asyncio.run(search_twice())
reranker.rerank("", "alone", documents)
with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, False, trace.TraceFlags(0)))):
    reranker.rerank("", "unsampled", documents)
"""
OWN = """
import asyncio
import rerankd

asyncio.run(rerankd.arerank("", "harbour", [f"CANARY_DOCUMENT {index} of the harbour" for index in range(5)]))
"""
PLAIN = """
import sys
import rerankd

rerankd.rerank("", "harbour", ["a boat"])
assert "opentelemetry.sdk" not in sys.modules
"""


def settings(url: str) -> dict[str, Any]:
    facts = {"max_documents": 3, "scoring": "pointwise"}
    return {
        "default_model": "search",
        "local": {"enabled": False},
        "cache": {"enabled": False},
        "providers": {"vllm": {"base_url": f"{url}/v1", "api_key": CANARY_SECRET, "models": {"*": facts}}},
        "models": {"search": {"deployments": [{"model": "vllm/ranker"}], "retries": {"initial_delay_ms": 1}}},
    }


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    has_failed: list[Received] = []

    def respond(request: Received) -> ScriptedResponse:
        body = request.json()
        if body["query"] == "fails once" and DOCUMENTS[0] in body["documents"] and not has_failed:
            has_failed.append(request)
            return ScriptedResponse.of_json({"message": "busy"}, status=503)
        return answer_well(request)

    with Upstream(respond) as opened:
        yield opened


def run(program: str, upstream: Upstream, folder: Path, **variables: str) -> None:
    """Run a program to its end with the settings in the file that `RERANKD_CONFIG` names."""
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings(upstream.url)))
    environment = {**os.environ, "RERANKD_CONFIG": str(file), **variables}
    command = [sys.executable, "-c", program.replace("CANARY_DOCUMENT", CANARY_DOCUMENT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def told(upstream: Upstream, query: str) -> list[str]:
    """Return the `traceparent` of every provider call for a query."""
    return sorted(each.headers["traceparent"] for each in upstream.received if each.json()["query"] == query)


def test_spans_are_children_of_the_programs_and_go_where_its_own_go(upstream: Upstream, tmp_path: Path) -> None:
    with Collector() as collector:
        run(PROGRAM, upstream, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        spans = list(collector.spans)
    roots = {span.name: span for span in spans if not span.parent_id}
    assert sorted(roots) == ["both", "request", "rerank search"]

    request = of_trace(spans, roots["request"].trace_id)
    assert outline(request, "") == [
        "request internal unset",
        "  rerank search internal ok +retry",
        "    rerank ranker client unavailable!",
        "    rerank ranker client ok",
        "    rerank ranker client ok",
    ]
    calls = [span for span in request if span.kind == "client"]
    assert told(upstream, "fails once") == sorted(f"00-{span.trace_id}-{span.span_id}-01" for span in calls)
    model = next(span for span in request if span.name == "rerank search")
    assert model.attributes["rerank.documents"] == len(DOCUMENTS)
    assert model.attributes["rerank.chunk.count"] == 2

    both = of_trace(spans, roots["both"].trace_id)
    tree = ["  rerank search internal ok", "    rerank ranker client ok", "    rerank ranker client ok"]
    for query in ("harbour one", "harbour two"):
        search = next(span for span in both if span.name == f"search {query}")
        (model,) = [span for span in both if span.parent_id == search.span_id]
        below = [span for span in both if span.parent_id == model.span_id]
        assert outline([search, model, *below], search.parent_id) == [f"search {query} internal unset", *tree]
        assert told(upstream, query) == sorted(f"00-{span.trace_id}-{span.span_id}-01" for span in below)
    assert len(both) == 9

    alone = of_trace(spans, roots["rerank search"].trace_id)
    assert outline(alone, "") == [line.removeprefix("  ") for line in tree]
    unsampled = told(upstream, "unsampled")
    assert len(unsampled) == 2
    assert all(given.startswith(f"00-{0xABC:032x}-") and given.endswith("-00") for given in unsampled)
    assert of_trace(spans, f"{0xABC:032x}") == []
    assert len(spans) == 5 + 9 + 3


def test_a_program_without_a_tracer_sends_where_the_variables_say_also_at_its_end(
    upstream: Upstream, tmp_path: Path
) -> None:
    with Collector() as collector:
        run(OWN, upstream, tmp_path, **collector.environment(OTEL_BSP_SCHEDULE_DELAY="60000"))
        spans = list(collector.spans)
    assert outline(spans, "") == [
        "rerank search internal ok",
        "  rerank ranker client ok",
        "  rerank ranker client ok",
    ]
    assert {span.resource["service.name"] for span in spans} == {"rerankd"}
    calls = [span for span in spans if span.kind == "client"]
    assert told(upstream, "harbour") == sorted(f"00-{span.trace_id}-{span.span_id}-01" for span in calls)


def test_a_program_without_traces_does_not_load_the_sdk_of_opentelemetry(upstream: Upstream, tmp_path: Path) -> None:
    run(PLAIN, upstream, tmp_path)
    (call,) = upstream.received
    assert "traceparent" not in call.headers


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("propagates", [True, False])
def test_a_span_without_an_exporter_is_passed_on(upstream: Upstream, is_async: bool, propagates: bool) -> None:
    given = settings(upstream.url) | {"telemetry": {"propagates": propagates}}
    state = otel.TraceState([("vendor", "x")])
    context = otel.SpanContext(0x123, 0x456, is_remote=False, trace_flags=otel.TraceFlags(1), trace_state=state)
    with Reranker(msgspec.convert(given, Settings)) as reranker, otel.use_span(otel.NonRecordingSpan(context)):
        if is_async:
            asyncio.run(reranker.arerank("", "harbour", DOCUMENTS))
        else:
            reranker.rerank("", "harbour", DOCUMENTS)
    headers = [each.headers for each in upstream.received]
    wanted = (f"00-{0x123:032x}-{0x456:016x}-01", "vendor=x") if propagates else (None, None)
    assert [(each.get("traceparent"), each.get("tracestate")) for each in headers] == [wanted, wanted]
