"""What every program of this folder shares: the call to make, the checks' register, and their outcomes as JSON.

A program runs in its client's own environment, gets one JSON object as its argument and prints one: a check's name to
its outcome. An outcome is what the check returned, or the exception it ended with, and the warnings of either.
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

GIVEN: dict[str, Any] = json.loads(sys.argv[1])
URL: str = GIVEN["url"]
"""Root of the server, without a path."""
QUERY: str = GIVEN["query"]
TEXTS: list[str] = GIVEN["texts"]
OBJECTS: list[dict[str, str]] = GIVEN["objects"]
KEY: str = GIVEN.get("key", "client-canary-secret-5d41402abc4b2a76")  # with CANARY_SECRET of tests/support/canary.py
UNKNOWN = "no-such-model"
RERANKER = "two-stages"
"""A stored reranker."""
LIMITED = "limited/always"
"""A model whose calls always end in 429."""

CHECKS: dict[str, Callable[[], Any]] = {}


def once(client: str) -> str:
    """Name a model whose first call ends in 429."""
    return f"limited/once-{client}"


def check(function: Callable[[], Any]) -> Callable[[], Any]:
    """Register a check under its function's name."""
    CHECKS[function.__name__] = function
    return function


def pairs(results: Iterable[Any], score: str = "relevance_score") -> dict[str, Any]:
    """Read index and score of results, be they objects or mappings."""
    found = [item if isinstance(item, dict) else vars(item) for item in results]
    return {"pairs": [[item["index"], item[score]] for item in found]}


def by_text(scored: Iterable[tuple[str, float]]) -> dict[str, Any]:
    """Read the index from the text, for clients that give back documents alone."""
    found = list(scored)
    return {"pairs": [[TEXTS.index(text), score] for text, score in found], "documents": [text for text, _ in found]}


def run() -> None:
    """Run every check, or the `only` one that was asked for, and print the outcomes."""
    only = GIVEN.get("only")
    print(json.dumps({name: _outcome(function) for name, function in CHECKS.items() if only in (None, name)}))


def _outcome(function: Callable[[], Any]) -> dict[str, Any]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)  # a client that nobody closed says nothing of its answers
        try:
            outcome = function()
            if asyncio.iscoroutine(outcome):
                outcome = asyncio.run(outcome)
        except Exception as error:
            outcome = _raised(error)
    texts = [f"{item.category.__name__}: {item.message}" for item in caught]
    return {**(outcome or {}), "warnings": texts}


def _raised(error: Exception) -> dict[str, Any]:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    status = (
        getattr(error, "status_code", None) or getattr(error, "http_status", None) or getattr(error, "status", None)
    )
    return {"raised": kinds, "status": status, "text": f"{error} {getattr(error, 'body', '')}"}
