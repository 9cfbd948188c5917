"""Strategy cascade: several models in turn, each for the best documents of the one before.

An answer never has scores of two stages in one space. Its relevance scores are those of the last stage that has ended.
Documents that an earlier stage ordered last keep their order behind them: `place_below` gives them numbers below the
lowest score of that stage, which say only that. So the order of the scores is the order of the cascade by construction,
whatever the scales of its models; the measured scores of every stage are in the explanation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rerankd.contract.messages import Contribution, StageStatus
from rerankd.engine.ranking import place_below, rank
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.stage_report import StageReport
from rerankd.engine.scoring.usage import sum_usage
from rerankd.strategies.cascade_settings import CascadeConfig, StageSettings
from rerankd.strategies.member import Member
from rerankd.strategies.parts import Parts
from rerankd.strategies.spending import Spending
from rerankd_adapters.base import ScoreSpace, Scoring


@dataclass(slots=True)
class _Run:
    """One request on its way through the stages."""

    ended: list[tuple[Member, ModelResult]] = field(default_factory=list)
    """The stages that have scored, in order, at least one once the first has."""
    orders: list[Sequence[int]] = field(default_factory=list)
    """Index in the request of each document that a stage scored, best first."""
    reports: list[StageReport] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cascade:
    """Scores with stages. Satisfies `Strategy`."""

    config: CascadeConfig
    members: Sequence[Member]
    """The model of each stage."""

    @property
    def score_space(self) -> ScoreSpace:
        """See `Strategy`: that of the last stage."""
        return self.members[-1].score_space

    @property
    def scoring(self) -> Scoring:
        """See `Strategy`: whether a document goes on depends on the others."""
        return Scoring.LISTWISE

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """See `Strategy`."""
        run = _Run()
        spending = Spending(self.config.budget_ms, self.config.budget_usd, context.deadline_s)
        indices = request.indices
        for number, (stage, member) in enumerate(zip(self.config.stages, self.members, strict=True)):
            if number and (refusal := spending.refusal(member, request, indices)):
                self._skip(run, number, indices, refusal)
                break
            wanted = stage.kept(len(indices))
            if not await self._ask(run, request, context, spending, (stage, member), indices, wanted):
                break
            indices = sorted(run.orders[-1][:wanted])
        return self._result(run, drops_others=self._has_threshold(request, context))

    async def _ask(
        self,
        run: _Run,
        request: RenderedRequest,
        context: ScoringContext,
        spending: Spending,
        asked: tuple[StageSettings, Member],
        indices: Sequence[int],
        wanted: int,
    ) -> bool:
        """Ask one stage; return whether it scored."""
        stage, member = asked
        goes_on = 0 if stage.keep is None else wanted
        top_n = None if context.top_n is None else max(goes_on, context.top_n)
        is_first = not run.ended
        answer = await member.ask(
            request, context, indices=indices, top_n=top_n, timeout_s=None if is_first else spending.remaining_s()
        )
        run.reports += answer.stages
        if answer.result is None:
            if is_first or (stage.required and not spending.is_over):
                answer.scored()
            run.warnings.append(f"stage {member.name} failed, so {run.ended[-1][0].name} answered: {answer.error}")
            number = len(run.ended) + 1
            if number < len(self.members):
                self._skip(run, number, indices, "the stage before it failed", says=False)
            return False
        spending.add(answer.result.usage)
        run.ended.append((member, answer.result))
        run.orders.append(rank(answer.result.indices, answer.result.scores, None, None).indices)
        run.warnings += answer.result.warnings
        return True

    def _skip(self, run: _Run, number: int, indices: Sequence[int], cause: str, *, says: bool = True) -> None:
        """Report the stages from `number` on as skipped."""
        if says:
            run.warnings.append(
                f"stage {self.members[number].name} was skipped, so {run.ended[-1][0].name} answered: {cause}"
            )
        documents = len(indices)
        for stage, member in zip(self.config.stages[number:], self.members[number:], strict=True):
            run.reports.append(
                StageReport(member.name, member.model, documents, 0.0, status=StageStatus.SKIPPED, note=cause)
            )
            documents = stage.kept(documents)

    def _has_threshold(self, request: RenderedRequest, context: ScoringContext) -> bool:
        own = None if context.is_member else self.config.score_threshold
        return request.request.score_threshold is not None or own is not None

    def _result(self, run: _Run, *, drops_others: bool) -> ModelResult:
        _, last = run.ended[-1]
        indices, scores = list(run.orders[-1]), _in_order(last, run.orders[-1])
        if not drops_others:
            seen = set(indices)
            others: list[int] = []
            for order in reversed(run.orders[:-1]):
                others += [index for index in order if index not in seen]
                seen.update(order)
            scores, placed = place_below(scores, len(others), last.score_space)
            indices += others
            scores += placed
        return ModelResult(
            model="",
            provider=last.provider,
            indices=indices,
            scores=scores,
            score_space=last.score_space,
            has_scale=last.has_scale and len(indices) == len(run.orders[-1]),
            usage=sum_usage(result.usage for _, result in run.ended),
            calls=[call for _, result in run.ended for call in result.calls],
            warnings=run.warnings,
            stages=run.reports,
            explain=_Explainer(run),
        )


class _Explainer:
    """Says what each stage that has ended said of a document."""

    def __init__(self, run: _Run) -> None:
        self._stages = [
            (
                member.name,
                {index: rank for rank, index in enumerate(order, 1)},
                dict(zip(result.indices, result.scores, strict=True)),
            )
            for (member, result), order in zip(run.ended, run.orders, strict=True)
        ]

    def __call__(self, index: int) -> Sequence[Contribution]:
        """Return the rank and score of a document in each stage that scored it."""
        return [
            Contribution(name=name, rank=ranks[index], relevance_score=scores[index])
            for name, ranks, scores in self._stages
            if index in ranks
        ]


def _in_order(result: ModelResult, order: Sequence[int]) -> list[float]:
    """Return the scores of a result for documents in `order`."""
    return list(map(dict(zip(result.indices, result.scores, strict=True)).__getitem__, order))


def build(config: CascadeConfig, parts: Parts) -> Cascade:
    """Build the strategy of a reranker."""
    members = [
        parts.member(f"stages[{number}].model", stage.model, stage.name) for number, stage in enumerate(config.stages)
    ]
    return Cascade(config, members)
