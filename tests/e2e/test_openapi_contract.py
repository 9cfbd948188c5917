"""A running server does what its OpenAPI document says, whatever is sent: schemathesis makes the requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.scopes import ALL_SCOPES
from rerankd.rpc.servicers import SERVICE_NAMES
from scripts.generate import ROOT
from tests.support.server import ServerProcess

NDJSON = "application/x-ndjson"
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
]

DOCUMENT = str(ROOT / "server/rerankd/web/openapi.json")
schema: Any = schemathesis.openapi.from_path(DOCUMENT)
closed: Any = schemathesis.openapi.from_path(DOCUMENT)
closed.config.phases.update(phases=["examples", "fuzzing"])
"""For services that refuse whatever is sent: without every value that a body may and may not have."""


@schemathesis.serializer(NDJSON)
def write_line(_context: Any, value: Any) -> bytes:
    """Send a generated message as a stream of one line; examples are lines already."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.deserializer(NDJSON)
def read_last_line(_context: Any, response: Any) -> Any:
    return json.loads(response.content.splitlines()[-1])


@schemathesis.hook
def filter_path_parameters(_context: Any, values: dict[str, Any] | None) -> bool:
    """A path ends before slashes that nothing follows: a name made of them alone asks for the list."""
    return not values or all(unquote(str(value)).strip("/") for value in values.values())


SETTINGS: Any = settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
CLOSED_SETTINGS: Any = settings(SETTINGS, max_examples=10)
ADMIN = new_secret()
MANAGEMENT = [name.rpartition(".")[2] for name in SERVICE_NAMES[1:]]
"""Services beside the rerank service; some are closed unless the settings open them."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with every service open to one key."""
    access = {"enabled": True, "keys": {"admin": {"hash": digest_of(ADMIN), "scopes": list(ALL_SCOPES)}}}
    state = {"state_dir": str(tmp_path_factory.mktemp("state"))}
    running = ServerProcess(environment={"RERANKD_ACCESS": json.dumps(access), "RERANKD_STORE": json.dumps(state)})
    yield running
    assert running.stop() == 0
    assert [entry for entry in running.log if entry.get("level") in ("error", "critical")] == []


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    running = ServerProcess(environment={"RERANKD_DEFAULT_MODEL": "local/bm25"})
    yield running
    assert running.stop() == 0
    assert [entry for entry in running.log if entry.get("level") in ("error", "critical")] == []


@pytest.mark.slow
@schema.exclude(tag=MANAGEMENT).parametrize()  # type: ignore[untyped-decorator]  # the library's
@SETTINGS  # type: ignore[untyped-decorator]  # the library's
def test_conformance(case: Any, server: ServerProcess) -> None:
    conforms(case, server)


@pytest.mark.slow
@closed.include(tag=MANAGEMENT).parametrize()  # type: ignore[untyped-decorator]  # the library's
@CLOSED_SETTINGS  # type: ignore[untyped-decorator]  # the library's
def test_conformance_of_closed_services(case: Any, server: ServerProcess) -> None:
    conforms(case, server)


def conforms(case: Any, server: ServerProcess) -> None:
    response = case.call_and_validate(base_url=f"{server.http_url}/rerankd", checks=CHECKS)

    assert response.status_code != 500
    assert response.headers["x-request-id"]


@pytest.mark.slow
@schema.include(tag=MANAGEMENT).parametrize()  # type: ignore[untyped-decorator]  # the library's
@SETTINGS  # type: ignore[untyped-decorator]  # the library's
def test_conformance_of_opened_services(case: Any, opened: ServerProcess) -> None:
    key = {"authorization": f"Bearer {ADMIN}"}
    response = case.call_and_validate(base_url=f"{opened.http_url}/rerankd", headers=key, checks=CHECKS)

    assert response.status_code not in (500, 503), response.text
