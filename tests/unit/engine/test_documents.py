from typing import Any

import pytest

from rerankd.contract import Document, RerankRequest
from rerankd.engine.documents import document_texts


@pytest.mark.parametrize(
    ("document", "rank_fields", "text"),
    [
        ("plain", [], "plain"),
        ("plain", ["title"], "plain"),
        (Document(text="body"), [], "body"),
        (Document(text="body", fields={"title": "t"}), [], "body"),
        (Document(text="body", fields={"title": "t"}), ["title"], "t"),
        (Document(text="body", fields={"title": "t"}), ["title", "text"], "title: t\ntext: body"),
        (Document(text="body", fields={"title": "t"}), ["missing"], "body"),
        (Document(fields={"b": "2", "a": "1"}), [], "b: '2'\na: '1'"),
        (Document(fields={"a": "1", "b": "2"}), ["b", "a"], "b: '2'\na: '1'"),
        (Document(fields={"only": "text: with, marks"}), [], "text: with, marks"),
        (Document(fields={"n": 3}), [], "n: 3"),
        (Document(fields={"title": "größe", "tags": ["a", "b"]}), [], "title: größe\ntags:\n- a\n- b"),
    ],
)
def test_text_of_a_document(document: str | Document, rank_fields: list[str], text: str) -> None:
    request = RerankRequest(query="q", documents=[document], rank_fields=rank_fields)
    assert document_texts(request) == [text]


def test_strings_are_not_copied() -> None:
    long: Any = "x" * 1000
    assert document_texts(RerankRequest(query="q", documents=[long]))[0] is long
