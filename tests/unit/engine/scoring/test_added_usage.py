"""Usage summed over the items of a batch."""

from __future__ import annotations

import msgspec

from rerankd.contract.messages import Usage
from rerankd.engine.scoring.usage import add_usage


def test_every_field_is_added() -> None:
    total = Usage()
    item = Usage(
        documents=1,
        prompt_tokens=2,
        completion_tokens=3,
        total_tokens=5,
        search_units=4,
        cost=0.5,
        cached_documents=6,
        saved_cost=0.25,
    )
    for _ in range(2):
        add_usage(total, item)
    assert msgspec.structs.asdict(total) == {name: 2 * value for name, value in msgspec.structs.asdict(item).items()}


def test_what_is_not_known_adds_nothing() -> None:
    total = Usage(cost=0.5, saved_cost=0.25)
    add_usage(total, Usage(documents=1))
    assert total == Usage(documents=1, cost=0.5, saved_cost=0.25)
