"""What becomes of parameters in the embedded models: obeyed, refused by name or named in a warning."""

from __future__ import annotations

from typing import Any

import pytest

from rerankd.local.provider import LocalProvider
from rerankd_adapters.base import ProviderCall, Truncation

CROSS = "ms-marco-minilm-l12-v2"


async def warnings_of(provider: LocalProvider, model: str, **changes: Any) -> list[str]:
    call = ProviderCall(model=model, query="apple", documents=["an apple", "a pear"], **changes)
    return list((await provider.rerank(call)).warnings)


@pytest.mark.parametrize(
    ("model", "changes", "named"),
    [
        ("bm25", {"max_tokens_per_doc": 2}, "max_tokens_per_doc"),
        ("bm25", {"max_passages_per_doc": 2}, "max_chunks_per_doc"),
        ("bm25", {"options": {"no_such_option": 1}}, "no_such_option"),
        ("default", {"max_passages_per_doc": 2}, "max_chunks_per_doc"),
        ("default", {"options": {"no_such_option": 1}}, "no_such_option"),
        (CROSS, {"options": {"no_such_option": 1}}, "no_such_option"),
    ],
)
async def test_what_a_model_leaves_aside_is_named(
    provider: LocalProvider, model: str, changes: dict[str, Any], named: str
) -> None:
    assert [named in warning for warning in await warnings_of(provider, model, **changes)] == [True]


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("bm25", {"top_n": 1}),
        ("bm25", {"priority": 9}),
        ("bm25", {"truncation": Truncation.NONE}),
        (CROSS, {"max_tokens_per_doc": 2}),
        (CROSS, {"max_passages_per_doc": 2}),
        (CROSS, {"truncation": Truncation.START}),
    ],
)
async def test_what_a_model_obeys_is_not_warned_of(
    provider: LocalProvider, model: str, changes: dict[str, Any]
) -> None:
    assert await warnings_of(provider, model, **changes) == []


async def test_no_embedded_model_takes_images(provider: LocalProvider) -> None:
    assert [info.name for info in provider.models() if info.capabilities.takes_images] == []
