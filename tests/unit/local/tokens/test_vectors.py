from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from rerankd.local.onnx.weights import TOKENIZER
from rerankd.local.similarity import maxsim, normalise, widen
from rerankd.local.tokens.token_cache import TokenCache
from rerankd.local.tokens.tokenizer import TextTokens, Tokenizer
from rerankd.local.tokens.vectors import VectorCache, content_key
from rerankd_adapters.base import Truncation


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


@contextmanager
def _counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """List the texts that are tokenized."""
    tokenize = Tokenizer.tokenize
    texts: list[str] = []

    def note(self: Tokenizer, text: str, limit_tokens: int, cut: Truncation = Truncation.END) -> TextTokens:
        texts.append(text)
        return tokenize(self, text, limit_tokens, cut)

    with monkeypatch.context() as patch:
        patch.setattr(Tokenizer, "tokenize", note)
        yield texts


def test_cached_tokens_equal_the_first_and_are_of_their_window_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer(TOKENIZER.read())
    kept = TokenCache(tokenizer, "weights", VectorCache(100_000))
    texts = ["a short text", "many words " * 50, "\ud800 half a pair", ""]
    asked = [(text, limit, cut) for text in texts for limit in (5, 90) for cut in Truncation]
    expected = [tokenizer.tokenize(*one) for one in asked]
    with _counting(monkeypatch) as read:
        for _ in range(3):
            assert [kept.tokenize(*one) for one in asked] == expected
    assert len(read) == len(asked)


def test_a_text_of_megabytes_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = VectorCache(100_000)
    kept = TokenCache(Tokenizer(TOKENIZER.read()), "weights", cache)
    with _counting(monkeypatch) as read:
        assert [len(kept.tokenize("word " * 20_000, 10).ids) for _ in range(2)] == [10, 10]
    assert len(read) == 2
    assert len(cache) == 0


def test_half_precision_is_widened_exactly() -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert np.array_equal(widen(halves).view(np.uint32), halves.astype(np.float32).view(np.uint32))


@pytest.mark.parametrize("shape", [(1, 1), (9, 250), (60, 500), (300, 3)])
def test_maxsim_is_the_mean_of_the_best_cosines(shape: tuple[int, int]) -> None:
    chance = np.random.default_rng(3)
    query, document = (normalise(chance.normal(size=(count, 384))).astype(np.float16) for count in shape)
    table = query.astype(np.float64) @ document.astype(np.float64).T
    assert maxsim(query, document) == pytest.approx(table.max(axis=1).mean(), abs=1e-6)
