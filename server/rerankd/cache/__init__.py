"""Pair-score cache: relevance scores by (model, query, document), reused across requests."""
