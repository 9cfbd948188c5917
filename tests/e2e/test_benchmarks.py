"""The benchmarks run, and mean what they say: their drivers see failures, their targets name rows that exist."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.drivers import Aim, Drivers
from benchmarks.measuring import Reading, best_of
from benchmarks.processes import BenchmarkError
from benchmarks.servers import rerankd, surroundings
from benchmarks.soak import memory_of
from benchmarks.stages import STAGES
from benchmarks.targets import TARGETS, judge
from benchmarks.workloads import DOCUMENT_BYTES, MARK, Workload, fresh, half_known, known
from rerank.v1 import rerank_service_pb2 as pb
from tests.support.server import ServerProcess

ROOT = Path(__file__).parents[2]
ROWS = {case.name for stage in STAGES for case in stage.cases}


def needs(*programs: str) -> None:
    path = "/usr/sbin"
    if missing := [name for name in programs if not shutil.which(name) and not shutil.which(name, path=path)]:
        reason = f"not installed: {', '.join(missing)} (apt-get install nginx-light wrk nghttp2-client)"
        print(reason)
        pytest.skip(reason)


def reading(**figures: float) -> Reading:
    usual: Mapping[str, float] = {
        "calls_per_s": 100, "cpu_us": 10, "p50_ms": 1, "p99_ms": 2, "cores": 1, "rss_mb": 50
    }  # fmt: skip
    return Reading(**{**usual, **figures})


def speed(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


@pytest.mark.slow
def test_some_rows_over_http() -> None:
    needs("nginx", "wrk")
    said = speed("--quick", "--only", "throughput", "--only", "cache", "--rows", "rerankd HTTP")
    for row in ("bare uvicorn", "rerankd HTTP, local/bm25", "rerankd HTTP, half known", "rerankd HTTP, all known"):
        assert row in said
    assert "call with all 100 documents known" in said
    assert "BatchRerank" not in said


@pytest.mark.slow
def test_some_rows_over_grpc() -> None:
    needs("nginx", "wrk", "h2load")
    said = speed("--quick", "--only", "throughput", "--rows", "bm25")
    for row in ("bare grpc.aio echo", "rerankd BatchRerank, local/bm25", "rerankd gRPC, local/bm25, by h2load"):
        assert row in said
    assert "gRPC, local/bm25, 4 documents, beside a bare echo" in said


def test_rows_ask_for_what_they_say(tmp_path: Path) -> None:
    needs("nginx")
    cores = os.sched_getaffinity(0)
    number = itertools.count()

    def ask(url: str, workload: Workload, model: str) -> tuple[int, int, int]:
        body = workload.json_body(model).replace(MARK.encode(), f"{next(number):010}".encode())
        answer = httpx.post(
            url, content=body, headers={"content-type": "application/json"}, trust_env=False, timeout=60
        )
        assert answer.status_code == 200, answer.text
        content = answer.json()
        assert sorted(result["index"] for result in content["results"]) == list(range(len(workload.documents)))
        return len(workload.documents), content["usage"].get("cached_documents", 0), 1 + chunk_of(content)

    def chunk_of(content: Any) -> int:
        return int(content["extra_fields"].get("chunk_index", 0))

    with surroundings(tmp_path, cores, cores) as setup, rerankd()(setup) as server:
        url = f"http://127.0.0.1:{server.ports['http']}/v1/rerank"
        assert ask(url, known(50), "rank-50") == (50, 0, 1)
        for _ in range(2):
            assert ask(url, half_known(100), "rank-50") == (100, 50, 1)
            assert ask(url, fresh(4), "rank-4") == (4, 0, 1)
            assert ask(url, fresh(1000), "split") == (1000, 0, 10)
            assert ask(url, fresh(4), "slow") == (4, 0, 1)
            assert ask(url, known(100), "uncached-100") == (100, 0, 1)
        assert ask(url, known(100), "rank-100") == (100, 0, 1)
        assert ask(url, known(100), "rank-100") == (100, 100, 1)
        assert ask(url, fresh(10_000), "rank-1000") == (10_000, 0, 10)


def test_a_name_that_is_no_table_is_refused_with_those_that_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", "--only", "fast"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "throughput" in done.stderr


def test_rows_have_names_of_their_own_and_compare_with_rows_of_their_table() -> None:
    assert len(ROWS) == sum(len(stage.cases) for stage in STAGES)
    for stage in STAGES:
        assert {case.beside for case in stage.cases} <= {"", *(case.name for case in stage.cases)}


def test_every_target_can_be_measured() -> None:
    rows = {name: reading() for name in ROWS} | {"rerankd HTTP, 4 documents": reading(p50_ms=1.5)}
    rows["compiled gateway, 4 documents"] = reading(p50_ms=3)
    outcomes = judge(rows)
    assert [outcome.value is not None for outcome in outcomes] == [True] * len(TARGETS)
    added, beside_gateway = outcomes[1], outcomes[2]
    assert (added.value, added.is_met) == (0.5, True)
    assert (beside_gateway.value, beside_gateway.is_met) == (0.25, True)
    assert not outcomes[0].is_met
    assert [outcome.is_met for outcome in judge({})] == [None] * len(TARGETS)


def test_a_round_in_which_the_load_stood_still_does_not_count() -> None:
    best = best_of([reading(cpu_us=12), reading(calls_per_s=40, cpu_us=5, p50_ms=0.1), reading(p50_ms=3, cpu_us=11)])
    assert (best.calls_per_s, best.cpu_us, best.p50_ms) == (100, 11, 1)


def test_the_slope_of_memory() -> None:
    memory = memory_of([(second, 100 + second / 60 + (second % 2)) for second in range(121)])
    assert memory.slope_mb_per_minute == pytest.approx(1, abs=0.01)
    assert memory.growth == pytest.approx(2 / 101.5, rel=0.02)


def test_documents_are_all_different_and_half_of_them_hold_the_mark() -> None:
    texts = known(1000).documents
    assert len(set(texts)) == 1000
    assert {len(text.encode()) for text in texts} == {DOCUMENT_BYTES}
    half = half_known(100)
    assert sum(MARK in text for text in half.documents) == 50
    assert set(known(50).documents) == {text for text in half.documents if MARK not in text}
    assert fresh(4).json_body("m").count(MARK.encode()) == 1


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    server = ServerProcess(environment={"RERANKD_LOCAL__STATIC_TABLE": "false"})
    yield server
    assert server.stop() == 0


@pytest.fixture
def drivers(tmp_path: Path) -> Drivers:
    needs("wrk")
    return Drivers(tmp_path)


def aim(server: ServerProcess, message: Any, concurrency: int = 6) -> Aim:
    return Aim(int(server.grpc_address.rpartition(":")[2]), concurrency, 1, message.SerializeToString())


def test_unary_calls(server: ServerProcess, drivers: Drivers) -> None:
    load = drivers.grpc(aim(server, fresh(4).message("local/bm25")))
    assert load.calls > 6
    assert 0 < load.p50_ms <= load.p99_ms
    served = f'rerankd_calls_total{{code="OK",model="local/bm25",provider="local",transport="grpc"}} {load.calls}.0'
    assert served in httpx.get(f"{server.http_url}/metrics", trust_env=False).text


def test_requests_larger_than_every_window(server: ServerProcess, drivers: Drivers) -> None:
    assert drivers.grpc(aim(server, fresh(1000).message("local/bm25"))).calls >= 6


def test_items_of_a_batch(server: ServerProcess, drivers: Drivers) -> None:
    item = pb.BatchItem(item_id="x", request=fresh(4).message("local/bm25"))
    assert drivers.batch(aim(server, pb.BatchRerankRequest(item=item))).calls > 6


def test_a_call_that_fails_ends_it(server: ServerProcess, drivers: Drivers) -> None:
    with pytest.raises(BenchmarkError, match=r"gRPC 5: .*no/model"):
        drivers.grpc(aim(server, fresh(4).message("no/model")))


def test_an_item_that_fails_ends_it(server: ServerProcess, drivers: Drivers) -> None:
    item = pb.BatchItem(item_id="x", request=fresh(4).message("no/model"))
    with pytest.raises(BenchmarkError, match=r"an item failed: .*no/model"):
        drivers.batch(aim(server, pb.BatchRerankRequest(item=item)))


def test_http_that_is_refused_ends_it(server: ServerProcess, drivers: Drivers) -> None:
    port = int(server.http_url.rpartition(":")[2])
    with pytest.raises(BenchmarkError, match="refused"):
        drivers.http(Aim(port, 2, 1, fresh(4).json_body("no/model"), "/v1/rerank"))


def test_quality_of_a_labelled_set(tmp_path: Path) -> None:
    rows = {
        "corpus.jsonl": [
            '{"id": "d1", "title": "Paris", "text": "is the capital of France"}',
            '{"id": "d2", "title": "Berlin", "text": "is a city"}',
        ],
        "queries.jsonl": ['{"id": "q1", "text": "capital of France"}'],
        "candidates.tsv": ["q1\td2\t1", "q1\td1\t2"],
        "qrels.tsv": ["q1\td1\t1"],
    }
    for name, lines in rows.items():
        (tmp_path / "tiny").mkdir(exist_ok=True)
        with gzip.open(tmp_path / "tiny" / f"{name}.gz", "wt", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
    arguments = ["--data", str(tmp_path), "--sets", "tiny", "--models", "local/bm25", "--queries", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.quality", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "local/bm25" in done.stdout
    assert "1.000" in done.stdout
