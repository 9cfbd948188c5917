"""Migrations of the store, oldest first; `rerankd.store.migrating` runs them."""
