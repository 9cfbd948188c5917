"""Strategy fusion: several models score all documents at once, and their scores or ranks are joined."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import StageStatus, Strategy
from rerankd.engine.models import Models
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.routing.failures import ModelFailure, all_models_failed
from rerankd.engine.scoring.composed_model import COMPOSED_PROVIDER
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.scoring.stage_report import StageReport
from rerankd.engine.scoring.usage import sum_usage
from rerankd.strategies.fusion.explained_parts import explain_parts
from rerankd.strategies.fusion.methods import Method, fuse_in_turns
from rerankd.strategies.fusion.scores import is_order_only, is_ranked_only, member_scores, raw_scores
from rerankd.strategies.fusion.settings import FusionConfig
from rerankd.strategies.member import Member, MemberAnswer
from rerankd.strategies.parts import Parts
from rerankd_adapters.base import ScoreSpace, Scoring

_LEXICAL_WEIGHT: Final = 1.0
_VECTOR_WEIGHT: Final = 2.0
_RELEVANCE_WEIGHT: Final = 8.0
"""Of models trained to judge relevance. docs/decisions/0040 has the figures of the three."""
_SHARE_OF_DEADLINE: Final = 0.9
"""What members may take of the time left, so that an answer without the slow ones still reaches the caller."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A member with its settings."""

    member: Member
    weight: float | None
    """`None`: by what its scores are."""
    is_required: bool
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Fusion:
    """Asks all members at once and joins what they say. Satisfies `Strategy`."""

    members: Sequence[_Asked]
    method: Method | None
    """`None`: by scores if the scale of every member that answered is known, else by ranks."""
    rrf_k: float
    models: Models

    @property
    def score_space(self) -> ScoreSpace:
        """See `Strategy`."""
        return ScoreSpace.UNBOUNDED if self.method is Method.Z_SCORE else ScoreSpace.RELATIVE

    @property
    def scoring(self) -> Scoring:
        """See `Strategy`: a score depends on the scores of the other documents."""
        return Scoring.LISTWISE

    async def score(self, request: RenderedRequest, context: ScoringContext) -> ModelResult:
        """See `Strategy`."""
        answers = await self._ask_all(request, context)
        results = {
            asked: answer.result
            for asked, answer in answers.items()
            if answer is not None and answer.result is not None
        }
        if not results:
            raise _all_failed(answers)
        method = self.method or _method_for(results.values())
        positions = {index: at for at, index in enumerate(request.indices)}
        members = [member_scores(result, positions, method) for result in results.values()]
        weights = [self._weight(asked, result) for asked, result in results.items()]
        fused = await fuse_in_turns(members, weights, len(positions), method, rrf_k=self.rrf_k)
        names = [asked.member.name for asked in results]
        raw = [raw_scores(result, positions) for result in results.values()]
        return ModelResult(
            model="",
            provider=_provider_of(results.values()),
            indices=request.indices,
            scores=fused.scores,
            score_space=self.score_space,
            usage=sum_usage(result.usage for result in results.values()),
            calls=[call for result in results.values() for call in result.calls],
            warnings=[*_warnings(answers, method)],
            stages=[stage for asked, answer in answers.items() for stage in _stages(asked, answer)],
            explain=explain_parts(names, raw, fused, positions),
            has_scale=True,
            minimum_score=None if method is Method.Z_SCORE else 0.0,
        )

    async def _ask_all(self, request: RenderedRequest, context: ScoringContext) -> Mapping[_Asked, MemberAnswer | None]:
        """Ask every member that has a weight; a required one that fails ends the others.

        Returns:
            The answers, in the order of the members; `None` of a member that was not asked.

        Raises:
            ServiceError: A required member failed.
        """
        failures: list[ServiceError] = []
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    asked: None if asked.weight == 0 else group.create_task(_ask(asked, request, context))
                    for asked in self.members
                }
        except* ServiceError as failed:
            failures += [error for error in failed.exceptions if isinstance(error, ServiceError)]
        if failures:
            raise failures[0]
        return {asked: None if task is None else task.result() for asked, task in tasks.items()}

    def _weight(self, asked: _Asked, result: ModelResult) -> float:
        if asked.weight is not None:
            return asked.weight
        composed = self.models.composed.get(result.model)
        if composed is not None and composed.describe().strategy is Strategy.HEURISTIC:
            return _LEXICAL_WEIGHT
        if not result.has_scale:
            return _RELEVANCE_WEIGHT
        return {ScoreSpace.UNBOUNDED: _LEXICAL_WEIGHT, ScoreSpace.COSINE: _VECTOR_WEIGHT}.get(
            result.score_space, _RELEVANCE_WEIGHT
        )


def build(config: FusionConfig, parts: Parts) -> Fusion:
    """Build the strategy of a reranker."""
    method = None if config.method == "auto" else Method(config.method)
    members = []
    for number, each in enumerate(config.members):
        member = parts.member(f"members[{number}].model", each.model, each.name)
        timeout_s = None if each.timeout_ms is None else each.timeout_ms / 1000
        members.append(_Asked(member, each.weight, each.required, timeout_s))
    if method is not None and not method.uses_ranks:
        for each in config.members:
            parts.check("method", partial(_order_problem, parts.models, each.model, method))
    return Fusion(members, method, config.rrf_k, parts.models)


def _order_problem(models: Models, name: str, method: Method) -> str:
    if not is_order_only(models, name):
        return ""
    return f"{method} joins scores, and {name} only orders documents; choose rrf or auto"


async def _ask(asked: _Asked, request: RenderedRequest, context: ScoringContext) -> MemberAnswer:
    timeout_s = asked.timeout_s
    if timeout_s is None and not asked.is_required and context.deadline_s is not None:
        timeout_s = max((context.deadline_s - time.monotonic()) * _SHARE_OF_DEADLINE, 0.001)
    answer = await asked.member.ask(request, context, timeout_s=timeout_s)
    if asked.is_required:
        answer.scored()
    return answer


def _method_for(results: Collection[ModelResult]) -> Method:
    return Method.DBSF if all(result.has_scale for result in results) else Method.RRF


def _provider_of(results: Collection[ModelResult]) -> str:
    providers = {result.provider for result in results}
    return providers.pop() if len(providers) == 1 else COMPOSED_PROVIDER


def _all_failed(answers: Mapping[_Asked, MemberAnswer | None]) -> ServiceError:
    errors = [(asked.member.name, answer.error) for asked, answer in answers.items() if answer is not None]
    return all_models_failed([ModelFailure(name, error) for name, error in errors if error is not None])


def _stages(asked: _Asked, answer: MemberAnswer | None) -> Sequence[StageReport]:
    if answer is not None:
        return answer.stages
    note = "its weight is 0"
    return [StageReport(asked.member.name, asked.member.model, 0, 0.0, status=StageStatus.SKIPPED, note=note)]


def _warnings(answers: Mapping[_Asked, MemberAnswer | None], method: Method) -> Iterator[str]:
    for asked, answer in answers.items():
        if answer is None:
            continue
        name = asked.member.name
        if answer.result is None:
            yield f"{name} failed and was left out: {answer.error}"
            continue
        yield from answer.result.warnings
        if is_ranked_only(answer.result, method):
            yield f"{name} only orders documents: its ranks were taken for scores"
