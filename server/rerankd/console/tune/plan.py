"""What `rerankd tune` tunes: a fusion of the settings, or one of given models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from rerankd.console.errors import USAGE, CommandError
from rerankd.console.serving import load
from rerankd.contract.suggestions import did_you_mean
from rerankd.settings import Settings
from rerankd.strategies.fusion.settings import FusionConfig, FusionMember, FusionSettings

TUNED: Final = "tuned"
"""Key of a fusion of given models, and that under which any is called."""


_NEXT_TO_NOTHING: Final = 1e-9
"""Weight of a member of weight 0, which a fusion would not ask."""


@dataclass(frozen=True, slots=True)
class TunePlan:
    """Options of `rerankd tune`."""

    judged: Path
    reranker: str | None
    """Key of a fusion in the settings; `None` if members are given."""
    members: Sequence[str]
    """Models; empty if a reranker is given."""
    method: str | None
    """`None`: that of the reranker."""
    concurrency: int
    """Queries under way at once, at least 1."""
    config: Path | None
    """Settings; `None`: as the server reads them without `--config`."""


@dataclass(frozen=True, slots=True)
class TunedFusion:
    """The fusion that is tuned."""

    key: str
    """Its key in the settings, or `TUNED`."""
    config: FusionConfig
    """Its configuration now, with the method that is tuned."""
    settings: Settings
    """Settings in which it is the reranker `TUNED`, with every member asked and required."""


def subject_of(plan: TunePlan) -> TunedFusion:
    """Read the settings and find the fusion.

    Raises:
        CommandError: Neither or both of reranker and members are given, or the settings have no such fusion.
    """
    if (plan.reranker is None) == (not plan.members):
        raise CommandError("give --reranker KEY, or --member MODEL twice or more", "see rerankd tune --help", USAGE)
    settings = load(plan.config, {})
    if plan.reranker is None:
        config = FusionConfig(members=[FusionMember(model=model) for model in plan.members])
        key = TUNED
    else:
        config, key = _fusion(settings, plan.reranker), plan.reranker
    if plan.method is not None:
        config = msgspec.convert({**msgspec.to_builtins(config), "method": plan.method}, FusionConfig)
    problems = config.problems(f"rerankers.{key}.config")
    if problems:
        raise CommandError("; ".join(problems), exit_code=USAGE)
    members = [
        msgspec.structs.replace(member, weight=member.weight if member.weight != 0 else _NEXT_TO_NOTHING, required=True)
        for member in config.members
    ]
    whole = msgspec.structs.replace(
        config, members=members, top_n=None, score_threshold=None, normalization="none", fallbacks=[]
    )
    rerankers = {**settings.rerankers, TUNED: FusionSettings(config=whole)}
    return TunedFusion(key, config, msgspec.structs.replace(settings, rerankers=rerankers))


def _fusion(settings: Settings, key: str) -> FusionConfig:
    fusions = {name: each for name, each in settings.rerankers.items() if isinstance(each, FusionSettings)}
    if (found := fusions.get(key)) is not None:
        return found.config
    if key in settings.rerankers:
        raise CommandError(f"rerankers.{key} is no fusion; only the weights of a fusion are learnt", exit_code=USAGE)
    hint = "name the settings with --config" if not fusions else ""
    raise CommandError(f"the settings have no fusion {key}{did_you_mean(key, fusions)}", hint, USAGE)
