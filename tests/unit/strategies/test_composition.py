"""Composition: what rerankers refer to is checked when settings are read, all problems at once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from rerankd.configuration.shape import check
from rerankd.engine.limits import RequestLimits
from rerankd.engine.routing.router import Router
from rerankd.engine.routing.settings import ModelSettings
from rerankd.strategies.composition import RerankersError, compose_models
from rerankd.strategies.settings import AnyReranker, reranker_problems
from rerankd_adapters.base import Capabilities, ScoreSpace, Scoring
from tests.support.providers import ScriptedProvider, by_length

RANKS = Capabilities(scoring=Scoring.LISTWISE, score_space=ScoreSpace.RELATIVE)


def dedicated(model: str, **config: Any) -> dict[str, Any]:
    return {"strategy": "dedicated-model", "config": {"model": model, **config}}


def fusion(*models: str, weights: tuple[float | None, ...] = (), **config: Any) -> dict[str, Any]:
    weights = weights or (None,) * len(models)
    members = [{"model": model, "weight": weight} for model, weight in zip(models, weights, strict=True)]
    return {"strategy": "fusion", "config": {"members": members, **config}}


def heuristic(**config: Any) -> dict[str, Any]:
    return {"strategy": "heuristic", "config": config}


def problems_of(
    rerankers: dict[str, Any],
    aliases: dict[str, str] | None = None,
    models: dict[str, Any] | None = None,
    default_model: str = "scripted/a",
    **limits: int,
) -> list[str]:
    """Return what is wrong, as it would be reported at start."""
    settings = msgspec.convert(rerankers, dict[str, AnyReranker])
    if found := reranker_problems(settings):
        return found
    providers = [ScriptedProvider(a=by_length, b=by_length), ScriptedProvider("ranks", RANKS, a=by_length)]
    router = Router(
        providers,
        default_model=default_model,
        aliases=aliases,
        models=msgspec.convert(models or {}, dict[str, ModelSettings]),
        composed=settings,
    )
    try:
        compose_models(settings, router, None, RequestLimits(**limits))
    except RerankersError as error:
        return list(error.problems)
    return []


def test_rerankers_may_name_each_other_in_any_order() -> None:
    found = problems_of(
        {
            "outer": dedicated("fast"),
            "inner": dedicated("scripted/a", fallbacks=["mine", "spare"]),
            "spare": dedicated("scripted/b"),
        },
        aliases={"fast": "inner"},
        models={"mine": {"deployments": [{"model": "scripted/b"}], "fallbacks": ["outer"]}},
    )
    assert found == []


@pytest.mark.parametrize(
    ("rerankers", "said"),
    [
        ({"x": dedicated("nosuch/a")}, "rerankers.x.config.model: model nosuch/a not found"),
        ({"x": dedicated("scripted/a", fallbacks=["y"])}, "rerankers.x.config.fallbacks[0]: model y not found"),
        ({"x": dedicated("scripted/a", top_n=0)}, "rerankers.x.config.top_n must be at least 1, is 0"),
        (
            {"x": dedicated("scripted/a", score_threshold=0.5, normalization="minmax")},
            "rerankers.x.config.score_threshold has no meaning with normalization minmax",
        ),
        (
            {"x": dedicated("ranks/a", score_threshold=0.5)},
            "rerankers.x.config.score_threshold: its scores are ranks",
        ),
        (
            {"x": dedicated("y", score_threshold=0.5), "y": dedicated("ranks/a")},
            "rerankers.x.config.score_threshold: its scores are ranks",
        ),
        (
            {"x": dedicated("scripted/a", normalization="sigmoid")},
            "rerankers.x.config.normalization: sigmoid turns logits into probabilities, and its scores are probability",
        ),
        ({"x/y": dedicated("scripted/a")}, "rerankers.x/y: a key is 1 to 100 letters"),
        ({"fast": dedicated("scripted/a")}, "rerankers.fast: aliases.fast has the same name"),
        ({"mine": dedicated("scripted/a")}, "rerankers.mine: models.mine has the same name"),
        ({"x": dedicated("x")}, "rerankers.x.config: x -> x is a cycle"),
        (
            {"x": dedicated("y"), "y": dedicated("z"), "z": dedicated("x")},
            "rerankers.x.config: x -> y -> z -> x is a cycle",
        ),
        ({"x": dedicated("fast"), "loop": dedicated("x")}, "rerankers.x.config: x -> loop -> x is a cycle"),
        ({"loop": dedicated("mine")}, "rerankers.loop.config: loop -> loop is a cycle"),
        (
            {"x": dedicated("y"), "y": {**dedicated("scripted/a"), "status": "disabled"}},
            "rerankers.x.config.model: reranker y is disabled; disable x too, or name another model",
        ),
        ({"x": fusion("scripted/a", "nosuch/b")}, "rerankers.x.config.members[1].model: model nosuch/b not found"),
        ({"x": fusion("scripted/a")}, "rerankers.x.config.members must be at least 2"),
        ({"x": fusion("scripted/a", "x")}, "rerankers.x.config: x -> x is a cycle"),
        (
            {"x": fusion("scripted/a", "scripted/b", weights=(1.0, -2.0))},
            "rerankers.x.config.members[1].weight must be from 0 to 1,000,000, is -2",
        ),
        (
            {"x": fusion("scripted/a", "scripted/b", weights=(1.0, float("nan")))},
            "rerankers.x.config.members[1].weight must be from 0",
        ),
        (
            {"x": fusion("scripted/a", "scripted/b", weights=(0.0, 0.0))},
            "rerankers.x.config.members: all weights are 0",
        ),
        ({"x": fusion("scripted/a", "scripted/b", rrf_k=0.0)}, "rerankers.x.config.rrf_k must be above 0, is 0"),
        (
            {"x": fusion("scripted/a", "ranks/a", method="weighted")},
            "rerankers.x.config.method: weighted joins scores, and ranks/a only orders documents; choose rrf or auto",
        ),
        (
            {"x": fusion("scripted/a", "y", method="dbsf"), "y": dedicated("ranks/a")},
            "rerankers.x.config.method: dbsf joins scores, and y only orders documents; choose rrf or auto",
        ),
        (
            {"x": fusion("scripted/a", "scripted/b", score_threshold=0.5)},
            "rerankers.x.config.score_threshold: its scores are ranks, comparable within one response only",
        ),
        ({"x": heuristic(weights={"bm25": -1.0})}, "rerankers.x.config.weights.bm25 must be from 0"),
        (
            {"x": heuristic(weights={"bm25": 0, "phrase": 0, "proximity": 0, "prior": 0, "recency": 0})},
            "rerankers.x.config.weights: all weights are 0",
        ),
        ({"x": heuristic(fields={"title": 1e9})}, "rerankers.x.config.fields.title must be from 0 to 100"),
        (
            {"x": heuristic(recency={"field": "at", "half_life_days": 0})},
            "rerankers.x.config.recency.half_life_days must be above 0, is 0",
        ),
        ({"x": heuristic(preferred_words=0)}, "rerankers.x.config.preferred_words must be at least 1, is 0"),
        (
            {"a": dedicated("b"), "b": dedicated("c"), "c": dedicated("scripted/a")},
            "rerankers.a.config: rerankers within it are 3 deep, more than limits.max_reranker_depth, 2",
        ),
    ],
)
def test_settings_that_cannot_be_served_are_one_clear_problem(rerankers: dict[str, Any], said: str) -> None:
    (found,) = problems_of(
        rerankers,
        aliases={"fast": "loop" if "loop" in rerankers else "scripted/a"},
        models={
            "mine": {"deployments": [{"model": "scripted/b"}], "fallbacks": ["loop"] if "loop" in rerankers else []}
        },
        max_reranker_depth=2 if "c" in rerankers else 4,
    )
    assert found.startswith(said)


FIRST: dict[str, Any] = {"model": "scripted/a", "keep": 1}
MANY = {"strategy": "cascade", "config": {"stages": [FIRST, FIRST, FIRST, {"model": "y"}]}}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_reranker_members": 3}, "rerankers.x.config names 4 models, more than limits.max_reranker_members, 3"),
        (
            {"max_reranker_calls": 4},
            "rerankers.x.config: one call asks 5 models, with rerankers within it, more than"
            " limits.max_reranker_calls, 4",
        ),
        ({"max_reranker_members": 4, "max_reranker_calls": 5, "max_reranker_depth": 2}, ""),
    ],
)
def test_the_models_that_one_call_asks_are_bounded(limits: dict[str, Any], said: str) -> None:
    inner = {"stages": [FIRST, {"model": "scripted/b"}]}
    found = problems_of({"x": MANY, "y": {"strategy": "cascade", "config": inner}}, **limits)
    assert found == ([said] if said else [])


def test_a_disabled_reranker_cannot_be_the_default_model() -> None:
    off = {**dedicated("scripted/b"), "status": "disabled"}
    assert problems_of({"off": off}, default_model="off") == ["default_model: reranker off is disabled"]
    assert problems_of({"off": off}) == []


def test_rerankers_that_are_each_others_fallbacks_ask_nobody_for_ever() -> None:
    both = {"x": dedicated("scripted/a", fallbacks=["y"]), "y": dedicated("scripted/b", fallbacks=["x"])}
    assert problems_of(both) == []
    (problem,) = problems_of({**both, "z": dedicated("x"), "x": dedicated("scripted/a", fallbacks=["z"])})
    assert problem == "rerankers.z.config: z -> z is a cycle: a reranker cannot ask itself"


def test_all_problems_are_reported_at_once() -> None:
    found = problems_of({"x": dedicated("nosuch/a"), "y": dedicated("y"), "fast": dedicated("nosuch/b")}, {"fast": "x"})
    assert [problem.split(":")[0] for problem in found] == [
        "rerankers.x.config.model",
        "rerankers.fast",
        "rerankers.fast.config.model",
        "rerankers.y.config",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"strategy": "dedicated", "config": {}}, "x.strategy: must be one of dedicated-model"),
        ({"config": {"model": "a"}}, "x.strategy is missing; it is one of dedicated-model"),
        ({"strategy": "dedicated-model"}, "x.config is missing"),
        (fusion("a", "b", method="avg"), "x.config.method: must be one of auto, weighted, rrf, "),
        (heuristic(weights={"bm52": 1}), "x.config.weights.bm52 is not a setting; did you mean x.config.weights.bm25?"),
        (heuristic(recency={}), "x.config.recency.field is missing"),
        (dedicated("a", modell="b"), "x.config.modell is not a setting; did you mean x.config.model?"),
        ({**dedicated("a"), "state": "active"}, "x.state is not a setting; did you mean x.status?"),
        ({**dedicated("a"), "status": "off"}, 'x.status: must be one of active, disabled, is "off"'),
    ],
)
def test_values_of_a_wrong_shape_name_the_key(given: dict[str, Any], said: str) -> None:
    problems: list[str] = []
    check({"x": given}, dict[str, AnyReranker], "", problems)
    assert len(problems) == 1
    assert problems[0].startswith(said)
