"""Which runs are wanted. Cheap to import: no database library."""

from __future__ import annotations

import msgspec


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions that runs meet, all of them; what is not set is not asked."""

    started_from: float | None = None
    """Earliest start, in seconds since 1970."""
    started_to: float | None = None
    """Starts before this time alone."""
    status: str = ""
    """`ok` or `error`."""
    reason: str = ""
    """An `ErrorReason`."""
    model: str = ""
    reranker: str = ""
    key_id: str = ""
    user: str = ""
    source: str = ""
    """`api`, `grpc`, `batch`, `playground` or `replay`."""
    request_id: str = ""
    replay_of: str = ""
    experiment_id: str = ""
    min_latency_ms: float | None = None
    max_latency_ms: float | None = None
