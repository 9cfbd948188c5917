"""Adapters of rerank providers: one file per wire format, pure functions, no I/O."""
