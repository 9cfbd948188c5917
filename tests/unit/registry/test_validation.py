"""What a stored reranker must be by itself, in the names that its owner gave."""

from __future__ import annotations

from typing import Any

import pytest

from rerankd.registry.keys import key_of_name
from rerankd.registry.stored_reranker import RerankerContent
from rerankd.registry.validation import settings_of, text_violations
from rerankd.registry.version_diff import MISSING, FieldDifference, differences
from tests.support.registry import content


def violations(**fields: Any) -> list[tuple[str, str]]:
    given = {"name": "n", "strategy": "dedicated-model", "config": {"model": "local/bm25"}, **fields}
    return [(each.field, each.description) for each in settings_of("key", RerankerContent(**given)).violations]


def test_a_dedicated_model_in_the_names_of_the_dashboards_api() -> None:
    checked = settings_of("k", content(config={"providerKey": "cohere", "model": "rerank-v3.5", "topN": 10}))
    assert checked.settings is not None
    assert checked.settings.config.top_n == 10
    assert getattr(checked.settings.config, "model", None) == "cohere/rerank-v3.5"


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (
            {"strategy": "dedicated"},
            [
                (
                    "strategy",
                    "strategy: must be one of dedicated-model, fusion, heuristic, cascade, llm-judge,"
                    ' llm-listwise, is "dedicated"; did you mean dedicated-model?',
                )
            ],
        ),
        (
            {"config": {"modell": "x"}},
            [
                ("config.modell", "config.modell is not a setting; did you mean config.model?"),
                ("config.model", "config.model is missing"),
            ],
        ),
        (
            {"config": {"model": "x", "topN": 0}},
            [("config.topN", "config.topN must be at least 1, is 0")],
        ),
        (
            {"config": {"model": "x", "topN": "ten"}},
            [("config.topN", 'config.topN: expected `int | null`, got `str` "ten"')],
        ),
        (
            {"strategy": "cascade", "config": {"stages": [{"model": "a", "keep": 0}, {"model": "b"}], "budgetMs": 0}},
            [
                (
                    "config.stages[0].keep",
                    "config.stages[0].keep must be a whole number of at least 1, or a share above 0 and below 1, is 0",
                ),
                ("config.budgetMs", "config.budgetMs must be above 0, is 0"),
            ],
        ),
        ({"status": "off"}, [("status", 'status: must be one of active, disabled, is "off"')]),
    ],
)
def test_all_problems_name_the_field_as_it_was_given(fields: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert violations(**fields) == found


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"description": "x" * 2001}, "description"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {"a": [float("nan")]}}, "metadata"),
        ({"metadata": {"a": "x" * 16_384}}, "metadata"),
        ({"config": {"a": "x" * 65_536}}, "config"),
    ],
)
def test_texts_and_sizes_are_bounded(fields: dict[str, Any], wrong: str) -> None:
    assert [each.field for each in text_violations(content(**fields))] == [wrong]


def test_deep_json_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"a": deep}
    assert [each.field for each in text_violations(content(metadata=deep))] == ["metadata"]


def test_long_names_make_keys_of_bounded_length() -> None:
    assert key_of_name("Ab " * 1000, set().__contains__) == "-".join(["ab"] * 20)


def test_the_smallest_parts_that_differ_are_told() -> None:
    before = {"a": [1, {"b": 2}], "c": 1, "same": {}}
    after: dict[str, Any] = {"a": [1, {"b": 3}], "d": None, "same": {}}
    assert list(differences(before, after)) == [
        FieldDifference("a[1].b", 2, 3),
        FieldDifference("c", 1, MISSING),
        FieldDifference("d", MISSING, None),
    ]
    assert list(differences([1], [1, 2], "x")) == [FieldDifference("x", [1], [1, 2])]
