"""Golden cases of WarmDocuments over both transports, and what it saves later calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rerankd_client import RerankClient
from tests.support.cases import Case, differences, read_cases
from tests.support.server import ServerProcess
from tests.support.transports import GrpcTransport, HttpTransport


@pytest.fixture(params=["grpc", "http"])
def transport(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[GrpcTransport | HttpTransport]:
    opened = GrpcTransport(server.grpc_address) if request.param == "grpc" else HttpTransport(server.http_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in read_cases("warm_documents.yaml")])
def test_outcome(case: Case, transport: GrpcTransport | HttpTransport) -> None:
    computed = case.expect.get("computed")
    expect = {key: value for key, value in case.expect.items() if key != "computed"}
    outcome = transport.call(replace(case, expect=expect))
    assert list(differences(replace(case, expect=expect), outcome)) == []
    if computed is not None:
        assert outcome.response["warmed"] + outcome.response["already_warm"] == computed
        again = transport.call(replace(case, expect=expect))
        assert (again.response["warmed"], again.response["already_warm"]) == (0, computed)


def test_warm_documents_are_read_by_later_calls(server: ServerProcess) -> None:
    documents = [f"Saved {number}: bees make honey from nectar. " * 8 for number in range(6)]
    with RerankClient(server.grpc_address) as client:
        cold = client.rerank("how is honey made", documents, model="local/all-minilm-l6-v2-maxsim")
        fresh = [f"again {text}" for text in documents]
        warmed = client.warm_documents(fresh, model="local/all-minilm-l6-v2-maxsim")
        assert (warmed.model, warmed.warmed, warmed.skipped) == ("local/all-minilm-l6-v2-maxsim", 6, 0)
        warm = client.rerank("how is honey made", fresh, model="local/all-minilm-l6-v2-maxsim")
    assert warm.usage.prompt_tokens < cold.usage.prompt_tokens / 6
