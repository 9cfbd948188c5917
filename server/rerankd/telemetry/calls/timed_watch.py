"""What the watch of a provider call and that of a member have in common: when they ran, how they ended, their span."""

from __future__ import annotations

from rerankd.telemetry.calls.trace_context import new_id


class TimedWatch:
    """Times a piece of work. Its subclasses set all fields: their construction is on the path of every call."""

    __slots__ = ("_span_id", "ended_s", "outcome", "started_s")

    outcome: str
    """`ok`, what failed, or `cancelled`; empty while the work is under way."""
    started_s: float
    """When it began, a `time.perf_counter()`."""
    ended_s: float
    """When it ended."""
    _span_id: int

    @property
    def elapsed_s(self) -> float:
        """Seconds it took. Known once it has ended."""
        return self.ended_s - self.started_s

    @property
    def is_error(self) -> bool:
        """Whether it failed. Known once it has ended; what was cancelled did not."""
        return self.outcome not in ("ok", "cancelled")

    @property
    def span_id(self) -> int:
        """Id of its span, drawn when it is first asked for."""
        if not self._span_id:
            self._span_id = new_id(64)
        return self._span_id
