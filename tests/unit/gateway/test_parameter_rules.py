"""Every row of the table of parameters: what it sets, what it passes, and what it refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rerankd.contract import messages
from rerankd.gateway.dialects.registry import DIALECTS
from rerankd.gateway.dialects.superset import SharedBody
from rerankd.gateway.translation.parameter_rules import COMMON, RULES, Fate, passed_parameters
from rerankd.gateway.translation.parsed_request import RerankBody
from tests.support.dialect_bodies import DialectRule, all_rules, request_of

ROWS = [pytest.param(row, id=f"{row.dialect}: {row.rule.name}") for row in all_rules()]
RANGES = {-1, 0, 1000}
"""Numbers that the engine refuses, not the gateway."""
WRONG = [
    pytest.param(row, id=f"{row.dialect}: {row.rule.name}")
    for row in all_rules()
    if row.rule.wrong is not None
    and (
        row.rule.name in passed_parameters(row.dialect)
        or not (type(row.rule.wrong) is int and row.rule.wrong in RANGES)
    )
]


async def send(client: httpx.AsyncClient, dialect: str, parameters: dict[str, Any]) -> httpx.Response:
    path, body = request_of(dialect, "m", parameters)
    return await client.post(path, json=body)


@pytest.mark.parametrize("row", ROWS)
async def test_example(client: httpx.AsyncClient, service: Any, row: DialectRule) -> None:
    dialect, rule = row
    answer = await send(client, dialect, {rule.name: rule.example})
    fate = rule.fate(dialect)

    if fate is Fate.REFUSED:
        assert answer.status_code == 400
        assert rule.name in answer.text
        return
    assert answer.status_code == 200, answer.text
    request: messages.RerankRequest = service.requests[-1]
    for name, value in rule.fields.items():
        assert getattr(request, name) == value
    options = request.provider_options or {}
    if fate in (Fate.PASSED, Fate.PASSED_OR_MAPPED):
        assert options.get(rule.name) == rule.example
        assert (rule.name in service.calls[-1].mapped_parameters) == (fate is Fate.PASSED_OR_MAPPED)
    elif fate is Fate.WARNED:
        assert options == {rule.name: rule.example}
    else:
        assert not options or rule.name.partition(".")[0] in options


@pytest.mark.parametrize("row", WRONG)
async def test_impossible_value(client: httpx.AsyncClient, service: Any, row: DialectRule) -> None:
    dialect, rule = row
    answer = await send(client, dialect, {rule.name: rule.wrong})

    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["x-error-reason"] == "INVALID_REQUEST"
    assert rule.name.rpartition(".")[2] in answer.text
    assert service.requests == []


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name not in ("superset", "rerankd")])
def test_every_field_of_a_body_has_a_row(dialect: str) -> None:
    body_type = DIALECTS[dialect].body_type
    assert dialect in RULES, "add its parameters to RULES in gateway/translation/parameter_rules.py, () for none"
    rows = {rule.name.partition(".")[0] for rule in RULES[dialect]} | passed_parameters(dialect).keys()
    if issubclass(body_type, RerankBody):
        rows |= {rule.name for rule in COMMON}
    if issubclass(body_type, SharedBody):
        rows |= {*messages.RerankRequest.__struct_fields__, "topN"}
    contents = {"model", "query", "queries", "documents", "texts", "passages", "input", "records", "sources", "items"}
    contents |= {"text_1", "text_2", "data_1", "data_2"}

    assert set(body_type.__struct_encode_fields__) - contents <= rows


@pytest.mark.parametrize("dialect", RULES)
def test_every_declared_parameter_of_the_service_has_a_row(dialect: str) -> None:
    named = {rule.name.rpartition(".")[2] for rule in RULES[dialect]}

    assert passed_parameters(dialect).keys() <= named


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name not in ("superset", "rerankd")])
async def test_unknown_parameters_reach_the_engine(client: httpx.AsyncClient, service: Any, dialect: str) -> None:
    answer = await send(client, dialect, {"unheard_of": 5})

    assert answer.status_code == 200
    assert service.requests[-1].provider_options == {"unheard_of": 5}
