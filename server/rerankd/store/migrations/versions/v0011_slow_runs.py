"""The index of latencies has slow runs alone, in the order of time.

An entry for each run, at a random place, cost a page that is written to disk.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_SLOW = sa.text("latency_ms >= 1000")


def upgrade() -> None:
    """Replace the index of all latencies."""
    op.drop_index("ix_runs_latency", "runs")
    columns = ["run_id", "latency_ms", "reranker", "model"]
    op.create_index("ix_runs_slow", "runs", columns, sqlite_where=_SLOW, postgresql_where=_SLOW)


def downgrade() -> None:
    """Bring back the index of all latencies."""
    op.drop_index("ix_runs_slow", "runs")
    op.create_index("ix_runs_latency", "runs", ["latency_ms", "run_id"])
