"""A stored reranker that cannot be served: its name leads to an error that says why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

from rerankd.contract.errors import FieldViolation, Reason, ServiceError
from rerankd.contract.messages import ModelStatus, Strategy
from rerankd.engine.ranking import Normalisation
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.composed_model import ComposedInfo
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.telemetry.calls.call_record import RerankerIdentity
from rerankd_adapters.base import ScoreSpace, Scoring


@dataclass(frozen=True, slots=True)
class UnservableReranker:
    """Fails every call, so that a fallback which the request names is tried. Satisfies `ComposedModel`.

    It has no members and no fallbacks of its own, so that it can be part of no cycle.
    """

    name: str
    problems: Sequence[str]
    """What is wrong, n >= 1 sentences, each starting with a key of its settings."""
    version: int
    """Of the reranker."""
    bulkhead: str = "unservable"
    fallback_on: Collection[str] = (Reason.RERANKER_UNUSABLE,)
    normalisation: Normalisation = Normalisation.NONE
    fallbacks: Sequence[str] = ()
    members: Sequence[str] = ()
    top_n: int | None = None
    is_disabled: bool = False
    is_stored: bool = True

    @property
    def identity(self) -> RerankerIdentity:
        """See `ScoringModel`."""
        return RerankerIdentity(self.name, Strategy.UNSPECIFIED.value, self.version)

    def describe(self) -> ComposedInfo:
        """See `ComposedModel`."""
        return ComposedInfo(
            strategy=Strategy.UNSPECIFIED,
            members=(),
            score_space=ScoreSpace.UNKNOWN,
            scoring=Scoring.UNKNOWN,
            status=ModelStatus.UNAVAILABLE,
            status_detail="; ".join(self.problems),
        )

    async def score(self, _request: RenderedRequest, _context: ScoringContext) -> NoReturn:
        """Raise `RERANKER_UNUSABLE`."""
        message = f"reranker {self.name} cannot be served: {'; '.join(self.problems)}"
        raise ServiceError(
            Reason.RERANKER_UNUSABLE,
            message,
            metadata={"reranker": self.name, "problem": self.problems[0]},
            violations=[FieldViolation("model", message)],
        )
