"""What a model needs of a call in addition to query and documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from rerankd.cache.pair_scores import CacheUse
from rerankd.telemetry.call_record import CallRecord


@dataclass(slots=True)
class ScoringContext:
    """State shared by all models and chunks that score one call. For one event loop."""

    deadline_s: float | None = None
    """`time.monotonic()` of the caller's deadline; `None` without one."""
    top_n: int | None = None
    """Number of results needed; `None` if every document's score is."""
    cache_use: CacheUse = CacheUse.READ_WRITE
    """How the pair-score cache is used."""
    has_fallback: bool = False
    """Whether another model is tried if this one fails."""
    record: CallRecord | None = None
    """Telemetry of the call; `None` if it is not recorded."""
    chunk_numbers: Iterator[int] = field(default_factory=count)
    """Source of chunk indices: 0, 1, 2, ..."""
