"""A live server that answers to the names the clients insist on, and one run of each client's program.

Programs run side by side, from the moment the first outcome is asked for: they mostly wait, for registries while their
environment is made, and between an SDK's retries.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from rerankd_adapters.testing import Received, ScriptedResponse
from tests.clients.fault_script import Stage
from tests.clients.table import HERE, NODE, Client
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well
from tests.support.venvs import locked_venv, node_folder

MODEL = "local/ms-marco-minilm-l12-v2"
ALIASES = (
    "Salesforce/Llama-Rank-v1",
    "bge-reranker-v2-m3",
    "jina-reranker-v2-base-multilingual",
    "mixedbread-ai/mxbai-rerank-large-v2",
    "nvidia/llama-nemotron-rerank-1b-v2",
    "rerank-2.5",
    "rerank-v3.5",
)
RERANKER = "two-stages"
STAGES = [{"model": "local/bm25", "keep": 3}, {"model": MODEL}]
QUERY = "what opened the solar sail"
TEXTS = [
    "A desert planet with two moons.",
    "The spring motor opened the solar sail.",
    "A sail made of cloth.",
    "Another planet, this one frozen.",
    "The solar sail tore on the third day.",
]
OBJECTS = [{"title": "The same for all", "body": text} for text in TEXTS]
PROGRAMS_AT_ONCE = 4
PROGRAM_TIMEOUT_S = 240
QUIET = {
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "127.0.0.1",
}
"""Nothing but the server may be called."""


class Limiter:
    """A provider that answers 429: always to models named `always`, the first time to the others."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, request: Received) -> ScriptedResponse:
        """Answer one request of Cohere's v2 API."""
        model = request.json()["model"] if request.body else ""
        if model == "always" or model not in self._seen:
            self._seen.add(model)
            return ScriptedResponse.of_json({"message": "slow down"}, 429, headers={"retry-after": "1"})
        return answer_well(request)


Outcome = dict[str, Any]
Ran = Callable[[Client], dict[str, Outcome]]


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose default model is the embedded cross-encoder, with a provider `limited` and a stored reranker."""
    with Upstream(Limiter()) as upstream:
        limited = {"provider": "cohere", "base_url": upstream.url, "api_key": "upstream-key-0123456789"}
        environment = {
            "NO_PROXY": "127.0.0.1",
            "RERANKD_ALIASES": json.dumps(dict.fromkeys(ALIASES, MODEL)),
            "RERANKD_DEFAULT_MODEL": MODEL,
            "RERANKD_STORE": json.dumps({"state_dir": str(tmp_path_factory.mktemp("state"))}),
            "RERANKD_PROVIDERS__LIMITED": json.dumps(limited),
        }
        running = ServerProcess(environment=environment, preloads=True)
        stored = {"name": RERANKER, "strategy": "cascade", "config": {"stages": STAGES}}
        made = httpx.post(f"{running.http_url}/api/reranker", json=stored, trust_env=False)
        assert made.status_code == 201, made.text
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="session")
def ranking(gateway: ServerProcess) -> list[tuple[int, float]]:
    """What the server itself says of the call that every client makes: (index, score), best first."""
    return rank(gateway, TEXTS)


def rank(gateway: ServerProcess, texts: list[str], model: str = MODEL) -> list[tuple[int, float]]:
    """Ask the server in its own format: (index, score) of each text, best first."""
    body = {"model": model, "query": QUERY, "documents": texts}
    answer = httpx.post(f"{gateway.http_url}/v1/rerank", json=body, trust_env=False, timeout=60).json()
    found = [(result["index"], result["relevance_score"]) for result in answer["results"]]
    assert sorted(index for index, _ in found) == list(range(len(texts)))
    return found


@pytest.fixture(scope="session")
def ran(
    request: pytest.FixtureRequest, gateway: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ran]:
    """Run the programs of all clients that are to be tested; return the outcomes of a client's checks once it has."""
    with ThreadPoolExecutor(PROGRAMS_AT_ONCE) as pool:
        runs = {
            client.name: pool.submit(run_program, client, gateway.http_url, tmp_path_factory.mktemp("home"))
            for client in by_turns(clients_of(request.session.items))
        }
        yield lambda client: runs[client.name].result()
        pool.shutdown(cancel_futures=True)


def clients_of(items: Iterable[pytest.Item]) -> Iterator[Client]:
    """Give the clients that tests are of, each once."""
    found = (item.callspec.params.get("client") for item in items if hasattr(item, "callspec"))
    yield from {client.name: client for client in found if isinstance(client, Client)}.values()


def by_turns(clients: Iterable[Client]) -> list[Client]:
    """Order clients so that those of one environment do not all wait for it to be made."""
    seen: Counter[str] = Counter()
    turns = []
    for client in clients:
        turns.append((seen[client.environment], client))
        seen[client.environment] += 1
    return [client for _, client in sorted(turns, key=lambda turn: turn[0])]


def run_program(client: Client, url: str, home: Path, **more: str) -> dict[str, Outcome]:
    """Run a client's program in its environment, without this process's variables, proxies and keys."""
    given = {"url": url, "query": QUERY, "texts": TEXTS, "objects": OBJECTS, **client.given, **more}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **QUIET}
    command = [*command_of(client), json.dumps(given)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outcomes: dict[str, Outcome] = json.loads(done.stdout.splitlines()[-1])
    return outcomes


def command_of(client: Client) -> list[str]:
    """Return what starts a client's program; the environment is made when it is not there."""
    if client.environment != NODE:
        venv = locked_venv(f"clients-{client.environment}", HERE / f"{client.environment}.lock")
        return [str(venv / "bin" / "python"), str(HERE / "programs" / client.program)]
    folder = node_folder("clients-node", HERE / "node")
    # Node looks for packages in the folders above the program's, which no other client's run may be writing.
    own = re.sub(r"\W+", "-", client.name)
    programs = shutil.copytree(HERE / "programs", folder / "programs" / own, dirs_exist_ok=True)
    return ["node", str(programs / client.program)]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The servers of the fault script."""
    servers = Stage(tmp_path_factory.mktemp("faults"))
    yield servers
    servers.close()
