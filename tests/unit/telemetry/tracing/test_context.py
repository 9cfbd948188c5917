"""W3C trace context in and out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from rerankd.telemetry.calls.server_span import ServerTracing
from rerankd.telemetry.calls.trace_context import (
    Parent,
    TraceContext,
    TracePolicy,
    current_span,
    parse_parent,
    trace_headers,
)

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


@pytest.fixture(autouse=True)
def nothing_current() -> Iterator[None]:
    yield
    current_span.set(None)


def sample_as_parent(_trace_id: int, parent: Parent | None, _name: str) -> bool:
    return parent is None or parent.is_sampled


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00",
        "nonsense",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID}-{SPAN_ID}-0g",
        "\N{SNOWMAN}" * 55,
    ],
)
def test_an_invalid_context_is_ignored(given: str) -> None:
    assert parse_parent({"traceparent": given}) is None
    assert ServerTracing().begin("x", {"traceparent": given}) is None
    assert trace_headers() == {}
    span = ServerTracing(TracePolicy(sample_as_parent)).begin("x", {"traceparent": given})
    assert span is not None
    assert span.parent is None
    assert f"{span.trace_id:032x}" != TRACE_ID


def test_without_exporters_a_context_is_passed_on_unchanged() -> None:
    assert ServerTracing().begin("x", {}) is None
    ServerTracing().begin("x", {"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
    assert trace_headers() == {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}


@pytest.mark.parametrize("state", ["x" * 513, "bad\nstate", "st\u00e4te"])
def test_an_invalid_tracestate_is_left_out_alone(state: str) -> None:
    ServerTracing().begin("x", {"traceparent": TRACEPARENT, "tracestate": state})
    assert trace_headers() == {"traceparent": TRACEPARENT}


def test_a_later_version_and_an_unsampled_caller_are_understood() -> None:
    headers = {"traceparent": f"01-{TRACE_ID}-{SPAN_ID}-00-more"}
    span = ServerTracing(TracePolicy(sample_as_parent)).begin("x", headers)
    assert span is not None
    assert not span.is_sampled
    assert trace_headers()["traceparent"] == f"00-{TRACE_ID}-{span.span_id:016x}-00"


def test_the_sampler_is_asked_once_and_not_before_it_is_needed() -> None:
    asked: list[str] = []

    def sample(_trace_id: int, _parent: Parent | None, name: str) -> bool:
        asked.append(name)
        return True

    trace = TraceContext("x", None, TracePolicy(sample))
    assert asked == []
    assert (trace.is_sampled, trace.is_sampled) == (True, True)
    assert asked == ["x"]


@pytest.mark.parametrize("sample", [None, sample_as_parent])
def test_providers_are_told_nothing_when_propagation_is_off(sample: None) -> None:
    ServerTracing(TracePolicy(sample, propagates=False)).begin("x", {"traceparent": TRACEPARENT})
    assert trace_headers() == {}


def test_a_pause_between_the_two_clocks_does_not_move_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans moved to before their parent's start are what traces of a busy machine would show."""
    pauses_s = [0.3]

    def paused() -> int:
        now = time.time_ns()
        time.sleep(pauses_s.pop() if pauses_s else 0.0)
        return now

    clock = SimpleNamespace(time_ns=paused, perf_counter_ns=time.perf_counter_ns)
    monkeypatch.setattr("rerankd.telemetry.calls.trace_context.time", clock)
    before = time.time_ns()
    at = TraceContext("x", None, TracePolicy()).at_ns(time.perf_counter())
    assert abs(at - before) < 100e6
