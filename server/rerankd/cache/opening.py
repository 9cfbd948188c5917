"""Builds the cache the settings describe."""

from __future__ import annotations

from rerankd.cache.memory import ScoreMemory
from rerankd.cache.options import CacheOptions
from rerankd.cache.pair_scores import PairScores


def open_pair_scores(options: CacheOptions) -> PairScores:
    """Build the cache; `start` connects it, `close` ends it.

    Args:
        options: Enabled, and without `problems()`.
    """
    memory = ScoreMemory(options.max_mb * 1024 * 1024, options.ttl_s)
    if not options.redis_url:
        return PairScores(memory)
    from rerankd.cache.redis_link import RedisLink
    from rerankd.cache.redis_tier import RedisTier

    timeout_s = options.redis_timeout_ms / 1000
    ttl_s = options.ttl_s if options.redis_ttl_s is None else options.redis_ttl_s
    link = RedisLink(options.redis_url, timeout_s)
    return PairScores(memory, RedisTier(link, options.key_prefix, timeout_s, ttl_s))
