"""Unknown keys and unfit values are named by path wherever a struct can stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import pytest

from rerankd.configuration.changes import changed_paths, is_within, keep
from rerankd.configuration.references import UntypedText
from rerankd.configuration.shape import check


class Deployment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    weight: Annotated[int, msgspec.Meta(ge=0)] = 1

    def __post_init__(self) -> None:
        if "/" not in self.model:
            raise ValueError("`model` must be provider/model")


class Hedge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after_s: float = 0.5


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    deployments: list[Deployment] = []
    balancing: Literal["weighted", "latency"] = "weighted"
    hedge: Hedge | None = None
    extra: Hedge | bool = False
    pairs: Sequence[Deployment] = ()
    fallbacks: tuple[str, ...] = ()
    options: dict[str, Any] = {}


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, Model] = {}
    limit: int = 1


def problems(value: Any) -> list[str]:
    found: list[str] = []
    check(value, Root, "", found)
    return found


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            {"deployments": [{"model": "a/b"}, {"model": "a/c", "wieght": 2}]},
            ["models.fast.deployments[1].wieght is not a setting; did you mean models.fast.deployments[1].weight?"],
        ),
        (
            {"hedge": {"aftr_s": 1}},
            ["models.fast.hedge.aftr_s is not a setting; did you mean models.fast.hedge.after_s?"],
        ),
        ({"extra": {"zzz": 1}}, ["models.fast.extra.zzz is not a setting"]),
        ({"extra": True, "hedge": None}, []),
        ({"pairs": [{"model": "a/b", "weight": "x"}]}, ['models.fast.pairs[0].weight: expected `int`, got `str` "x"']),
        ({"deployments": [{"weight": -1}]}, [
            "models.fast.deployments[0].weight: expected `int` >= 0, is -1",
            "models.fast.deployments[0].model is missing",
        ]),
        ({"deployments": [{"model": "ab"}]}, ["models.fast.deployments[0]: `model` must be provider/model"]),
        ({"deployments": {"model": "a/b"}}, ["models.fast.deployments: expected `array`, got `object`"]),
        ({"deployments": [5]}, ["models.fast.deployments[0]: expected `object`, got `int` 5"]),
        (
            {"balancing": "latncy"},
            ['models.fast.balancing: must be one of weighted, latency, is "latncy"; did you mean latency?'],
        ),
        ({"fallbacks": ["a", 1]}, ["models.fast.fallbacks[1]: expected `str`, got `int` 1"]),
        ({"options": {"any": [{"thing": None}]}}, []),
        ({1: 2}, ["models.fast.1 is not a setting"]),
        (5, ["models.fast: expected `object`, got `int` 5"]),
        (None, ["models.fast: expected `object`, got `null`"]),
    ],
)  # fmt: skip
def test_paths(model: Any, expected: list[str]) -> None:
    assert problems({"models": {"fast": model}}) == expected


def test_everything_is_said_at_once() -> None:
    model = {"deployments": [{"model": 1}, {"weight": "x", "model": "a/b"}], "balanced": 1, "hedge": 7}
    assert len(problems({"models": {"a": model, "b": {"hedge": {"after_s": []}}}, "limit": "x", "lmit": 1})) == 7


def test_text_takes_the_type_that_is_wanted() -> None:
    found: list[str] = []
    value = {
        "models": {
            "a": {
                "deployments": [{"model": UntypedText("7/8"), "weight": UntypedText("3")}],
                "hedge": UntypedText("null"),
            }
        }
    }
    checked = msgspec.convert(check(value, Root, "", found), Root)
    assert found == []
    assert checked.models["a"] == Model(deployments=[Deployment("7/8", 3)])


def test_changes_are_named_by_path_and_never_by_value() -> None:
    old = Root({"a": Model([Deployment("a/b"), Deployment("a/c")]), "gone": Model()})
    new = Root({"a": Model([Deployment("a/b"), Deployment("a/c", 9)], hedge=Hedge()), "new": Model()}, limit=2)
    assert changed_paths(old, new) == [
        "models.a.deployments[1].weight",
        "models.a.hedge",
        "models.gone",
        "models.new",
        "limit",
    ]
    assert changed_paths(old, old) == []
    assert changed_paths(Root({"a": Model([])}), Root({"a": Model([Deployment("a/b")])})) == ["models.a.deployments"]


def test_what_is_fixed_is_kept() -> None:
    class Outer(msgspec.Struct, frozen=True):
        root: Root = Root()
        hedge: Hedge = Hedge()

    old, new = Outer(Root(limit=1), Hedge(1.0)), Outer(Root({"a": Model()}, limit=2), Hedge(2.0))
    assert keep(new, old, ("root.limit", "hedge")) == Outer(Root({"a": Model()}, limit=1), Hedge(1.0))
    assert [is_within(path, ("a.b",)) for path in ("a.b", "a.b.c", "a.b[0]", "a.bc", "a")] == [True] * 3 + [False] * 2
