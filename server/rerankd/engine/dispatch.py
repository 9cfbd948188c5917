"""One call of one target, under the caller's deadline, with provider faults turned into service errors."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rerankd.engine.merge import check_reply
from rerankd.engine.router import Target
from rerankd.errors import FieldViolation, Reason, ServiceError, deadline_exceeded
from rerankd_adapters.base import AdapterError, AdapterErrorKind, ProviderCall, ProviderReply

REASON_OF_KIND: Final[Mapping[AdapterErrorKind, Reason]] = {
    AdapterErrorKind.REJECTED: Reason.PROVIDER_REJECTED_REQUEST,
    AdapterErrorKind.UNSUPPORTED: Reason.CAPABILITY_UNSUPPORTED,
    AdapterErrorKind.MODEL_NOT_FOUND: Reason.MODEL_NOT_FOUND,
    AdapterErrorKind.CREDENTIALS: Reason.PROVIDER_CREDENTIALS_REJECTED,
    AdapterErrorKind.RATE_LIMITED: Reason.PROVIDER_RATE_LIMITED,
    AdapterErrorKind.UNAVAILABLE: Reason.PROVIDER_UNAVAILABLE,
    AdapterErrorKind.BAD_RESPONSE: Reason.PROVIDER_BAD_RESPONSE,
    AdapterErrorKind.TIMEOUT: Reason.DEADLINE_EXCEEDED,
}

FALLBACK_REASONS: Final = frozenset(
    {
        Reason.PROVIDER_RATE_LIMITED,
        Reason.PROVIDER_UNAVAILABLE,
        Reason.PROVIDER_BAD_RESPONSE,
        Reason.PROVIDER_CREDENTIALS_REJECTED,
        Reason.NO_HEALTHY_DEPLOYMENT,
    }
)
"""Failures of one model that another model may not share."""


_DOCUMENT: Final = re.compile(r"documents\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class ChunkAnswer:
    """What a target replied to one chunk."""

    chunk: range
    """Positions in the request."""
    reply: ProviderReply
    latency_ms: float


async def dispatch(
    target: Target, call: ProviderCall, chunks: Sequence[range], remaining_s: float | None
) -> list[ChunkAnswer]:
    """Call a target once for each chunk, all at once, and check what it answers.

    Args:
        target: The model.
        call: The query and all documents.
        chunks: Positions of the documents of each call.
        remaining_s: Seconds until the caller's deadline, `None` without one.

    Returns:
        One answer a chunk, in the order of `chunks`.

    Raises:
        ServiceError: What the caller should know of the first failure; the other chunks are cancelled.
    """
    if remaining_s is not None and remaining_s <= 0:
        raise deadline_exceeded()
    try:
        async with asyncio.timeout(remaining_s):
            if len(chunks) == 1:
                return [await _call_chunk(target, call, chunks[0])]
            return await _call_all(target, call, chunks)
    except TimeoutError:
        raise deadline_exceeded() from None


async def _call_all(target: Target, call: ProviderCall, chunks: Sequence[range]) -> list[ChunkAnswer]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_call_chunk(target, call.take(chunk), chunk)) for chunk in chunks]
    except* ServiceError as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _call_chunk(target: Target, call: ProviderCall, chunk: range) -> ChunkAnswer:
    started_s = time.monotonic()
    try:
        reply = await target.provider.rerank(call)
    except AdapterError as error:
        raise service_error(error, target, chunk.start) from error
    check_reply(reply, len(chunk), target.provider.name, call.top_n)
    return ChunkAnswer(chunk, reply, round((time.monotonic() - started_s) * 1000, 3))


def service_error(error: AdapterError, target: Target, first: int = 0) -> ServiceError:
    """Turn what a provider did into what the caller sees.

    Args:
        error: What the provider did; a document it names by its place in the chunk.
        target: The model.
        first: Position in the request of the chunk's first document.
    """
    reason = REASON_OF_KIND[error.kind]
    metadata = {"provider": target.provider.name, "model": target.name}
    if error.status is not None:
        metadata["provider_status"] = str(error.status)
    violations = []
    if error.field:
        field = _DOCUMENT.sub(lambda found: f"documents[{int(found[1]) + first}]", error.field)
        violations.append(FieldViolation(field, error.message))
    return ServiceError(
        reason,
        f"{target.name}: {error.message}",
        metadata=metadata,
        violations=violations,
        retry_after_s=error.retry_after_s,
    )
