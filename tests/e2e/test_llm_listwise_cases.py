"""The golden cases of llm-listwise over both transports: one real server, and one that speaks chat APIs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.canary import CANARY_SECRET
from tests.support.cases import Case, differences, read_cases, settings_environment
from tests.support.listwise_server import order
from tests.support.server import ServerProcess
from tests.support.transports import GrpcTransport, HttpTransport
from tests.support.upstream import Upstream

FILE = "llm_listwise.yaml"
CASES = read_cases(FILE)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with Upstream(order) as upstream:
        environment = settings_environment(FILE, upstream.url)
        aws = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": CANARY_SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        running = ServerProcess(environment=environment | aws)
        yield running
        assert running.stop() == 0


@pytest.fixture(params=["grpc", "http"])
def transport(request: pytest.FixtureRequest, server: ServerProcess) -> Iterator[GrpcTransport | HttpTransport]:
    opened = GrpcTransport(server.grpc_address) if request.param == "grpc" else HttpTransport(server.http_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_outcome(case: Case, transport: GrpcTransport | HttpTransport) -> None:
    assert list(differences(case, transport.call(case))) == []
