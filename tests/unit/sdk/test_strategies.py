"""Strategies as objects of the SDK."""

from __future__ import annotations

from typing import Any

import pytest

from rerankd import Reranker, RerankError
from rerankd.sdk.strategies import Cascade, DedicatedModel, Fusion, FusionMember, Heuristic, Stage, with_strategy
from rerankd.settings import Settings
from rerankd.strategies.common_settings import CommonConfig

DOCUMENTS = ["a pear", "an apple", "an apple and very much else"]
NO_NUMBER: Any = "3"
STAGES = [Stage(model="local/bm25", keep=2), Stage(model="local/bm25", name="again")]


@pytest.mark.parametrize(
    ("strategy", "model", "order"),
    [
        (DedicatedModel(model="local/bm25", top_n=1), "dedicated-model", [1]),
        (Cascade(stages=STAGES), "cascade", [1, 2, 0]),
        (Fusion(members=[FusionMember(model="local/bm25", name=name) for name in "ab"]), "fusion", [1, 2, 0]),
        (Heuristic(), "heuristic", [1, 2, 0]),
    ],
)
def test_a_strategy_scores_calls_that_name_no_model(strategy: CommonConfig, model: str, order: list[int]) -> None:
    with Reranker(Settings(), strategy=strategy) as reranker:
        answer = reranker.rerank(query="apple", documents=DOCUMENTS)
        assert (answer.model, [result.index for result in answer.results]) == (model, order)
        assert reranker.rerank(model, "apple", DOCUMENTS).model == model
        assert reranker.rerank("local/bm25", "apple", DOCUMENTS).model == "local/bm25"


async def test_details_explain_results_without_blocking_the_loop() -> None:
    async with Reranker(Settings(), strategy=Cascade(stages=STAGES)) as reranker:
        answer = await reranker.arerank(query="apple", documents=DOCUMENTS, include_details=True)
    parts = [(result.explanation or {})["parts"] for result in answer.results]
    assert [part["name"] for part in parts[0]] == ["local/bm25", "again"]
    assert parts[2][0]["rank"] == 3


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (DedicatedModel(model="local/bm52"), "rerankers.dedicated-model.config.model: model local/bm52 not found"),
        (Cascade(stages=STAGES[:1]), "rerankers.cascade.config.stages must be at least 2, is 1"),
        (
            DedicatedModel(model="local/bm25", top_n=NO_NUMBER),
            "rerankers.dedicated-model.config.top_n: expected",
        ),
        ("cascade", "strategy must be one of Cascade, DedicatedModel, Fusion, Heuristic"),
        (Stage(model="local/bm25"), "strategy must be one of"),
    ],
)
def test_a_strategy_that_cannot_be_used_is_refused_by_key(strategy: Any, said: str) -> None:
    with Reranker(Settings(), strategy=strategy) as reranker, pytest.raises(RerankError, match="settings") as raised:
        reranker.rerank(query="apple", documents=DOCUMENTS)
    assert said in raised.value.message


def test_other_rerankers_of_the_settings_stay() -> None:
    first = with_strategy(Settings(), DedicatedModel(model="local/bm25"))
    both = with_strategy(first, Cascade(stages=STAGES))
    assert (sorted(both.rerankers), both.default_model) == (["cascade", "dedicated-model"], "cascade")


def test_a_call_without_documents_is_refused() -> None:
    with Reranker(Settings(), strategy=Heuristic()) as reranker, pytest.raises(RerankError) as raised:
        reranker.rerank(query="apple")
    assert [each.field for each in raised.value.fields] == ["documents"]
