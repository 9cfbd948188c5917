"""The rerank APIs of other services, one module per dialect, each converted to and from the contract.

`table` has the rules that select the dialect of a request; `docs/dialects.md` is generated from it.
"""
