"""Generated messages and stubs of `rerank.v1`."""
