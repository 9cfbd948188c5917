"""API keys over both transports: the golden cases, and what a change does to the calls of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from rerankd.access.key_format import digest_of, new_secret
from tests.support.rpc_cases import (
    GrpcCaller,
    HttpCaller,
    RpcCase,
    filled,
    kept_of,
    read_rpc_cases,
    rpc_differences,
)
from tests.support.server import ServerProcess

SECRETS: Final = {name: new_secret() for name in ("admin", "reader", "old")}
CASES: Final = read_rpc_cases("access_service.yaml")


def settings_file(folder: Path, **access: Any) -> str:
    keys = {
        "admin": {"hash": digest_of(SECRETS["admin"]), "scopes": ["admin"]},
        "reader": {"hash": digest_of(SECRETS["reader"]), "owner": "readers"},
        "old": {"hash": digest_of(SECRETS["old"]), "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"},
    }
    file = folder / "rerankd.yaml"
    settings = {
        "default_model": "local/bm25",
        "access": {"enabled": True, "keys": keys, "spend": {"enabled": False}, **access},
        "store": {"state_dir": str(folder / "state")},
    }
    file.write_text(yaml.safe_dump(settings))
    return str(file)


class Conversation:
    """A server of its own, a transport to it, and what earlier cases kept."""

    def __init__(self, transport: str, folder: Path) -> None:
        self.transport = transport
        self.server = ServerProcess("--config", settings_file(folder))
        self.caller = GrpcCaller(self.server.grpc_address) if transport == "grpc" else HttpCaller(self.server.http_url)
        self.kept: dict[str, Any] = {"admin_hash": digest_of(SECRETS["admin"])}

    def run(self, case: RpcCase) -> list[str]:
        """Return what the outcome of a case has other than it must."""
        caller = filled(case.caller, self.kept)
        key = None if caller == "nobody" else SECRETS.get(caller, caller)
        outcome = self.caller.call(case, filled(case.request, self.kept), key)
        self.kept |= kept_of(case, outcome) if outcome.code == "OK" else {}
        return list(rpc_differences(filled(case.expect, self.kept), outcome))


@pytest.fixture(scope="module", params=["grpc", "http"])
def conversation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    opened = Conversation(request.param, tmp_path_factory.mktemp("access_service"))
    yield opened
    opened.caller.close()
    assert opened.server.stop() == 0
    secrets = [opened.kept["secret"], *SECRETS.values(), "sk-9fJ2kLx0Qp7vTz4RbN8wYc"]
    log = str(opened.server.log)
    assert not [secret for secret in secrets if secret in log or digest_of(secret) in log]


def test_golden_cases(conversation: Conversation) -> None:
    cases = [case for case in CASES if case.only in ("", conversation.transport)]
    found = {case.name: differences for case in cases if (differences := conversation.run(case))}
    assert found == {}


def test_every_rpc_and_every_reason_has_a_case() -> None:
    assert {case.rpc for case in CASES} == {
        "CreateKey",
        "ListKeys",
        "GetKey",
        "RotateKey",
        "RevokeKey",
        "ImportKeys",
    }
    assert {case.expect.get("reason") for case in CASES} == {
        None,
        "INVALID_REQUEST",
        "KEY_NOT_FOUND",
        "KEY_REVOKED",
        "DECLARED_IN_SETTINGS",
        "ALREADY_EXISTS",
        "INSUFFICIENT_SCOPE",
        "API_KEY_MISSING",
        "API_KEY_INVALID",
    }


def test_a_key_lives_and_ends(tmp_path: Path) -> None:
    """What was created works, what was rotated ends at its time, what was revoked ends at once where it was."""
    server = ServerProcess("--config", settings_file(tmp_path))
    with httpx.Client(base_url=server.http_url, trust_env=False) as client:
        admin = {"authorization": f"Bearer {SECRETS['admin']}"}

        def status(secret: str) -> int:
            body = {"query": "a", "documents": ["a"]}
            return client.post("/v1/rerank", json=body, headers={"x-api-key": secret}).status_code

        made = client.post("/v1/keys", json={"name": "search"}, headers=admin).json()
        path = f"/v1/keys/{made['key']['id']}"
        assert status(made["secret"]) == 200
        rotated = client.post(f"{path}:rotate", json={"overlap_s": 0}, headers=admin).json()
        assert (status(rotated["secret"]), status(made["secret"])) == (200, 401)
        assert client.get("/v1/keys", headers={"x-api-key": rotated["secret"]}).status_code == 403
        assert client.request("DELETE", path, headers=admin).status_code == 200
        assert status(rotated["secret"]) == 401
        assert client.post(f"{path}:revoke", headers=admin).status_code == 200, "a body may be left out"
        text = client.get("/v1/keys?with_revoked=true", headers=admin).text
        assert rotated["secret"] not in text
        assert digest_of(rotated["secret"]) not in text
    assert server.stop() == 0
    changes = [(entry["event"], entry["by"]) for entry in server.log if entry["event"].startswith("API key ")]
    assert changes == [(f"API key {what}", "admin") for what in ("created", "rotated", "revoked", "revoked")]


def test_a_closed_service_says_what_opens_it(server: ServerProcess) -> None:
    case = RpcCase("closed", "ListKeys", {})
    for caller in (GrpcCaller(server.grpc_address), HttpCaller(server.http_url)):
        outcome = caller.call(case, {}, None)
        caller.close()
        assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "SERVICE_DISABLED")
        assert "access.enabled is false" in outcome.message
    assert outcome.status == 400


def test_a_store_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    server = ServerProcess("--config", settings_file(tmp_path))
    for caller in (GrpcCaller(server.grpc_address), HttpCaller(server.http_url)):
        made = caller.call(RpcCase("create", "CreateKey", {}), {"name": "a"}, SECRETS["admin"])
        assert (made.code, made.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
        assert "cannot be written" in made.message
        listed = caller.call(RpcCase("list", "ListKeys", {}), {}, SECRETS["admin"])
        assert len(listed.response["keys"]) == 3
        caller.close()
    assert server.stop() == 0
