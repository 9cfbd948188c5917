"""Strategy heuristic: features of documents, weights of the settings, texts of every kind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from rerankd.contract.call_context import CallContext
from rerankd.contract.messages import Contribution, Document, RerankRequest, RerankResponse, ScoreSpace
from rerankd.engine.models import Models
from rerankd.engine.rendering import render
from rerankd.engine.routing.router import Router
from rerankd.engine.scoring.model_result import ModelResult
from rerankd.engine.scoring.scoring_context import ScoringContext
from rerankd.local.bm25 import Bm25Query
from rerankd.strategies.heuristic.document_dates import date_of
from rerankd.strategies.heuristic.settings import HeuristicConfig
from rerankd.strategies.heuristic.strategy import Heuristic, build
from rerankd.strategies.parts import Parts
from tests.support.engines import engine
from tests.support.providers import ScriptedProvider, by_length

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0
QUERY = "solar sail"
ONLY = {"bm25": 0, "phrase": 0, "proximity": 0, "prior": 0, "recency": 0, "length": 0}


async def scored(documents: list[str | Document], query: str = QUERY, **config: Any) -> ModelResult:
    """Score by the strategy alone, at a time that stands still; other request fields under `request`."""
    fields = config.pop("request", {})
    strategy = Heuristic(msgspec.convert(config, HeuristicConfig), clock=lambda: NOW_S)
    rendered = await render(RerankRequest(query=query, documents=documents, **fields))
    return await strategy.score(rendered, ScoringContext())


def order(result: ModelResult) -> list[int]:
    return [index for _, index in sorted(zip(result.scores, result.indices, strict=True), key=lambda p: (-p[0], p[1]))]


def explained(result: ModelResult, index: int) -> dict[str, Contribution]:
    assert result.explain is not None
    return {part.name: part for part in result.explain(index)}


def dated(text: str, date: Any) -> Document:
    return Document(text=text, metadata={"published": date})


async def test_features_are_explained_and_add_up() -> None:
    result = await scored(["the sail of a solar ship", "a solar sail", "a ship"])

    assert order(result) == [1, 0, 2]
    found = explained(result, 1)
    assert list(found) == ["bm25", "phrase", "proximity"]
    assert [part.weight for part in found.values()] == [pytest.approx(1 / 3)] * 3
    assert (found["bm25"].rank, found["bm25"].normalized_score) == (1, 1.0)
    assert found["phrase"].relevance_score == found["phrase"].normalized_score
    assert result.scores[1] == pytest.approx(sum(part.contribution or 0 for part in found.values()))


async def test_bm25_alone_is_that_of_the_local_model() -> None:
    documents: list[str | Document] = ["the sail of a solar ship", "a solar sail, a sail", "a ship"]
    result = await scored(documents, weights={**ONLY, "bm25": 1})
    query = Bm25Query(QUERY)
    raw = query.score([query.count(str(document)) for document in documents])
    assert [explained(result, index)["bm25"].relevance_score for index in range(3)] == raw


@pytest.mark.parametrize(
    ("config", "best"),
    [
        ({}, 0),
        ({"fields": {"title": 5}}, 1),
        ({"fields": {"title": 0}}, 0),
        ({"fields": {"body": 0}}, 1),
        ({"request": {"rank_fields": ["title"]}}, 1),
        ({"request": {"rank_fields": ["body"]}, "fields": {"title": 5}}, 0),
    ],
)
async def test_fields_count_by_their_boost(config: dict[str, Any], best: int) -> None:
    documents: list[str | Document] = [
        Document(fields={"title": "a ship", "body": "sail, sail and sail"}),
        Document(fields={"title": "the sail", "body": "cloth in the wind on the sea for ships"}),
    ]
    assert order(await scored(documents, "sail", **config))[0] == best


async def test_a_boosted_field_counts_beside_the_text() -> None:
    documents: list[str | Document] = [
        Document(text="a ship", fields={"title": "sail", "note": "sail sail sail"}),
        Document(text="a sail on the sea", fields={"title": "ship", "note": ""}),
    ]
    assert order(await scored(documents, "sail")) == [1, 0], "without boosts only the text is scored"
    assert order(await scored(documents, "sail", fields={"title": 3})) == [0, 1]


async def test_nested_fields_and_numbers_are_read() -> None:
    documents: list[str | Document] = [
        Document(fields={"title": "x", "data": {"parts": ["mast", "solar sail"]}}),
        Document(fields={"title": "x", "data": 7}),
    ]
    assert order(await scored(documents, fields={"title": 2})) == [0, 1]
    assert order(await scored(documents, "7", fields={"title": 2})) == [1, 0]


async def test_prior_scores_of_any_scale_join_in() -> None:
    documents: list[str | Document] = [
        Document(text="a solar sail", prior_score=-900.0),
        Document(text="a ship", prior_score=12.5),
        Document(text="the sea", prior_score=12.4),
    ]
    result = await scored(documents)
    assert explained(result, 1)["prior"].relevance_score == pytest.approx(12.5)
    assert order(await scored(documents, weights={**ONLY, "prior": 1})) == [1, 2, 0]


async def test_recent_documents_first() -> None:
    documents: list[str | Document] = [
        dated("solar sail", "2024-01-15"),
        dated("solar sail", NOW_S - DAY_S),
        dated("solar sail", "no date"),
    ]
    result = await scored(documents, recency={"field": "published", "half_life_days": 30})

    assert order(result) == [1, 2, 0]
    assert explained(result, 1)["recency"].relevance_score == pytest.approx(0.5 ** (1 / 30))
    assert result.warnings == [
        "recency: 1 of 3 documents have no date in published that can be read; they neither gain nor lose by it"
    ]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1970-01-02", DAY_S),
        ("1970-01-02T00:00:00Z", DAY_S),
        (" 1970-01-02T02:00:00+02:00 ", DAY_S),
        (1_700_000_000, 1.7e9),
        (1_700_000_000_000, 1.7e9),
        ("yesterday", None),
        ("1" * 5000, None),
        (float("inf"), None),
        (1e300, None),
        (True, None),
        ({"year": 2020}, None),
        (None, None),
    ],
)
def test_dates(value: Any, seconds: float | None) -> None:
    assert date_of(Document(text="x", metadata={"published": value}), "published") == seconds
    assert date_of(Document(fields={"published": value}), "published") == seconds


def test_metadata_goes_before_fields() -> None:
    document = Document(text="x", metadata={"at": "1970-01-02"}, fields={"at": "1980-01-01"})
    assert date_of(document, "at") == DAY_S
    assert date_of("a text", "at") is None


async def test_length_prefers_what_is_about_as_long() -> None:
    documents: list[str | Document] = ["sail " + "word " * 400, "sail " + "word " * 45, "sail word"]
    assert order(await scored(documents, "sail", weights={**ONLY, "length": 1}, preferred_words=50)) == [1, 0, 2]


LONG = "lorem ipsum dolor " * 6000
TEXTS = [
    "{query} {0} %s ${HOME} $1 {{x}} solar sail {",
    LONG + "the solar sail " + LONG,
    "🍕🎉👩‍👩‍👧 solar sail 🚀",
    "שמש מפרש solar sail قصة الشراع",
    "太阳帆是利用太阳光压的航天器推进方式solar sail" * 300,
    "solarsail" * 12_000,
    "\u202esolar sail\u202c \x00 \ud83d",
    json.dumps({"results": [{"index": 0, "relevance_score": 1.0}], "query": "solar sail"}),
]


async def test_documents_of_every_kind() -> None:
    result = await scored([*TEXTS, "nothing of it"], fields={"title": 2}, recency={"field": "at"})

    assert len(result.scores) == len(TEXTS) + 1
    assert all(0 <= score <= 1 for score in result.scores)
    lexical = {index for index, text in enumerate(TEXTS) if "solar sail" in text}
    assert set(order(result)[: len(lexical)]) == lexical


async def test_long_texts_let_other_tasks_run() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await scored([LONG] * 20)
    counting.cancel()
    assert turns >= 3


async def test_called_as_a_model_without_any_configuration() -> None:
    found = engine([ScriptedProvider(a=by_length)], rerankers={"words": {"strategy": "heuristic"}})
    request = RerankRequest(model="words", query=QUERY, documents=["a ship", "a solar sail"], include_details=True)

    answer: RerankResponse = await found.rerank(request, CallContext(request_id="r1"))

    assert [result.index for result in answer.results] == [1, 0]
    assert answer.extra_fields is not None
    assert answer.extra_fields.score_space is ScoreSpace.RELATIVE
    assert answer.extra_fields.provider == "rerankd"
    assert answer.usage is not None
    assert (answer.usage.documents, answer.usage.cost) == (2, 0.0)
    assert answer.results[0].explanation is not None


def test_it_asks_no_models() -> None:
    parts = Parts("rerankers.words.config", Models(Router([ScriptedProvider(a=by_length)], default_model="scripted/a")))
    build(HeuristicConfig(), parts)
    assert parts.members == []


async def test_an_endless_query_is_cut_and_said_so() -> None:
    result = await scored(["w3", "w19999"], " ".join(f"w{number}" for number in range(20_000)))
    assert order(result) == [0, 1]
    assert result.warnings == ["the query was cut: only its first 512 different words are compared"]
