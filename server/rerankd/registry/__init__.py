"""Stored rerankers: created, changed and tried while the service runs."""
