"""Scores of documents that are sent alone: every right one of a set, and for each query one of another query.

Lists say nothing about them, since a score must not depend on the documents beside it.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.retrieval_sets import LabelledQuery
from rerankd_client import RerankClient

_SEED = 20


@dataclass(frozen=True)
class AloneScores:
    """Of one model on one set."""

    right: Sequence[float]
    """Of every candidate that was judged relevant."""
    unrelated: Sequence[float]
    """Of one candidate of another query for each query."""

    def row(self) -> tuple[str, ...]:
        """Return how many right ones there are, their median, how many are above 0.6, and the others' reach."""
        above = statistics.mean(score > 0.6 for score in self.right)
        reach = statistics.quantiles(self.unrelated, n=20, method="inclusive")[18]
        median = statistics.median(self.right)
        return (str(len(self.right)), f"{median:.2f}", f"{above:.0%}", f"{reach:.3f}", f"{max(self.unrelated):.3f}")


HEADINGS = ("right", "median", "above 0.6", "unrelated, 95 % below", "at most")


def right_pairs(queries: Sequence[LabelledQuery]) -> list[tuple[str, str]]:
    """Return every query with each of its relevant candidates."""
    return [
        (query.text, text)
        for query in queries
        for text, gain in zip(query.candidates, query.gains, strict=True)
        if gain > 0
    ]


def unrelated_pairs(queries: Sequence[LabelledQuery]) -> list[tuple[str, str]]:
    """Return every query with a candidate of another one that is not its own; two queries at least."""
    chance = random.Random(_SEED)
    texts = list(dict.fromkeys(text for query in queries for text in query.candidates))
    pairs = []
    for query in queries:
        own = set(query.candidates)
        pairs.append((query.text, chance.choice([text for text in texts if text not in own])))
    return pairs


def score_alone(
    client: RerankClient, model: str, options: dict[str, Any], queries: Sequence[LabelledQuery]
) -> AloneScores:
    """Send each document alone."""

    def score(query: str, document: str) -> float:
        response = client.rerank(query, [document], model=model, provider_options=options, timeout_s=300)
        return response.results[0].relevance_score

    return AloneScores(
        [score(*pair) for pair in right_pairs(queries)], [score(*pair) for pair in unrelated_pairs(queries)]
    )
