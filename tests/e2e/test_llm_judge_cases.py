"""The golden cases of llm-judge over both transports: one real server, and one that speaks every chat wire format."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.canary import CANARY_SECRET
from tests.support.cases import Case, differences, read_cases, settings_environment
from tests.support.chat_servers import judge
from tests.support.server import ServerProcess
from tests.support.transports import GrpcTransport, HttpTransport
from tests.support.upstream import Upstream

FILE = "llm_judge.yaml"
CASES = read_cases(FILE)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(judge) as running:
        yield running


@pytest.fixture(scope="module")
def judges(upstream: Upstream) -> Iterator[ServerProcess]:
    environment = settings_environment(FILE, upstream.url) | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": CANARY_SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    running = ServerProcess(environment=environment)
    yield running
    assert running.stop() == 0


@pytest.fixture(params=["grpc", "http"])
def transport(request: pytest.FixtureRequest, judges: ServerProcess) -> Iterator[GrpcTransport | HttpTransport]:
    opened = GrpcTransport(judges.grpc_address) if request.param == "grpc" else HttpTransport(judges.http_url)
    yield opened
    opened.close()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_outcome(case: Case, transport: GrpcTransport | HttpTransport) -> None:
    assert list(differences(case, transport.call(case))) == []


def test_cases_speak_every_wire_format(upstream: Upstream, judges: ServerProcess) -> None:
    opened = HttpTransport(judges.http_url)
    for case in CASES:
        opened.call(case)
    opened.close()
    paths = {received.path.partition("?")[0] for received in upstream.received}
    assert paths >= {
        "/v1/chat/completions",
        "/tokenize",
        "/v1/messages",
        "/v1beta/models/gemini-2.5-flash:generateContent",
        "/v2/chat",
        "/model/amazon.nova-lite-v1:0/converse",
    }
