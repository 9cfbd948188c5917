"""Runs migrations on the connection that `rerankd.store.migrating` passes. Executed by Alembic, never imported."""

from __future__ import annotations

from alembic import context

from rerankd.store.database import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,  # SQLite's too; Alembic takes it for one that cannot
)
with context.begin_transaction():
    context.run_migrations()
