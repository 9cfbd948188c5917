"""Parts of `rerankd batch` that a run shows only by accident."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.console.batch.display import print_summary, show_progress
from rerankd.console.batch.journal import FinishedItems, Journal, JournalState
from rerankd.console.batch.outcomes import ItemStatus, Outcome
from rerankd.console.batch.plan import BatchPlan
from rerankd.console.batch.totals import Totals
from rerankd.console.errors import CommandError
from rerankd_client import Usage

if TYPE_CHECKING:
    from tests.unit.console.conftest import Run


def open_journal(tmp_path: Path, **given: Any) -> tuple[Journal, Totals]:
    totals = Totals()
    plan = BatchPlan(tmp_path / "in.jsonl", tmp_path / "out.jsonl", **given)
    return Journal(plan, JournalState(input_sha256="x", options={}), totals), totals


def outcome(index: int, code: int = 0) -> Outcome:
    return Outcome(f"q{index}", index, ItemStatus(code), [], "m", Usage(documents=2, total_tokens=10, cost=0.25))


@given(st.lists(st.integers(0, 5000)))
def test_finished_items(indices: list[int]) -> None:
    finished, seen = FinishedItems(), set()
    for index in indices:
        assert finished.add(index) == (index not in seen)
        seen.add(index)
    assert [index for index in range(5001) if index in finished] == sorted(seen)


@pytest.mark.parametrize("left", [b"", b"{", b'{"item_id":"q2","item_index":2,"status":{}', b"\x00" * 9])
def test_what_a_kill_leaves_is_cut_off(tmp_path: Path, left: bytes) -> None:
    journal, _ = open_journal(tmp_path)
    for index in (1, 0):
        journal.append(outcome(index))
    whole = (tmp_path / "out.jsonl").read_bytes()
    journal._stream.close()
    (tmp_path / "out.jsonl").write_bytes(whole + left)

    journal, totals = open_journal(tmp_path)

    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert (totals.earlier, totals.documents, totals.tokens, totals.cost) == (2, 4, 20, 0.5)
    journal.append(outcome(2))
    journal.close(is_complete=True)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["item_index"] for line in lines] == [1, 0, 2]


def test_every_cut_of_the_last_line_is_repaired(tmp_path: Path) -> None:
    journal, _ = open_journal(tmp_path)
    journal.append(outcome(0))
    journal.append(outcome(1))
    journal._stream.close()
    data = (tmp_path / "out.jsonl").read_bytes()
    first = data.index(b"\n") + 1
    for end in range(first, len(data)):
        (tmp_path / "out.jsonl").write_bytes(data[:end])
        journal, totals = open_journal(tmp_path)
        journal._stream.close()
        assert totals.earlier == 1
        assert (tmp_path / "out.jsonl").read_bytes() == data[:first]


def test_damage_in_the_middle_is_refused(tmp_path: Path) -> None:
    journal, _ = open_journal(tmp_path)
    journal.append(outcome(0))
    journal.append(outcome(1))
    journal.close(is_complete=False)
    file = tmp_path / "out.jsonl"
    file.write_bytes(b"garbage\n" + file.read_bytes())

    with pytest.raises(CommandError, match="line 1, is not an outcome"):
        open_journal(tmp_path)


def test_failed_items_are_taken_out_for_a_retry(tmp_path: Path) -> None:
    journal, _ = open_journal(tmp_path)
    for index, code in enumerate((0, 14, 0)):
        journal.append(outcome(index, code))
    journal.close(is_complete=True)

    journal, totals = open_journal(tmp_path, is_failed_retried=True)

    assert not journal.is_complete
    assert [index in journal.finished for index in range(3)] == [True, False, True]
    assert (totals.earlier, totals.failed) == (2, 0)
    journal.close(is_complete=False)
    journal, _ = open_journal(tmp_path)
    assert not journal.is_complete
    journal.close(is_complete=False)


def test_deleted_output_starts_over(tmp_path: Path) -> None:
    journal, _ = open_journal(tmp_path)
    journal.append(outcome(0))
    journal.close(is_complete=True)
    (tmp_path / "out.jsonl").unlink()

    journal, totals = open_journal(tmp_path)
    assert (journal.is_complete, totals.earlier) == (False, 0)
    journal.append(outcome(0))
    journal._stream.close()
    journal, _ = open_journal(tmp_path)
    assert not journal.is_complete
    journal.close(is_complete=False)


async def test_missing_package_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "in.jsonl").write_text("{}\n")

    ended = await run("batch", "-i", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.parquet"))

    assert (ended.exit_code, ended.out) == (2, "")
    assert ended.err == "error: Parquet needs rerankd[parquet]\nhint: pip install 'rerankd[parquet]'\n"


def test_summary_tells_tokens_units_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    totals = Totals(expected=3)
    for index in range(3):
        totals.add(outcome(index, code=index == 2))
    print_summary(totals, is_json=False, is_output_piped=False)

    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown["items"].strip() == "3"
    assert shown["failed"].strip() == "1"
    assert shown["tokens"].strip() == "30"
    assert shown["cost"].strip() == "$0.750000"


async def test_progress_ends_with_its_context(capsys: pytest.CaptureFixture[str]) -> None:
    async with show_progress(Totals()):
        pass
    assert capsys.readouterr().err == ""
