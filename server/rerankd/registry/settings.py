"""Settings of stored rerankers. Cheap to import: no database library."""

from __future__ import annotations

import msgspec


class RegistrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stored rerankers: created and changed by `/api/reranker`, `RerankerService` and `rerankd rerankers`."""

    poll_s: float = 0.5
    """Seconds between two looks at the store: a change is known to every worker and replica within that time."""
    max_rerankers: int = 200
    """Most stored rerankers."""
    kept_versions: int = 100
    """Versions of a reranker that are kept to look at and to go back to, the current one included."""

    def problems(self, path: str = "registry") -> list[str]:
        """Say what cannot be used, one sentence each.

        Args:
            path: Where these settings stand.
        """
        found = []
        if not self.poll_s >= 0.05:
            found.append(f"{path}.poll_s must be at least 0.05, is {self.poll_s:g}")
        if self.max_rerankers < 1:
            found.append(f"{path}.max_rerankers must be at least 1, is {self.max_rerankers}")
        if self.kept_versions < 1:
            found.append(f"{path}.kept_versions must be at least 1, is {self.kept_versions}")
        return found
