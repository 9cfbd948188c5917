"""Setting `blank_documents`: unset, `reject` and `rank_last`, over gRPC, HTTP and the Python functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest

from rerankd import Reranker, RerankError
from rerankd.settings import Settings
from rerankd_adapters.testing.yaml_files import read_yaml
from tests.support.cases import DIRECTORY, Case
from tests.support.server import ServerProcess
from tests.support.transports import GrpcTransport

CASES = [
    pytest.param(entry["setting"], entry["documents"], surface, expected, id=f"{number} {entry['setting']} {surface}")
    for number, entry in enumerate(read_yaml(DIRECTORY / "blank_documents.yaml"))
    for surface, expected in entry["expect"].items()
]


@pytest.fixture(scope="module")
def servers() -> Iterator[Mapping[str | None, ServerProcess]]:
    """One server for each value of the setting."""
    started = {
        setting: ServerProcess(environment={"RERANKD_BLANK_DOCUMENTS": setting} if setting else {})
        for setting in (None, "reject", "rank_last")
    }
    yield started
    assert [server.stop() for server in started.values()] == [0, 0, 0]


@pytest.mark.parametrize(("setting", "documents", "surface", "expected"), CASES)
def test_outcome(
    setting: str | None,
    documents: list[Any],
    surface: str,
    expected: Any,
    servers: Mapping[str | None, ServerProcess],
) -> None:
    request = {"model": "local/bm25", "query": "apple", "documents": documents}
    if surface == "grpc":
        order, warnings = over_grpc(servers[setting], request)
    elif surface == "sdk":
        order, warnings = in_process(setting, request)
    else:
        order, warnings = over_http(servers[setting], surface, request)
    assert order == expected
    if order != "refused" and warnings is not None:  # Jina's answers have no place for warnings
        count = sum(
            not text.strip() for text in (each if isinstance(each, str) else each["text"] for each in documents)
        )
        assert [f"{count} of {len(documents)}" in warning for warning in warnings] == [True]


def over_grpc(server: ServerProcess, request: Mapping[str, Any]) -> tuple[Any, list[str] | None]:
    transport = GrpcTransport(server.grpc_address)
    outcome = transport.call(Case(name="blank", expect={}, request=request))
    transport.close()
    if outcome.code != "OK":
        assert (outcome.code, outcome.fields[0]) == ("INVALID_ARGUMENT", "documents[1].text")
        return "refused", []
    return [each["index"] for each in outcome.response["results"]], outcome.response["meta"]["warnings"]


def over_http(server: ServerProcess, path: str, request: Mapping[str, Any]) -> tuple[Any, list[str] | None]:
    answer = httpx.post(f"{server.http_url}{path}", json=request, trust_env=False)
    if answer.status_code != 200:
        named = "documents[1].text" if path.startswith(("/v1/", "/rerankd/")) else "documents[1]"
        assert (answer.status_code, f"{named} is required" in answer.text) == (400, True)
        return "refused", []
    body = answer.json()
    return [each["index"] for each in body["results"]], body.get("meta", {}).get("warnings")


def in_process(setting: str | None, request: Mapping[str, Any]) -> tuple[Any, list[str] | None]:
    settings = msgspec.convert({"blank_documents": setting}, Settings)
    with Reranker(settings) as reranker:
        try:
            answer = reranker.rerank(request["model"], request["query"], request["documents"])
        except RerankError as error:
            return "refused" if error.status_code == 400 else error, []
    return [each.index for each in answer.results], list(answer.meta.warnings)
