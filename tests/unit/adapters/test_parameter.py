"""Own parameters of providers: which values they accept, and how a refused one is described."""

from __future__ import annotations

from typing import Any

import pytest

from rerankd_adapters.parameter import Kind, Parameter, flag, mapping, text, top_n, whole
from rerankd_adapters.registry import contract_parameters, parameter_owners
from scripts.generate_provider_docs import list_providers

SOURCE = "a page"
LIST = Parameter(kinds=(Kind.ARRAY,), holds_text=True, source=SOURCE)
NUMBER = Parameter(kinds=(Kind.NUMBER,), minimum=0.5, source=SOURCE)


@pytest.mark.parametrize(
    ("parameter", "value", "fault"),
    [
        (text(SOURCE, "NONE", "END"), "END", ""),
        (text(SOURCE, "NONE", "END"), "end", "x must be NONE or END, was 'end'"),
        (text(SOURCE), 5, "x must be a string, was an integer"),
        (text(SOURCE, is_nullable=True), None, ""),
        (text(SOURCE, is_nullable=True), True, "x must be a string or null, was a boolean"),
        (flag(SOURCE), "true", "x must be a boolean, was a string"),
        (whole(SOURCE, 0, 80), 80.0, ""),
        (whole(SOURCE, 0, 80), 81, "x must be 0 to 80, was 81"),
        (whole(SOURCE, -1, is_nullable=True), -2, "x must be at least -1, was -2"),
        (whole(SOURCE), 1.5, "x must be an integer, was a number"),
        (whole(SOURCE), True, "x must be an integer, was a boolean"),
        (NUMBER, 1, ""),
        (NUMBER, 0.25, "x must be at least 0.5, was 0.25"),
        (mapping(SOURCE), [], "x must be an object, was an array"),
        (mapping(SOURCE, holds_text=True), {"a": 1}, "x['a'] must be a string"),
        (LIST, ["a", None], "x['1'] must be a string"),
        (LIST, ["a", "b"], ""),
        (top_n(SOURCE), 0, "x must be at least 1, was 0"),
    ],
)
def test_faults(parameter: Parameter, value: Any, fault: str) -> None:
    assert parameter.fault("x", value) == fault


@pytest.mark.parametrize("provider", list_providers(), ids=lambda provider: provider.name)
def test_declarations(provider: Any) -> None:
    for name, parameter in (provider.parameters or {}).items():
        assert parameter.source
        assert [parameter.fault(name, value) for value in parameter.examples] == [""] * len(parameter.examples)


def test_owners_are_told_by_title() -> None:
    assert parameter_owners()["top_k"] == ("Cloudflare Workers AI", "Mixedbread", "Voyage AI")
    assert "relevance" not in parameter_owners()


def test_names_of_fields_mean_the_same_everywhere() -> None:
    fields = {name: parameter.field for name, parameter in contract_parameters().items()}
    assert fields == {
        **dict.fromkeys(("top_k", "topN", "numberOfResults"), "top_n"),
        **dict.fromkeys(("return_text", "return_input"), "return_documents"),
    }
    for provider in list_providers():
        for name in fields.keys() & (provider.parameters or {}).keys():
            assert (provider.parameters or {})[name].field == fields[name]
