"""The `OTEL_*` variables: what they turn on, and how bad ones are refused."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rerankd.telemetry.exporters import TelemetrySettingsError
from rerankd.telemetry.settings import LogSettings, TelemetrySettings
from rerankd.telemetry.setup import Telemetry
from rerankd_client import RerankClient
from tests.support.server import ServerProcess


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER must be otlp, console or none, is zipkin"),
        ({"OTEL_METRICS_EXPORTER": "statsd"}, "OTEL_METRICS_EXPORTER must be"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "grpc or http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_MAX_QUEUE_SIZE": "many"}, "OTEL_BSP_MAX_QUEUE_SIZE must be"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(environ: dict[str, str], said: str) -> None:
    with pytest.raises(TelemetrySettingsError, match=said):
        Telemetry(TelemetrySettings(), LogSettings(), environ)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1]:9",
        },
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    ],
)
async def test_nothing_is_kept_unless_it_is_asked_for(environ: dict[str, str]) -> None:
    telemetry = Telemetry(TelemetrySettings(), LogSettings(), environ)
    assert telemetry.tracing.begin("x", {}) is None
    await telemetry.close()


def test_bad_patterns_and_numbers_are_named() -> None:
    (bad_number, bad_pattern) = TelemetrySettings(slow_call_ms=-1, redact=["(", "fine"]).problems()
    assert bad_number.startswith("telemetry.slow_call_ms must not be negative")
    assert bad_pattern.startswith("telemetry.redact[0] is not a regular expression")


def test_a_server_with_bad_variables_does_not_start() -> None:
    command = [sys.executable, "-m", "rerankd.cli", "serve", "--grpc-port", "0", "--http-port", "0"]
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "zipkin", "RERANKD_LOCAL__ENABLED": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "OTEL_TRACES_EXPORTER" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_console_shows_spans_and_sampled_logs_only_what_failed() -> None:
    variables = {"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_SCHEDULE_DELAY": "20", "RERANKD_LOG__SAMPLE": "0"}
    server = ServerProcess(environment=variables | {"RERANKD_TELEMETRY__SLOW_CALL_MS": "0"})
    with RerankClient(server.grpc_address, max_attempts=1) as client:
        client.rerank("harbour", ["a boat"], model="local/bm25")
        with pytest.raises(Exception, match="not found"):
            client.rerank("harbour", ["a boat"], model="no-such")
    assert server.stop() == 0
    printed = "".join(entry.get("line", "") for entry in server.log)
    assert '"name": "rerank local/bm25"' in printed
    assert [call["code"] for call in server.calls()] == ["NOT_FOUND"]
