"""Rerankers and their versions as messages of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from rerankd.contract import reranker_messages as messages
from rerankd.registry.stored_reranker import RerankerVersion, StoredReranker
from rerankd.registry.version_diff import MISSING, FieldDifference


def reranker_message(reranker: StoredReranker) -> messages.Reranker:
    """Return a reranker as it is told."""
    content, totals = reranker.content, reranker.totals
    is_declared = reranker.is_declared
    return messages.Reranker(
        key=reranker.key,
        name=content.name,
        description=content.description,
        strategy=content.strategy,
        status=_status(content.status),
        config=content.config,
        metadata=content.metadata,
        total_runs=totals.runs,
        avg_latency_ms=round(totals.average_latency_ms, 3),
        last_used_at=_time(totals.last_used_at),
        created_at=_time(reranker.created_at or None),
        updated_at=_time(reranker.updated_at or None),
        version=reranker.version,
        etag=reranker.etag,
        source=messages.RerankerSource.SETTINGS if is_declared else messages.RerankerSource.STORE,
        problem=reranker.problem,
    )


def version_message(version: RerankerVersion) -> messages.RerankerVersion:
    """Return a version as it is told."""
    content = version.content
    return messages.RerankerVersion(
        version=version.version,
        created_at=_time(version.created_at),
        author=version.author,
        origin=version.origin,
        name=content.name,
        description=content.description,
        strategy=content.strategy,
        status=_status(content.status),
        config=content.config,
        metadata=content.metadata,
    )


def difference_message(difference: FieldDifference) -> messages.RerankerDifference:
    """Return a difference as it is told."""
    return messages.RerankerDifference(
        path=difference.path, before=_json(difference.before), after=_json(difference.after)
    )


def _json(value: Any) -> str | None:
    return None if value is MISSING else msgspec.json.encode(value).decode()


def _status(status: str) -> messages.RerankerStatus:
    return messages.RerankerStatus.DISABLED if status == "disabled" else messages.RerankerStatus.ACTIVE


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
