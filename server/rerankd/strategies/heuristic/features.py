"""Features of a query and a document's text that need no model: shared words, phrases, nearness. Any script."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise, repeat
from statistics import pstdev, quantiles
from typing import Final, NamedTuple

from rerankd.engine.time_slice import TimeSlice
from rerankd.local.bm25 import Bm25Query, WordCounts, length_norms, rarity
from rerankd.local.tokens.words import STOP_WORDS, split_words
from rerankd.strategies.fusion.methods import MemberScores, scale_to_unit
from rerankd_adapters.scores import sigmoid

_DAY_S: Final = 86_400.0
_QUARTILES_APART: Final = 1.349
"""Distance of the quartiles of a normal distribution, in standard deviations."""


class TextWords(NamedTuple):
    """What one document, or a part of one, has of the query."""

    counts: WordCounts
    """Its length and the query words it has."""
    phrases: Mapping[int, float]
    """Occurrences of each of the query's phrases, by the phrase's position in `QueryWords.phrases`."""
    nearness: Mapping[tuple[int, int], float]
    """Sum of 1 / distance² over neighbouring occurrences of two different query words, by their positions."""

    @classmethod
    def add(cls, parts: Sequence[TextWords], boosts: Sequence[float]) -> TextWords:
        """Sum the parts of a document, n >= 1, occurrences multiplied by the part's boost.

        A part with the boost 2 counts as if it stood there twice.
        """
        if len(parts) == 1 and boosts[0] == 1:
            return parts[0]
        phrases: defaultdict[int, float] = defaultdict(float)
        nearness: defaultdict[tuple[int, int], float] = defaultdict(float)
        for part, boost in zip(parts, boosts, strict=True):
            for phrase, count in part.phrases.items():
                phrases[phrase] += boost * count
            for pair, value in part.nearness.items():
                nearness[pair] += boost * value
        boosted = [
            WordCounts(part.counts.length * boost, tuple([count * boost for count in part.counts.counts]))
            for part, boost in zip(parts, boosts, strict=True)
        ]
        return cls(WordCounts.add(boosted), phrases, nearness)


class TextScores(NamedTuple):
    """Features of n documents, request order; higher is better."""

    bm25: list[float]
    """As `local/bm25` scores them: 0 and above."""
    phrase: list[float]
    """0 to 1: share of the query's pairs of neighbouring words that the document has side by side."""
    proximity: list[float]
    """0 to 1: how near to each other the query's words stand."""


class QueryWords:
    """A query's words, and their pairs of neighbours without stop words between. Safe to use from any thread."""

    def __init__(self, query: str) -> None:
        self._bm25 = Bm25Query(query)
        self.is_cut = self._bm25.is_cut
        """Whether the query has more distinct words than count."""
        words = list(self._bm25.words)
        self._position = {word: position for position, word in enumerate(words)}
        self._dropped = STOP_WORDS - self._position.keys()
        sequence = [self._position[word] for word in split_words(query) if word in self._position]
        self.phrases = list(dict.fromkeys(pair for pair in pairwise(sequence) if pair[0] != pair[1]))
        """Pairs of positions of query words, distinct."""
        self._phrase_position = {phrase: position for position, phrase in enumerate(self.phrases)}

    def read(self, text: str) -> TextWords:
        """Find the query's words in a text, about 0.05 ms for 240 tokens of English."""
        words = split_words(text)
        counted = Counter(words)
        counts = WordCounts(len(words), tuple(map(counted.get, self._position, repeat(0))))
        phrases: defaultdict[int, float] = defaultdict(float)
        nearness: defaultdict[tuple[int, int], float] = defaultdict(float)
        if len(self._position) > 1 and len(counts.counts) - counts.counts.count(0) > 1:
            kept = [word for word in words if word not in self._dropped]
            found = [(offset, word) for offset, word in enumerate(map(self._position.get, kept)) if word is not None]
            for (offset, word), (next_offset, next_word) in pairwise(found):
                if word == next_word:
                    continue
                distance = next_offset - offset
                nearness[word, next_word] += 1 / distance**2
                if distance == 1 and (phrase := self._phrase_position.get((word, next_word))) is not None:
                    phrases[phrase] += 1
        return TextWords(counts, phrases, nearness)

    async def score(self, documents: Sequence[TextWords]) -> TextScores:
        """Score all documents of a request together, n >= 1: the rarity of words is counted over them.

        Yields the event loop every few milliseconds.
        """
        counts = [document.counts for document in documents]
        total = len(documents)
        columns = zip(*[count.counts for count in counts], strict=True)
        rarities = [rarity(total, total - column.count(0)) for column in columns]
        norms = length_norms(counts)
        weights = [rarities[first] + rarities[second] for first, second in self.phrases]
        weight = math.fsum(weights)
        scores = TextScores(self._bm25.score(counts), [], [])
        time_slice = TimeSlice()
        for document, norm in zip(documents, norms, strict=True):
            if time_slice.is_over():
                await time_slice.rest()
            scores.phrase.append(_phrase(document, norm, weights, weight))
            scores.proximity.append(_proximity(document, norm, rarities))
        return scores


def _phrase(document: TextWords, norm: float, weights: Sequence[float], total: float) -> float:
    """Sum the weights of the query's phrases that a document has, repetitions saturated as in BM25; a share of all."""
    if not document.phrases:
        return 0.0
    return math.fsum(weights[phrase] * count / (count + norm) for phrase, count in document.phrases.items()) / total


def _proximity(document: TextWords, norm: float, rarities: Sequence[float]) -> float:
    """Sum what near neighbours add to each word (Büttcher et al. 2006), saturated; the mean over all query words."""
    if not document.nearness:
        return 0.0
    near: defaultdict[int, float] = defaultdict(float)
    for (first, second), value in document.nearness.items():
        near[first] += rarities[second] * value
        near[second] += rarities[first] * value
    found = [min(1.0, rarities[word]) * value / (value + norm) for word, value in near.items()]
    return math.fsum(found) / len(rarities)


def prior_feature(scores: Sequence[float]) -> MemberScores:
    """Scale the scores of an earlier stage by their own distribution, whatever their score space is.

    The median becomes 0.5, and the logistic function of distances from it in units of the middle half's spread keeps
    outliers from flattening the others.
    """
    if len(set(scores)) < 2:
        return MemberScores(range(len(scores)), scores)
    values = scale_to_unit(scores)
    first, median, third = quantiles(values, n=4, method="inclusive")
    sigma = (third - first) / _QUARTILES_APART or pstdev(values)
    scaled = [sigmoid((value - median) / sigma) for value in values]
    return MemberScores(range(len(scores)), scaled, 0.0, 1.0)


def recency_feature(dates_s: Sequence[float | None], now_s: float, half_life_days: float) -> MemberScores:
    """Halve a document's value with every half-life of its age.

    Args:
        dates_s: Seconds since 1970 of n documents; a document without a date gets the mean of the others, so that it
            neither gains nor loses. A date in the future counts as now.
        now_s: The current time, seconds since 1970.
        half_life_days: Above 0.
    """
    ages = [None if date is None else max(now_s - date, 0.0) / (half_life_days * _DAY_S) for date in dates_s]
    values = [None if age is None else 0.5**age for age in ages]
    known = [value for value in values if value is not None]
    mean = math.fsum(known) / len(known) if known else 0.0
    return MemberScores(range(len(values)), [mean if value is None else value for value in values], 0.0, 1.0)


def length_feature(documents: Sequence[TextWords], preferred_words: int) -> MemberScores:
    """Prefer documents of about `preferred_words`: half as long or twice as long has 0.79, a tenth or tenfold 0.07."""
    logs = [math.log((document.counts.length + 1) / (preferred_words + 1)) for document in documents]
    return MemberScores(range(len(logs)), [math.exp(-(log**2) / 2) for log in logs], 0.0, 1.0)
