"""Every row of the dialects' parameters against a real server: what reaches the service, and what callers are told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from rerankd.gateway.dialects.registry import DIALECTS
from rerankd.gateway.translation.parameter_rules import RULES, SERVICES, Fate
from rerankd_adapters.registry import find_provider
from rerankd_adapters.testing import Received, ScriptedResponse
from rerankd_adapters.testing.recordings import Recording, load_recording
from tests.support.dialect_bodies import DialectRule, all_rules, request_of
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream

RECORDINGS = Path(__file__).parent.parent / "recordings"
MODELS = {"pinecone": "bge-reranker-v2-m3", "siliconflow": "bge-m", "bedrock": "cohere.rerank-v3-5:0"}
"""Models that have every parameter of their service; others have them all."""
ROWS = all_rules()
OWN = [row for row in ROWS if row.dialect in SERVICES]


def ids(row: DialectRule) -> str:
    return f"{row.dialect}: {row.rule.name}"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Answer every service's calls as recorded; the first segment of the path names the service."""
    recordings = {name: load_recording(RECORDINGS / f"{name}.yaml") for name in {*SERVICES.values()}}

    def respond(request: Received) -> ScriptedResponse:
        return _answer(recordings[request.path.split("/")[1]])

    with Upstream(respond) as served:
        yield served


def _answer(recording: Recording) -> ScriptedResponse:
    return ScriptedResponse.of_json(recording.answer_with([(1, 0.75), (0, 0.25)]))


@pytest.fixture(scope="module")
def server(upstream: Upstream) -> Iterator[ServerProcess]:
    """A server that reaches every service at the upstream."""
    providers = {}
    for name in {*SERVICES.values()}:
        provider = find_provider(name)
        assert provider is not None
        providers[name] = {"base_url": f"{upstream.url}/{name}", "api_key": "k"}
    settings = {
        "RERANKD_PROVIDERS": json.dumps(providers),
        "RERANKD_CACHE__ENABLED": "false",
        "NO_PROXY": "127.0.0.1",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "eu-central-1",
        "VERTEXAI_PROJECT": "p",
    }
    process = ServerProcess(environment=settings)
    yield process
    process.stop()


def send(server: ServerProcess, dialect: str, model: str, parameters: Mapping[str, Any]) -> httpx.Response:
    path, body = request_of(dialect, model, parameters)
    with httpx.Client(trust_env=False, timeout=30) as client:
        return client.post(f"{server.http_url}{path}", json=body)


def warnings_of(answer: httpx.Response) -> list[str]:
    """Return the warnings of a response, from its body or its headers."""
    body = answer.json()
    in_body = (body.get("meta") or {}).get("warnings") if isinstance(body, dict) else None
    return in_body or answer.headers.get_list("x-api-warning")


@pytest.mark.parametrize("row", OWN, ids=ids)
def test_models_of_its_own_service(row: DialectRule, server: ServerProcess, upstream: Upstream) -> None:
    dialect, rule = row
    service = SERVICES[dialect]
    before = len(upstream.calls)
    answer = send(server, dialect, f"{service}/{MODELS.get(service, 'm')}", {rule.name: rule.example})
    fate = rule.fate(dialect)

    if fate is Fate.REFUSED:
        assert answer.status_code == 400
        assert rule.name in answer.text
        return
    assert answer.status_code == 200, answer.text
    (received,) = upstream.calls[before:]
    told = [warning for warning in warnings_of(answer) if warning.startswith(f"{rule.name} ")]
    if fate in (Fate.PASSED, Fate.PASSED_OR_MAPPED):
        assert received.json().get(rule.name) == rule.example
        assert told == []
    elif fate is Fate.WARNED:
        assert rule.name not in received.json()
        assert len(told) == 1


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_models_of_another_service(row: DialectRule, server: ServerProcess) -> None:
    dialect, rule = row
    answer = send(server, dialect, "local/bm25", {rule.name: rule.example})
    fate = rule.fate(dialect)

    assert answer.status_code == (400 if fate is Fate.REFUSED else 200), answer.text
    if fate in (Fate.PASSED, Fate.WARNED):
        assert [warning for warning in warnings_of(answer) if warning.startswith(f"{rule.name} was ignored")]
    elif fate is Fate.PASSED_OR_MAPPED:
        assert not [warning for warning in warnings_of(answer) if warning.startswith(f"{rule.name} was ignored")]


@pytest.mark.parametrize("row", [row for row in ROWS if row.rule.wrong is not None], ids=ids)
def test_impossible_values(row: DialectRule, server: ServerProcess) -> None:
    dialect, rule = row
    answer = send(server, dialect, "local/bm25", {rule.name: rule.wrong})

    assert answer.status_code in (400, 422)
    assert answer.headers["x-error-reason"] == "INVALID_REQUEST"
    assert rule.name.rpartition(".")[2] in answer.text


@pytest.mark.parametrize("dialect", [name for name in RULES if name in DIALECTS])
def test_unknown_parameters_are_warned_of_by_name(dialect: str, server: ServerProcess) -> None:
    answer = send(server, dialect, "local/bm25", {"unheard_of": 5})

    assert answer.status_code == 200
    assert "unheard_of was ignored: no provider has such a parameter" in warnings_of(answer)


def test_vllm_of_the_issue(server: ServerProcess, upstream: Upstream) -> None:
    parameters = {
        "truncate_prompt_tokens": 100,
        "truncation_side": "left",
        "max_tokens_per_query": 20,
        "use_activation": False,
    }
    send(server, "vllm", "vllm/m", parameters)
    assert parameters.items() <= upstream.calls[-1].json().items()

    send(server, "vllm", "vllm/m", {"truncate_prompt_tokens": None})
    assert upstream.calls[-1].json()["truncate_prompt_tokens"] is None

    answer = send(server, "vllm", "local/bm25", parameters)
    assert [warning.partition(":")[0] for warning in warnings_of(answer)] == [
        "truncate_prompt_tokens",
        "max_tokens_per_query was ignored",
    ]


@pytest.mark.parametrize("dialect", ["tei", "infinity"])
def test_raw_scores_of_its_own_service_are_not_converted(dialect: str, server: ServerProcess) -> None:
    answer = send(server, dialect, f"{dialect}/m", {"raw_scores": True}).json()
    results = answer if isinstance(answer, list) else answer["results"]

    assert [result.get("score", result.get("relevance_score")) for result in results] == [0.75, 0.25]


def test_parameters_of_two_services_with_one_name(server: ServerProcess, upstream: Upstream) -> None:
    """TEI's truncate is a boolean, NVIDIA's a string: what is sent is what the truncation means to the one called."""
    answer = send(server, "tei", "nvidia_nim/m", {"truncate": False})

    assert answer.status_code == 200, answer.text
    assert upstream.calls[-1].json()["truncate"] == "NONE"
