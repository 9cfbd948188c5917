"""Blocks with the details of runs.

Code from before lists the runs of code from after, but cannot read their details, which are in blocks.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table; runs that are there keep their details in their rows."""
    op.create_table(
        "run_blocks",
        sa.Column("block_id", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.add_column("runs", sa.Column("block_id", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop the table, with every run whose details are in it."""
    op.execute(
        "UPDATE run_log SET runs = runs - (SELECT count(*) FROM runs WHERE block_id <> ''), "
        "bytes = bytes - (SELECT coalesce(sum(bytes), 0) FROM runs WHERE block_id <> '')"
    )
    op.execute("DELETE FROM runs WHERE block_id <> ''")
    op.drop_column("runs", "block_id")
    op.drop_table("run_blocks")
