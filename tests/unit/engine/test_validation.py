"""Validation of document images."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.messages import Document, RerankRequest
from rerankd.engine import rendering
from rerankd.engine.limits import RequestLimits
from rerankd.engine.validation import check_request

PNG = "data:image/png;base64,iVBORw0KGgo="


def render(request: RerankRequest, **options: Any) -> rendering.RenderedRequest:
    return asyncio.run(rendering.render(request, **options))


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
