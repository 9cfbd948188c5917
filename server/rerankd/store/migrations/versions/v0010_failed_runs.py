"""The index of failed runs has what they are filtered by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_ERRORS = sa.text("status = 'error'")


def upgrade() -> None:
    """Replace the index."""
    _replace(["run_id", "latency_ms", "reranker", "model", "reason"])


def downgrade() -> None:
    """Bring back the index of ids alone."""
    _replace(["run_id"])


def _replace(columns: list[str]) -> None:
    op.drop_index("ix_runs_errors", "runs")
    op.create_index("ix_runs_errors", "runs", columns, sqlite_where=_ERRORS, postgresql_where=_ERRORS)
