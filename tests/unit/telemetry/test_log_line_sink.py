"""The log line of a call: its fields, formats and levels, and which calls get one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from logging import root
from typing import Any, Literal

import pytest
import structlog
from msgspec import structs
from structlog.testing import capture_logs

from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Code, Reason
from rerankd.contract.messages import RerankRequest, RerankResponse
from rerankd.telemetry import logging
from rerankd.telemetry.calls.recorder import Recorder
from rerankd.telemetry.log_line_sink import CallLine, LogLineSink
from rerankd.telemetry.settings import LogSettings


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Give the process a log of its own; returns what reads it."""
    monkeypatch.setattr(logging, "_output", type(logging._output)())
    monkeypatch.setattr(logging, "_labels", {})
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    yield lambda: capsys.readouterr().err
    root.setLevel(level)
    structlog.reset_defaults()


def line(level: Literal["info", "warning"] = "info", **more: Any) -> CallLine:
    time = "2026-11-21T13:47:05.250000Z"
    return CallLine("call", level, time, "local/bm25", "OK", "an-id", "http", 4, 1.5, 0.25, "local", **more)


def test_json_says_what_is_known_and_leaves_out_what_is_usual(output: Callable[[], str]) -> None:
    logging.configure_logging(LogSettings(format="json"))
    logging.write_calls([line()])
    logging.write_calls([line("warning", cached_documents=0, cost=0.002, chunks=3, user='a"b\n')])
    usual, rich = map(json.loads, output().splitlines())
    assert usual == {
        "event": "call",
        "level": "info",
        "timestamp": "2026-11-21T13:47:05.250000Z",
        "model": "local/bm25",
        "code": "OK",
        "request_id": "an-id",
        "transport": "http",
        "documents": 4,
        "latency_ms": 1.5,
        "provider_ms": 0.25,
        "provider": "local",
    }
    more = {"level": "warning", "cached_documents": 0, "cost": 0.002, "chunks": 3, "user": 'a"b\n'}
    assert rich == usual | more


def test_what_is_not_known_is_left_out(output: Callable[[], str]) -> None:
    logging.configure_logging(LogSettings(format="json"))
    logging.write_calls([structs.replace(line(reason="INVALID_REQUEST"), provider="")])
    written = json.loads(output())
    assert written["reason"] == "INVALID_REQUEST"
    assert not {"provider", "cost", "cached_documents", "trace_id", "deployment", "chunks", "user"} & written.keys()


def test_every_line_of_a_process_has_its_labels(output: Callable[[], str]) -> None:
    logging.label_process(worker=1, worker_pid=42)
    logging.configure_logging(LogSettings(format="json"))
    logging.write_calls([line()])
    structlog.get_logger().info("other")
    call, other = map(json.loads, output().splitlines())
    assert (call["worker"], call["worker_pid"]) == (other["worker"], other["worker_pid"]) == (1, 42)
    assert call["event"] == "call"


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_a_level_leaves_out_those_below(output: Callable[[], str], form: Literal["json", "pretty"]) -> None:
    logging.configure_logging(LogSettings(format=form, level="warning"))
    logging.write_calls([line(user="calm")])
    logging.write_calls([line("warning", user="urgent")])
    written = output()
    assert "calm" not in written
    assert "urgent" in written


def test_a_terminal_gets_the_same_facts(output: Callable[[], str]) -> None:
    logging.configure_logging(LogSettings(format="pretty"))
    logging.write_calls([line(trace_id="0f")])
    written = output()
    for said in ("call", "local/bm25", "an-id", "0f", "provider_ms"):
        assert said in written


def test_who_captures_lines_captures_calls(output: Callable[[], str]) -> None:
    logging.configure_logging(LogSettings(format="json"))
    with capture_logs() as captured:
        logging.write_calls([line()])
    assert [(entry["event"], entry["log_level"], entry["documents"]) for entry in captured] == [("call", "info", 4)]
    assert not output()


@pytest.mark.parametrize(
    ("sample", "slow_call_ms", "logged"),
    [
        (1.0, 0.0, ["good", "refused", "broken"]),
        (0.0, 0.0, ["refused", "broken"]),
        (0.0, 0.000_001, ["good", "refused", "broken"]),
    ],
)
def test_failed_and_slow_calls_are_logged_whatever_the_sample(
    output: Callable[[], str], sample: float, slow_call_ms: float, logged: list[str]
) -> None:
    logging.configure_logging(LogSettings(format="json"))
    recorder = Recorder([LogLineSink(sample, slow_call_ms)])
    request = RerankRequest(query="q", documents=["a"], model="asked")
    recorder.begin(request, CallContext("good")).answered(RerankResponse(model="local/bm25"))
    recorder.begin(request, CallContext("refused")).failed(Reason.RATE_LIMITED, Code.RESOURCE_EXHAUSTED)
    recorder.begin(request, CallContext("broken")).failed(Reason.INTERNAL, Code.INTERNAL)
    written = [json.loads(each) for each in output().splitlines()]
    assert [each["request_id"] for each in written] == logged
    assert {each["request_id"]: (each["model"], each["level"]) for each in written if each["code"] != "OK"} == {
        "refused": ("asked", "info"),
        "broken": ("asked", "warning"),
    }
