"""The components for LangChain, LlamaIndex and Haystack, with the real frameworks, over gRPC to a real server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from rerankd_client import RerankClient
from tests.clients.conftest import QUERY, TEXTS
from tests.clients.fault_script import Stage
from tests.clients.table import HERE
from tests.support.venvs import locked_venv

pytestmark = [pytest.mark.slow, pytest.mark.clients]
ROOT: Final = Path(__file__).parents[2]
MODEL: Final = "local/bm25"
TOP_N: Final = 3
FRAMEWORKS: Final = ("langchain", "llama_index", "haystack")
TITLES: Final = ["sail", "moon", "what opened the solar sail", "planet", "cloth"]
"""By which another document is the best than by the texts."""
Ran = Callable[[str], dict[str, Any]]
_TIMEOUT_S: Final = 120


@pytest.fixture(scope="module")
def server(stage: Stage) -> str:
    """Address of a server without API keys."""
    return stage.two_replicas()[0].grpc_address


@pytest.fixture(scope="module")
def ran(server: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run the program of a framework once; return what it prints."""

    @cache
    def run(framework: str) -> dict[str, Any]:
        venv = locked_venv("clients-frameworks", HERE / "frameworks.lock")
        given = {"address": server, "model": MODEL, "query": QUERY, "texts": TEXTS, "titles": TITLES, "top_n": TOP_N}
        program = HERE / "programs" / f"own_{framework}.py"
        done = subprocess.run(
            [str(venv / "bin" / "python"), str(program), json.dumps(given)],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path_factory.mktemp("home")),
                "NO_PROXY": "127.0.0.1",
                "PYTHONPATH": f"{ROOT / 'clients/python'}:{ROOT / 'protos/gen/python'}",
                "HAYSTACK_TELEMETRY_ENABLED": "False",
                "RERANKD_KEY_OF_TEST": "a-secret",
            },
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return outcome

    return run


@pytest.fixture(scope="module")
def expected(server: str) -> list[list[Any]]:
    """Id, text, metadata and score of the best documents, as the server ranks them."""
    with RerankClient(server) as client:
        results = client.rerank(QUERY, TEXTS, model=MODEL, top_n=TOP_N).results
    return [[f"id-{each.index}", TEXTS[each.index], each.index, each.relevance_score] for each in results]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_ids_metadata_and_scores_survive(framework: str, ran: Ran, expected: list[list[Any]]) -> None:
    outcome = ran(framework)
    assert outcome["blocking"] == expected
    assert outcome["untouched"], "the caller's documents were changed"
    assert outcome["nothing"] == []


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_asynchronous_calls_need_no_threads(framework: str, ran: Ran, expected: list[list[Any]]) -> None:
    assert ran(framework)["asynchronous"] == expected
    assert ran(framework)["again"] == expected, "on another event loop, with a copy of the component"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_metadata_can_be_scored(framework: str, ran: Ran) -> None:
    assert ran(framework)["by_title"][0][0] == "id-2"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_errors_are_those_of_the_client(framework: str, ran: Ran) -> None:
    assert ran(framework)["raised"] == "MODEL_NOT_FOUND"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_keys_are_not_shown(framework: str, ran: Ran) -> None:
    assert "a-secret" not in ran(framework)["text"]


def test_llama_index_is_told_of_calls(ran: Ran) -> None:
    assert {"ReRankStartEvent", "ReRankEndEvent"} <= set(ran("llama_index")["events"])
