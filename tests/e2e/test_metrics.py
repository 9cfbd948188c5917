"""`/metrics` as Prometheus reads it, after calls that were cut, tried again, handed on, cached and refused."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from rerankd.telemetry.names import METRICS, Metric
from rerankd_adapters.testing import Received, ScriptedResponse
from rerankd_client import RerankClient, RerankError
from rerankd_client.requests import BatchItem
from scripts.generate_telemetry_docs import render
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET
from tests.support.collector import Collector
from tests.support.debian import debian_program
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well

DOCUMENTS = [f"{CANARY_DOCUMENT} {index} of the harbour" for index in range(25)]
BROKEN = "always-broken"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
FOLDER = Path(__file__).parents[2] / "docs" / "telemetry"


def settings(url: str) -> dict[str, Any]:
    return {
        "default_model": "vllm/ranker",
        "local": {"enabled": False},
        "providers": {
            "vllm": {"base_url": f"{url}/v1", "models": {"*": {"max_documents": 10, "scoring": "pointwise"}}},
            "cohere": {"base_url": url, "api_key": CANARY_SECRET},
        },
        "models": {
            "shaky": {
                "deployments": [{"model": f"vllm/{BROKEN}", "name": "shaky-one"}],
                "retries": {"max_attempts": 2, "initial_delay_ms": 1},
                "cooldown": {"failures": 2, "initial_s": 60},
                "fallbacks": ["vllm/ranker"],
            },
        },
        "telemetry": {"max_models": 8},
    }


def respond(request: Received) -> ScriptedResponse:
    if request.body and request.json().get("model") == BROKEN:
        return ScriptedResponse.of_json({"message": "no"}, status=503)
    return answer_well(request)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(respond) as opened:
        yield opened


@pytest.fixture(scope="module")
def config(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("metrics") / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings(upstream.url)))
    return file


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(config: Path, collector: Collector) -> Iterator[ServerProcess]:
    variables = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
    process = ServerProcess("--config", str(config), environment=collector.environment(**variables))
    call_in_every_way(process)
    yield process
    assert process.stop() == 0


def call_in_every_way(server: ServerProcess) -> None:
    with RerankClient(server.grpc_address, max_attempts=1) as client:
        for _ in range(2):
            client.rerank("harbour", DOCUMENTS)
        client.rerank("harbour", DOCUMENTS[:3], model="shaky")
        client.rerank("harbour", DOCUMENTS[:3], model="cohere/rerank-v3.5")
        with pytest.raises(RerankError):
            client.rerank("harbour", DOCUMENTS, model="no-such-model")
        items = [BatchItem(item_id=str(index), query="boat", documents=DOCUMENTS[:2]) for index in range(3)]
        assert len(list(client.batch_rerank(items))) == 3
    answer = httpx.post(
        f"{server.http_url}/v1/rerank",
        json={"query": "over http", "documents": DOCUMENTS},
        headers={"traceparent": f"00-{'e' * 32}-{'1' * 16}-01"},
        trust_env=False,
    )
    assert answer.status_code == 200


def scrape(server: ServerProcess, accept: str = "text/plain") -> str:
    answer = httpx.get(f"{server.http_url}/metrics", headers={"accept": accept}, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(accept.partition(";")[0])
    return answer.text


def value(text: str, name: str, **labels: str) -> float:
    """Add up the samples of a name that have these labels."""
    samples = [sample for family in parse(text) for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def test_promtool_finds_nothing_wrong(server: ServerProcess) -> None:
    program, environment = debian_program("promtool", ("prometheus",))
    done = subprocess.run(
        [program, "check", "metrics"],
        input=scrape(server),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_metric_is_there(server: ServerProcess) -> None:
    exposed = {family.name: family.type for family in parse(scrape(server))}
    assert {metric.name: exposed.get(metric.name) for metric in METRICS} == {
        metric.name: metric.kind for metric in METRICS
    }
    assert {name for name in exposed if name.startswith("rerankd_")} == {metric.name for metric in METRICS}


def test_calls_and_their_parts_are_counted(server: ServerProcess) -> None:
    text = scrape(server)
    assert value(text, "rerankd_calls_total", code="OK", transport="http") == 1
    assert value(text, "rerankd_calls_total", code="OK", transport="grpc") == 7
    assert value(text, "rerankd_calls_total", code="NOT_FOUND", model="") == 1
    assert value(text, "rerankd_call_duration_seconds_count") == 9
    assert value(text, "rerankd_overhead_seconds_count") == 8
    assert value(text, "rerankd_retries_total", model="shaky") == 1
    assert value(text, "rerankd_fallbacks_total", model="shaky", reason="PROVIDER_UNAVAILABLE") == 1
    assert value(text, "rerankd_cooldowns_total", deployment="shaky-one") == 1
    assert value(text, "rerankd_deployment_cooling", deployment="shaky-one") == 1
    assert value(text, "rerankd_provider_call_duration_seconds_count", outcome="unavailable") == 2
    assert value(text, "rerankd_search_units_total", provider="cohere") == 1
    assert value(text, "rerankd_cost_usd_total", provider="cohere", deployment="cohere/rerank-v3.5") > 0
    assert value(text, "rerankd_batch_items_total", outcome="ok") == 3
    assert value(text, "rerankd_batches_in_progress") == 0
    assert value(text, "rerankd_calls_in_flight") == 0
    assert value(text, "rerankd_cache_documents_total", result="memory") >= len(DOCUMENTS) + 3
    known = [value(text, "rerankd_cache_documents_total", result=result) for result in ("memory", "coalesced")]
    assert sum(known) == len(DOCUMENTS) + 3 + 2 * 2, "of three items with the same two documents, one asks"
    assert value(text, "rerankd_cache_entries") > 0
    assert value(text, "rerankd_call_documents_sum", model="vllm/ranker") == 3 * len(DOCUMENTS) + 3 + 6


def test_our_time_and_the_providers_add_up(server: ServerProcess) -> None:
    text = scrape(server)
    overhead_s = value(text, "rerankd_overhead_seconds_sum")
    assert 0 < overhead_s < value(text, "rerankd_call_duration_seconds_sum")


def test_exemplars_name_traces(server: ServerProcess) -> None:
    text = scrape(server, OPENMETRICS)
    families = {family.name: family for family in parse_openmetrics(text)}  # type: ignore[no-untyped-call]  # the library's
    exemplars = [
        sample.exemplar.labels for sample in families["rerankd_call_duration_seconds"].samples if sample.exemplar
    ]
    assert {"trace_id": "e" * 32} in exemplars


def test_the_same_goes_out_by_otlp(server: ServerProcess, collector: Collector) -> None:
    calls = collector.wait_for_metric("rerankd_calls")
    assert calls.sum.is_monotonic
    seconds = collector.wait_for_metric("rerankd_call_duration_seconds")
    assert seconds.unit == "s"
    point = seconds.histogram.data_points[0]
    assert sum(point.bucket_counts) == point.count > 0
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
    assert point.explicit_bounds[0] == 0.0001


def test_models_beyond_the_bound_are_one(config: Path) -> None:
    process = ServerProcess("--config", str(config))
    with RerankClient(process.grpc_address, max_attempts=1) as client:
        for index in range(20):
            client.rerank("harbour", DOCUMENTS[:1], model=f"vllm/model-{index}")
    text = scrape(process)
    assert process.stop() == 0
    models = {sample.labels["model"] for family in parse(text) for sample in family.samples if "model" in sample.labels}
    assert len(models) <= 9
    assert "other" in models
    assert value(text, "rerankd_calls_total") == 20


def test_any_worker_shows_the_sum_of_all(config: Path) -> None:
    process = ServerProcess("--config", str(config), environment={"RERANKD_SERVER__WORKERS": "2"})
    for index in range(12):
        with RerankClient(process.grpc_address) as client:  # a connection of its own, to either worker
            client.rerank(f"harbour {index}", DOCUMENTS[:2])
    give_up_s = time.monotonic() + 10
    while value(scrape(process), "rerankd_calls_total") < 12:  # a worker settles its own calls for it, not the other's
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
    texts = [scrape(process) for _ in range(6)]
    program, environment = debian_program("promtool", ("prometheus",))
    done = subprocess.run([program, "check", "metrics"], input=texts[0], env=environment, text=True, check=False)
    assert process.stop() == 0
    assert [value(text, "rerankd_calls_total") for text in texts] == [12] * 6
    assert done.returncode == 0


def test_a_batch_under_way_is_counted(config: Path) -> None:
    process, gate = ServerProcess("--config", str(config)), threading.Event()

    def items() -> Iterator[BatchItem]:
        yield BatchItem(item_id="a", query="boat", documents=DOCUMENTS[:2])
        gate.wait(20)

    with RerankClient(process.grpc_address) as client:
        answers = iter(client.batch_rerank(items()))
        assert next(answers).item_id == "a"
        text = scrape(process)
        assert value(text, "rerankd_batches_in_progress") == 1
        assert value(text, "rerankd_batch_items_total", outcome="ok") == 1
        gate.set()
        assert list(answers) == []
    assert value(scrape(process), "rerankd_batches_in_progress") == 0
    assert process.stop() == 0


def exposed_labels(text: str) -> dict[str, set[str]]:
    """Return the labels of every sample by its name."""
    found: dict[str, set[str]] = {}
    for family in parse(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def samples_of(metric: Metric) -> dict[str, set[str]]:
    labels = {*metric.labels}
    if metric.kind == "histogram":
        return {f"{metric.name}_bucket": labels | {"le"}, f"{metric.name}_count": labels, f"{metric.name}_sum": labels}
    return {f"{metric.name}_total" if metric.kind == "counter" else metric.name: labels}


def expressions() -> list[tuple[str, str]]:
    """Return every expression of the dashboard and of the alert rules, with where it stands."""
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    found = [
        (f"panel {panel['title']}", target["expr"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    return found + [(rule["alert"], rule["expr"]) for rule in rules]


def test_the_dashboard_and_the_alerts_use_what_is_exposed(server: ServerProcess) -> None:
    known: dict[str, set[str]] = {}
    for metric in METRICS:
        known |= samples_of(metric)
    assert {name for name in exposed_labels(scrape(server)) if name.startswith("rerankd_")} <= known.keys()
    for where, expression in expressions():
        used = re.findall(r"\b(rerankd_\w+)(?:\{([^}]*)\})?", expression)
        assert used, where
        for name, matchers in used:
            assert name in known, f"{where}: {name} is not exposed"
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers))
            assert labels <= known[name] | {"instance"}, f"{where}: {name} has no label {labels - known[name]}"
        groups = re.findall(r"\b(?:by|ignoring) \(([^)]*)\)", expression)
        grouped = {label.strip() for group in groups for label in group.split(",")}
        assert grouped <= set().union(*(known[name] for name, _ in used), {"instance"}), where


def test_the_dashboard_shows_every_metric() -> None:
    shown = " ".join(expression for where, expression in expressions() if where.startswith("panel"))
    samples = set(re.findall(r"\brerankd_\w+", shown))
    assert [metric.name for metric in METRICS if not samples & samples_of(metric).keys()] == []


def test_promtool_takes_the_alert_rules_and_the_dashboards_queries(tmp_path: Path) -> None:
    program, environment = debian_program("promtool", ("prometheus",))
    queries = tmp_path / "queries.yaml"
    rules = [
        {"record": f"query:{index}", "expr": expression.replace("$__rate_interval", "5m")}
        for index, (_, expression) in enumerate(expressions())
    ]
    queries.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    command = [program, "check", "rules", str(FOLDER / "alerts.yaml"), str(queries)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_to_do() -> None:
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    assert [rule["alert"] for rule in rules if not rule["annotations"].get("runbook")] == []


def test_the_committed_page_is_what_the_names_say() -> None:
    assert (FOLDER.parent / "telemetry.md").read_text(encoding="utf-8") == render(), "run make generate"
