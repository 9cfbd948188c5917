"""The facts of one request of a reranker to a member: one of its models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Usage
from rerankd.telemetry.calls.timed_watch import TimedWatch
from rerankd.telemetry.calls.watches import ChunkWatch, WatchedCall


class ScoringWatch(Protocol):
    """Watches the scoring of one model: the record of a call, or the watch of a reranker's member."""

    def chunk(self, index: int, count: int) -> ChunkWatch:
        """Watch the attempts at one chunk; see `CallRecord.chunk`."""
        ...

    def member(self, name: str, model: str, documents: int) -> MemberWatch:
        """Watch a request to a member of the model; see `CallRecord.member`."""
        ...

    def fell_back(self, from_model: str, to_model: str, reason: Reason) -> None:
        """Note that all documents go to another model."""
        ...


class RecordedCall(WatchedCall, ScoringWatch, Protocol):
    """What a member's watch needs of the record of its call. `CallRecord` satisfies it."""

    members: Sequence[MemberWatch]
    chunks: int


class MemberWatch(TimedWatch):
    """Watches one request to a member: the context it is made in. Satisfies `ScoringWatch` for the member's model.

    Args:
        call: The record of the call.
        name: Name of the member in its reranker.
        model: Public name of its model.
        documents: Documents it is asked for.
        parent: The member that asks; `None` if the reranker that the caller named does.
    """

    __slots__ = (
        "_call",
        "documents",
        "model",
        "name",
        "parent",
        "usage",
    )

    def __init__(self, call: RecordedCall, name: str, model: str, documents: int, parent: MemberWatch | None) -> None:
        self._call: RecordedCall | None = call
        self.name = name
        self.model = model
        """Public name of the model asked; of the one that answered, once it has."""
        self.documents = documents
        self.parent = parent
        self.usage: Usage | None = None
        """What it consumed; `None` where it failed."""
        self.outcome = ""
        """`ok`, the `ErrorReason`, or `cancelled`; empty while the request is under way."""
        self.started_s = self.ended_s = 0.0
        self._span_id = 0

    def __enter__(self) -> Self:
        self.started_s = time.perf_counter()
        if self._call is not None:
            self._call.members = [*self._call.members, self]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ended_s = time.perf_counter()
        if error is None:
            self.outcome = "ok"
        else:
            self.outcome = error.reason.value if isinstance(error, ServiceError) else _kind_of(error)
        self._call = None  # an ended record must not be kept alive by a reference cycle

    def chunk(self, index: int, count: int) -> ChunkWatch:
        """See `ScoringWatch`."""
        call = self._running
        call.chunks = max(call.chunks, index + 1)
        return ChunkWatch(call, index, count, self)

    def member(self, name: str, model: str, documents: int) -> MemberWatch:
        """See `ScoringWatch`."""
        return MemberWatch(self._running, name, model, documents, self)

    def fell_back(self, from_model: str, to_model: str, reason: Reason) -> None:
        """See `ScoringWatch`."""
        self._running.fell_back(from_model, to_model, reason)

    @property
    def _running(self) -> RecordedCall:
        if self._call is None:
            raise LookupError("the request to the member has ended")
        return self._call


def _kind_of(error: BaseException) -> str:
    return Reason.INTERNAL.value if isinstance(error, Exception) else "cancelled"
