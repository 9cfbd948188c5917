"""Splitting, caching and merging give the result of a single call."""

import math
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rerankd.engine.ranking import Normalisation, Ranking, normalise, rank
from rerankd.engine.routing.reply_check import check_reply
from rerankd.engine.scoring.merge import merge_replies
from rerankd.engine.scoring.passages import PassageRules, best_passage_scores, cut_passages
from rerankd.engine.scoring.planner import plan_chunks
from rerankd.engine.scoring.tokens import ESTIMATE
from rerankd_adapters.base import Capabilities, ProviderReply, Scoring

documents = st.lists(st.text(max_size=40) | st.sampled_from(["a", "b", "word " * 60]), min_size=1, max_size=80)
limits = st.builds(
    Capabilities,
    scoring=st.just(Scoring.POINTWISE),
    max_documents=st.none() | st.integers(1, 90),
    max_total_tokens=st.none() | st.integers(1, 400),
    max_request_bytes=st.none() | st.integers(1, 20_000),
    billing_unit=st.sampled_from([None, "token", "search_unit"]),
)
scores = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 0.5])


class Pointwise:
    """A model whose score of a text is the same in every call; replies are in an order of its own."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self._scores: dict[str, float] = {}

    def reply(self, texts: Sequence[str]) -> ProviderReply:
        indices = self._data.draw(st.permutations(range(len(texts))))
        found = [self._scores.setdefault(texts[index], self._data.draw(scores)) for index in indices]
        return ProviderReply(indices=indices, scores=found, prompt_tokens=len(texts))


def split_call(model: Pointwise, facts: Capabilities, texts: Sequence[str]) -> ProviderReply:
    parts = []
    for chunk in plan_chunks(facts, "scripted/model", "query", texts):
        reply = model.reply(texts[chunk.start : chunk.stop])
        check_reply(reply, len(chunk))
        parts.append((chunk, reply))
    return merge_replies(parts)


def with_kept_scores(
    model: Pointwise, facts: Capabilities, texts: Sequence[str], kept: Mapping[str, float]
) -> list[float]:
    """Score only the texts whose scores are not kept; returns one score a text."""
    missing = [position for position, text in enumerate(texts) if text not in kept]
    found = [kept.get(text, math.nan) for text in texts]
    if missing:
        reply = split_call(model, facts, [texts[position] for position in missing])
        for index, score in zip(reply.indices, reply.scores, strict=True):
            found[missing[index]] = score
    return found


def ranked(found: Sequence[float], mode: Normalisation, top_n: int | None, threshold: float | None) -> Ranking:
    return rank(range(len(found)), normalise(found, mode), top_n, threshold)


@given(
    documents,
    limits,
    st.sampled_from(Normalisation),
    st.none() | st.integers(1, 100),
    st.none() | scores,
    st.data(),
)
def test_split_merge_and_kept_scores_rank_as_one_call(
    texts: list[str],
    facts: Capabilities,
    mode: Normalisation,
    top_n: int | None,
    threshold: float | None,
    data: st.DataObject,
) -> None:
    model = Pointwise(data)
    whole = model.reply(texts)
    table = dict(zip((texts[index] for index in whole.indices), whole.scores, strict=True))
    kept = {text: table[text] for text in data.draw(st.sets(st.sampled_from(texts)))}
    found = with_kept_scores(model, facts, texts, kept)
    expected = ranked([table[text] for text in texts], mode, top_n, threshold)
    assert repr(ranked(found, mode, top_n, threshold)) == repr(expected)


@given(documents, limits, st.data())
def test_a_joined_reply_names_every_document_once(texts: list[str], facts: Capabilities, data: st.DataObject) -> None:
    reply = split_call(Pointwise(data), facts, texts)
    check_reply(reply, len(texts))
    assert sorted(reply.indices) == list(range(len(texts)))
    assert reply.prompt_tokens == len(texts)


@given(documents, limits, st.integers(2, 6), st.data())
@example(["word " * 60] * 3, Capabilities(scoring=Scoring.POINTWISE, max_documents=2), 3, None)
def test_passages_split_over_calls_give_each_document_its_best(
    texts: list[str], facts: Capabilities, most: int, data: st.DataObject | None
) -> None:
    passages = cut_passages(
        "scripted/model",
        "q",
        texts,
        Capabilities(max_tokens_per_document=40),
        PassageRules(max_passages=most),
        ESTIMATE,
    )
    worth = [len(text) / 7 if data is None else data.draw(scores) for text in passages.texts]
    chunks = plan_chunks(facts, "scripted/model", "q", passages.texts)
    parts = [(chunk, ProviderReply(indices=range(len(chunk)), scores=[worth[at] for at in chunk])) for chunk in chunks]
    reply = merge_replies(parts)
    found = best_passage_scores(passages, [score for _, score in sorted(zip(reply.indices, reply.scores, strict=True))])
    assert len(found) == len(texts)
    for owner, score in enumerate(found):
        assert score == max(each for each, of in zip(worth, passages.owners, strict=True) if of == owner)


@pytest.mark.parametrize("mode", Normalisation)
def test_the_same_scores_give_the_same_bytes(mode: Normalisation) -> None:
    one, other = [0, -1, 2.5, -0.0], [-0.0, -1.0, 2.5, 0.0]
    assert repr(ranked(one, mode, None, None)) == repr(ranked(other, mode, None, None))
