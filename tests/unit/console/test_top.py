"""`rerankd top`: what it reckons from two looks at the metrics."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rich.console import Console

from rerankd.console.metrics_snapshots import MetricsInterval, MetricsSnapshot
from rerankd.console.top import render
from rerankd_client import RerankClient
from tests.support.server import ServerProcess

BEFORE = """
# TYPE rerankd_calls_total counter
rerankd_calls_total{model="a",code="OK"} 10
rerankd_calls_total{model="a",code="UNAVAILABLE"} 0
# TYPE rerankd_call_duration_seconds histogram
rerankd_call_duration_seconds_bucket{model="a",le="0.1"} 10
rerankd_call_duration_seconds_bucket{model="a",le="1.0"} 10
rerankd_call_duration_seconds_bucket{model="a",le="+Inf"} 10
# TYPE rerankd_deployment_cooling gauge
rerankd_deployment_cooling{deployment="one"} 1
"""
AFTER = """
# TYPE rerankd_calls_total counter
rerankd_calls_total{model="a",code="OK"} 25
rerankd_calls_total{model="a",code="UNAVAILABLE"} 5
# TYPE rerankd_call_duration_seconds histogram
rerankd_call_duration_seconds_bucket{model="a",le="0.1"} 20
rerankd_call_duration_seconds_bucket{model="a",le="1.0"} 29
rerankd_call_duration_seconds_bucket{model="a",le="+Inf"} 30
# TYPE rerankd_deployment_cooling gauge
rerankd_deployment_cooling{deployment="one"} 1
"""
INTERVAL = MetricsInterval(MetricsSnapshot.of(BEFORE, 100.0), MetricsSnapshot.of(AFTER, 102.0))


def test_rates_are_what_grew_a_second() -> None:
    assert INTERVAL.rate("rerankd_calls_total") == 10
    assert INTERVAL.increase("rerankd_calls_total", model="a", code="UNAVAILABLE") == 5
    assert INTERVAL.rate("rerankd_no_such_total") == 0


def test_a_server_that_began_anew_counts_from_zero() -> None:
    backwards = MetricsInterval(INTERVAL.after, INTERVAL.before)
    assert backwards.increase("rerankd_calls_total", code="OK") == 10


@pytest.mark.parametrize(("share", "wanted"), [(0.25, 0.05), (0.5, 0.1), (0.95, 1.0), (0.99, 1.0)])
def test_quantiles_are_of_the_interval_alone(share: float, wanted: float) -> None:
    assert INTERVAL.quantile("rerankd_call_duration_seconds", share) == pytest.approx(wanted)


def test_nothing_observed_has_no_quantile() -> None:
    assert MetricsInterval(INTERVAL.after, INTERVAL.after).quantile("rerankd_call_duration_seconds", 0.5) is None
    assert INTERVAL.quantile("rerankd_nothing_seconds", 0.5) is None


def test_the_view_names_models_failures_and_deployments_left_alone() -> None:
    console = Console(width=140, record=True)
    console.print(render(INTERVAL))
    text = console.export_text()
    for part in ("calls/s 10.0", "failed 25.0%", "circuit open", "100.0 ms"):
        assert part in text


def test_what_is_not_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="no metrics"):
        MetricsSnapshot.of("# TYPE other gauge\nother 1\n", 0.0)


def run_top(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rerankd.cli", "top", "--url", url, "--once", "--interval", "0.1"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_top_shows_a_running_server() -> None:
    server = ServerProcess()
    with RerankClient(server.grpc_address) as client:
        client.rerank("harbour", ["a boat"], model="local/bm25")
    shown = run_top(server.http_url.removeprefix("http://"))
    assert server.stop() == 0
    assert shown.returncode == 0, shown.stderr
    assert "local/bm25" in shown.stdout


def test_top_says_that_nobody_answers() -> None:
    shown = run_top("http://127.0.0.1:9")
    assert shown.returncode == 1
    assert "http://127.0.0.1:9 cannot be reached" in shown.stderr
    assert "--url" in shown.stderr
