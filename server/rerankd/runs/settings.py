"""Settings of the run log. Cheap to import: no database library."""

from __future__ import annotations

from typing import Literal

import msgspec


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which calls are logged in the store, and what of them."""

    calls: Literal["rerankers", "all", "none"] = "rerankers"
    """Calls that are logged: those that a reranker answers, `all`, or `none`. Requests that are unreadable, or come
    without a valid API key where one is needed, are never logged."""
    capture: Literal["none", "hashes", "truncated", "full"] = "truncated"
    """What is kept of query and documents, after guardrails have masked them: nothing, a BLAKE2b hash of each text, its
    first `max_chars` characters, or the whole request, which replays need. Calls that fail before guardrails have read
    them keep no text."""
    max_chars: int = 500
    """Characters kept of the query and of each document with `capture: truncated`."""
    max_documents: int = 100
    """Documents and results kept of a call unless `capture` is `full`: the best ranked, or the first of a failed
    call."""
    max_run_kb: int = 4096
    """KiB, about, of one call that `capture: full` keeps: query, documents with their fields and metadata, and images.
    Beyond it images are left out, and where that is not enough, the call is kept as with `truncated`."""
    durability: Literal["async", "sync"] = "async"
    """`sync` answers a call when its run is committed; `async` loses the last half second if the process is killed."""
    sync_timeout_s: float = 2.0
    """Seconds that a call waits for the commit at most with `durability: sync`; then it is answered all the same."""
    queue_size: int = 10_000
    """Runs of one worker process that wait for the store; further ones are not logged, and counted."""
    queue_mb: int = 64
    """Memory of the runs that wait, in MiB; further ones are not logged, and counted."""
    keep_days: float = 30.0
    """Days after which a run is deleted."""
    max_mb: int = 1024
    """Size of all runs in MiB, beyond which the oldest are deleted."""

    def problems(self, path: str = "runs") -> list[str]:
        """Say what cannot be used, one sentence each.

        Args:
            path: Where these settings stand.
        """
        found = [
            f"{path}.{name} must be at least 1, is {value}"
            for name in ("max_chars", "max_documents", "max_run_kb", "queue_size", "queue_mb", "max_mb")
            if (value := getattr(self, name)) < 1
        ]
        found += [
            f"{path}.{name} must be above 0, is {value:g}"
            for name in ("sync_timeout_s", "keep_days")
            if not (value := getattr(self, name)) > 0
        ]
        return found
