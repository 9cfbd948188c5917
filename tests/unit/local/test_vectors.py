from __future__ import annotations

import numpy as np

from rerankd.local.vectors import VectorCache, content_key


def test_least_recently_used_go_first() -> None:
    cache = VectorCache(3 * 600)
    keys = [content_key("net", "mean", [number]) for number in range(4)]
    for key in keys[:3]:
        cache.put(key, np.zeros(100, np.float32))
    assert cache.get(keys[0]) is not None
    cache.put(keys[3], np.zeros(100, np.float32))
    assert [key in cache for key in keys] == [True, False, True, True]
    assert cache.used_bytes == 1800
    cache.put(keys[3], np.zeros(10, np.float32))
    assert cache.used_bytes == 1440


def test_what_is_too_large_is_not_kept() -> None:
    cache = VectorCache(100)
    cache.put(b"k", np.zeros(100, np.float32))
    assert len(cache) == 0
    assert cache.used_bytes == 0


def test_keys_tell_weights_use_and_tokens_apart() -> None:
    keys = {content_key(net, use, ids) for net in "ab" for use in ("mean", "tokens") for ids in ([1], [2], [1, 2])}
    assert len(keys) == 12
