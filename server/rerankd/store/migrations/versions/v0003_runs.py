"""The run log, and how much it holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_PARTIAL = {
    "errors": (["run_id"], "status = 'error'"),
    "key_id": (["key_id", "run_id"], "key_id <> ''"),
    "user": (["user", "run_id"], "\"user\" <> ''"),
    "experiment_id": (["experiment_id", "run_id"], "experiment_id <> ''"),
    "replay_of": (["replay_of", "run_id"], "replay_of <> ''"),
}


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("latency_ms", sa.Double, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("transport", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("dialect", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("reranker", sa.Text, nullable=False),
        sa.Column("reranker_version", sa.Integer, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("document_count", sa.Integer, nullable=False),
        sa.Column("result_count", sa.Integer, nullable=False),
        sa.Column("total_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_usd", sa.Double, nullable=True),
        sa.Column("cache_hits", sa.Integer, nullable=False),
        sa.Column("trace_id", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("replay_of", sa.Text, nullable=False),
        sa.Column("experiment_id", sa.Text, nullable=False),
        sa.Column("capture", sa.Text, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
    )
    for name, columns in (
        ("model", ["model", "run_id"]),
        ("reranker", ["reranker", "run_id"]),
        ("source", ["source", "run_id"]),
        ("latency", ["latency_ms", "run_id"]),
        ("request_id", ["request_id"]),
    ):
        op.create_index(f"ix_runs_{name}", "runs", columns)
    for name, (columns, rule) in _PARTIAL.items():
        where = sa.text(rule)
        op.create_index(f"ix_runs_{name}", "runs", columns, sqlite_where=where, postgresql_where=where)
    log = op.create_table(
        "run_log",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(log, [{"name": "stored", "runs": 0, "bytes": 0}])


def downgrade() -> None:
    """Drop the tables, with every run."""
    for name in ("run_log", "runs"):
        op.drop_table(name)
