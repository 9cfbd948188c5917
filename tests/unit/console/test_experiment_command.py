"""`rerankd experiment`, against a live server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from rerankd.console.commands.program import run
from rerankd_client import RerankClient
from tests.support.server import ServerProcess

DOCUMENTS: Final = [{"text": text, "prior_score": 1.0 * number} for number, text in enumerate(("sail", "a", "b"))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with six logged calls, two of them judged: the reranker `reversed` ranks the relevant document last."""
    folder = tmp_path_factory.mktemp("experiments")
    weights = {"bm25": 0, "phrase": 0, "proximity": 0, "prior": 1}
    settings = {
        "runs": {"calls": "all", "capture": "full", "durability": "sync"},
        "store": {"state_dir": str(folder / "state")},
        "rerankers": {"reversed": {"strategy": "heuristic", "config": {"weights": weights}}},
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    judged = folder / "judged.jsonl"
    lines = [{"query": f"sail {number}", "document": "sail", "grade": 2} for number in range(2)]
    judged.write_text("\n".join(map(json.dumps, lines)))
    assert run(["judgements", "import", str(judged), "--config", str(file)]) == 0
    server = ServerProcess("--config", str(file))
    with RerankClient(server.grpc_address) as client:
        for number in range(6):
            client.rerank(f"sail {number}", DOCUMENTS, model="local/bm25", user="u1")
    yield server
    server.stop()


def told(capsys: pytest.CaptureFixture[str], server: ServerProcess, *arguments: str) -> Any:
    assert run(["experiment", *arguments, "--address", server.grpc_address, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def printed(capsys: pytest.CaptureFixture[str], server: ServerProcess, *arguments: str) -> str:
    assert run(["experiment", *arguments, "--address", server.grpc_address]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_an_experiment_is_run_to_its_end(capsys: pytest.CaptureFixture[str], server: ServerProcess) -> None:
    found = told(capsys, server, "run", "reversed", "--model", "local/bm25", "--since", "1h", "--name", "first")

    experiment = found["experiment"]
    assert (experiment["state"], experiment["total"], experiment["name"]) == ("done", 6, "first")
    ndcg = experiment["summary"]["ndcg"]
    assert (ndcg["queries"], ndcg["before"], ndcg["after"], ndcg["worsened"]) == (2, 1.0, 0.5, 2)
    assert len(found["queries"]) == 6
    assert told(capsys, server, "show", experiment["id"], "--worst", "1") == {**found, "queries": found["queries"][:1]}
    assert experiment["id"] in [each["id"] for each in told(capsys, server, "list")]


def test_what_an_experiment_found_is_printed_with_intervals_and_the_worst_queries(
    capsys: pytest.CaptureFixture[str], server: ServerProcess
) -> None:
    shown = printed(capsys, server, "run", "reversed", "--user", "u1")

    assert "local/bm25 -> reversed" in shown
    assert "6 queries compared, 6 in another order" in shown
    assert "NDCG@10 2 1.0000 0.5000 -0.5000 -0.5000 to -0.5000 0 2" in shown
    assert "Kendall's tau -1.0000 -1.0000 to -1.0000" in shown
    assert "1.000 -> 0.500 -1.00 " in shown
    assert "0 (2): 1 to 3" in shown
    assert "not judged" in shown
    listed = printed(capsys, server, "list")
    assert "local/bm25 reversed done 6/6 -0.5000 -0.5000 to -0.5000" in listed


def test_ids_are_whole_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = told(capsys, server, "run", "reversed", "--max-runs", "1")["experiment"]["id"]
    monkeypatch.setenv("COLUMNS", "80")

    assert name in printed(capsys, server, "list")


def test_a_model_is_compared_with_its_own_past(capsys: pytest.CaptureFixture[str], server: ServerProcess) -> None:
    shown = printed(capsys, server, "run", "--max-runs", "3", "--worst", "0")

    assert "local/bm25 -> the same models" in shown
    assert "3 queries compared, 0 in another order" in shown
    assert "no query was judged" in shown


def test_an_experiment_that_was_left_alone_is_cancelled(
    capsys: pytest.CaptureFixture[str], server: ServerProcess
) -> None:
    begun = told(capsys, server, "run", "reversed", "--detach")["experiment"]

    stopped = told(capsys, server, "cancel", begun["id"])["experiment"]

    assert stopped["state"] in ("cancelled", "done")


def test_an_experiment_is_deleted(capsys: pytest.CaptureFixture[str], server: ServerProcess) -> None:
    found = told(capsys, server, "run", "reversed", "--max-runs", "1")
    assert [each["runDeleted"] for each in found["queries"]] == [False]
    name = found["experiment"]["id"]
    assert f"deleted {name}; its replays stay" in printed(capsys, server, "delete", name)
    assert name not in [each["id"] for each in told(capsys, server, "list")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "reversed", "--user", "anybody"], "runs.calls in the settings says which calls are logged"),
        (["run", "local/unknown"], "MODEL_NOT_FOUND"),
        (["run", "reversed", "--user", "nobody"], "no logged run that was answered meets these conditions"),
        (["show", "exp_unknown"], "there is no experiment 'exp_unknown'"),
        (["resume", "exp_unknown"], "EXPERIMENT_NOT_FOUND"),
        (["delete", "exp_unknown"], "EXPERIMENT_NOT_FOUND"),
    ],
)
def test_refusals_are_errors(
    capsys: pytest.CaptureFixture[str], server: ServerProcess, arguments: list[str], said: str
) -> None:
    assert run(["experiment", *arguments, "--address", server.grpc_address]) == 1
    assert said in " ".join(capsys.readouterr().err.split())
