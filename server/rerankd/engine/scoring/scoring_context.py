"""What a model needs of a call in addition to query and documents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from msgspec import Struct, field

from rerankd.cache.pair_scores import CacheUse
from rerankd.engine.admission import Admission
from rerankd.engine.routing.call_retries import CallRetries
from rerankd.telemetry.calls.member_watch import ScoringWatch


class ScoringContext(Struct):
    """State shared by all models and chunks that score one call. For one event loop."""

    deadline_s: float | None = None
    """`time.monotonic()` of the caller's deadline; `None` without one."""
    top_n: int | None = None
    """Number of results needed; `None` if every document's score is."""
    cache_use: CacheUse = CacheUse.READ_WRITE
    """How the pair-score cache is used."""
    has_fallback: bool = False
    """Whether another model is tried if this one fails."""
    retries: CallRetries = field(default_factory=CallRetries)
    """Retries and hedges left to the call."""
    record: ScoringWatch | None = None
    """Telemetry of the call, or of the reranker's member that is scored for; `None` if it is not recorded."""
    admission: Admission | None = None
    """Has admitted the call; `None` where nothing bounds the calls in flight."""
    is_member: bool = False
    """Whether a reranker asks: a reranker that is asked answers all documents, whatever its own threshold."""
    chunk_numbers: Iterator[int] = field(default_factory=count)
    """Source of chunk indices: 0, 1, 2, ..."""
