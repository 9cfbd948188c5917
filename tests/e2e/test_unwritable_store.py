"""A server whose store cannot be written: it answers, and says once what is not stored."""

from __future__ import annotations

from pathlib import Path

import httpx
import yaml

from tests.support.server import ServerProcess

RERANKER = {"strategy": "dedicated-model", "config": {"model": "local/bm25"}}


def test_calls_are_answered_and_one_line_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    state = tmp_path / "file" / "state"
    settings = {"store": {"state_dir": str(state)}, "rerankers": {"declared": RERANKER}}
    config = tmp_path / "rerankd.yaml"
    config.write_text(yaml.safe_dump(settings))
    server = ServerProcess("--config", str(config))
    with httpx.Client(base_url=server.http_url, timeout=30) as http:
        call = {"model": "declared", "query": "bees", "documents": ["honey bees", "stocks"]}
        answer = http.post("/v1/rerank", json=call)
        refused = http.post("/api/reranker", json={"name": "Support", **RERANKER})
        listed = http.get("/api/reranker").json()["rerankers"]
        runs = http.get("/api/runs").json()
    assert server.stop() == 0

    assert (answer.status_code, answer.json()["results"][0]["index"]) == (200, 0)
    assert ([each["key"] for each in listed], runs["runs"]) == (["declared"], [])
    assert (refused.status_code, refused.json()["reason"]) == (503, "STORE_UNAVAILABLE")
    assert "cannot be written: Not a directory; set store.state_dir or store.url" in refused.json()["message"]
    (said,) = [line for line in server.log if line["event"].startswith("nothing can be stored")]
    assert said["problem"] == f"{state}/rerankd.db cannot be written: Not a directory"
    assert "store.url" in said["advice"]
