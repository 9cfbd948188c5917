"""The protocol of a model that is composed of others, and its description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from rerankd.contract.messages import ModelStatus, Strategy
from rerankd.engine.scoring.model_result import ScoringModel
from rerankd_adapters.base import ScoreSpace, Scoring

COMPOSED_PROVIDER: Final = "rerankd"
"""Provider of composed models in lists of models, and of an answer to which several providers contributed."""


@dataclass(frozen=True, slots=True)
class ComposedInfo:
    """What is known of a composed model, for `ListModels` and for models that it is part of."""

    strategy: Strategy
    members: Sequence[str]
    """Public names of the models it asks, in its order."""
    score_space: ScoreSpace
    scoring: Scoring
    takes_images: bool = False
    """Whether all of its members take documents with an image."""
    takes_query_images: bool = False
    """Whether all of its members take an image as the query."""
    description: str = ""
    status: ModelStatus = ModelStatus.AVAILABLE
    status_detail: str = ""


class ComposedModel(ScoringModel, Protocol):
    """A model that asks other models. Safe for concurrent tasks of one event loop."""

    @property
    def is_disabled(self) -> bool:
        """Whether the settings have it and it answers no calls."""
        ...

    @property
    def is_stored(self) -> bool:
        """Whether it is of the store, not of the settings."""
        ...

    def describe(self) -> ComposedInfo:
        """Describe the model; score space and kind of scoring are those of its members now."""
        ...
