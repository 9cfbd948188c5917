"""Whole traces as a collector received them, written so that a test can compare them at a glance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.support.collector import ReceivedSpan

_STATUSES = ("rpc.response.status_code", "http.response.status_code", "rerank.outcome")


def of_trace(spans: Sequence[ReceivedSpan], trace_id: str) -> list[ReceivedSpan]:
    """Return the spans of one trace."""
    return [span for span in spans if span.trace_id == trace_id]


def has_server_span(trace_id: str) -> Callable[[list[ReceivedSpan]], bool]:
    """Make a condition for `Collector.wait_for`: the server's span is the last to be sent."""
    return lambda spans: any(span.kind == "server" for span in of_trace(spans, trace_id))


def outline(spans: Sequence[ReceivedSpan], parent_id: str) -> list[str]:
    """Write the spans below `parent_id` ("" for the root), one a line, children indented below their parent.

    A line is the span's name, its kind, how it ended, `!` where its status is an error, and its events. Calls of
    providers stand in the order of their chunks and attempts, other spans in the order they began. Fails when a span
    is left over, or lies outside its parent's time.
    """
    lines, seen = _below(spans, parent_id, "")
    assert len({span.span_id for span in spans}) == len(spans), "two spans have one id"
    assert seen == len(spans), f"not all of {[(span.name, span.parent_id) for span in spans]} is below {parent_id}"
    return lines


def _below(spans: Sequence[ReceivedSpan], parent_id: str, indent: str) -> tuple[list[str], int]:
    lines: list[str] = []
    seen = 0
    for span in sorted((each for each in spans if each.parent_id == parent_id), key=_place):
        status = next((span.attributes[name] for name in _STATUSES if name in span.attributes), "unset")
        events = "".join(f" +{name}" for name, _ in span.events)
        lines.append(f"{indent}{span.name} {span.kind} {status}{'!' if span.is_error else ''}{events}")
        below, count = _below(spans, span.span_id, indent + "  ")
        for child in (each for each in spans if each.parent_id == span.span_id):
            assert span.started_ns <= child.started_ns <= child.ended_ns <= span.ended_ns, (span, child)
        lines += below
        seen += 1 + count
    return lines, seen


def _place(span: ReceivedSpan) -> tuple[int, int, int]:
    return (
        span.attributes.get("rerank.chunk.index", 0),
        span.attributes.get("rerank.attempt", 0),
        span.started_ns,
    )
