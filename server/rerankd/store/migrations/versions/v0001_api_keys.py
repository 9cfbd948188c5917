"""API keys, and the counter that tells processes of a change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "change_counters",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("old_digest", sa.Text, nullable=False),
        sa.Column("old_expires_at", sa.Double, nullable=True),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=True),
        sa.Column("revoked_at", sa.Double, nullable=True),
        sa.Column("change", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_api_keys_change", "api_keys", ["change"])
    counters = sa.table("change_counters", sa.column("name", sa.Text), sa.column("value", sa.BigInteger))
    op.bulk_insert(counters, [{"name": "api_keys", "value": 0}])


def downgrade() -> None:
    """Drop the tables, with every key."""
    op.drop_table("api_keys")
    op.drop_table("change_counters")
