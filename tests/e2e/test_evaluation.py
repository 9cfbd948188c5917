"""Judgements, feedback, replay and experiments over HTTP and gRPC, on a live server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import pytest
import yaml

from rerank.v1 import evaluation_service_pb2 as pb
from rerank.v1.evaluation_service_pb2_grpc import EvaluationServiceStub
from rerankd.runs.text_hash import hash_of
from tests.support.server import ServerProcess

WORDS: Final = "local/bm25"
DOCUMENTS: Final = ["a soil sample", "the solar sail", "solar solar sails and the sun", "sun"]
"""The second is relevant, which `WORDS` finds and `reversed` does not."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("evaluation")
    yield from _serve(folder, {"calls": "all", "capture": "full", "durability": "sync"})


def _serve(folder: Path, runs: dict[str, Any]) -> Iterator[ServerProcess]:
    weights = {"bm25": 0, "phrase": 0, "proximity": 0, "prior": 1}
    settings = {
        "runs": runs,
        "store": {"state_dir": str(folder / "state")},
        "rerankers": {"reversed": {"strategy": "heuristic", "config": {"weights": weights}}},
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    server = ServerProcess("--config", str(file))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.http_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def rpc(server: ServerProcess) -> Iterator[EvaluationServiceStub]:
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield EvaluationServiceStub(channel)


def rerank(http: httpx.Client, query: str, user: str) -> str:
    """Rerank by `WORDS`; return the id of the answer."""
    documents = [
        {"id": f"d{number}", "text": text, "prior_score": number * 1.0} for number, text in enumerate(DOCUMENTS)
    ]
    body = {"model": WORDS, "query": query, "documents": documents, "user": user}
    response = http.post("/v1/rerank", json=body)
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def done(get: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Wait for an experiment."""
    give_up_s = time.monotonic() + 30
    while (found := get())["state"] == "running":
        assert time.monotonic() < give_up_s, found
        time.sleep(0.02)
    return found


def test_feedback_becomes_a_judgement_and_a_click_is_counted(http: httpx.Client) -> None:
    name = rerank(http, "solar sail one", "u1")

    graded = http.post("/api/feedback", json={"runId": name, "documentId": "d1", "grade": 3})
    clicked = http.post("/api/feedback", json={"run_id": name, "index": 1, "clicked": True})

    assert graded.status_code == clicked.status_code == 200, graded.text
    judgement = clicked.json()["judgement"]
    assert judgement.pop("updatedAt")
    assert judgement == {
        "query": "solar sail one",
        "queryHash": hash_of("solar sail one"),
        "documentId": "d1",
        "documentHash": hash_of(DOCUMENTS[1]),
        "grade": 3,
        "source": "feedback",
        "clicks": 1,
    }
    listed = http.get("/api/judgements", params={"query": "solar sail one"}).json()
    assert [each["documentId"] for each in listed["judgements"]] == ["d1"]


def test_judgements_are_set_listed_in_pages_and_deleted(http: httpx.Client, rpc: EvaluationServiceStub) -> None:
    given: list[dict[str, Any]] = [
        {"query": "q", "document": text, "grade": grade} for grade, text in enumerate("abcd")
    ]
    assert http.post("/api/judgements", json={"judgements": given}).json() == {"stored": 4}

    seen, token = [], ""
    while True:
        page = rpc.ListJudgements(pb.ListJudgementsRequest(query="q", page_size=3, page_token=token))
        seen += list(page.judgements)
        if not (token := page.next_page_token):
            break

    assert sorted((each.document_hash, each.grade) for each in seen) == sorted(
        (hash_of(each["document"]), each["grade"]) for each in given
    )
    assert {each.source for each in seen} == {pb.JUDGEMENT_SOURCE_API}
    answer = http.delete("/api/judgements", params={"query": "q", "documentHash": hash_of("a")})
    assert (answer.status_code, answer.content) == (204, b"")
    assert len(http.get("/api/judgements", params={"queryHash": hash_of("q")}).json()["judgements"]) == 3
    assert http.get("/api/judgements", params={"source": "feedback", "query": "q"}).json()["judgements"] == []


def test_a_run_is_replayed_with_another_model(http: httpx.Client, rpc: EvaluationServiceStub) -> None:
    name = rerank(http, "solar sail two", "u2")
    subject = {"query": "solar sail two", "document": DOCUMENTS[1], "grade": 1}
    http.post("/api/judgements", json={"judgements": [subject]})

    answer = http.post(f"/api/runs/{name}:replay", json={"model": "reversed"})
    assert answer.status_code == 200, answer.text
    found = answer.json()

    assert [each["index"] for each in found["results"]] == [3, 2, 1, 0]
    assert found["comparison"]["ndcg"] == {"before": 1.0, "after": 0.5}
    assert found["comparison"]["reciprocalRank"] == {"before": 1.0, "after": pytest.approx(1 / 3)}
    assert (found["before"]["model"], found["after"]["model"]) == (WORDS, "reversed")
    again = rpc.ReplayRun(pb.ReplayRunRequest(run_id=name))
    assert again.replay_of == found["replayOf"]
    assert (again.comparison.kendall_tau, again.comparison.changed) == (1.0, 0)


def test_an_experiment_compares_runs_and_lists_the_worst_first(http: httpx.Client, rpc: EvaluationServiceStub) -> None:
    for number in range(12):
        rerank(http, f"solar sail {number + 10}", "u3")
        if number < 8:
            subject = {"query": f"solar sail {number + 10}", "documentId": "d1", "grade": 2}
            http.post("/api/judgements", json={"judgements": [subject]})

    body = {"name": "reversal", "candidate": "reversed", "runs": {"user": "u3"}, "concurrency": 3}
    answer = http.post("/api/experiments", json=body)
    assert answer.status_code == 201, answer.text
    begun = answer.json()
    found = done(lambda: http.get(f"/api/experiments/{begun['id']}").json())

    assert (begun["total"], found["state"], found["ended"]) == (12, "done", 12)
    assert (found["candidate"], found["baseline"]) == ("reversed", [WORDS])
    assert found["runs"] == {
        "user": "u3", "maxRuns": 200, "model": "", "reranker": "", "keyId": "", "source": "",
    }  # fmt: skip
    ndcg = found["summary"]["ndcg"]
    assert (ndcg["queries"], ndcg["before"], ndcg["after"], ndcg["worsened"]) == (8, 1.0, 0.5, 8)
    assert ndcg["difference"] == {"mean": -0.5, "low": -0.5, "high": -0.5}
    assert (found["summary"]["queries"], found["summary"]["reordered"]) == (12, 12)
    first = http.get(f"/api/experiments/{begun['id']}/queries", params={"pageSize": 8}).json()
    assert {each["comparison"]["ndcg"]["after"] for each in first["queries"]} == {0.5}
    rest = rpc.ListExperimentQueries(
        pb.ListExperimentQueriesRequest(experiment_id=begun["id"], page_token=first["nextPageToken"])
    )
    assert [each.comparison.HasField("ndcg") for each in rest.queries] == [False] * 4
    listed = rpc.ListExperiments(pb.ListExperimentsRequest())
    assert begun["id"] in [each.id for each in listed.experiments]
    assert http.post(f"/api/experiments/{begun['id']}:cancel").json()["state"] == "done"
    assert http.post(f"/api/experiments/{begun['id']}:resume").status_code == 409
    assert http.delete(f"/api/experiments/{begun['id']}").status_code == 204
    assert http.get(f"/api/experiments/{begun['id']}").status_code == 404


def test_a_stored_reranker_is_compared_with_its_next_version(http: httpx.Client) -> None:
    """Its calls are logged without `runs.calls: all` too; the candidate is the reranker as it is now."""
    body = {"name": "Support", "key": "support", "strategy": "dedicated-model", "config": {"model": WORDS}}
    assert http.post("/api/reranker", json=body).status_code == 201
    for number in range(3):
        documents = [{"text": text, "prior_score": number * 1.0} for number, text in enumerate(DOCUMENTS)]
        made = http.post("/v1/rerank", json={"model": "support", "query": f"solar {number}", "documents": documents})
        assert made.status_code == 200, made.text
    changed = http.patch("/api/reranker/support", json={"config": {"model": "reversed"}})
    assert changed.status_code == 200, changed.text

    begun = http.post("/api/experiments", json={"candidate": "support", "runs": {"reranker": "support"}})
    assert begun.status_code == 201, begun.text
    found = done(lambda: http.get(f"/api/experiments/{begun.json()['id']}").json())

    assert (found["baseline"], found["summary"]["queries"], found["summary"]["reordered"]) == (["support"], 3, 3)
    runs = http.get("/api/reranker/support/runs").json()["runs"]
    replays = [run for run in runs if run["source"] == "replay"]
    assert {run["experimentId"] for run in replays} == {begun.json()["id"]}
    assert {run["replayOf"] for run in replays} == {run["runId"] for run in runs if run["source"] == "api"}


def test_an_experiment_is_cancelled(http: httpx.Client) -> None:
    for number in range(30):
        rerank(http, f"cancelled {number}", "u4")
    begun = http.post("/api/experiments", json={"candidate": "local/default", "runs": {"user": "u4"}, "concurrency": 1})
    assert begun.status_code == 201, begun.text

    stopped = http.post(f"/api/experiments/{begun.json()['id']}:cancel").json()

    assert stopped["state"] == "cancelled"
    assert stopped["ended"] < 30
    assert http.get(f"/api/experiments/{begun.json()['id']}").json()["ended"] == stopped["ended"]


def test_runs_without_texts_are_refused_by_name_of_the_setting(tmp_path: Path) -> None:
    for server in _serve(tmp_path, {"calls": "all", "capture": "hashes", "durability": "sync"}):
        with httpx.Client(base_url=server.http_url) as http:
            name = rerank(http, "solar sail", "u1")
            for path, body in ((f"/api/runs/{name}:replay", {}), ("/api/experiments", {"candidate": "reversed"})):
                answer = http.post(path, json=body)
                assert (answer.status_code, answer.json()["reason"]) == (409, "RUN_INCOMPLETE"), answer.text
                assert "runs.capture: full" in answer.json()["message"]
            graded = http.post("/api/feedback", json={"runId": name, "index": 1, "grade": 1}).json()
            assert graded["judgement"]["documentHash"] == hash_of(DOCUMENTS[1])


def test_a_run_is_kept_up_to_its_size_and_says_what_is_missing(tmp_path: Path) -> None:
    runs = {"calls": "all", "capture": "full", "durability": "sync", "max_run_kb": 1}
    for server in _serve(tmp_path, runs):
        with httpx.Client(base_url=server.http_url) as http:
            for metadata, is_kept in (({"date": "2026-01-31"}, True), ({"notes": "x" * 2000}, False)):
                documents = [{"text": text, "metadata": metadata} for text in DOCUMENTS]
                made = http.post("/v1/rerank", json={"model": WORDS, "query": "solar sail", "documents": documents})
                assert made.status_code == 200, made.text
                run = http.get("/api/runs", params={"limit": 1}).json()["runs"][0]
                details = http.get(f"/api/runs/{run['runId']}").json()["run"]["details"]
                assert [each.get("metadata") for each in details["documents"]] == [metadata if is_kept else None] * 4
                assert details["leftOut"].get("texts", "") == ("" if is_kept else "runs.max_run_kb")
                answer = http.post(f"/api/runs/{run['runId']}:replay", json={})
                assert answer.status_code == (200 if is_kept else 409), answer.text
            assert answer.json()["reason"] == "RUN_INCOMPLETE"
            assert "a larger runs.max_run_kb keeps later requests whole" in answer.json()["message"]


def test_nothing_is_created_by_reading(tmp_path: Path) -> None:
    for server in _serve(tmp_path, {"calls": "rerankers"}):
        with httpx.Client(base_url=server.http_url) as http:
            assert http.get("/api/judgements").json() == {"judgements": [], "nextPageToken": ""}
            assert http.get("/api/experiments").json() == {"experiments": [], "nextPageToken": ""}
            assert http.get("/api/experiments/exp_1").status_code == 404
            assert http.post("/api/feedback", json={"runId": "r", "index": 0, "grade": 1}).status_code == 404
    assert not (tmp_path / "state").exists()
