"""The section `rerankers:` of the settings: the settings of every strategy, told apart by `strategy`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from rerankd.strategies.cascade_settings import CascadeSettings
from rerankd.strategies.dedicated_settings import DedicatedModelSettings
from rerankd.strategies.fusion.settings import FusionSettings
from rerankd.strategies.heuristic.settings import HeuristicSettings
from rerankd.strategies.judge.settings import LlmJudgeSettings
from rerankd.strategies.listwise.settings import LlmListwiseSettings

AnyReranker = (
    DedicatedModelSettings
    | FusionSettings
    | HeuristicSettings
    | CascadeSettings
    | LlmJudgeSettings
    | LlmListwiseSettings
)
"""Settings of one reranker: a union of one type a strategy."""

_MODEL_FIELDS: Final = frozenset({"model", "first_stage"})
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def key_problem(key: str) -> str:
    """Return why a text cannot be the key of a reranker, without the text; empty if it can."""
    if _KEY.fullmatch(key):
        return ""
    return "is 1 to 100 letters, digits, dots, hyphens and underscores, the first a letter or digit"


def named_models(config: object) -> Iterator[str]:
    """Yield the models that a configuration names, at any depth: its members, stages and fallbacks."""
    fields = msgspec.to_builtins(config)
    if isinstance(fields, dict):
        for name, value in fields.items():
            if name in _MODEL_FIELDS and isinstance(value, str):
                yield value
            elif name == "fallbacks":
                yield from value
            else:
                yield from named_models(value)
    elif isinstance(fields, list):
        for each in fields:
            yield from named_models(each)


def reranker_problems(rerankers: Mapping[str, AnyReranker], path: str = "rerankers") -> list[str]:
    """Return what is wrong with keys and values, one sentence each; `composition` checks what they refer to.

    Args:
        rerankers: Settings by key.
        path: Settings key of the section.
    """
    found = [f"{path}.{key}: a key {problem}" for key in rerankers if (problem := key_problem(key))]
    for key, each in rerankers.items():
        found += each.config.problems(f"{path}.{key}.config")
    return found
