"""Scopes: what a caller may do."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """A right of a caller; none includes another."""

    RERANK = "rerank"
    """Rerank documents, and look up a model by its name."""
    MODELS = "models"
    """List and look up models."""
    RERANKERS_READ = "rerankers.read"
    """Read stored rerankers."""
    RERANKERS_WRITE = "rerankers.write"
    """Change stored rerankers, judge, and replay logged calls."""
    RUNS_READ = "runs.read"
    """Read logged calls, judgements and experiments."""
    METRICS = "metrics"
    """Scrape metrics, where these need a key."""
    ADMIN = "admin"
    """Manage API keys; judge and replay."""


ALL_SCOPES: Final = tuple(Scope)
DEFAULT_SCOPES: Final = (Scope.RERANK, Scope.MODELS)
"""Scopes of a key for which none are given."""
