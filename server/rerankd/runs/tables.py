"""Tables of the run log."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, Table, Text, text

from rerankd.store.database import METADATA

SLOW_MS: Final = 1000
"""Latency from which runs are in the index of slow ones."""
RULES: Final = {
    "errors": "status = 'error'",
    "key_id": "key_id <> ''",
    "user": "\"user\" <> ''",
    "experiment_id": "experiment_id <> ''",
    "replay_of": "replay_of <> ''",
    "slow": f"latency_ms >= {SLOW_MS}",
}
"""Conditions of partial indexes: a query that states one, word for word, may use the index."""
_BY_ID: Final = {
    "errors": ("run_id", "latency_ms", "reranker", "model", "reason"),
    "slow": ("run_id", "latency_ms", "reranker", "model"),
}
"""Of failed and slow runs, what they are filtered by: those that do not meet the conditions are passed over in the
index."""
_PARTIAL: Final = {name: _BY_ID.get(name, (name, "run_id")) for name in RULES}


def _partial(name: str, columns: tuple[str, ...], rule: str) -> Index:
    return Index(f"ix_runs_{name}", *columns, sqlite_where=text(rule), postgresql_where=text(rule))


RUNS: Final = Table(
    "runs",
    METADATA,
    Column("run_id", Text, primary_key=True),
    Column("started_at", Double, nullable=False),
    Column("latency_ms", Double, nullable=False),
    Column("source", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("reranker", Text, nullable=False),
    Column("reranker_version", Integer, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("document_count", Integer, nullable=False),
    Column("result_count", Integer, nullable=False),
    Column("total_tokens", BigInteger, nullable=False),
    Column("cost_usd", Double, nullable=True),
    Column("cache_hits", Integer, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("replay_of", Text, nullable=False),
    Column("experiment_id", Text, nullable=False),
    Column("capture", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("details", LargeBinary, nullable=False),
    Column("block_id", Text, nullable=False, server_default=""),
    Index("ix_runs_model", "model", "run_id"),
    Index("ix_runs_reranker", "reranker", "run_id"),
    Index("ix_runs_source", "source", "run_id"),
    Index("ix_runs_request_id", "request_id"),
    *(_partial(name, columns, RULES[name]) for name, columns in _PARTIAL.items()),
)
"""One row a run. Details are in a block, or, of a run without one, in `details`; see `detail_blocks`."""
RUN_BLOCKS: Final = Table(
    "run_blocks",
    METADATA,
    Column("block_id", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""Details of runs that were stored together. The id is that of the newest of them."""
RUN_LOG: Final = Table(
    "run_log",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("runs", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)
"""One row, named `stored`: how much the table `runs` holds."""
LISTED: Final = [column for column in RUNS.c if column.name not in ("bytes", "details", "block_id")]
"""Columns of lists."""
