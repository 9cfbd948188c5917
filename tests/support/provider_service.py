"""A server with a provider of ours behind it, and calls of it over both transports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from rerankd_client import RerankClient, RerankError
from tests.support.canary import CANARY_SECRET
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream

KEY = f"e2e-{CANARY_SECRET}"
GENERIC_OPTIONS = {
    "path": "/api/rank",
    "query_field": "question",
    "documents_field": "answers",
    "results": "output.ranked",
    "index_field": "position",
    "score_field": "points",
}


@dataclass
class Service:
    """A server and what is behind it."""

    server: ServerProcess
    upstream: Upstream


ONE_CALL_EACH = {"*": {"retries": {"max_attempts": 1}, "cooldown": {"failures": 0}}}
"""Settings under which a failure is what the provider just did."""


def of_file(url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Everything in a settings file, keys through `${NAME}`."""
    settings = {
        "default_model": "search",
        "aliases": {"search": "cohere/rerank-v3.5"},
        "local": {"enabled": False},
        "cache": {"enabled": False},
        "models": ONE_CALL_EACH,
        "providers": {
            "cohere": {"base_url": url, "api_key": "${E2E_KEY}"},
            "tei": {"base_url": f"{url}/", "models": {"*": {"usd_per_million_tokens": 10}}},
            "ranker": {"provider": "generic", "base_url": url, "api_key": "${E2E_KEY}", "options": GENERIC_OPTIONS},
            "together": {"base_url": url, "api_key": "${E2E_KEY}"},
            "vllm": {"base_url": f"{url}/v1"},
        },
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    return ["--config", str(file)], {"E2E_KEY": KEY}


def of_environment(url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Everything in variables: the usual ones of each provider, and our own where there are none."""
    return [], {
        "RERANKD_DEFAULT_MODEL": "cohere/rerank-v3.5",
        "RERANKD_LOCAL__ENABLED": "false",
        "RERANKD_CACHE__ENABLED": "false",
        "RERANKD_MODELS": json.dumps(ONE_CALL_EACH),
        "CO_API_KEY": KEY,
        "CO_API_URL": url,
        "TEI_API_BASE": url,
        "RERANKD_PROVIDERS__TEI__MODELS": '{"*": {usd_per_million_tokens: 10}}',
        "RERANKD_PROVIDERS__RANKER": json.dumps({"provider": "generic", "base_url": url, "options": GENERIC_OPTIONS}),
        "GENERIC_RERANK_API_KEY": KEY,
        "TOGETHER_API_KEY": KEY,
        "TOGETHER_BASE_URL": url,
        "HOSTED_VLLM_API_BASE": url,
    }


@dataclass
class Refused:
    """What a caller learns of a call that failed."""

    code: str
    reason: str
    text: str
    retry_after_s: float | None
    status: int | None = None


Call = Callable[[ServerProcess, Mapping[str, Any]], dict[str, Any] | Refused]


def by_grpc(server: ServerProcess, request: Mapping[str, Any]) -> dict[str, Any] | Refused:
    fields = dict(request)
    with RerankClient(server.grpc_address, max_attempts=1, timeout_s=30) as client:
        try:
            return client.rerank(fields.pop("query"), fields.pop("documents"), **fields).to_dict()
        except RerankError as error:
            text = f"{error.message} {dict(error.metadata)} {error.fields}"
            return Refused(error.code.name, error.reason, text, error.retry_after_s)


def by_http(server: ServerProcess, request: Mapping[str, Any]) -> dict[str, Any] | Refused:
    answer = httpx.post(f"{server.http_url}/v1/rerank", json=dict(request), timeout=30, trust_env=False)
    body: dict[str, Any] = answer.json()
    if answer.status_code == 200:
        return body
    text = f"{answer.text} {dict(answer.headers)}"
    code, retry_after = body["error"]["type"].upper(), answer.headers.get("retry-after")
    return Refused(code, body["reason"], text, float(retry_after) if retry_after else None, answer.status_code)


def answered(outcome: dict[str, Any] | Refused) -> dict[str, Any]:
    """Return an answer, or fail with what came instead of it; no answer holds the provider's key."""
    assert isinstance(outcome, dict), outcome
    assert KEY not in json.dumps(outcome)
    return outcome
