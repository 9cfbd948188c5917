"""The shared dialect engine: nothing is dropped silently, nothing of ours can be replaced."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rerankd_adapters.base import (
    AdapterError,
    AdapterErrorKind,
    Capabilities,
    Endpoint,
    HttpResponse,
    Provider,
    ProviderCall,
    Truncation,
)
from rerankd_adapters.dialect import JsonDialect, Wire
from rerankd_adapters.providers.generic import GENERIC, GenericAdapter
from tests.support.canary import CANARY_SECRET

ENDPOINT = Endpoint(base_url="http://host", api_key=CANARY_SECRET)
ACME = Provider(
    name="acme",
    title="Acme",
    adapter="rerankd_adapters.dialect:JsonDialect",
    reference="https://acme.example",
    checked="2026-11-21",
    capabilities=Capabilities(billing_unit="search_unit"),
)


OPEN = replace(ACME, parameters=None)


class Limited(JsonDialect):
    """A dialect whose server has a default number of results."""

    wire = Wire(top_n="top_k", needs_top_n=True, fixed={"echo": False}, defaults={"mode": "a"})


def body_of(adapter: JsonDialect, **fields: Any) -> dict[str, Any]:
    call = ProviderCall(**{"model": "m", "query": "q", "documents": ["a", "b"], **fields})
    body: dict[str, Any] = json.loads(adapter.build(call, ENDPOINT).body)
    return body


def reply_to(adapter: JsonDialect, body: Any, count: int = 1, **fields: Any) -> Any:
    call = ProviderCall(**{"model": "m", "query": "q", "documents": ["a"] * count, **fields})
    return adapter.parse(call, HttpResponse(status=200, body=json.dumps(body).encode()))


def test_top_n_is_at_most_the_number_of_documents() -> None:
    assert body_of(JsonDialect(ACME), top_n=9)["top_n"] == 2
    assert "top_n" not in body_of(JsonDialect(ACME))
    assert body_of(Limited(ACME))["top_k"] == 2


def test_options_replace_defaults_but_nothing_fixed() -> None:
    assert body_of(Limited(OPEN), options={"mode": "b"})["mode"] == "b"
    for name in ("echo", "query", "documents", "model", "top_k"):
        with pytest.raises(AdapterError) as refused:
            body_of(Limited(OPEN), options={name: 1})
        assert refused.value.kind is AdapterErrorKind.UNSUPPORTED
        assert refused.value.field == f"provider_options.{name}"


def test_every_ignored_parameter_is_named() -> None:
    body = {"results": [{"index": 0, "relevance_score": 1.0}]}
    reply = reply_to(JsonDialect(ACME), body, max_tokens_per_doc=5, max_passages_per_doc=2, priority=1)
    assert [warning.split()[0] for warning in reply.warnings] == [
        "max_tokens_per_doc",
        "max_chunks_per_doc",
        "priority",
    ]


@pytest.mark.parametrize("truncation", [Truncation.NONE, Truncation.START])
def test_truncation_that_cannot_be_asked_for(truncation: Truncation) -> None:
    with pytest.raises(AdapterError) as refused:
        body_of(JsonDialect(ACME), truncation=truncation)
    assert refused.value.field == "truncation"


@pytest.mark.parametrize(("documents", "units"), [(1, 1), (100, 1), (101, 2), (1000, 10)])
def test_search_units_that_are_not_told(documents: int, units: int) -> None:
    results = [{"index": index, "relevance_score": 0.5} for index in range(documents)]
    assert reply_to(JsonDialect(ACME), {"results": results}, documents).search_units == units


def test_error_in_a_200_is_quoted() -> None:
    with pytest.raises(AdapterError, match="there is no list of results: no credit left"):
        reply_to(JsonDialect(ACME), {"error": {"message": "no credit left"}})


def test_key_is_not_in_the_request_an_adapter_builds() -> None:
    request = JsonDialect(ACME).build(ProviderCall(model="m", query="q", documents=["a"]), ENDPOINT)
    assert CANARY_SECRET not in repr(request) + repr(ENDPOINT)


def test_path_option() -> None:
    call = ProviderCall(model="m", query="q", documents=["a"])
    assert JsonDialect(ACME, {"path": "/x/y"}).build(call, ENDPOINT).url == "http://host/x/y"


@pytest.mark.parametrize("options", [{"shape": "smoke signals"}, {"colour": "red"}])
def test_generic_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(AdapterError, match="the generic provider has no"):
        GenericAdapter(GENERIC, options)
