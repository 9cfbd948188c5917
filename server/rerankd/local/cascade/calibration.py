"""Scores of the cascade as probabilities that a document answers the query, comparable across calls.

A stage's features have fixed means and spreads, not those of the request, so that a score depends on the query and its
own document alone. Each stage adds its features with fixed weights and maps the sum to a probability by a logistic
function fitted on judged pairs. A document has the score of the last stage that read it.

A later stage reads the documents that the stage before found best, so a document it left out is less likely to be
relevant than its own features say. Scores of the stages before the cross-encoder are therefore scaled down into bands:
the order inside a stage is kept, and a document that the cross-encoder found relevant lies above those it did not read.

The functions are fitted on lists that a search returned, where one document in seven is relevant. A caller's documents
may come from anywhere, or alone, so all probabilities are moved to even odds: a score above 0.5 says that the texts
speak for the document, whatever its origin. The move is the same for all, so no order changes.

Fitted on the four sets of `make bench-quality`, every set and every query with the same weight;
docs/decisions/0029-probabilities-of-the-cascade.md has the table. Pure Python, so that it runs where numpy is not
installed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rerankd_adapters.scores import sigmoid


class _Feature(NamedTuple):
    """Mean over queries of a feature's mean and standard deviation within a query."""

    mean: float
    spread: float

    def standardise(self, value: float) -> float:
        return (value - self.mean) / self.spread


class _Logistic(NamedTuple):
    intercept: float
    slope: float
    ceiling: float
    """Upper end of the stage's band, before it is moved to even odds."""

    def probability(self, value: float) -> float:
        return at_even_odds(self.ceiling * sigmoid(self.intercept + self.slope * value))


_MATCH: Final = _Feature(0.1829, 0.1082)
STATIC_COSINE: Final = _Feature(0.5393, 0.0790)
STATIC_MAXSIM: Final = _Feature(0.5627, 0.1322)
_COSINE: Final = _Feature(0.4420, 0.1561)
_MAXSIM: Final = _Feature(0.4956, 0.1390)
_LOGIT: Final = _Feature(-2.747, 5.016)

_WORDS: Final = _Logistic(-2.427, 0.863, 0.02)
_STATIC: Final = _Logistic(-2.826, 1.031, 0.05)
_LATE: Final = _Logistic(-2.721, 1.494, 0.3)
_PAIR: Final = _Logistic(-2.838, 1.563, 1.0)
_CROSS_SHARE: Final = 0.75
"""Weight of the cross-encoder beside late interaction."""
PRIOR_SHARE: Final = 0.3
"""Weight of an earlier stage beside the first one of the cascade."""
_LISTED_SHARE: Final = 0.148
"""Relevant documents among the candidates of the development lists, for which the functions are fitted: mean over sets
of the mean over queries."""
_LIFT: Final = (1 - _LISTED_SHARE) / _LISTED_SHARE


def at_even_odds(probability: float) -> float:
    """Move a probability from the share of relevant documents that it was fitted at to a half.

    What the texts say multiplies the odds that a document had before they were read; the odds of the fit are taken out.

    Args:
        probability: 0 to 1.

    Returns:
        0 to 1, in the same order.
    """
    return _LIFT * probability / (1 + (_LIFT - 1) * probability)


def words_probability(match: float, prior: float | None = None) -> float:
    """Score a document of which only the words were compared; 0 to 0.11.

    Args:
        match: Share of the query's words that it has, repetitions saturated, 0 to 1.
        prior: What an earlier stage thought of it, in standard deviations; `None` where that does not count.
    """
    return _WORDS.probability(_with_prior(_MATCH.standardise(match), prior))


def static_probability(match: float, cosine: float, maxsim: float, prior: float | None = None) -> float:
    """Score a document compared by words and static vectors; 0 to 0.24."""
    value = (
        0.3 * _MATCH.standardise(match)
        + 0.3 * STATIC_COSINE.standardise(cosine)
        + 0.4 * STATIC_MAXSIM.standardise(maxsim)
    )
    return _STATIC.probability(_with_prior(value, prior))


def _with_prior(value: float, prior: float | None) -> float:
    return value if prior is None else (1 - PRIOR_SHARE) * value + PRIOR_SHARE * prior


def late_value(match: float, cosine: float, maxsim: float) -> float:
    """Combine the words with the bi-encoder's cosine and MaxSim; unbounded, 0 for an average document."""
    return 0.2 * _MATCH.standardise(match) + 0.2 * _COSINE.standardise(cosine) + 0.6 * _MAXSIM.standardise(maxsim)


def late_probability(value: float) -> float:
    """Score a document that the bi-encoder has read; 0 to 0.72.

    Args:
        value: Its `late_value`.
    """
    return _LATE.probability(value)


def pair_probability(logit: float, late: float | None) -> float:
    """Score a document that the cross-encoder has read; 0 to 1.

    Args:
        logit: The cross-encoder's.
        late: The document's `late_value`; `None` where the bi-encoder has not read it.
    """
    value = _LOGIT.standardise(logit)
    return _PAIR.probability(value if late is None else _CROSS_SHARE * value + (1 - _CROSS_SHARE) * late)
