"""Counts in messages."""

from __future__ import annotations

import pytest

from rerankd.contract.wording import counted


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 documents"), (1, "1 document"), (2, "2 documents"), (1200, "1,200 documents")]
)
def test_one_is_singular(count: int, said: str) -> None:
    assert counted(count, "document") == said
