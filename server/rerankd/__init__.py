"""rerankd: a rerank service."""
