"""An index by which old judgements are found."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the index."""
    op.create_index("ix_judgements_age", "judgements", ["source", "updated_at"])


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_judgements_age", "judgements")
