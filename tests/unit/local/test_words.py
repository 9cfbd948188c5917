from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerankd.local.bm25 import Bm25Query, WordCounts
from rerankd.local.lexical import WordScorer
from rerankd.local.words import cut_text, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Running runs, RUN!", ["run", "run", "run"]),
        ("snake_case under_", ["snake", "case", "under"]),
        ("Straße MÜLLER", ["strass", "müller"]),
        ("e\u0301te\u0301 caf\u00e9", ["été", "café"]),
        ("\ufb01n \uff21\uff22\uff23", ["fin", "abc"]),
        ("北京大学", ["北京", "京大", "大学", "北", "京", "大", "学"]),
        ("猫", ["猫"]),
        ("タワーが", ["タワ", "ワー", "ーが"]),
        ("\uff80\uff9c\uff70", ["タワ", "ワー"]),
        ("서울은", ["서울", "울은", "서", "울", "은"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("الكِتابُ", ["الكتاب"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Москва СТОЛИЦА", ["москва", "столица"]),
        ("中国GDP增长", ["中国", "中", "国", "gdp", "增长", "增", "长"]),
        ("🍕🎉", ["🍕", "🎉"]),
        ("co\u00adoperate", ["cooper"]),
        ("... --- !!!", []),
        ("。、！", []),
        ("", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("query", "right", "wrong"),
    [
        ("Müller Straße", "Die MÜLLERSCHE Straße von Müller", "Die Mühle am Weg"),
        ("北京的大学", "他在北京上大学", "上海是一座城市"),
        ("東京タワー", "東京タワーは赤い", "大阪城は大きい"),
        ("서울 날씨", "서울의 날씨가 좋다", "부산은 항구 도시다"),
        ("ภาษาไทย", "ฉันเรียนภาษาไทยทุกวัน", "แมวกินปลา"),
        ("الكتاب", "قرأت الكِتابَ أمس", "ذهبت إلى السوق"),
        ("हिन्दी किताब", "यह हिन्दी की किताब है", "आज मौसम अच्छा है"),
        ("столица Москва", "Москва — столица России", "Волга впадает в Каспий"),
        ("🍕", "best 🍕 in town", "best soup in town"),
    ],
)
def test_bm25_finds_the_document_in_its_script(query: str, right: str, wrong: str) -> None:
    words = Bm25Query(query)
    scores = words.score([words.count(wrong), words.count(right)])
    assert scores[1] > scores[0] >= 0


def test_nothing_to_match_scores_zero() -> None:
    words = Bm25Query("...")
    assert words.score([words.count("a word"), words.count("")]) == [0.0, 0.0]


def test_rare_words_weigh_more_and_long_documents_less() -> None:
    words = Bm25Query("common rare")
    texts = ["common", "common common", "common word", "rare word", "rare word and many more of them here"]
    scores = words.score([words.count(text) for text in texts])
    assert scores[3] > scores[2]
    assert scores[3] > scores[4]


@given(st.text(st.characters() | st.sampled_from(" ,.e\u0301\u0338=\u3002\u4e00\u1100\u1161"), max_size=60))
def test_parts_of_a_text_have_the_words_of_the_whole(text: str) -> None:
    parts = cut_text(text, 5)
    assert "".join(parts) == text
    assert [word for part in parts for word in split_words(part)] == split_words(text)
    query = Bm25Query("e 一 a")
    assert WordCounts.add([query.count(part) for part in parts]) == query.count(text)


def test_few_words_are_scored_without_giving_up_the_loop() -> None:
    scoring = WordScorer().score("rare", ["a rare word", "a word"] * 50)
    with pytest.raises(StopIteration) as done:
        scoring.send(None)
    assert done.value.value[0] > done.value.value[1] == 0


async def test_many_words_leave_the_loop_to_others_after_every_slice() -> None:
    scorer = WordScorer()
    documents = ["common " * 4000, "rare common " * 1000] * 20 + ["common " * 200_000]
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count_turns())
    several = await asyncio.gather(*(scorer.score("rare", documents) for _ in range(3)))
    counting.cancel()
    assert turns >= 3 * sum(map(len, documents)) // 40_000
    query = Bm25Query("rare")
    assert several == [query.score([query.count(document) for document in documents])] * 3
