"""`rerankd tune` from file to printed settings, with members that need no network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.console.conftest import Run

SETTINGS = """
rerankers:
  words: {strategy: heuristic}
  dated:
    strategy: heuristic
    config: {weights: {bm25: 0, phrase: 0, proximity: 0, prior: 0, recency: 1}, recency: {field: at}}
  news:
    strategy: fusion
    config:
      rrf_k: 10
      members:
        - {model: words, weight: 1, name: text}
        - {model: dated, weight: 9}
        - {model: local/bm25, weight: 0, timeout_ms: 5000}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "rerankd.yaml"
    file.write_text(SETTINGS)
    return file


def judged(tmp_path: Path, count: int, **more: Any) -> Path:
    """Write queries whose relevant document shares words with them and is the oldest."""
    lines = []
    for number in range(count):
        documents = [
            {"text": f"a tale {other} of the sea", "metadata": {"at": f"20{20 + other % 5}-01-01"}}
            for other in range(8)
        ]
        documents[number % 8] = {"text": f"ship {number} has a sail", "metadata": {"at": "2001-01-01"}}
        grades = [2 if other == number % 8 else 0 for other in range(8)]
        lines.append(json.dumps({"query": f"ship {number} sail", "documents": documents, "grades": grades}))
    file = tmp_path / "judged.jsonl"
    file.write_text("\n".join(lines))
    return file


async def test_learns_to_trust_the_member_that_is_right(run: Run, tmp_path: Path, config: Path) -> None:
    outcome = await run("tune", str(judged(tmp_path, 40)), "-c", str(config), "-r", "news")

    assert outcome.exit_code == 0, outcome.err
    found = yaml.safe_load(outcome.out)["rerankers"]["news"]
    assert found["strategy"] == "fusion"
    assert found["config"]["rrf_k"] == 10.0
    text, dated, bm25 = found["config"]["members"]
    assert (text["model"], text["name"], bm25["timeout_ms"]) == ("words", "text", 5000)
    assert text["weight"] > dated["weight"]
    assert sum(member["weight"] for member in (text, dated, bm25)) == pytest.approx(1, abs=1e-3)
    assert "before: present weights" in outcome.err
    assert "within noise" not in outcome.err


async def test_json_has_figures_and_settings(run: Run, tmp_path: Path, config: Path) -> None:
    outcome = await run(
        "tune", str(judged(tmp_path, 12)), "-c", str(config), "-m", "words", "-m", "local/bm25", "--json"
    )

    found = json.loads(outcome.out)
    assert found["queries"] == 12
    assert found["is_clear"] is False
    assert found["members"]["words"]["mean"] == found["before"]["mean"] == found["after"]["mean"] == 1.0
    assert [member["model"] for member in found["rerankers"]["tuned"]["config"]["members"]] == ["words", "local/bm25"]


async def test_few_queries_and_a_gain_within_noise_are_said(run: Run, tmp_path: Path, config: Path) -> None:
    outcome = await run("tune", str(judged(tmp_path, 12)), "-c", str(config), "-m", "words", "-m", "local/bm25")

    assert "fewer than 40 queries: the weights are uncertain" in outcome.err
    assert "the gain is within noise: the present weights are as good as these" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --reranker KEY, or --member MODEL twice or more"),
        (("-r", "news", "-m", "local/bm25"), "give --reranker KEY, or --member MODEL twice or more"),
        (("-m", "local/bm25"), "rerankers.tuned.config.members must be at least 2"),
        (("-r", "newz"), "the settings have no fusion newz; did you mean news?"),
        (("-r", "words"), "rerankers.words is no fusion"),
        (("-m", "local/bm25", "-m", "local/bm52"), "model local/bm52 not found"),
        (("-r", "news", "--method", "mean"), "Invalid value for '--method'"),
    ],
)
async def test_wrong_usage(run: Run, tmp_path: Path, config: Path, arguments: tuple[str, ...], said: str) -> None:
    outcome = await run("tune", str(judged(tmp_path, 12)), "-c", str(config), *arguments)
    assert outcome.exit_code != 0
    assert said in " ".join(outcome.err.replace("│", " ").split())


async def test_too_few_queries(run: Run, tmp_path: Path, config: Path) -> None:
    file = judged(tmp_path, 9)
    file.write_text(file.read_text() + '\n{"query": "q", "documents": ["a", "b"], "grades": [0, 0]}')
    outcome = await run("tune", str(file), "-c", str(config), "-r", "news")
    assert outcome.exit_code == 2
    assert "9 judged queries with a relevant document: too few to learn from" in outcome.err


async def test_a_bad_line_of_standard_input_is_named(run: Run, config: Path) -> None:
    outcome = await run("tune", "-", "-c", str(config), "-r", "news", stdin="\n{}")
    assert outcome.exit_code == 2
    assert "standard input, line 2 has no `query`" in outcome.err
