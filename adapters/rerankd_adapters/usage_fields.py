"""Where responses report what a call consumed, for APIs that say it elsewhere than their `Wire` states.

Servers that imitate an API often keep another one's usage object: vLLM's route behind a proxy of Cohere's form reports
`meta.billed_units`, Jina's form comes with `meta.tokens`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rerankd_adapters.wire import Path, as_count, read_count

_PROMPT: Final = ("prompt_tokens", "input_tokens", "total_tokens")
_COMPLETION: Final = ("completion_tokens", "output_tokens")
_SEARCH_UNITS: Final = ("search_units", "rerank_units")


def read_prompt_tokens(body: object, stated: Sequence[Path]) -> int:
    """Return the prompt tokens at the paths an API states, else at the usual ones; 0 if not reported."""
    return read_count(body, stated) or _read_usual(body, _PROMPT)


def read_completion_tokens(body: object, stated: Sequence[Path]) -> int:
    """Return the completion tokens at the paths an API states, else at the usual ones; 0 if not reported."""
    return read_count(body, stated) or _read_usual(body, _COMPLETION)


def read_search_units(body: object, stated: Sequence[Path]) -> int:
    """Return the search units at the paths an API states, else at the usual ones; 0 if not reported."""
    return read_count(body, stated) or _read_usual(body, _SEARCH_UNITS)


def _read_usual(body: object, names: Sequence[str]) -> int:
    if not isinstance(body, dict):
        return 0
    if "usage" in body and (count := _first(body["usage"], names)):
        return count
    if "meta" in body and isinstance(meta := body["meta"], dict):
        for holder in (meta.get("billed_units"), meta.get("tokens"), meta):
            if count := _first(holder, names):
                return count
    return _first(body["tokens"], names) if "tokens" in body else 0


def _first(holder: object, names: Sequence[str]) -> int:
    if isinstance(holder, dict):
        for name in names:
            if name in holder and (count := as_count(holder[name])):
                return count
    return 0
