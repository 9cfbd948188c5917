from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.local.onnx.weights import TOKENIZER
from rerankd.local.tokens.tokenizer import Tokenizer, cut_passages, passage_reach
from rerankd_adapters.base import Truncation


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TOKENIZER.read())


@pytest.fixture(scope="module")
def plain() -> object:
    from tokenizers import Tokenizer as NativeTokenizer

    tokenizer = NativeTokenizer.from_str(TOKENIZER.read().decode())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def test_a_pair_is_framed_as_the_tokenizer_does_itself(tokenizer: Tokenizer, plain: object) -> None:
    query, document = "who wrote it?", "A book, written by Ann."
    whole = plain.encode(query, document)  # type: ignore[attr-defined]  # `tokenizers` names no type
    ids, types = tokenizer.frame_pair(tokenizer.tokenize(query, 99).ids, tokenizer.tokenize(document, 99).ids)
    assert (ids, types) == (whole.ids, whole.type_ids)
    single = plain.encode(query)  # type: ignore[attr-defined]  # `tokenizers` names no type
    assert tokenizer.frame_single(tokenizer.tokenize(query, 99).ids) == (single.ids, single.type_ids)


@pytest.mark.parametrize("cut", [Truncation.END, Truncation.START])
@pytest.mark.parametrize("words", [10, 300, 5_000, 20_000])
def test_reading_a_part_equals_reading_all(tokenizer: Tokenizer, plain: object, cut: Truncation, words: int) -> None:
    text = " ".join(f"word{number} unbelievably" for number in range(words))
    ids = plain.encode(text, add_special_tokens=False).ids  # type: ignore[attr-defined]  # `tokenizers` names no type
    tokens = tokenizer.tokenize(text, 100, cut)
    assert tokens.ids == (ids[-100:] if cut is Truncation.START else ids[:100])
    assert tokens.is_cut == (len(ids) > 100)


def test_words_without_end_are_read_in_part_only(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.tokenize("x" * 10_000_000, 100)
    assert tokens.is_cut
    assert len(tokens.ids) <= 100


@given(st.integers(1, 2000), st.integers(1, 300), st.integers(1, 8))
def test_passages_cover_their_reach_in_order(tokens: int, width: int, most: int) -> None:
    ids = list(range(tokens))
    passages = cut_passages(ids, width, most)
    assert 1 <= len(passages) <= most
    assert all(0 < len(passage) <= width for passage in passages)
    covered = sorted({token for passage in passages for token in passage})
    assert covered == ids[: passage_reach(width, most)]
