"""Report of one stage of a model that scores in several, or of one member of a reranker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rerankd.contract.errors import ServiceError
from rerankd.contract.messages import StageStatus, Usage


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage or member. For `ExtraFields.stages`."""

    name: str
    """One within another has the name of both, joined by a slash."""
    model: str
    """The model that answered, or failed last."""
    documents: int
    """Documents it scored, or was asked for."""
    latency_ms: float
    indices: Sequence[int] = ()
    """Index in the request of each of the documents."""
    usage: Usage | None = None
    """What it consumed; `None` for a stage within a model, and one that did not answer."""
    shortened_by: str = ""
    """"budget" if that made it score fewer documents, else empty."""
    status: StageStatus = StageStatus.OK
    error: ServiceError | None = None
    """Why it failed."""
    note: str = ""
    """Why it was skipped."""

    @property
    def reason(self) -> str | None:
        """Name of the `ErrorReason` of a stage that failed, else `None`."""
        return None if self.error is None else self.error.reason.value

    @property
    def message(self) -> str | None:
        """Why it failed or was skipped, in one sentence; `None` if it did not."""
        return self.note or None if self.error is None else self.error.message

    def within(self, name: str) -> StageReport:
        """Return the report as that of a stage within the stage or member `name`."""
        return replace(self, name=f"{name}/{self.name}")
