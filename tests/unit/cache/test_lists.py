"""The keys of a list that was asked for before are those of its documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rerankd.cache.keys import Naming, Scope
from rerankd.cache.lists import FEWEST, LIST_BYTES, LISTED_KEY_BYTES, ListedKeys
from rerankd.cache.memory import ENTRY_BYTES, ScoreMemory
from rerankd.cache.pair_scores import CacheUse, Filled, PairScores

SCOPE = Scope("a-provider", "a-model", "a query")
NAMING = Naming(SCOPE)
TEXTS = [f"document {number}" for number in range(FEWEST)]
SIZE = LIST_BYTES + FEWEST * LISTED_KEY_BYTES
words = st.text("ab\udfff", max_size=3)
lists = st.lists(words, min_size=FEWEST - 1, max_size=FEWEST + 1)


async def fill(scores: PairScores, documents: Sequence[str | bytes]) -> Filled:
    async def fetch(positions: Sequence[int]) -> Sequence[float]:
        return [float(position) for position in positions]

    return await scores.fill(SCOPE, documents, CacheUse.READ_WRITE, fetch)


@given(st.lists(words), st.lists(words))
def test_lists_have_the_same_name_only_where_they_are_the_same(one: list[str], other: list[str]) -> None:
    assert (NAMING.list_key(one) == NAMING.list_key(other)) == (one == other)


def test_the_scope_counts_in_the_name_of_a_list() -> None:
    assert Naming(replace(SCOPE, revision="2")).list_key(TEXTS) != NAMING.list_key(TEXTS)


@given(st.lists(st.tuples(lists, st.sampled_from("ab"), st.booleans()), max_size=8), st.sampled_from([0, 1, 3]))
def test_keys_are_those_of_the_documents(steps: list[tuple[list[str], str, bool]], most: int) -> None:
    listed = ListedKeys(most * (SIZE + LISTED_KEY_BYTES))
    for documents, query, is_put in steps:
        naming = Naming(replace(SCOPE, query=query))
        keys = naming.keys(documents)
        assert listed.get(naming, documents) in (None, keys)
        if is_put:
            listed.put(naming, documents, keys)
            assert (listed.get(naming, documents) == keys) == (most > 0 and len(documents) >= FEWEST)
        assert 0 <= listed.used_bytes <= most * (SIZE + LISTED_KEY_BYTES)


def test_there_is_one_list_for_each_query_and_first_document() -> None:
    listed = ListedKeys(1 << 20)
    turned = [TEXTS[0], *reversed(TEXTS[1:])]
    for documents in (TEXTS, turned, TEXTS[::-1]):
        listed.put(NAMING, documents, NAMING.keys(documents))
    assert listed.get(NAMING, TEXTS) is None
    assert listed.get(NAMING, turned) == NAMING.keys(turned)
    assert listed.get(NAMING, [*turned[:-1], "new"]) is None
    assert listed.get(NAMING, TEXTS[::-1]) == NAMING.keys(TEXTS[::-1])
    assert listed.used_bytes == 2 * SIZE


def test_the_lists_used_least_recently_go_first() -> None:
    listed = ListedKeys(2 * SIZE)
    one, two, three = (Naming(replace(SCOPE, query=str(number))) for number in range(3))
    for naming in (one, two):
        listed.put(naming, TEXTS, naming.keys(TEXTS))
    assert listed.get(one, TEXTS)
    listed.put(three, TEXTS, three.keys(TEXTS))
    assert [listed.get(naming, TEXTS) is not None for naming in (one, two, three)] == [True, False, True]
    listed.put(one, TEXTS * 4, one.keys(TEXTS * 4))
    assert listed.get(one, TEXTS), "one that is larger than all the room replaces nothing"


async def test_only_what_is_known_whole_is_listed() -> None:
    listed = ListedKeys(1 << 20)
    scores = PairScores(ScoreMemory(1 << 20, 60), listed)
    assert (await fill(scores, TEXTS)).fetched == FEWEST
    assert listed.used_bytes == 0
    for _ in range(3):
        assert (await fill(scores, TEXTS)).hits == FEWEST
        assert listed.used_bytes == SIZE
    assert scores.counters().hits_memory == 3 * FEWEST
    assert scores.counters().bytes == SIZE + FEWEST * ENTRY_BYTES
    mixed: list[str | bytes] = [*TEXTS[:-1], b"an image"]
    for fetched in (1, 0, 0):
        assert (await fill(scores, mixed)).fetched == fetched
    assert listed.used_bytes == SIZE, "what is not all text is found by its documents"


async def test_a_listed_document_that_is_given_up_is_fetched_again() -> None:
    scores = PairScores(ScoreMemory(FEWEST * ENTRY_BYTES, 60), ListedKeys(1 << 20))
    for fetched in (FEWEST, 0, 0):
        assert (await fill(scores, TEXTS)).fetched == fetched
    await fill(scores, ["another"])
    assert (await fill(scores, TEXTS)).fetched == 1
    assert (await fill(scores, TEXTS)).fetched == 0
