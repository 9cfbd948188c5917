"""Scores a request with one model: cache use, passages, chunks, tournament, merge."""
