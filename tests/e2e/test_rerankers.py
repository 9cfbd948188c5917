"""Rerankers of a real server's settings: golden cases over both transports, and settings that cannot be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rerankd import Reranker
from rerankd.gateway.dialects.registry import DIALECTS
from rerankd.settings import load_settings
from tests.e2e.test_golden_cases_sdk import call
from tests.support.cases import DIRECTORY, Case, differences, read_cases
from tests.support.dialect_bodies import request_of
from tests.support.server import SERVE, ServerProcess
from tests.support.transports import GrpcTransport, HttpTransport

SETTINGS = DIRECTORY / "rerankers.settings.yaml"
CASES = [pytest.param(case, id=case.name) for case in read_cases("rerankers.yaml")]
REFUSED = "settings not reloaded; the old ones stay in force"
TIMES = frozenset({"created", "latency", "runtime_ms", "inference_latency", "e2e_latency"})
VOLATILE = TIMES | {"id", "request_id", "model", "stages"}
STAGES: list[dict[str, Any]] = [{"model": "local/bm25", "keep": 2}, {"model": "local/default"}]


def weighted(*weights: float) -> list[dict[str, Any]]:
    return [
        {"model": f"local/{name}", "weight": weight} for name, weight in zip(("bm25", "default"), weights, strict=True)
    ]


BAD = {
    "rerankers.x.config.model": {"strategy": "dedicated-model", "config": {"model": "local/bm52"}},
    "rerankers.x.config": {"strategy": "dedicated-model", "config": {"model": "x"}},
    "rerankers.x.strategy": {"strategy": "fusoin", "config": {}},
    "rerankers.x.config.modell": {"strategy": "dedicated-model", "config": {"model": "local/bm25", "modell": 1}},
    "rerankers.x.config.score_threshold": {
        "strategy": "dedicated-model",
        "config": {"model": "local/bm25", "score_threshold": 0.5, "normalization": "minmax"},
    },
    "rerankers.x.config.stages[1].model": {
        "strategy": "cascade",
        "config": {"stages": [STAGES[0], {"model": "tei/x"}]},
    },
    "rerankers.x.config.stages[0].keep": {
        "strategy": "cascade",
        "config": {"stages": [{**STAGES[0], "keep": 0}, STAGES[1]]},
    },
    "rerankers.x.config.budget_ms": {"strategy": "cascade", "config": {"stages": STAGES, "budget_ms": 0}},
    "rerankers.x.config.members[1].weight": {"strategy": "fusion", "config": {"members": weighted(1, -1)}},
    "rerankers.x.config.members": {"strategy": "fusion", "config": {"members": weighted(0, 0)}},
    "rerankers.x.config.weights.bm25": {"strategy": "heuristic", "config": {"weights": {"bm25": -1}}},
    "rerankers.x.config.prompt": {"strategy": "llm-judge", "config": {"model": "ollama/m", "prompt": "{query}"}},
    "rerankers.x.config.window": {"strategy": "llm-listwise", "config": {"model": "ollama/m", "window": 101}},
    "rerankers.x.config.window: 20 documents": {"strategy": "llm-listwise", "config": {"model": "ollama/small"}},
}


@pytest.fixture(scope="module")
def configured() -> Iterator[ServerProcess]:
    process = ServerProcess("--config", str(SETTINGS), preloads=True)
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module", params=["grpc", "http"])
def transport(request: pytest.FixtureRequest, configured: ServerProcess) -> Iterator[GrpcTransport | HttpTransport]:
    grpc = request.param == "grpc"
    opened = GrpcTransport(configured.grpc_address) if grpc else HttpTransport(configured.http_url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reranker() -> Iterator[Reranker]:
    with Reranker(load_settings(SETTINGS)) as opened:
        yield opened


@pytest.mark.parametrize("case", CASES)
def test_outcome(case: Case, transport: GrpcTransport | HttpTransport) -> None:
    assert list(differences(case, transport.call(case))) == []


@pytest.mark.parametrize("case", CASES)
def test_outcome_in_process(case: Case, reranker: Reranker) -> None:
    assert list(differences(case, call(reranker, case))) == []


def test_rerankers_are_models_in_every_list(configured: ServerProcess) -> None:
    with httpx.Client(base_url=configured.http_url, trust_env=False) as client:
        listed = {each["id"] for each in client.get("/v1/models").json()["data"]}
        model = client.get("/rerankd/v1/models/two-stages").json()
    assert {"usual", "two-stages", "off"} <= listed
    assert (model["kind"], model["strategy"], model["aliases"]) == ("reranker", "cascade", ["deep"])
    assert model["members"] == ["local/bm25", "local/ms-marco-minilm-l12-v2"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_answers_for_a_reranker_as_for_a_model(dialect: str, configured: ServerProcess) -> None:
    answers = {}
    for model in ("usual", "local/bm25"):
        path, body = request_of(dialect, model, {})
        if dialect == "tei":  # its requests name no model: they get the default one, which is `usual`
            del body["model"]
        response = httpx.post(f"{configured.http_url}{path}", json=body, trust_env=False)
        assert response.status_code == 200, response.text
        answers[model] = response.json()
        assert response.headers["rerankd-model"] == ("usual" if dialect == "tei" else model)
    assert scrubbed(answers["usual"]) == scrubbed(answers["local/bm25"])


def scrubbed(answer: Any) -> Any:
    """Leave out what differs from call to call, and what an answer says of the model."""
    if isinstance(answer, list):
        return [scrubbed(each) for each in answer]
    if isinstance(answer, dict):
        return {key: scrubbed(value) for key, value in answer.items() if key not in VOLATILE}
    return answer


def test_each_item_of_a_batch_may_name_a_reranker(configured: ServerProcess) -> None:
    fields = {"query": "apple", "documents": ["pear", "apple"]}
    names = ("usual", "two-stages", "off")
    lines = [json.dumps({"item": {"item_id": name, "request": {"model": name, **fields}}}) for name in names]
    headers = {"content-type": "application/x-ndjson"}
    with httpx.Client(base_url=configured.http_url, trust_env=False) as client:
        text = client.post("/v1/rerank:batch", content="\n".join(lines), headers=headers).text
    answers = {
        each["item"]["item_id"]: each["item"] for each in map(yaml.safe_load, text.splitlines()) if "item" in each
    }
    assert [answers[name]["response"]["model"] for name in ("usual", "two-stages")] == ["usual", "two-stages"]
    assert answers["off"]["status"]["code"] == 5


def test_calls_of_a_reranker_are_counted_under_its_key(configured: ServerProcess) -> None:
    with httpx.Client(base_url=configured.http_url, trust_env=False) as client:
        client.post("/v1/rerank", json={"model": "scaled", "query": "a", "documents": ["a"]})
        metrics = ""
        while 'model="scaled"' not in metrics:
            metrics = client.get("/metrics").text
    lines = [each for each in metrics.splitlines() if each.startswith("rerankd_calls_total") and "scaled" in each]
    assert lines
    assert all('provider="local"' in line for line in lines)


def written(file: Path, reranker: dict[str, Any] | None) -> Path:
    providers = {"ollama": {"base_url": "http://127.0.0.1:9", "models": {"small": {"max_total_tokens": 4096}}}}
    rerankers = {} if reranker is None else {"x": reranker}
    file.write_text(yaml.safe_dump({"aliases": {}, "providers": providers, "rerankers": rerankers}))
    return file


@pytest.mark.parametrize("key", BAD)
def test_a_check_reports_what_cannot_be_used(key: str, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "rerankd.cli", "check-config", str(written(tmp_path / "s.yaml", BAD[key])))
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False)
    problems = [line.strip(" -") for line in done.stderr.splitlines() if line.startswith("  - ")]
    assert len(problems) == 1
    assert problems[0].startswith((f"{key}:", f"{key} "))
    assert done.returncode != 0


def test_neither_a_start_nor_a_reload_uses_what_a_check_refuses(tmp_path: Path) -> None:
    file = written(tmp_path / "s.yaml", None)
    server = ServerProcess("--config", str(file))
    try:
        for key, reranker in BAD.items():
            written(file, reranker)
            count = len([each for each in server.log if each["event"] == REFUSED])
            server.process.send_signal(signal.SIGHUP)
            while len(found := [each for each in server.log if each["event"] == REFUSED]) == count:
                server.wait_for_log(REFUSED)
            (problem,) = found[-1]["problems"]
            assert problem.startswith((f"{key}:", f"{key} "))
        written(file, {"strategy": "cascade", "config": {"stages": STAGES}})
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_log("settings reloaded", changed=["rerankers.x"])
        answer = httpx.post(
            f"{server.http_url}/v1/rerank", json={"model": "x", "query": "a", "documents": ["b", "a"]}, trust_env=False
        )
        assert [each["index"] for each in answer.json()["results"]] == [1, 0]
    finally:
        assert server.stop() == 0
    for key, reranker in BAD.items():
        command = (sys.executable, "-m", *SERVE, "--config", str(written(file, reranker)))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert key in done.stderr
        assert done.returncode != 0
