"""What holds of judgements on both databases."""

from __future__ import annotations

import asyncio

import pytest

from rerankd.contract.messages import Document
from rerankd.evaluation.judgements.judgement import Judgement, Source, Subject, labels_of
from rerankd.evaluation.judgements.table import JudgementTable
from rerankd.runs.text_hash import hash_of
from rerankd.store.database import Database
from tests.support.engines import Clock


@pytest.fixture
def table(database: Database) -> JudgementTable:
    return JudgementTable(database, Clock())


async def stored(table: JudgementTable, subject: Subject) -> Judgement:
    found = await table.get(subject)
    assert found is not None
    return found


async def all_of(table: JudgementTable, query: str = "q") -> list[tuple[str, str, int | None, int]]:
    """Return content hash, id, grade and clicks of a query's judgements."""
    found = await table.of_queries([hash_of(query)])
    return [
        (each.subject.content_hash, each.subject.document_id, each.grade, each.clicks)
        for each in found.get(hash_of(query), ())
    ]


async def test_a_judgement_comes_back_as_it_was_given(table: JudgementTable) -> None:
    subject = Subject.of("Wer schrieb „Dune“?", Document(id="d1", text="Frank Herbert", fields={"year": 1965}))
    assert await table.get(subject) is None
    assert await table.judge([(subject, 3)], Source.API) == 1
    assert await table.get(subject) == Judgement(subject, 3, Source.API, 0, Clock().now_s)
    await table.judge([(subject, 0)], Source.IMPORT)
    assert await table.get(subject) == Judgement(subject, 0, Source.IMPORT, 0, Clock().now_s)


async def test_feedback_never_replaces_a_judge(table: JudgementTable) -> None:
    judged, open_ = Subject.of("q", "a"), Subject.of("q", "b")
    await table.judge([(judged, 2)], Source.API)
    await table.judge([(judged, 0), (open_, 0)], Source.FEEDBACK)
    await table.judge([(open_, 1)], Source.FEEDBACK)
    found = [await stored(table, subject) for subject in (judged, open_)]
    assert [(each.grade, each.source) for each in found] == [(2, "api"), (1, "feedback")]
    await table.judge([(open_, 3)], Source.API)
    assert (await stored(table, open_)).source is Source.API


async def test_clicks_are_counted_beside_the_grade(table: JudgementTable) -> None:
    subject = Subject.of("q", "a")
    await asyncio.gather(*(table.click(subject) for _ in range(5)))
    found = await stored(table, subject)
    assert (found.grade, found.source, found.clicks) == (None, None, 5)
    await table.judge([(subject, 1)], Source.FEEDBACK)
    await table.click(subject)
    found = await stored(table, subject)
    assert (found.grade, found.source, found.clicks) == (1, Source.FEEDBACK, 6)


async def test_a_document_known_by_id_is_the_same_when_its_content_is_told(table: JudgementTable) -> None:
    by_id = Subject(hash_of("q"), document_id="d")
    whole = Subject.of("q", Document(id="d", text="text"))
    await table.judge([(by_id, 1)], Source.IMPORT)
    await table.click(by_id)
    assert await table.get(whole) == await table.get(by_id)
    await table.judge([(whole, 2)], Source.IMPORT)
    assert await all_of(table) == [(hash_of("text"), "d", 2, 1)]
    await table.judge([(by_id, 3)], Source.IMPORT)
    assert await all_of(table) == [(hash_of("text"), "d", 3, 1)]
    assert (await stored(table, by_id)).subject.query == "q"


async def test_other_content_under_an_id_takes_the_place_of_the_old(table: JudgementTable) -> None:
    old, new = (Subject.of("q", Document(id="d", text=text)) for text in ("old", "new"))
    await table.judge([(old, 1)], Source.API)
    await table.judge([(new, 2)], Source.API)
    assert await all_of(table) == [(hash_of("new"), "d", 2, 0)]
    await table.judge([(Subject.of("q", "old"), 0)], Source.API)
    await table.judge([(old, 3)], Source.API)
    assert await all_of(table) == [(hash_of("old"), "d", 3, 0)]


async def test_the_same_rules_hold_within_one_file(table: JudgementTable) -> None:
    by_id, whole = Subject(hash_of("q"), document_id="d"), Subject.of("q", Document(id="d", text="text"))
    await table.judge([(by_id, 1), (whole, 2), (by_id, 3), (Subject.of("q", "text"), 0)], Source.IMPORT)
    assert await all_of(table) == [(hash_of("text"), "d", 0, 0)]


async def test_the_content_decides_before_the_id(table: JudgementTable) -> None:
    await table.judge([(Subject.of("q", "text"), 1), (Subject(hash_of("q"), document_id="d"), 2)], Source.API)
    assert (await stored(table, Subject(hash_of("q"), hash_of("text"), "d"))).grade == 1
    judgements = (await table.of_queries([hash_of("q")]))[hash_of("q")]
    documents = [(hash_of("text"), "d"), ("", "d"), (hash_of("else"), ""), ("", "")]
    labels = labels_of(judgements, documents)
    assert labels.grades == {0: 1, 1: 2}
    assert sorted(labels.ideal) == [1, 2]


async def test_pages_hold_every_judgement_once(table: JudgementTable) -> None:
    subjects = [Subject.of(f"q{number % 3}", f"d{number}") for number in range(1201)]
    assert await table.judge(((each, 1) for each in subjects), Source.IMPORT) == 1201
    await table.judge([(subjects[0], 2)], Source.API)
    seen: list[Judgement] = []
    while page := await table.page(seen[-1].key if seen else None, 500):
        seen += page
    assert sorted(each.key for each in seen) == sorted(each.key for each in subjects)
    assert [each.subject for each in await table.page(None, 9, source="api")] == [subjects[0]]
    only = await table.page(None, 1000, query_hash=hash_of("q1"))
    assert {each.subject.query for each in only} == {"q1"}
    assert len(only) == 400


async def test_a_deleted_judgement_is_gone(table: JudgementTable) -> None:
    subject = Subject.of("q", Document(id="d", text="text"))
    await table.judge([(subject, 1), (Subject.of("q", "other"), 1)], Source.API)
    assert await table.delete(Subject(hash_of("q"), document_id="d"))
    assert not await table.delete(subject)
    assert await all_of(table) == [(hash_of("other"), "", 1, 0)]
