"""`rerankd judgements`."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
import yaml

from rerankd.console.commands.program import run


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump({"store": {"state_dir": str(tmp_path / "state")}}))
    return str(file)


def imported(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, int]:
    assert run(["judgements", "import", *arguments, "--json"]) == 0
    found: dict[str, int] = json.loads(capsys.readouterr().out)
    return found


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert run(["judgements", "export", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_was_imported_is_exported(capsys: pytest.CaptureFixture[str], config: str, tmp_path: Path) -> None:
    file = tmp_path / "judged.jsonl.gz"
    lines = [{"query": "q", "documents": ["a", "b"], "grades": [1, 0]}, {"query": "r", "document_id": "d", "grade": 3}]
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))

    assert imported(capsys, str(file), "--config", config) == {"judgements": 3, "queries": 2}

    found = exported(capsys, "--config", config)
    assert sorted((line["query"], line["grade"], line["source"]) for line in found) == [
        ("q", 0, "import"),
        ("q", 1, "import"),
        ("r", 3, "import"),
    ]
    assert exported(capsys, "--source", "feedback", "--config", config) == []


def test_an_export_is_imported_into_another_store(
    capsys: pytest.CaptureFixture[str], config: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "judged.jsonl"
    file.write_text('{"query": "q", "document": "a", "grade": 1}')
    imported(capsys, str(file), "--config", config)
    before = exported(capsys, "--config", config)
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"store": {"state_dir": str(tmp_path / "other")}}))
    lines = io.TextIOWrapper(io.BytesIO("\n".join(map(json.dumps, before)).encode()))
    monkeypatch.setattr("sys.stdin", lines)

    imported(capsys, "-", "--config", str(other))

    (line,), (again,) = before, exported(capsys, "--config", str(other))
    assert {**line, "updated_at": 0} == {**again, "updated_at": 0}


def test_grades_of_end_users_stay_theirs(capsys: pytest.CaptureFixture[str], config: str, tmp_path: Path) -> None:
    file = tmp_path / "exported.jsonl"
    line = {"query": "q", "document": "a", "grade": 3, "source": "feedback"}
    file.write_text("\n".join(map(json.dumps, [line, {**line, "document": "b", "source": "api"}])))

    assert imported(capsys, str(file), "--config", config) == {"judgements": 2, "queries": 1}

    assert sorted(str(each["source"]) for each in exported(capsys, "--config", config)) == ["feedback", "import"]


def test_qrels_with_their_collections(capsys: pytest.CaptureFixture[str], config: str, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 d1 4\nq1 0 d2 0\n")
    (tmp_path / "queries").write_text("q1\tsolar sail\n")
    (tmp_path / "documents").write_text('{"id": "d1", "text": "one"}\n{"id": "d2", "text": "two"}\n')
    options = ["--queries", str(tmp_path / "queries"), "--documents", str(tmp_path / "documents"), "--config", config]

    assert run(["judgements", "import", str(tmp_path / "qrels"), *options]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "line 1 has relevance 4, above 3" in said
    assert exported(capsys, "--config", config) == []
    assert run(["judgements", "import", str(tmp_path / "qrels"), *options, "--clip"]) == 0
    assert capsys.readouterr().out.startswith("2 judgements of 1 query in ")
    assert sorted((line["document_id"], line["grade"]) for line in exported(capsys, "--config", config)) == [
        ("d1", 3),
        ("d2", 0),
    ]


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"\n", [], "has no judgement"),
        (b"\xff", [], "cannot read"),
        (b"q1 0 d1 1", ["--documents", "FILE"], "--documents belongs to qrels"),
        (None, [], "No such file"),
    ],
)
def test_what_cannot_be_imported(
    capsys: pytest.CaptureFixture[str],
    config: str,
    tmp_path: Path,
    content: bytes | None,
    options: list[str],
    said: str,
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    given = [str(file) if option == "FILE" else option for option in options]
    assert run(["judgements", "import", str(file), *given, "--config", config]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "state").exists()
