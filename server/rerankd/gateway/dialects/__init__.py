"""The rerank APIs of other services, each read into the contract and written from it: one small module a dialect.

`table` says which request speaks which dialect; `docs/dialects.md` is made of it.
"""
