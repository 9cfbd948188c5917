"""A real LiteLLM proxy as the provider: rerankd in front of it, a server of ours behind it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rerankd_adapters.testing import Received, ScriptedResponse
from tests.support.litellm_proxy import KEY, proxy_program
from tests.support.ports import free_port
from tests.support.provider_service import ONE_CALL_EACH, Call, Refused, Service, answered, by_grpc, by_http
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well

pytestmark = pytest.mark.slow

START_TIMEOUT_S = 240.0
DOCUMENTS = ["a desert planet", "the solar sail opened", "a sail", "another planet", "solar sail"]
ORDER = [4, 1, 2, 0, 3]
WORDS = sum(len(document.split()) for document in DOCUMENTS)
FAILURES = {
    "fail 401": ScriptedResponse.of_json({"message": "invalid api token"}, 401),
    "fail 429": ScriptedResponse.of_json({"message": "slow down"}, 429),
    "fail 500": ScriptedResponse.of_json({"message": "broken"}, 500),
}


def respond(request: Received) -> ScriptedResponse:
    query = request.json().get("query") if request.body else None
    return FAILURES.get(str(query)) or answer_well(request)


def start_proxy(url: str, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the proxy, with the same upstream as three providers; return it and its URL once it answers."""
    port = free_port()
    models = {
        "by-cohere": {"model": "cohere/rerank-v3.5", "api_base": url},
        "by-jina": {"model": "jina_ai/jina-reranker-v2-base-multilingual", "api_base": url},
        "by-vllm": {"model": "hosted_vllm/any", "api_base": url},
    }
    command, environment = proxy_program(folder, port, models)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    proxy_url = f"http://127.0.0.1:{port}"
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while not is_alive(proxy_url):
        if process.poll() is not None or time.monotonic() > give_up_s:
            process.kill()
            process.wait()
            raise AssertionError(f"the proxy did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.5)
    return process, proxy_url


def is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/liveliness", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Upstream(respond) as upstream:
        process, url = start_proxy(upstream.url, tmp_path_factory.mktemp("litellm"))
        environment = {"LITELLM_PROXY_API_BASE": url, "LITELLM_PROXY_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}
        environment |= {
            "RERANKD_LOCAL__ENABLED": "false",
            "RERANKD_CACHE__ENABLED": "false",
            "RERANKD_MODELS": json.dumps(ONE_CALL_EACH),
            "RERANKD_PROVIDERS__STRANGER": json.dumps(stranger(url)),
        }
        try:
            server = ServerProcess(environment=environment)
            try:
                yield Service(server, upstream)
            finally:
                assert server.stop() == 0
        finally:
            process.terminate()
            process.wait(30)
        assert KEY not in json.dumps(server.log)


def stranger(url: str) -> dict[str, str]:
    """The same proxy with a key that it does not know."""
    return {"provider": "litellm_proxy", "base_url": url, "api_key": "sk-stranger-0123456789"}


@pytest.fixture(params=[by_grpc, by_http])
def call(request: pytest.FixtureRequest) -> Call:
    made: Call = request.param
    return made


@pytest.mark.parametrize(
    ("model", "cost"), [("by-cohere", 0.002), ("by-jina", pytest.approx(WORDS * 5e-8)), ("by-vllm", None)]
)
def test_answers(service: Service, call: Call, model: str, cost: object) -> None:
    documents = [{"id": str(index), "text": text} for index, text in enumerate(DOCUMENTS)]
    request = {"model": f"litellm/{model}", "query": "solar sail", "documents": documents, "return_documents": True}

    answer = answered(call(service.server, request))

    assert [result["index"] for result in answer["results"]] == ORDER
    assert [result["document"]["id"] for result in answer["results"]] == [str(index) for index in ORDER]
    assert answer["model"] == f"litellm_proxy/{model}"
    assert cost is None or answer["usage"]["cost"] == cost


@pytest.mark.parametrize(
    ("model", "query", "reason", "status"),
    [
        ("litellm/by-cohere", "fail 401", "PROVIDER_CREDENTIALS_REJECTED", 502),
        ("litellm/by-cohere", "fail 429", "PROVIDER_RATE_LIMITED", 429),
        ("litellm/by-cohere", "fail 500", "PROVIDER_UNAVAILABLE", 503),
        ("litellm/none", "q", "MODEL_NOT_FOUND", 404),
    ],
)
def test_failures(service: Service, call: Call, model: str, *, query: str, reason: str, status: int) -> None:
    outcome = call(service.server, {"model": model, "query": query, "documents": DOCUMENTS})

    assert isinstance(outcome, Refused)
    assert outcome.reason == reason
    assert outcome.status in (None, status)
    assert KEY not in outcome.text


def test_a_key_the_proxy_does_not_know(service: Service, call: Call) -> None:
    outcome = call(service.server, {"model": "stranger/by-cohere", "query": "q", "documents": DOCUMENTS})

    assert isinstance(outcome, Refused)
    # A proxy without a database answers 400 to any key but its master key.
    assert outcome.reason == "PROVIDER_CREDENTIALS_REJECTED"
    assert "sk-stranger" not in outcome.text
