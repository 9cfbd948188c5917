"""`rerankd rerankers`: what it stores, shows, refuses, exports and imports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rerankd.console.commands.program import run


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "rerankd.yaml"
    settings = {
        "store": {"state_dir": str(tmp_path / "state")},
        "providers": {"tei": {"base_url": "http://127.0.0.1:9"}},
        "rerankers": {"declared": {"strategy": "dedicated-model", "config": {"model": "local/bm25"}}},
    }
    file.write_text(yaml.safe_dump(settings))
    return str(file)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], config: str) -> Any:
    def tell(*arguments: str, is_json: bool = True) -> Any:
        more = ("--json",) if is_json else ()
        assert run(["rerankers", *arguments, "--config", config, *more]) == 0, capsys.readouterr().err
        text = capsys.readouterr().out
        return json.loads(text) if is_json else text

    return tell


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], config: str) -> Any:
    def refuse(code: int, *arguments: str) -> str:
        assert run(["rerankers", *arguments, "--config", config]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        return " ".join(captured.err.split())

    return refuse


def create(told: Any, name: str = "Support", model: str = "local/bm25", *more: str) -> Any:
    return told("create", name, "--strategy", "dedicated-model", "--with", f"{{model: {model}}}", *more)


def test_reading_creates_no_store(told: Any, refused: Any, tmp_path: Path) -> None:
    assert [each["key"] for each in told("list")] == ["declared"]
    assert told("show", "declared")["source"] == "settings"
    assert "reranker none not found" in refused(1, "show", "none")
    assert "change rerankers.declared there" in refused(1, "update", "declared", "--name", "x")
    assert not (tmp_path / "state").exists()


def test_a_reranker_is_created_changed_and_deleted(told: Any, refused: Any) -> None:
    made = create(told, "Support", "tei/x", "--description", "docs", "--metadata", "{team: search}")
    assert (made["key"], made["config"], made["metadata"], made["status"]) == (
        "support",
        {"model": "tei/x"},
        {"team": "search"},
        "active",
    )
    changed = told("update", "support", "--status", "disabled", "--etag", made["etag"])
    assert (changed["status"], changed["version"], changed["description"]) == ("disabled", 2, "docs")
    assert changed["etag"] in refused(1, "delete", "support", "--etag", made["etag"])
    assert [each["origin"] for each in told("versions", "support")] == ["update", "create"]
    assert told("diff", "support", "1", "2") == [{"path": "status", "before": '"active"', "after": '"disabled"'}]
    assert told("diff", "support", "1", "2", is_json=False) == '- status: "active"\n+ status: "disabled"\n'
    assert told("rollback", "support", "1")["version"] == 3
    listed = told("list", "--status", "active", is_json=False)
    assert "support" in listed
    assert "settings" in listed
    assert told("delete", "support", is_json=False) == "deleted support\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "x", "--strategy", "dedicated"), "did you mean dedicated-model?"),
        (("create", "x", "--strategy", "dedicated-model"), "config.model is missing"),
        (("create", "x", "--strategy", "dedicated-model", "--with", "{model: local/bm52}"), "did you mean local/bm25?"),
        (("create", "x", "--strategy", "dedicated-model", "--with", "[1]"), "--with must be a mapping"),
        (("create", "x", "--strategy", "dedicated-model", "--with", "{"), "--with cannot be read: line 1, column 2: "),
        (("create", "x", "--strategy", "fusion", "--with", "@none"), "read: none: No such file or directory"),
        (("update", "declared"), "nothing to change"),
    ],
)
def test_what_cannot_be_used_is_said(refused: Any, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(2, *arguments)


def test_what_is_exported_can_be_imported(told: Any, refused: Any, tmp_path: Path) -> None:
    create(told, "Inner", "local/bm25", "--metadata", "{a: 1}")
    create(told, "Outer", "inner")
    file = tmp_path / "rerankers.yaml"
    told("export", "--output", str(file), is_json=False)
    assert yaml.safe_load(file.read_text()) == yaml.safe_load(told("export", is_json=False))
    assert told("import", str(file)) == {"changed": [], "unchanged": ["inner", "outer"]}
    assert yaml.safe_load(told("export", "outer", is_json=False)) == {
        "rerankers": {
            "outer": {"name": "Outer", "strategy": "dedicated-model", "status": "active", "config": {"model": "inner"}}
        }
    }
    told("delete", "outer", is_json=False)
    told("delete", "inner", is_json=False)
    assert told("import", str(file))["changed"] == ["inner", "outer"]
    file.write_text(yaml.safe_dump({"rerankers": {"x": {"strategy": "dedicated-model", "config": {"modle": "y"}}}}))
    assert "x.config.modle is not a setting; did you mean" in refused(2, "import", str(file))
    file.write_text("aliases: {}")
    assert "the file has no rerankers" in refused(1, "import", str(file))
    file.write_text(yaml.safe_dump({"rerankers": {"x": {"strategie": "dedicated-model"}}}))
    assert "strategie" in refused(2, "import", str(file))
