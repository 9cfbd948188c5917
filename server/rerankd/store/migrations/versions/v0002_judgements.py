"""Judgements of documents, and how often they were clicked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "judgements",
        sa.Column("query_hash", sa.Text, primary_key=True),
        sa.Column("document_key", sa.Text, primary_key=True),
        sa.Column("document_id", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("grade", sa.Integer, nullable=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("clicks", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drop the table, with every judgement."""
    op.drop_table("judgements")
