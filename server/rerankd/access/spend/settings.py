"""Settings of spend. Cheap to import: no database library."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec


class SpendSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sums of what calls used and cost, by day, key, group, user and model, kept in the store."""

    enabled: bool | None = None
    """Whether they are kept. `null`: if `access.enabled` is true."""
    write_every_s: float = 5.0
    """Seconds between two writes to the store; a process that is killed loses the sums of so many."""
    max_names: int = 1000
    """Most keys, groups, users and models, each, that one process tells apart in a day; the rest is summed as
    `other`."""
    keep_days: int = 400
    """Days after which sums are deleted."""

    def problems(self, path: str) -> Iterator[str]:
        """Say what cannot be used, one sentence each."""
        if not 0.1 <= self.write_every_s < math.inf:
            yield f"{path}.write_every_s must be at least 0.1, is {self.write_every_s:g}"
        for name in ("max_names", "keep_days"):
            if getattr(self, name) < 1:
                yield f"{path}.{name} must be at least 1, is {getattr(self, name)}"
