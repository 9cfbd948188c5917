"""Every golden case through the engine in this process: the third transport gives the same outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rerankd import Reranker, RerankError
from rerankd.settings import Settings
from tests.support.cases import Case, Outcome, differences, read_cases

CASES = [case for case in read_cases("rerank.yaml") if case.behaviour == "call" and not case.raw]


@pytest.fixture(scope="module")
def reranker() -> Iterator[Reranker]:
    with Reranker(Settings()) as opened:
        yield opened


def call(reranker: Reranker, case: Case) -> Outcome:
    options: dict[str, Any] = {"return_documents": False, **case.request}
    model, query = options.pop("model", ""), options.pop("query", "")
    try:
        response = reranker.rerank(model, query, options.pop("documents", []), timeout=case.timeout_s, **options)
    except RerankError as error:
        fields = [violation.field for violation in error.fields]
        return Outcome(error.code.name, error.status_code, error.reason.value, error.message, fields)
    return Outcome("OK", 200, response=response.model_dump())


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_outcome(case: Case, reranker: Reranker) -> None:
    assert list(differences(case, call(reranker, case))) == []
