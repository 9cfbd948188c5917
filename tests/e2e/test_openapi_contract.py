"""A running server does what its OpenAPI document says, whatever is sent: schemathesis makes the requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks

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

schema: Any = schemathesis.openapi.from_path(str(ROOT / "server/rerankd/web/openapi.json"))


@schemathesis.serializer(NDJSON)
def write_line(_context: Any, value: Any) -> bytes:
    """Send a generated message as a stream of one line; examples are lines already."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.deserializer(NDJSON)
def read_last_line(_context: Any, response: Any) -> Any:
    return json.loads(response.content.splitlines()[-1])


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    running = ServerProcess(environment={"RERANKD_DEFAULT_MODEL": "local/bm25"})
    yield running
    assert running.stop() == 0
    assert [entry for entry in running.log if entry.get("level") in ("error", "critical")] == []


@pytest.mark.slow
@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_conformance(case: Any, server: ServerProcess) -> None:
    response = case.call_and_validate(base_url=f"{server.http_url}/rerankd", checks=CHECKS)

    assert response.status_code != 500
    assert response.headers["x-request-id"]
