from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.engine.scoring.passages import (
    SPECIAL_TOKENS,
    PassageRules,
    Passages,
    best_passage_scores,
    cut_passages,
    cut_spans,
)
from rerankd.engine.scoring.tokens import ESTIMATE, TokenCounter
from rerankd_adapters.base import Capabilities

WINDOW = 40
QUERY = "who"
ROOM = WINDOW - ESTIMATE.count(QUERY) - SPECIAL_TOKENS
FACTS = Capabilities(max_tokens_per_document=WINDOW)
SENTENCE = "This is one of the sentences of a document. "


class Words:
    """Counts words: a tokenizer unlike the estimate."""

    is_exact = True

    def count(self, text: str) -> int:
        return len(text.split())


class Uneven:
    """Counts nothing for most characters and much for a few."""

    is_exact = True

    def count(self, text: str) -> int:
        return text.count("x") * 3


def pieces(document: str, most: int = 1000, counter: TokenCounter = ESTIMATE, **rules: Any) -> list[str]:
    made = cut_passages("cohere/m", QUERY, [document], FACTS, PassageRules(max_passages=most, **rules), counter)
    assert set(made.owners) == {0}
    return list(made.texts)


documents = st.lists(
    st.text(max_size=200) | st.integers(0, 600).map("x".__mul__) | st.integers(0, 20).map(SENTENCE.__mul__),
    min_size=1,
    max_size=5,
)
counters = st.sampled_from([ESTIMATE, Words(), Uneven()])


@given(documents, st.integers(2, 1000), counters)
def test_passages_fit_and_nothing_between_them_is_lost(texts: list[str], most: int, counter: TokenCounter) -> None:
    made = cut_passages("cohere/m", QUERY, texts, FACTS, PassageRules(max_passages=most), counter)
    room = WINDOW - counter.count(QUERY) - SPECIAL_TOKENS
    assert len(made.texts) == len(made.owners)
    assert list(made.owners) == sorted(made.owners)
    assert set(made.owners) == set(range(len(texts)))
    shortened = 0
    for owner, text in enumerate(texts):
        own = [passage for passage, of in zip(made.texts, made.owners, strict=True) if of == owner]
        assert 1 <= len(own) <= most
        assert all(counter.count(passage) <= room or len(passage) == 1 for passage in own)
        if counter.count(text) <= room:
            assert own == [text]
        shortened += not text.endswith(own[-1])
    assert not shortened or f"of {len(texts)} documents" in made.warnings[0]


@given(st.text(min_size=1, max_size=200) | st.integers(1, 60).map(SENTENCE.__mul__), st.integers(1, 40), counters)
def test_no_character_is_between_passages(text: str, tokens: int, counter: TokenCounter) -> None:
    spans = cut_spans(text, tokens, 10_000, counter)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    for (start, end), (next_start, next_end) in pairwise(spans):
        assert start < next_start <= end < next_end
    for most in (1, 2, 5):
        assert cut_spans(text, tokens, most, counter) == spans[:most]


@given(documents, st.integers(2, 5))
def test_cutting_is_deterministic(texts: list[str], most: int) -> None:
    rules = PassageRules(max_passages=most)
    assert cut_passages("c/m", QUERY, texts, FACTS, rules, ESTIMATE) == cut_passages(
        "c/m", QUERY, texts, FACTS, rules, ESTIMATE
    )


def test_passages_end_at_sentences_and_overlap() -> None:
    text = SENTENCE * 90
    spans = cut_spans(text, 200, 1000, ESTIMATE)
    assert len(spans) > 5
    assert all(text[start:end].endswith(". ") for start, end in spans)
    assert all(text[start - 1] == " " for start, _ in spans[1:])
    spans = cut_spans("word and " * 900, 200, 1000, ESTIMATE)
    shares = [(end - start) / (end - before) for (before, end), (start, _) in pairwise(spans)]
    assert all(0.05 < share <= 0.1 for share in shares)


def test_passages_are_nearly_full() -> None:
    own = pieces("word " * 1000, counter=Words())
    assert all(len(passage.split()) > 0.75 * ROOM for passage in own[:-1])


def test_what_lies_beyond_the_last_passage_is_named() -> None:
    rules = PassageRules(max_passages=2)
    made = cut_passages("cohere/m", QUERY, ["short", "x" * 10_000], FACTS, rules, ESTIMATE)
    assert list(made.owners) == [0, 1, 1]
    assert made.warnings == [
        f"1 of 2 documents are longer than 2 passages of {ROOM} tokens and were truncated;"
        " raise max_chunks_per_doc to score all of their text"
    ]


def test_a_document_of_ten_megabytes_is_not_counted_whole() -> None:
    class Measuring:
        is_exact = False
        seen = 0

        def count(self, text: str) -> int:
            self.seen += len(text)
            return ESTIMATE.count(text)

    counter = Measuring()
    assert len(pieces("words of text " * 700_000, 4, counter)) == 4
    assert counter.seen < 20_000


@pytest.mark.parametrize(
    ("facts", "query", "most", "warning"),
    [
        (FACTS, QUERY, 1, ""),
        (Capabilities(max_tokens_per_document=WINDOW, cuts_passages=True), QUERY, 5, ""),
        (Capabilities(), QUERY, 5, 'providers.my-tei.models."a/b".max_tokens_per_document'),
        (FACTS, "q" * 200, 5, "the query fills the context window"),
    ],
)
def test_documents_stay_whole(facts: Capabilities, query: str, most: int, warning: str) -> None:
    texts = ["x" * 5000, ""]
    made = cut_passages("my-tei/a/b", query, texts, facts, PassageRules(max_passages=most), ESTIMATE)
    assert list(made.texts) == texts
    assert list(made.owners) == [0, 1]
    assert warning in "".join(made.warnings)
    assert bool(warning) == bool(made.warnings)


def test_max_tokens_per_doc_shortens_before_it_is_cut() -> None:
    assert pieces("x" * 5000, max_tokens_per_doc=ROOM) == ["x" * 5000]
    own = pieces("x" * 5000, max_tokens_per_doc=2 * ROOM)
    assert len(own) == 3
    assert 2.7 * ROOM < len(own[0]) <= 3 * ROOM
    assert 5.5 * ROOM < sum(map(len, own)) < 7 * ROOM


def test_the_start_goes_where_the_caller_wants_the_end() -> None:
    text = "".join(f"{number:05} " for number in range(400))
    own = pieces(text, 2, keeps_end=True)
    assert len(own) == 2
    assert own[-1].endswith("00399 ")
    assert "00000" not in own[0]
    kept = pieces(text, 50, keeps_end=True, max_tokens_per_doc=2 * ROOM)
    assert 5.5 * ROOM < sum(map(len, kept)) < 7 * ROOM
    assert kept[-1].endswith("00399 ")
    whole = pieces(text, 50, keeps_end=True)
    assert whole == pieces(text, 50)


@given(documents, st.data())
def test_the_best_passage_counts(texts: list[str], data: st.DataObject) -> None:
    made = cut_passages("cohere/m", QUERY, texts, FACTS, PassageRules(max_passages=9), ESTIMATE)
    scores = data.draw(st.lists(st.floats(-9, 9), min_size=len(made.texts), max_size=len(made.texts)))
    found = best_passage_scores(made, scores)
    for owner in range(len(texts)):
        assert found[owner] == max(s for s, of in zip(scores, made.owners, strict=True) if of == owner)
    assert len(found) == len(texts)


def test_scores_that_were_left_out_are_a_fault() -> None:
    with pytest.raises(ValueError, match="1 scores for 2 passages"):
        best_passage_scores(Passages(["a", "b"], [0, 0]), [1.0])
