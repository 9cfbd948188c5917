"""What the service says of a store that does not last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rerankd.serving.store_notice import note_store, write_problem
from rerankd.store.settings import StoreSettings

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


def said(settings: StoreSettings, environment: dict[str, str]) -> list[Any]:
    with capture_logs() as lines:
        note_store(settings, environment)
    return lines


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (line,) = said(StoreSettings(state_dir=str(tmp_path / "file" / "state")), POD)
    assert line["log_level"] == "warning"
    assert line["event"].startswith("nothing can be stored: calls are answered, but no run is logged")
    assert line["problem"] == f"{tmp_path}/file/state/rerankd.db cannot be written: Not a directory"
    assert line["advice"] == "set store.url to a PostgreSQL, or mount a volume and name it in store.state_dir"


def test_the_default_store_of_a_pod_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "made" / "later"))
    (line,) = said(StoreSettings(), POD)
    assert line["log_level"] == "info"
    assert "are kept in this pod alone: other replicas do not see them" in line["event"]
    assert line["path"] == f"{tmp_path}/made/later/rerankd/rerankd.db"
    assert said(StoreSettings(), {}) == []
    assert not (tmp_path / "made").exists(), "looking creates nothing"


def test_a_store_that_was_chosen_is_not_talked_about(tmp_path: Path) -> None:
    assert said(StoreSettings(state_dir=str(tmp_path)), POD) == []
    assert said(StoreSettings(url=f"sqlite:///{tmp_path}/a.db"), POD) == []
    assert said(StoreSettings(url="postgresql://db/rerankd"), POD) == []


def test_what_is_there_can_be_written(tmp_path: Path) -> None:
    file = tmp_path / "rerankd.db"
    file.touch()
    assert write_problem(file) == write_problem(tmp_path / "new" / "rerankd.db") == ""
    assert write_problem(file / "rerankd.db") == "Not a directory"
