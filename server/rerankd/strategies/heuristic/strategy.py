"""Strategy heuristic: words, phrases, earlier scores, dates and lengths order the documents; no model is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rerankd.contract.messages import Document, Usage
from rerankd.engine.block_text import value_text
from rerankd.engine.rendering import RenderedRequest
from rerankd.engine.scoring.composed_model import COMPOSED_PROVIDER
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.engine.time_slice import TimeSlice
from rerankd.local.lexical import CUT_QUERY
from rerankd.local.tokens.words import cut_text
from rerankd.strategies.fusion.explained_parts import explain_parts
from rerankd.strategies.fusion.methods import MemberScores, Method, fuse_in_turns
from rerankd.strategies.heuristic.document_dates import date_of
from rerankd.strategies.heuristic.features import (
    QueryWords,
    TextWords,
    length_feature,
    prior_feature,
    recency_feature,
)
from rerankd.strategies.heuristic.settings import HeuristicConfig, RecencySettings
from rerankd.strategies.parts import Parts
from rerankd_adapters.base import ScoreSpace, Scoring

_PART_CHARACTERS: Final = 16_384
"""Text that is read without yielding the event loop: about 1 ms of English."""


@dataclass(frozen=True, slots=True)
class Heuristic:
    """Scores by features of query and documents. Satisfies `Strategy`."""

    config: HeuristicConfig
    clock: Callable[[], float] = time.time
    """Returns the seconds since 1970."""
    score_space: ScoreSpace = field(default=ScoreSpace.RELATIVE, init=False)
    """See `Strategy`."""
    scoring: Scoring = field(default=Scoring.LISTWISE, init=False)
    """See `Strategy`: the rarity of words is counted over the request's documents."""

    async def score(self, request: RenderedRequest, _context: ScoringContext) -> ModelResult:
        """See `Strategy`."""
        warnings: list[str] = []
        features = await self._features(request, warnings)
        weights = [getattr(self.config.weights, name) for name in features]
        members = list(features.values())
        raw = {name: feature.scores for name, feature in features.items()}
        if "prior" in raw and request.prior_scores is not None:
            raw["prior"] = request.prior_scores
        fused = await fuse_in_turns(members, weights, len(request.indices), Method.WEIGHTED)
        positions = {index: at for at, index in enumerate(request.indices)}
        return ModelResult(
            model="",
            provider=COMPOSED_PROVIDER,
            indices=request.indices,
            scores=fused.scores,
            score_space=self.score_space,
            usage=Usage(documents=len(request.texts) + len(request.blank_indices), cost=0.0),
            warnings=warnings,
            explain=explain_parts(list(raw), list(raw.values()), fused, positions),
            has_scale=True,
            minimum_score=0.0,
        )

    async def _features(self, request: RenderedRequest, warnings: list[str]) -> Mapping[str, MemberScores]:
        """Return the features that have a weight, by the name of their weight."""
        weights, count = self.config.weights, len(request.indices)
        words = QueryWords(request.query)
        if words.is_cut:
            warnings.append(CUT_QUERY)
        documents = await self._read(request, words)
        scores = await words.score(documents)
        features = {
            "bm25": MemberScores(range(count), scores.bm25, 0.0),
            "phrase": MemberScores(range(count), scores.phrase, 0.0, 1.0),
            "proximity": MemberScores(range(count), scores.proximity, 0.0, 1.0),
        }
        if request.prior_scores is not None:
            features["prior"] = prior_feature(request.prior_scores)
        if self.config.recency is not None and weights.recency:
            features["recency"] = self._recency(request, self.config.recency, warnings)
        if weights.length:
            features["length"] = length_feature(documents, self.config.preferred_words)
        return {name: feature for name, feature in features.items() if getattr(weights, name)}

    async def _read(self, request: RenderedRequest, words: QueryWords) -> list[TextWords]:
        """Find the query's words in every document, a millisecond of the event loop at a time."""
        time_slice = TimeSlice()
        read = []
        for index, text in zip(request.indices, request.texts, strict=True):
            parts, boosts = [], []
            document = request.request.documents[index]
            for content, boost in await self._contents(document, text, request.request.rank_fields, time_slice):
                for part in cut_text(content, _PART_CHARACTERS):
                    if time_slice.is_over():
                        await time_slice.rest()
                    parts.append(words.read(part))
                    boosts.append(boost)
            read.append(TextWords.add(parts, boosts))
        return read

    async def _contents(
        self, document: str | Document, text: str, rank_fields: Sequence[str], time_slice: TimeSlice
    ) -> Sequence[tuple[str, float]]:
        """Return the texts of a document with their boosts, at least one."""
        boosts = self.config.fields
        if not boosts or isinstance(document, str) or not document.fields:
            return [(text, 1.0)]
        found: list[tuple[str, float]] = []
        for name, value in _scored_fields(document, rank_fields, boosts).items():
            if boost := boosts.get(name, 1.0):
                found.append((value if isinstance(value, str) else await value_text(value, time_slice), boost))
        return found or [("", 1.0)]

    def _recency(self, request: RenderedRequest, settings: RecencySettings, warnings: list[str]) -> MemberScores:
        documents = request.request.documents
        dates = [date_of(documents[index], settings.field) for index in request.indices]
        if missing := dates.count(None):
            warnings.append(
                f"recency: {missing} of {len(dates)} documents have no date in {settings.field} that can be read;"
                " they neither gain nor lose by it"
            )
        return recency_feature(dates, self.clock(), settings.half_life_days)


def build(config: HeuristicConfig, _parts: Parts) -> Heuristic:
    """Build the strategy of a reranker."""
    return Heuristic(config)


def _scored_fields(document: Document, rank_fields: Sequence[str], boosts: Mapping[str, float]) -> Mapping[str, Any]:
    """Return the scored fields: those of `rank_fields`, else the text and the fields with a boost, else all."""
    fields = {"text": document.text, **(document.fields or {})} if document.text else document.fields or {}
    if chosen := {name: fields[name] for name in rank_fields if fields.get(name) is not None}:
        return chosen
    if document.text:
        return {name: value for name, value in fields.items() if name == "text" or name in boosts}
    return fields
