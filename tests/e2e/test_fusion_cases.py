"""The golden cases of fusion and heuristic over both transports, against one real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rerankd_adapters.testing.yaml_files import read_yaml
from tests.support.cases import DIRECTORY, Case, differences, read_cases
from tests.support.server import ServerProcess
from tests.support.transports import GrpcTransport, HttpTransport

FILE = "fusion_and_heuristic.yaml"
CASES = read_cases(FILE)


@pytest.fixture(scope="module")
def rerankers() -> Iterator[ServerProcess]:
    settings = read_yaml(DIRECTORY / FILE)["settings"]
    environment = {f"RERANKD_{name.upper()}": json.dumps(value) for name, value in settings.items()}
    running = ServerProcess(environment=environment, preloads=True)
    yield running
    assert running.stop() == 0


@pytest.fixture(params=["grpc", "http"])
def transport(request: pytest.FixtureRequest, rerankers: ServerProcess) -> Iterator[GrpcTransport | HttpTransport]:
    opened = GrpcTransport(rerankers.grpc_address) if request.param == "grpc" else HttpTransport(rerankers.http_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_outcome(case: Case, transport: GrpcTransport | HttpTransport) -> None:
    assert list(differences(case, transport.call(case))) == []
