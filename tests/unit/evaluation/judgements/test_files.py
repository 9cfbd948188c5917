from __future__ import annotations

import json

import pytest

from rerankd.contract.messages import Document
from rerankd.evaluation.judgements.files import (
    FileError,
    read_documents,
    read_json_lines,
    read_qrels,
    read_queries,
    write_json_line,
)
from rerankd.evaluation.judgements.identity import content_hash
from rerankd.evaluation.judgements.judgement import Judgement, Source, Subject
from rerankd.runs.text_hash import hash_of

QUERIES = {"q1": "solar sail", "q2": "Zoë"}


def test_a_line_is_one_document_by_text_object_or_id() -> None:
    lines = [
        '{"query": "q", "document": "text", "grade": 2}',
        "",
        '{"query": "q", "document": {"id": "d", "text": "text", "fields": {"b": 1, "a": 2}}, "grade": 0}',
        '{"query": "q", "document_id": "e", "grade": 3}',
    ]

    assert list(read_json_lines(lines)) == [
        (Subject(hash_of("q"), hash_of("text"), "", "q"), 2, Source.IMPORT),
        (Subject(hash_of("q"), hash_of("text"), "d", "q"), 0, Source.IMPORT),
        (Subject(hash_of("q"), "", "e", "q"), 3, Source.IMPORT),
    ]


def test_a_line_of_judged_queries_is_all_of_its_documents() -> None:
    line = '{"query": "q", "documents": ["a", {"id": "d", "text": "b"}], "grades": [1, 0]}'

    assert list(read_json_lines([line])) == [
        (Subject.of("q", "a"), 1, Source.IMPORT),
        (Subject.of("q", Document(id="d", text="b")), 0, Source.IMPORT),
    ]


def test_a_document_without_a_text_has_an_id_alone() -> None:
    assert content_hash(Document(text="a", fields={"b": "c"}, metadata={"a": 1})) == content_hash("a")
    assert content_hash("") == content_hash(Document(id="a", fields={"b": "c"})) == ""
    line = '{"query": "q", "document": {"id": "d", "fields": {"b": "c"}}, "grade": 1}'
    assert list(read_json_lines([line])) == [(Subject(hash_of("q"), "", "d", "q"), 1, Source.IMPORT)]
    with pytest.raises(FileError, match="line 1 needs a text, or document_id"):
        list(read_json_lines([line.replace("id", "image")]))


@pytest.mark.parametrize(
    "judgement",
    [
        Judgement(Subject.of("Zoë", Document(id="d", text="b")), 3, Source.FEEDBACK, 7, 1.5),
        Judgement(Subject(hash_of("unknown"), document_id="d"), 0, Source.API, 0, 1.5),
    ],
)
def test_an_export_can_be_imported(judgement: Judgement) -> None:
    source = Source.FEEDBACK if judgement.source is Source.FEEDBACK else Source.IMPORT
    assert list(read_json_lines([write_json_line(judgement)])) == [(judgement.subject, judgement.grade, source)]


def test_clicks_alone_are_exported_without_a_grade() -> None:
    line = write_json_line(Judgement(Subject.of("q", "a"), None, None, 2, 1.5))

    assert "grade" not in json.loads(line)
    assert json.loads(line)["clicks"] == 2
    assert list(read_json_lines([line])) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: "),
        ('{"query": "q", "document": "a", "grade": "2"}', "line 2: Expected `int"),
        ('{"document": "a", "grade": 2}', "line 2 needs query"),
        ('{"query": "q", "query_hash": "0", "document": "a", "grade": 2}', "line 2 needs query, or"),
        ('{"query_hash": "0", "document": "a", "grade": 2}', "line 2: a hash has 32"),
        ('{"query": "q", "grade": 2}', "line 2 needs a text, or document_id"),
        ('{"query": "q", "document": "a", "grade": 4}', "line 2: a grade is 0 to 3, not 4"),
        ('{"query": "q", "document": "a", "grade": -1}', "line 2: a grade is 0 to 3, not -1"),
        ('{"query": "q", "documents": ["a"], "grades": [1, 2]}', "line 2: 1 documents have 2 grades"),
        (json.dumps({"query": "q", "document_id": "a" * 501, "grade": 1}), "line 2: document_id has more than 500"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str) -> None:
    with pytest.raises(FileError, match=said):
        list(read_json_lines(["", line]))


@pytest.mark.parametrize(
    "lines",
    [
        ["q1 0 d1 2", "", "q2\tQ0\td9\t-1"],
        ["q1\td1\t2", "q2\td9\t0"],
        ["query-id\tcorpus-id\tscore", "q1\td1\t2", "q2\td9\t0"],
    ],
)
def test_qrels_have_three_or_four_columns_and_perhaps_a_heading(lines: list[str]) -> None:
    documents = {"d1": Document(id="d1", text="one"), "d9": Document(id="d9", text="nine")}

    assert list(read_qrels(lines, QUERIES)) == [
        (Subject(hash_of("solar sail"), "", "d1", "solar sail"), 2, Source.IMPORT),
        (Subject(hash_of("Zoë"), "", "d9", "Zoë"), 0, Source.IMPORT),
    ]
    assert list(read_qrels(lines, QUERIES, documents))[1] == (Subject.of("Zoë", documents["d9"]), 0, Source.IMPORT)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("q1 0 d1", "line 2 is not: query id, 0, document id, relevance"),
        ("q1 d1 0 x 1", "line 2 is not"),
        ("q3 0 d1 1", "line 2 names the query q3"),
        ("q1 0 d2 1", "line 2 names the document d2"),
        ("q1 0 d1 4", "line 2 has relevance 4, above 3"),
    ],
)
def test_bad_qrels_are_named(line: str, said: str) -> None:
    with pytest.raises(FileError, match=said):
        list(read_qrels(["q1 0 d1 1", line], QUERIES, {"d1": Document(text="one")}))


def test_higher_relevance_is_clipped_where_asked_for() -> None:
    assert [grade for _, grade, _ in read_qrels(["q1 0 d1 4"], QUERIES, clips=True)] == [3]


def test_collections_are_json_or_tab_separated() -> None:
    assert read_queries(['{"_id": 7, "text": "a"}', '{"qid": "8", "query": "b"}', "", "9\tc d"]) == {
        "7": "a",
        "8": "b",
        "9": "c d",
    }
    lines = ['{"docid": "d", "text": "a", "title": "ignored"}', "e\tb"]
    assert read_documents(lines) == {"d": Document(id="d", text="a"), "e": Document(id="e", text="b")}


@pytest.mark.parametrize("line", ["no text", '{"text": "no id"}', '{"id": "d"}', "{"])
def test_a_bad_line_of_a_collection_is_named(line: str) -> None:
    with pytest.raises(FileError, match="line 1"):
        read_documents([line])
