"""Provider calls that one rerank call may make in addition to one for each chunk and model."""

from __future__ import annotations

from msgspec import Struct


class CallRetries(Struct):
    """One budget of retries and hedges for a rerank call, with all its chunks and fallbacks."""

    left: int = 0
    """Retries and hedges that may still be made."""
    _first: str = ""

    def grant(self, model: str, *, first: int, later: int) -> None:
        """Add the extra calls of a chunk.

        Args:
            model: Public name of the chunk's model.
            first: Added for a chunk of the first model that is called.
            later: Added for a chunk of a fallback, which otherwise has what is left.
        """
        if not self._first:
            self._first = model
        self.left += first if model == self._first else later

    def take(self) -> bool:
        """Spend one; `False` if none is left."""
        if self.left < 1:
            return False
        self.left -= 1
        return True
