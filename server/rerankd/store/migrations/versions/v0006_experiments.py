"""Experiments with their queries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "experiments",
        sa.Column("experiment_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("candidate", sa.Text, nullable=False),
        sa.Column("baseline", sa.JSON, nullable=False),
        sa.Column("filter", sa.JSON, nullable=False),
        sa.Column("depth", sa.Integer, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("queries", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("ended_at", sa.Double, nullable=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("summary", sa.JSON, nullable=True),
    )
    op.create_index("ix_experiments_created_at", "experiments", ["created_at", "experiment_id"])
    op.create_table(
        "experiment_queries",
        sa.Column(
            "experiment_id",
            sa.Text,
            sa.ForeignKey("experiments.experiment_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("badness", sa.Double, nullable=True),
        sa.Column("outcome", sa.JSON, nullable=False),
    )
    op.create_index("ix_experiment_queries_badness", "experiment_queries", ["experiment_id", "badness", "position"])


def downgrade() -> None:
    """Drop the tables, with every experiment."""
    op.drop_table("experiment_queries")
    op.drop_table("experiments")
