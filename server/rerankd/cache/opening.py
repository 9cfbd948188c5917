"""Builds the pair-score cache from its settings."""

from __future__ import annotations

from rerankd.cache.memory import ScoreMemory
from rerankd.cache.pair_scores import PairScores
from rerankd.cache.settings import CacheSettings


def open_pair_scores(settings: CacheSettings) -> PairScores:
    """Build the cache; `start` connects it, `close` ends it.

    Args:
        settings: Enabled, and without `problems()`.
    """
    memory = ScoreMemory(settings.max_mb * 1024 * 1024, settings.ttl_s)
    if not settings.redis_url:
        return PairScores(memory)
    from rerankd.cache.redis_link import RedisLink
    from rerankd.cache.redis_tier import RedisTier

    timeout_s = settings.redis_timeout_ms / 1000
    ttl_s = settings.ttl_s if settings.redis_ttl_s is None else settings.redis_ttl_s
    link = RedisLink(settings.redis_url, timeout_s)
    return PairScores(memory, RedisTier(link, settings.key_prefix, timeout_s, ttl_s))
