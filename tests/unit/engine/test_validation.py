"""Validation of document images and fields."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest
from rerankd.engine import rendering, validation
from rerankd.engine.limits import RequestLimits
from rerankd.engine.scoring.provider_call import document_contents
from rerankd_adapters.base import ProviderCall

PNG = "data:image/png;base64,iVBORw0KGgo="


def render(request: RerankRequest, **options: Any) -> rendering.RenderedRequest:
    return asyncio.run(rendering.render(request, **options))


def check_request(request: RerankRequest, limits: RequestLimits) -> None:
    asyncio.run(validation.check_request(request, limits))


def check(image: str, **limits: int) -> None:
    check_request(RerankRequest(query="q", documents=["a", Document(image=image)]), RequestLimits(**limits))


@pytest.mark.parametrize(
    "image", [PNG, "data:image/svg+xml;base64,PHN2Zy8+", "https://host/a.png?b=c%20d", "HTTPS://h/1"]
)
def test_an_image_is_content_enough(image: str) -> None:
    check(image)


@pytest.mark.parametrize(
    "image",
    [
        "iVBORw0KGgo=",
        "http://host/a.png",
        "https://",
        "https:///a.png",
        "https://host/a b.png",
        "https://host/a\nb",
        "https://[::1",
        "file:///etc/passwd",
        "data:",
        "data:image/png;base64",
        "data:image/png;base64,",
        "data:image/png,iVBORw0KGgo=",
        "data:text/html;base64,aGk=",
        "data:image/png;base64,iVBORw0KGgo",
        "data:image/png;base64,iVBO Rw0KGgo=",
        "data:image/png;base64,iVBORw0KGgö=",
        " " + PNG,
    ],
)
def test_what_is_no_image(image: str) -> None:
    with pytest.raises(ServiceError) as raised:
        check(image)
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert [violation.field for violation in raised.value.violations] == ["documents[1].image"]
    assert "iVBO" not in raised.value.message.replace("base64,iVBORw0KGgo=", "")


def test_size_of_an_image() -> None:
    check(PNG, max_image_chars=len(PNG))
    with pytest.raises(
        ServiceError, match=rf"documents\[1\].image is {len(PNG)} characters long; this server takes 10"
    ):
        check(PNG, max_image_chars=10)


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


@pytest.mark.parametrize("depth", [32, 450])
def test_what_is_nested_too_deep_is_refused_by_name(depth: int) -> None:
    request = RerankRequest(query="q", documents=[Document(fields=nested(depth))], provider_options=nested(depth))
    with pytest.raises(ServiceError) as raised:
        check_request(request, RequestLimits())
    assert [each.field for each in raised.value.violations] == ["documents[0].fields", "provider_options"]


def test_what_is_nested_as_deep_as_allowed() -> None:
    request = RerankRequest(query="q", documents=[Document(fields=nested(31))], provider_options=nested(31))
    check_request(request, RequestLimits())
    assert render(request).texts


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (RerankRequest(query="q", provider_options={"docs": ["a"]}), "documents are required for rerank; docs is not"),
        (
            RerankRequest(documents=["a"], provider_options={"querry": "q"}),
            "query is required for rerank; querry is",
        ),
        (RerankRequest(documents=["a"], provider_options={"x": 1}), "query is required for rerank"),
    ],
)
def test_a_field_that_was_written_otherwise_is_suggested(request_: RerankRequest, said: str) -> None:
    with pytest.raises(ServiceError) as raised:
        check_request(request_, RequestLimits())
    [violation] = raised.value.violations
    assert violation.description.startswith(said)
    assert violation.description.endswith(("did you mean documents?", "did you mean query?", "required for rerank"))


@pytest.mark.parametrize(
    "fields",
    [
        {str(number): number for number in range(11)},
        {"a": list(range(10))},
        {"a": [{"b": 1}] * 5},
        {"a": {"b": [[]] * 9}},
    ],
)
def test_values_of_one_document(fields: dict[str, Any]) -> None:
    request = RerankRequest(query="q", documents=[Document(fields=fields)], provider_options=fields)
    check_request(request, RequestLimits(max_document_values=11))
    with pytest.raises(ServiceError) as raised:
        check_request(request, RequestLimits(max_document_values=10))
    assert [(each.field, each.description) for each in raised.value.violations] == [
        ("documents[0].fields", "documents[0].fields has more than 10 values"),
        ("provider_options", "provider_options has more than 10 values"),
    ]


@pytest.mark.parametrize(
    "fields", [{"ab": "c" * 18}, {"a" * 18: "b", "c": 1}, {"a": ["b" * 9, {"c" * 9: 1}, "d"]}, {"ab": ["c" * 18]}]
)
def test_characters_in_the_fields_of_one_document(fields: dict[str, Any]) -> None:
    request = RerankRequest(query="q", documents=["x", Document(fields=fields)])
    check_request(request, RequestLimits(max_document_chars=20))
    with pytest.raises(ServiceError) as raised:
        check_request(request, RequestLimits(max_document_chars=19))
    assert raised.value.violations[0].description == (
        "documents[1].fields has 20 characters of keys and texts; this server takes 19"
    )


def test_other_tasks_have_their_turn_beside_large_documents() -> None:
    documents: list[str | Document] = [Document(fields={"a": [[number] for number in range(9_000)]})] * 20
    assert _turns(validation.check_request(RerankRequest(query="q", documents=documents), RequestLimits())) > 5


def test_other_tasks_have_their_turn_within_a_large_document() -> None:
    fields = {f"key {number}: \u2028": f"# {number}" for number in range(19_000)}
    assert _turns(rendering.render(RerankRequest(query="q", documents=[Document(fields=fields)]))) > 5


def test_other_tasks_have_their_turn_while_cache_keys_are_made() -> None:
    fields = {"a": list(range(10_000))}
    call = ProviderCall(model="m", query="q", documents=["x"] * 500, objects=[fields] * 500, rank_fields=["a"])
    assert _turns(document_contents(call)) > 5


def _turns(work: Any) -> int:
    """Count how often another task runs while `work` does."""

    async def count() -> int:
        task, turns = asyncio.ensure_future(work), 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        await task
        return turns

    return asyncio.run(count())
