"""Details of runs are packed into blocks, and found in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.runs import detail_blocks
from rerankd.runs.detail_blocks import BlockPacker, decompressed, details_in
from rerankd.runs.rows import COLUMNS, FIELDS, ROW_BYTES, RunRow

PACKER = BlockPacker()
JSON = st.binary(max_size=40_000).map(b"{".__add__)
"""Begins as JSON does; what is not JSON may begin as compressed data does."""


def a_row(number: int, details: bytes) -> RunRow:
    run_id = f"{number:08x}"
    return RunRow(run_id, ROW_BYTES + len(details), (run_id, *range(len(FIELDS) - 1)), details)


@given(st.lists(JSON, min_size=1, max_size=12))
def test_details_come_back_from_blocks(details: list[bytes]) -> None:
    packed = PACKER.pack([a_row(number, each) for number, each in enumerate(details)])
    blocks = {block_id: decompressed(data) for block_id, data in packed.blocks}
    rows = [dict(zip(COLUMNS, values, strict=True)) for values in packed.rows]
    assert [details_in(row, blocks) for row in rows] == details
    assert {row["block_id"] for row in rows} - {""} == set(blocks)
    assert all(len(data) <= detail_blocks.BLOCK_BYTES for data in blocks.values())
    assert packed.size == sum(row["bytes"] for row in rows)


def test_a_block_is_named_after_its_newest_run() -> None:
    packed = PACKER.pack([a_row(number, b"x" * 1000) for number in (1, 3, 2)])
    assert [block_id for block_id, _ in packed.blocks] == ["00000003"]
    assert packed.size < 3 * (ROW_BYTES + 100), "what is compressed counts"


@pytest.mark.parametrize(("length", "is_compressed"), [(100, False), (1000, True), (1_000_000, True)])
def test_the_only_run_of_a_block_keeps_its_details(length: int, is_compressed: bool) -> None:
    packed = PACKER.pack([a_row(1, b"x" * length)])
    row = dict(zip(COLUMNS, packed.rows[0], strict=True))
    assert (packed.blocks, row["block_id"], len(row["details"]) < length) == ([], "", is_compressed)
    assert details_in(row, {}) == b"x" * length
