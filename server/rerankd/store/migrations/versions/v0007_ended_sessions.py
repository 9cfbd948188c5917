"""Sessions that were ended before their time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "ended_sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("ends_at", sa.Double, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_ended_sessions_change", "ended_sessions", ["change"])
    counters = sa.table("change_counters", sa.column("name", sa.Text), sa.column("value", sa.BigInteger))
    op.bulk_insert(counters, [{"name": "ended_sessions", "value": 0}])


def downgrade() -> None:
    """Drop the table; sessions that were ended work again until their time."""
    op.drop_table("ended_sessions")
    op.execute("DELETE FROM change_counters WHERE name = 'ended_sessions'")
