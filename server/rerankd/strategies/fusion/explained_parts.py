"""Explains a fused score: what each part, a member or a feature, said of a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rerankd.contract.messages import Contribution
from rerankd.strategies.fusion.methods import Fused


def explain_parts(
    names: Sequence[str], raw: Sequence[Sequence[float | None]], fused: Fused, positions: Mapping[int, int]
) -> Callable[[int], Sequence[Contribution]]:
    """Return what `ModelResult.explain` wants; nothing is made before it is called.

    Args:
        names: m names of the parts.
        raw: Each part's own scores of n documents; `None` where it has none.
        fused: The fusion of the m parts.
        positions: Position among the n documents by index in the request.
    """

    def explain(index: int) -> Sequence[Contribution]:
        if (at := positions.get(index)) is None:
            return ()
        return [
            Contribution(
                name=name,
                rank=part.ranks[at] or None,
                relevance_score=scores[at],
                normalized_score=part.normalised[at],
                weight=part.weight,
                contribution=part.contributions[at],
            )
            for name, scores, part in zip(names, raw, fused.parts, strict=True)
        ]

    return explain
