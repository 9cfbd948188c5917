"""The order or the scores that an earlier stage gave a call's documents; pure Python."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rerankd_adapters.base import ProviderCall

_FARTHEST = 3.0
"""Standard deviations: one outlier decides no more than that."""


def read_prior(call: ProviderCall, *, assumes_ranked: bool) -> list[float] | None:
    """Return what an earlier stage thought of each document, in standard deviations from the mean of the call.

    Scores are measured by their own distribution, whatever their score space. Without them, ranked documents count by
    their ranks, evenly distributed.

    Args:
        call: Its scores are used where every document has one, else its order if it says that it is ranked.
        assumes_ranked: Whether documents are ranked when the call does not say.

    Returns:
        One number a document, -3 to 3, higher is better; `None` where nothing is said, or it tells nothing apart.
    """
    if call.prior_scores is not None:
        return _standardise(call.prior_scores)
    is_ranked = assumes_ranked if call.documents_ranked is None else call.documents_ranked
    return _standardise([-float(rank) for rank in range(len(call.documents))]) if is_ranked else None


def _standardise(values: Sequence[float]) -> list[float] | None:
    greatest = max(map(abs, values))
    if greatest == 0:
        return None
    # Squares of what a caller may send would not be finite.
    scaled = [value / greatest for value in values]
    mean, spread = statistics.fmean(scaled), statistics.pstdev(scaled)
    if spread < 1e-9:
        return None
    return [min(_FARTHEST, max(-_FARTHEST, (value - mean) / spread)) for value in scaled]
