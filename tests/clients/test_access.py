"""What other people's SDKs raise where their key is not known, or may not do what they ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rerankd.access.key_format import digest_of, new_secret
from tests.clients.conftest import Outcome, run_program
from tests.clients.table import PYTHON, Client
from tests.support.server import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.clients]

UNKNOWN = new_secret()
POWERLESS = new_secret()
"""May use one model only, which no client names."""
SPENT = new_secret()
"""Has no call left."""
RAISED = {
    "cohere `ClientV2`, `AsyncClientV2`": ("UnauthorizedError", "ForbiddenError", "TooManyRequestsError"),
    "cohere `Client`, `AsyncClient`": ("UnauthorizedError", "ForbiddenError", "TooManyRequestsError"),
    "voyageai": ("AuthenticationError", "APIError", "RateLimitError"),
    "together": ("AuthenticationError", "PermissionDeniedError", "RateLimitError"),
    "litellm `cohere/`": ("AuthenticationError", "PermissionDeniedError", "RateLimitError"),
    "litellm `voyage/`": ("AuthenticationError", "PermissionDeniedError", "RateLimitError"),
    "openai `models`": ("AuthenticationError", "PermissionDeniedError", ""),
}
"""Exception classes for 401, 403 and 429, by the client's name in the table; empty: what it asks for has no limit.
Voyage's SDK has no class for 403: it raises that of all statuses it does not know."""
CLIENTS = [client for client in PYTHON if client.name in RAISED]
LIMITED_CLIENTS = [client for client in CLIENTS if RAISED[client.name][2]]
FIRST_CHECKS = ("strings", "model", "models")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    access = {
        "enabled": True,
        "keys": {
            "powerless": {"hash": digest_of(POWERLESS), "models": ["none"]},
            "spent": {"hash": digest_of(SPENT)},
        },
        "limits": [{"name": "little", "per": "key", "match": "spent", "documents_per_minute": 1}],
        "spend": {"enabled": False},
    }
    process = ServerProcess(
        environment={
            "RERANKD_ACCESS": json.dumps(access),
            "RERANKD_ALIASES": json.dumps({"limited/always": "local/bm25"}),
            "RERANKD_STORE": json.dumps({"state_dir": str(tmp_path_factory.mktemp("state"))}),
        }
    )
    yield process
    assert process.stop() == 0
    said = json.dumps(process.log)
    assert [secret for secret in (UNKNOWN, POWERLESS, SPENT) if secret in said] == []


def outcome_of(outcomes: dict[str, Outcome]) -> Outcome:
    return next(outcomes[name] for name in FIRST_CHECKS if name in outcomes and "raised" in outcomes[name])


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name.replace(" ", "_"))
@pytest.mark.parametrize(("key", "status", "says"), [(UNKNOWN, 401, "not known"), (POWERLESS, 403, "may not use")])
def test_exceptions_are_the_sdks_own(
    client: Client, key: str, status: int, says: str, guarded: ServerProcess, tmp_path: Path
) -> None:
    outcome = outcome_of(run_program(client, guarded.http_url, tmp_path, key=key))
    assert RAISED[client.name][status == 403] in outcome["raised"], outcome
    assert outcome["status"] in (None, status), outcome
    assert says in outcome["text"], outcome


@pytest.mark.parametrize("client", LIMITED_CLIENTS, ids=lambda client: client.name.replace(" ", "_"))
def test_limits_raise_the_sdks_own_exceptions(client: Client, guarded: ServerProcess, tmp_path: Path) -> None:
    outcome = run_program(client, guarded.http_url, tmp_path, key=SPENT, only="limited")["limited"]
    assert RAISED[client.name][2] in outcome["raised"], outcome
    assert outcome["status"] in (None, 429), outcome
    assert "limit little" in outcome["text"], outcome


def test_every_client_of_the_table_is_known() -> None:
    assert len(CLIENTS) == len(RAISED)
