"""Settings of the pair-score cache. Cheap to import: no Redis library."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import urlsplit

import msgspec

REDIS_SCHEMES = ("redis", "rediss", "unix")


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where scores are kept, how many and for how long."""

    enabled: bool = True
    """Whether scores of pointwise models are kept at all."""
    max_mb: int = 64
    """Memory of one worker process for scores, in MiB; some 420,000 pairs fit into the default."""
    ttl_s: float = 3600.0
    """Seconds after which a score is asked for again."""
    redis_url: str = ""
    """`redis://`, `rediss://` or `unix://` address of a Redis that several replicas share; default: none."""
    redis_timeout_ms: float = 5.0
    """Longest time a call waits for Redis, all its reads together. Raise it where calls hold thousands of documents."""
    redis_ttl_s: float | None = None
    """Seconds Redis keeps a score; default: as `ttl_s`. A replica keeps what it read for up to `ttl_s` more."""
    key_prefix: str = "rerankd"
    """First part of every key in Redis, so that services can share one."""

    def problems(self, path: str = "cache") -> list[str]:
        """Say what cannot be used, one sentence each.

        Args:
            path: Where these settings stand.
        """
        found = []
        if self.max_mb < 1:
            found.append(f"{path}.max_mb must be at least 1, is {self.max_mb}; {path}.enabled: false turns it off")
        positive = {"ttl_s": self.ttl_s, "redis_timeout_ms": self.redis_timeout_ms, "redis_ttl_s": self.redis_ttl_s}
        found += [
            f"{path}.{name} must be above 0, is {value:g}"
            for name, value in positive.items()
            if value is not None and not value > 0
        ]
        if self.enabled and self.redis_url:
            found += [f"{path}.redis_url {problem}" for problem in _problems_of_url(self.redis_url)]
        return found


def _problems_of_url(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in REDIS_SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        is_usable = False
    if not is_usable:
        return ["must be redis://host:port, rediss://host:port or unix:///path"]
    if find_spec("redis") is None:
        return ["needs a library that is not installed; install rerankd[redis]"]
    return []
