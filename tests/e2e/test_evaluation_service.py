"""Judgements, feedback, replay and experiments over both transports: the golden cases."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from rerankd.access.key_format import digest_of, new_secret
from tests.support.rpc_cases import (
    GrpcCaller,
    HttpCaller,
    RpcCase,
    filled,
    kept_of,
    read_rpc_cases,
    rpc_differences,
)
from tests.support.server import ServerProcess

SCOPES: Final = {
    "judge": ["rerank", "rerankers.write"],
    "reader": ["runs.read"],
    "caller": ["rerank"],
    "other": ["rerank"],
}
SECRETS: Final = {name: new_secret() for name in SCOPES}
CASES: Final = read_rpc_cases("evaluation_service.yaml")
WAIT_S: Final = 30.0


def settings_file(folder: Path) -> str:
    keys = {name: {"hash": digest_of(SECRETS[name]), "scopes": scopes} for name, scopes in SCOPES.items()}
    weights = {"bm25": 0, "phrase": 0, "proximity": 0, "prior": 1}
    settings = {
        "access": {"enabled": True, "keys": keys, "spend": {"enabled": False}},
        "store": {"state_dir": str(folder / "state")},
        "runs": {"calls": "all", "capture": "full", "durability": "sync"},
        "rerankers": {"earlier": {"strategy": "heuristic", "config": {"weights": weights}}},
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    return str(file)


class Conversation:
    """A server of its own, a transport to it, and what earlier cases kept."""

    def __init__(self, transport: str, folder: Path) -> None:
        self.transport = transport
        self._database = folder / "state" / "rerankd.db"
        self.server = ServerProcess("--config", settings_file(folder))
        self.caller = GrpcCaller(self.server.grpc_address) if transport == "grpc" else HttpCaller(self.server.http_url)
        self.kept: dict[str, Any] = {}

    def run(self, case: RpcCase) -> list[str]:
        """Return what the outcome of a case has other than it must."""
        outcome = self.caller.call(case, filled(case.request, self.kept), SECRETS[case.caller])
        if outcome.code == "OK":
            self.kept |= kept_of(case, outcome)
            if "answer" in case.keep:
                self.kept["run"] = self._only("SELECT run_id FROM runs")
            if "experiment" in case.keep:
                self._wait_for_end()
        return list(rpc_differences(filled(case.expect, self.kept), outcome))

    def _wait_for_end(self) -> None:
        give_up_s = time.monotonic() + WAIT_S
        while self._only("SELECT state FROM experiments") == "running":
            assert time.monotonic() < give_up_s
            time.sleep(0.02)

    def _only(self, statement: str) -> str:
        connection = sqlite3.connect(self._database)
        ((found,),) = connection.execute(statement).fetchall()
        connection.close()
        return str(found)


@pytest.fixture(scope="module", params=["grpc", "http"])
def conversation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    opened = Conversation(request.param, tmp_path_factory.mktemp("evaluation_service"))
    yield opened
    opened.caller.close()
    assert opened.server.stop() == 0
    assert [entry for entry in opened.server.log if entry.get("level") in ("error", "critical")] == []


def test_golden_cases(conversation: Conversation) -> None:
    found = {case.name: differences for case in CASES if (differences := conversation.run(case))}
    assert found == {}


def test_every_rpc_has_a_case() -> None:
    assert {case.rpc for case in CASES} == {
        "Rerank",
        "SendFeedback",
        "SetJudgements",
        "ListJudgements",
        "DeleteJudgement",
        "ReplayRun",
        "CreateExperiment",
        "ListExperiments",
        "GetExperiment",
        "ListExperimentQueries",
        "CancelExperiment",
        "ResumeExperiment",
        "DeleteExperiment",
    }
