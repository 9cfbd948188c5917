import asyncio
from typing import Any

import pytest

from rerankd.contract.messages import Document, RerankRequest
from rerankd.engine import rendering
from rerankd.engine.scoring import provider_call
from rerankd_adapters.base import ProviderCall


def render(request: RerankRequest, **options: Any) -> rendering.RenderedRequest:
    return asyncio.run(rendering.render(request, **options))


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
        (Document(fields={"n": 3}), [], "3"),
        (Document(fields={"x": 5, "y": "z"}), ["x"], "5"),
        (Document(fields={"x": 5.5, "y": "z"}), ["x"], "5.5"),
        (Document(fields={"x": True}), ["x"], "true"),
        (Document(fields={"x": ["a", 2.0]}), ["x"], "- a\n- 2"),
        (Document(fields={"x": {"a": "b", "c": [1]}}), ["x"], "a: b\nc:\n- 1"),
        (Document(fields={"x": []}), ["x"], "[]"),
        (Document(fields={"n": 3.0, "m": [1.5, 2.0]}), [], "n: 3\nm:\n- 1.5\n- 2"),
        (Document(fields={"title": "größe", "tags": ["a", "b"]}), [], "title: größe\ntags:\n- a\n- b"),
    ],
)
def test_text_of_a_document(document: str | Document, rank_fields: list[str], text: str) -> None:
    request = RerankRequest(query="q", documents=[document], rank_fields=rank_fields)
    assert render(request).texts == [text]


@pytest.mark.parametrize("blank", ["", " \n", Document(text=" ")])
def test_blank_documents_are_omitted_with_a_warning(blank: str | Document) -> None:
    rendered = render(RerankRequest(query="q", documents=["a", *[blank] * 11, "b"]), omits_blank=True)
    assert (rendered.texts, list(rendered.indices), list(rendered.blank_indices)) == (
        ["a", "b"],
        [0, 12],
        [*range(1, 12)],
    )
    listed = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ..."
    assert rendered.warnings == [f"blank documents were ranked last, unscored: 11 of 13, at index {listed}"]


def test_strings_are_not_copied() -> None:
    long: Any = "x" * 1000
    assert render(RerankRequest(query="q", documents=[long])).texts[0] is long


@pytest.mark.parametrize(
    ("documents", "rank_fields", "names", "objects"),
    [
        (["a", Document(text="b")], ["title"], [], None),
        ([Document(text="b", fields={"title": "t"})], [], [], None),
        ([Document(text="b", fields={"title": "t"})], ["missing"], [], None),
        ([Document(fields={"b": 1.0, "a": "x"}), "s"], [], ["b", "a"], [{"b": 1, "a": "x"}, None]),
        ([Document(fields={"a": "x", "b": "y"}), Document(fields={"b": "y", "a": "x"})], [], ["a", "b"], ["first"]),
        ([Document(fields={"a": "x", "b": "y"})], ["b", "a", "b"], ["b", "a"], [{"a": "x", "b": "y"}]),
        ([Document(fields={"a": "x", "unscored": "y"})], ["a"], ["a"], [{"a": "x"}]),
        ([Document(fields={"a": "x"}), Document(fields={"a": "x", "b": "y"})], ["a", "b"], ["a", "b"], ["second"]),
        ([Document(fields={"a": None, "b": "y"})], ["a", "b"], [], None),
        ([Document(text="t", fields={"a": "x"})], ["a", "text"], ["a", "text"], [{"a": "x", "text": "t"}]),
        ([Document(text="t", fields={"text": "own"})], ["text"], ["text"], [{"text": "own"}]),
    ],
)
def test_documents_that_can_be_sent_as_objects(
    documents: list[Any], rank_fields: list[str], names: list[str], objects: Any
) -> None:
    request = RerankRequest(query="q", documents=documents, rank_fields=rank_fields)
    if objects == ["first"]:
        objects = [documents[0].fields, None]
    elif objects == ["second"]:
        objects = [None, documents[1].fields]
    rendered = render(request)
    said, found = rendered.rank_fields, rendered.objects
    assert (list(said), found) == (names, objects)
    for text, fields in zip(render(request).texts, found or (), strict=False):
        if fields is not None:
            scored = Document(fields={name: fields[name] for name in said})
            assert text == render(RerankRequest(query="q", documents=[scored])).texts[0]


def test_the_callers_fields_are_not_changed() -> None:
    fields = {"n": 3.0, "deep": {"m": [1.0]}}
    request = RerankRequest(query="q", documents=[Document(fields=fields)])
    rendered = render(request)
    assert (rendered.rank_fields, rendered.objects) == (["n", "deep"], [{"n": 3, "deep": {"m": [1]}}])
    assert [type(fields["n"]), fields["deep"]] == [float, {"m": [1.0]}]


def test_images() -> None:
    request = RerankRequest(query="q", documents=["a", Document(image="https://h/1"), Document(text="b")])
    assert render(request).images == [None, "https://h/1", None]
    assert render(RerankRequest(query="q", documents=["a", Document(text="b")])).images is None
    assert render(request).texts == ["a", "", "b"]


def test_contents_tell_apart_what_is_scored() -> None:
    call = ProviderCall(
        model="m",
        query="q",
        documents=["t", "t", "t", "t", "", "a: x"],
        images=[None, "https://h/1", "https://h/2", None, "https://h/1", None],
        objects=[None, None, None, {"a": "t", "unread": 1}, None, {"a": "x"}],
        rank_fields=["a"],
    )
    contents = asyncio.run(provider_call.document_contents(call))
    assert len(set(contents)) == 6
    assert contents[0] == "t"
    assert [type(each) for each in contents] == [str, bytes, bytes, bytes, bytes, bytes]
    again = ProviderCall(model="m", query="p", documents=["t"], objects=[{"unread": 2, "a": "t"}], rank_fields=["a"])
    assert asyncio.run(provider_call.document_contents(again)) == [contents[3]]


def test_contents_of_texts_are_the_texts() -> None:
    texts = ["a", "b"]
    assert asyncio.run(provider_call.document_contents(ProviderCall(model="m", query="q", documents=texts))) is texts


def test_documents_without_any_ranked_field_are_counted() -> None:
    documents: list[str | Document] = ["s", Document(text="t"), Document(fields={"a": 1}), Document(fields={"b": 1})]
    said = render(RerankRequest(query="q", documents=documents, rank_fields=["c", "b"])).warnings
    assert said == ["rank_fields: 1 of 4 documents have none of these fields and were scored by all of their content"]
    assert render(RerankRequest(query="q", documents=documents, rank_fields=["a", "b"])).warnings == []
    assert render(RerankRequest(query="q", documents=documents)).warnings == []
    plain: list[str | Document] = ["s", Document(text="t")]
    strings: list[str | Document] = ["s", "t"]
    for without_fields in (plain, strings):
        assert render(RerankRequest(query="q", documents=without_fields, rank_fields=["a"])).warnings == [
            "rank_fields were ignored: no document has fields; each was scored by its text"
        ]
    assert render(RerankRequest(query="q", documents=plain, rank_fields=["text"])).warnings == []
    titled = Document(text="t", fields={"a": 1})
    assert render(RerankRequest(query="q", documents=[titled], rank_fields=["text"])).warnings == []


def test_blank_documents_are_left_out_where_they_rank_last() -> None:
    documents: list[str | Document] = ["", "a", Document(text=" "), Document(fields={"t": "b"}), Document(image="i")]
    rendered = render(RerankRequest(query="q", documents=documents), omits_blank=True)
    assert (rendered.texts, rendered.indices, rendered.blank_indices) == (["a", "b", ""], [1, 3, 4], [0, 2])
    none = render(RerankRequest(query="q", documents=["", " "]), omits_blank=True)
    assert (none.texts, none.indices, none.blank_indices) == ([], [], [0, 1])
    assert len(documents) == 5
