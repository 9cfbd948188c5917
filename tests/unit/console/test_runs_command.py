"""`rerankd runs`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from rerankd.console.commands.program import run
from rerankd.console.store.run_follower import HORIZON_S, RunFollower
from rerankd.runs.run_filter import RunFilter
from rerankd.runs.run_store import RunStore
from rerankd.runs.run_table import RunTable
from rerankd.store.database import Database
from rerankd.store.settings import StoreSettings
from tests.support.runs import DOCUMENTS, QUERY, a_run, rows_of


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump({"store": {"state_dir": str(tmp_path / "state")}}))
    return str(file)


@pytest.fixture
def ids(config: str, tmp_path: Path) -> list[str]:
    """Ids of an old run, a failed one and a new one."""
    now = time.time()
    runs = [
        a_run(now - 7200, user="jane"),
        a_run(now - 60, status="error", reason="RATE_LIMITED", latency_ms=900.0),
        a_run(now, key_id="key_1"),
    ]
    store = RunStore(StoreSettings(state_dir=str(tmp_path / "state")))
    store.insert(rows_of(runs))
    store.close()
    return [each.run_id for each in runs]


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(["runs", "list", "--json", *arguments]) == 0
    return [each["run_id"] for each in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), [2, 1, 0]),
        (("-n", "1"), [2]),
        (("--since", "1h"), [2, 1]),
        (("--until", "1h"), [0]),
        (("--until", "2020-01-31T08:00"), []),
        (("--since", "2020-01-31", "--status", "error"), [1]),
        (("--slower-than", "500"), [1]),
        (("--key", "key_1"), [2]),
        (("--user", "jane", "--reranker", "support"), [0]),
    ],
)
def test_runs_are_listed_by_filters(
    options: tuple[str, ...], found: list[int], capsys: pytest.CaptureFixture[str], config: str, ids: list[str]
) -> None:
    assert listed(capsys, *options, "--config", config) == [ids[number] for number in found]


def test_a_table_names_what_failed(capsys: pytest.CaptureFixture[str], config: str, ids: list[str]) -> None:
    assert run(["runs", "list", "--config", config]) == 0
    out = capsys.readouterr().out
    assert all(each in out for each in ids)
    assert "RATE_LIMITED" in out


def test_one_run_is_shown_with_its_texts(capsys: pytest.CaptureFixture[str], config: str, ids: list[str]) -> None:
    assert run(["runs", "show", ids[0], "--config", config]) == 0
    out = capsys.readouterr().out
    for text in (ids[0], QUERY, DOCUMENTS[1], "0.5000", "jane"):
        assert text in out
    assert run(["runs", "show", ids[0], "--json", "--config", config]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["details"]["query"], shown["details"]["results"]) == (QUERY, [[1, 0.5], [0, 0.1]])


def test_what_is_not_there_or_cannot_be_read_is_said(capsys: pytest.CaptureFixture[str], config: str) -> None:
    assert listed(capsys, "--config", config) == []
    assert run(["runs", "show", "nothing", "--config", config]) == 1
    assert "there is no run nothing" in capsys.readouterr().err
    assert run(["runs", "list", "--since", "yesterday", "--config", config]) == 2
    assert "--since must be as 15m, 2h, 7d or 2026-01-31T08:00, is yesterday" in capsys.readouterr().err
    assert run(["runs", "list", "--status", "failed", "--config", config]) == 2
    said = " ".join(capsys.readouterr().err.replace("│", "").split())
    assert "'failed' is not one of 'ok', 'error'" in said
    assert run(["runs", "list", "--config", config]) == 0
    assert "there are no such runs; runs.calls in the settings says" in capsys.readouterr().out
    assert run(["runs", "follow", "--config", config]) == 1
    assert "there is no store yet" in capsys.readouterr().err


def test_runs_are_exported_as_json_lines(
    capfdbinary: pytest.CaptureFixture[bytes], config: str, ids: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "runs.jsonl"
    assert run(["runs", "export", "-o", str(output), "--config", config]) == 0
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["run_id"] for line in lines] == ids[::-1]
    assert lines[0]["details"]["documents"] == [{"index": 1, "text": DOCUMENTS[1], "chars": 28}]
    assert run(["runs", "export", "--status", "error", "--config", config]) == 0
    out = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["reason"] for line in out[1:]] == ["RATE_LIMITED"]


def test_a_file_of_another_format_is_refused(
    capsys: pytest.CaptureFixture[str], config: str, ids: list[str], tmp_path: Path
) -> None:
    assert run(["runs", "export", "-o", str(tmp_path / "runs.csv"), "--config", config]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "as .parquet or as JSON Lines (.jsonl), not as .csv" in said
    assert not (tmp_path / "runs.csv").exists()


def test_runs_are_exported_as_parquet(
    capsys: pytest.CaptureFixture[str], config: str, ids: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "runs.parquet"
    assert run(["runs", "export", "-o", str(output), "--since", "1h", "--config", config]) == 0
    assert capsys.readouterr().out == f"2 runs in {output}\n"
    rows: list[dict[str, Any]] = pq.read_table(output).to_pylist()
    assert [row["run_id"] for row in rows] == [ids[2], ids[1]]
    plain = {"index": 1, "text": DOCUMENTS[1], "hash": "", "id": "", "chars": 28, "own_text": None, "image": ""}
    assert rows[0]["documents"] == [{**plain, "fields": None, "metadata": None, "prior_score": None}]
    assert rows[0]["results"][0] == {"index": 1, "relevance_score": 0.5}
    assert abs(rows[0]["started_at"].timestamp() - time.time()) < 60
    assert (rows[1]["latency_ms"], rows[1]["cost_usd"], json.loads(rows[1]["details"])) == (900.0, None, {})


def test_without_runs_no_file_is_made(capsys: pytest.CaptureFixture[str], config: str, tmp_path: Path) -> None:
    output = tmp_path / "runs.jsonl"
    assert run(["runs", "export", "-o", str(output), "--config", config]) == 0
    assert "no such runs" in capsys.readouterr().out
    assert not output.exists()


def test_parquet_needs_a_library_and_says_which(
    capsys: pytest.CaptureFixture[str],
    config: str,
    ids: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    output = tmp_path / "runs.parquet"
    assert run(["runs", "export", "-o", str(output), "--config", config]) != 0
    assert "rerankd[parquet]" in capsys.readouterr().err
    assert not output.exists()


async def test_following_finds_each_new_run_once_late_ones_too(tmp_path: Path) -> None:
    settings = StoreSettings(state_dir=str(tmp_path))
    store = await asyncio.to_thread(RunStore, settings)

    async def log(*ages_s: float) -> None:
        runs = [a_run(now - age_s, caller=str(age_s)) for age_s in ages_s]
        await asyncio.to_thread(store.insert, rows_of(runs))

    now = time.time()
    database = Database(settings)
    follower = RunFollower(RunTable(database), RunFilter(), lambda: now)
    await log(500, 10)
    assert await follower.poll() == []
    await log(5, 8, HORIZON_S - 1)
    assert [each.caller for each in await follower.poll()] == [str(HORIZON_S - 1), "8", "5"]
    assert await follower.poll() == []
    await log(*range(1, 402, 1))
    assert len(await follower.poll()) == HORIZON_S
    await database.close()
    store.close()
