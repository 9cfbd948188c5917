"""Relevance scores kept by (model, query, document), so that a document seen before is not paid for again."""
