"""Settings of experiments and judgements. Cheap to import: no database library."""

from __future__ import annotations

import msgspec


class EvaluationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long experiments and judgements are kept: they have the beginnings of queries, whatever becomes of runs."""

    keep_experiments_days: float | None = 400.0
    """Days after its end when an experiment is deleted; its replays are runs, and go when runs do. `null`: never."""
    keep_feedback_days: float | None = 400.0
    """Days without a change after which a grade of an end user, or what was only clicked, is deleted. `null`: never."""
    keep_judgements_days: float | None = None
    """The same of grades that were set by the interface or imported. `null`: never."""

    def problems(self, path: str = "evaluation") -> list[str]:
        """Say what cannot be used, one sentence each.

        Args:
            path: Where these settings stand.
        """
        return [
            f"{path}.{name} must be above 0, or null to delete nothing, is {value:g}"
            for name in self.__struct_fields__
            if (value := getattr(self, name)) is not None and not value > 0
        ]
