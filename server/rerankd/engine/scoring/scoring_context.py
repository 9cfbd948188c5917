"""What a model needs to know of a call beside its query and documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from rerankd.cache.pair_scores import CacheUse
from rerankd.telemetry.call_record import CallRecord


@dataclass(slots=True)
class ScoringContext:
    """What all models and chunks that score one call have in common. For one event loop."""

    deadline_s: float | None = None
    """`time.monotonic()` at which the caller stops waiting; `None` without a deadline."""
    top_n: int | None = None
    """Results that are needed at least; `None` when every document's score is."""
    cache_use: CacheUse = CacheUse.READ_WRITE
    """How known scores are used."""
    has_fallback: bool = False
    """Whether another model is tried when this one fails."""
    record: CallRecord | None = None
    """Where what happens is noted."""
    chunk_numbers: Iterator[int] = field(default_factory=count)
    """Gives each chunk of the call its number."""
