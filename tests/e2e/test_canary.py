"""Secrets and texts that must be found nowhere: not in logs, spans, metrics or headers, whatever a provider echoes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml

from rerankd.access.key_format import digest_of
from rerankd.runs.detail_blocks import decompressed
from rerankd_adapters.testing import Received, ScriptedResponse
from rerankd_client import RerankClient, RerankError
from rerankd_client.requests import BatchItem
from tests.support.canary import CANARY_DOCUMENT, CANARY_SECRET, SPANS
from tests.support.collector import Collector
from tests.support.issuer import Issuer
from tests.support.login_issuer import CLIENT_ID, CLIENT_SECRET, LoginIssuer
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream, answer_well

KEY = f"key-{CANARY_SECRET}"
CALLER_KEY = f"caller-{CANARY_SECRET}"
COLLECTOR_KEY = f"collector-{CANARY_SECRET}"
DOCUMENT = f"a {CANARY_DOCUMENT}"
QUERY = f"where is {CANARY_DOCUMENT}"
CALLER_DIGEST = digest_of(CALLER_KEY)
OTHER_KEY = f"rerankd_other-{CANARY_SECRET}"
SECRETS = (KEY, CALLER_KEY, COLLECTOR_KEY, CALLER_DIGEST, OTHER_KEY, digest_of(OTHER_KEY))
SUBJECT = f"caller-{CANARY_SECRET}"
"""Claim of tokens, so that a token is found in whatever form it is shown."""
TEXTS = (DOCUMENT, QUERY)
PUBLIC_URL = "http://localhost:9"
"""Where the issuer sends browsers back to; the test goes to the server instead."""
FAULTS = {"echo-400": 400, "echo-401": 401, "echo-429": 429, "echo-500": 500, "nonsense": 200, "echo-html": 502}


def respond(request: Received) -> ScriptedResponse:
    body = request.json() if request.body else {}
    model = body.get("model", "")
    said = f"{request.headers.get('authorization')} {body.get('query')} {body.get('documents')}"
    if model == "nonsense":
        return ScriptedResponse.of_json({"results": [{"index": 99, "relevance_score": said}]})
    if model == "echo-html":
        return ScriptedResponse(status=502, headers={"content-type": "text/html"}, body=f"<html>{said}</html>".encode())
    if model in FAULTS:
        return ScriptedResponse.of_json({"message": said, "detail": said}, status=FAULTS[model])
    return answer_well(request)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(respond) as opened:
        yield opened


def settings(url: str) -> dict[str, Any]:
    return {
        "default_model": "cohere/good",
        "local": {"enabled": False},
        "log": {"level": "debug"},
        "providers": {"cohere": {"base_url": url, "api_key": "${CANARY_KEY}"}},
        "models": {
            "falls-back": {
                "deployments": [{"model": "cohere/echo-500"}],
                "retries": {"max_attempts": 2, "initial_delay_ms": 1},
                "fallbacks": ["cohere/good"],
            }
        },
    }


def access(issuer: Issuer) -> dict[str, Any]:
    """Have callers send a key, which the settings know by its hash alone, or a token."""
    login = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    issuers = [{"name": "idp", "issuer": issuer.url, "audience": ["rerankd"], "login": login}]
    sessions = {"public_url": PUBLIC_URL}
    return {"enabled": True, "keys": {"caller": {"hash": CALLER_DIGEST}}, "jwt": issuers, "sessions": sessions}


def call_with_tokens(server: ServerProcess, issuer: Issuer) -> tuple[list[str], list[str]]:
    """Call with a good token and with bad ones; return the parts of all of them, and what their callers were told."""
    claims: dict[str, Any] = {"sub": SUBJECT, "groups": [SUBJECT]}
    good = issuer.token(**claims)
    bad = [
        issuer.token(**claims, lives_s=-60),
        issuer.token(**claims, aud="another"),
        issuer.token("second", headers={"kid": "first"}, **claims),
        issuer.token(headers={"kid": "unknown"}, **claims),
        good.rpartition(".")[0] + ".",
    ]
    told = []
    for token in (good, *bad):
        reply = httpx.post(
            f"{server.http_url}/v1/rerank",
            json={"query": QUERY, "documents": [DOCUMENT]},
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
        )
        assert reply.status_code == (200 if token is good else 401)
        told.append(f"{reply.text} {dict(reply.headers)}")
        with RerankClient(server.grpc_address, api_key=token, max_attempts=1) as client:
            try:
                client.rerank(QUERY, [DOCUMENT])
            except RerankError as error:
                told.append(f"{error} {error.message} {dict(error.metadata)} {error.fields}")
    parts = {part for token in (good, *bad) for part in token.split(".")[1:] if part}
    return [*parts, SUBJECT], told


def log_in(server: ServerProcess, issuer: Issuer) -> tuple[list[str], list[str]]:
    """Log in well and badly, and out; return cookies and CSRF tokens, and what callers were told otherwise."""
    secrets, told = [], []
    logins = [{"api_key": CALLER_KEY}, {"id_token": issuer.token(sub=SUBJECT)}]
    with httpx.Client(base_url=server.http_url, trust_env=False) as client:
        for login in logins:
            opened = client.post("/api/session", json=login)
            assert opened.status_code == 200
            cookie = dict(client.cookies)["rerankd_session"]
            token = opened.json()["csrfToken"]
            secrets += [token, *cookie.split(".")[1:]]
            assert client.get("/api/v1/models").status_code == 200
            wrong = client.delete("/api/session", headers={"x-csrf-token": token[::-1]})
            assert client.delete("/api/session", headers={"x-csrf-token": token}).status_code == 204
            ended = client.get("/api/session", headers={"cookie": f"rerankd_session={cookie}"})
            forged = client.get("/api/session", headers={"cookie": f"rerankd_session={cookie[:-3]}abc"})
            told += [f"{reply.text} {dict(reply.headers)}" for reply in (wrong, ended, forged)]
        bad: list[Any] = [{"api_key": OTHER_KEY}, {"id_token": OTHER_KEY}, {"password": OTHER_KEY}, [OTHER_KEY]]
        for body in bad:
            failed = client.post("/api/session", json=body)
            assert failed.status_code in (400, 401)
            told.append(f"{failed.text} {dict(failed.headers)}")
    return secrets, told


def log_in_elsewhere(server: ServerProcess, issuer: LoginIssuer) -> tuple[list[str], list[str]]:
    """Log in at the issuer, well and badly; return what binds the logins, and what callers were told otherwise."""
    secrets, told = [CLIENT_SECRET], []
    issuer.claims = {"sub": SUBJECT}
    with httpx.Client(base_url=server.http_url, trust_env=False) as client:
        for change in ("", "state", "code"):
            sent = client.get("/api/session/oidc/idp").headers["location"]
            back = client.get(sent).headers["location"].removeprefix(PUBLIC_URL)
            asked, answer = parse_qs(urlsplit(sent).query), parse_qs(urlsplit(back).query)
            secrets += [asked["nonce"][0], asked["code_challenge"][0], answer["state"][0], answer["code"][0]]
            secrets += client.cookies["rerankd_login"].split(".")[1:]
            if change:
                back = back.replace(answer[change][0], answer[change][0][::-1])
            done = client.get(back)
            assert done.status_code == (401 if change else 303), done.text
            told.append(f"{done.text} {dict(done.headers) if change else ''}")
        secrets += client.cookies["rerankd_session"].split(".")[1:]
    return secrets, told


def call_in_every_way(server: ServerProcess) -> list[str]:
    """Make calls that end well and badly; return all that their callers were told besides the results."""
    told: list[str] = []
    models = ["cohere/good", "falls-back", "no-such-model", *(f"cohere/{fault}" for fault in FAULTS)]
    with RerankClient(server.grpc_address, api_key=CALLER_KEY, max_attempts=1) as client:
        for model in models:
            try:
                answer = client.rerank(QUERY, [DOCUMENT, "another"], model=model, include_details=True)
                told.append(json.dumps(answer.to_dict()))
            except RerankError as error:
                told.append(f"{error} {error.message} {dict(error.metadata)} {error.fields}")
        items = [BatchItem(item_id=model, query=QUERY, documents=[DOCUMENT], model=model) for model in models]
        told += [repr(result) for result in client.batch_rerank(items)]
    for model in models:
        reply = httpx.post(
            f"{server.http_url}/v1/rerank",
            json={"query": QUERY, "documents": [DOCUMENT, "another"], "model": model},
            headers={"authorization": f"Bearer {CALLER_KEY}"},
            trust_env=False,
        )
        told.append(f"{reply.text} {dict(reply.headers)}")
    for key in (OTHER_KEY, f"Basic {OTHER_KEY}"):
        reply = httpx.post(f"{server.http_url}/v1/rerank", json={}, headers={"authorization": key}, trust_env=False)
        assert reply.status_code == 401
        told.append(f"{reply.text} {dict(reply.headers)}")
    for body in (b"{", f'{{"query": "{QUERY}", "documents": "{DOCUMENT}"}}'.encode()):
        refused = httpx.post(f"{server.http_url}/v1/rerank", content=body, trust_env=False)
        assert refused.status_code == 400
    return told


def test_canaries_are_found_nowhere(upstream: Upstream, tmp_path: Path) -> None:
    file = tmp_path / "rerankd.yaml"
    issuer = LoginIssuer()
    with Upstream(issuer.respond) as provider, Collector() as collector:
        issuer.url = provider.url
        file.write_text(
            yaml.safe_dump({**settings(upstream.url), "access": access(issuer), "store": {"state_dir": str(tmp_path)}})
        )
        variables = {
            "CANARY_KEY": KEY,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={COLLECTOR_KEY}",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
        }
        server = ServerProcess("--config", str(file), environment=collector.environment(**variables))
        token_parts, told = call_with_tokens(server, issuer)
        session_secrets, told_of_sessions = log_in(server, issuer)
        login_secrets, told_of_logins = log_in_elsewhere(server, issuer)
        session_secrets, told_of_sessions = session_secrets + login_secrets, told_of_sessions + told_of_logins
        told += [*told_of_sessions, *call_in_every_way(server)]
        shown = httpx.get(f"{server.http_url}/metrics", trust_env=False).text
        assert server.stop() == 0
        exported = b"".join(collector.raw).decode("utf-8", "replace")
    log = json.dumps(server.log)
    assert sum(f"Bearer {KEY}" in str(request.headers) for request in upstream.received) > len(FAULTS)
    assert {"server", "internal", "client"} <= {span.kind for span in collector.spans}
    assert "rerankd_calls" in collector.metrics
    for where, text in {"log": log, "metrics": shown, "OTLP": exported}.items():
        for canary in (*SECRETS, *TEXTS, *token_parts, *session_secrets):
            assert canary not in text, f"{canary} is in the {where}"
    for secret in (*SECRETS, *token_parts, *session_secrets):
        assert [text for text in told if secret in text] == []


def stored_bytes(folder: Path) -> bytes:
    """Return what is in a state directory: the bytes of its files, and what the run log has compressed in them."""
    with contextlib.closing(sqlite3.connect(folder / "rerankd.db")) as connection:
        blocks = connection.execute("SELECT data FROM run_blocks UNION ALL SELECT details FROM runs").fetchall()
    return b"".join([*(path.read_bytes() for path in folder.iterdir()), *(decompressed(data) for (data,) in blocks)])


def test_masked_texts_are_nowhere_but_in_the_answer(tmp_path: Path) -> None:
    """Masked before anything else sees them: providers, spans that capture texts, the run log, logs and metrics."""
    masked = f"jane.{CANARY_DOCUMENT}@example.org"
    more = {
        "access": {"guardrails": [{"name": "mail", "type": "patterns", "kinds": ["email"], "mode": "mask"}]},
        "telemetry": {"openinference": True, "captures_query": True, "captures_documents": True},
        "runs": {"calls": "all", "capture": "full"},
        "store": {"state_dir": str(tmp_path / "state")},
    }
    file = tmp_path / "rerankd.yaml"
    with Upstream(respond) as upstream, Collector() as collector:
        file.write_text(yaml.safe_dump(settings(upstream.url) | more))
        server = ServerProcess("--config", str(file), environment={**collector.environment(), "CANARY_KEY": KEY})
        with RerankClient(server.grpc_address, max_attempts=1) as client:
            answer = client.rerank(f"who is {masked}", [f"mail {masked}", "b"], return_documents=True)
            texts = [result.document.text for result in answer.results if result.document is not None]
            for model in ("falls-back", "cohere/echo-400"):
                with contextlib.suppress(RerankError):
                    client.rerank(f"who is {masked}", [f"mail {masked}"], model=model)
        shown = httpx.get(f"{server.http_url}/metrics", trust_env=False).text
        assert server.stop() == 0
        exported = b"".join(collector.raw)
        sent = b"".join(request.body for request in upstream.received)
    assert f"mail {masked}" in texts
    stored = stored_bytes(tmp_path / "state")
    places = {"log": json.dumps(server.log).encode(), "metrics": shown.encode(), "OTLP": exported, "store": stored}
    for where, content in {**places, "request of a provider": sent}.items():
        assert CANARY_DOCUMENT.encode() not in content, f"a masked text is in the {where}"
    assert b"mail " in exported
    assert b"mail " in sent
    assert b"mail " in stored


@pytest.mark.parametrize("is_captured", [False, pytest.param(True, marks=pytest.mark.shows_documents(SPANS))])
def test_texts_are_in_spans_only_when_asked_for_and_redacted(
    upstream: Upstream, tmp_path: Path, is_captured: bool
) -> None:
    telemetry = {
        "openinference": True,
        "captures_query": is_captured,
        "captures_documents": is_captured,
        "capture_max_chars": 40,
        "capture_max_documents": 2,
        "redact": [r"[\w.]+@[\w.]+"],
    }
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings(upstream.url) | {"telemetry": telemetry}))
    documents = [f"{DOCUMENT} of someone@example.org {'x' * 200}", "second", "third"]
    with Collector() as collector:
        server = ServerProcess("--config", str(file), environment={**collector.environment(), "CANARY_KEY": KEY})
        with RerankClient(server.grpc_address) as client:
            client.rerank(QUERY, documents, top_n=3)
        assert server.stop() == 0
        spans = collector.wait_for(lambda spans: any(span.kind == "internal" for span in spans))
    (span,) = [span for span in spans if span.kind == "internal"]
    assert span.attributes["openinference.span.kind"] == "RERANKER"
    assert span.attributes["reranker.top_k"] == 3
    assert span.attributes["reranker.model_name"] == "cohere/good"
    assert span.attributes["reranker.output_documents.0.document.score"] >= 0
    if not is_captured:
        assert not [value for value in span.attributes.values() if "canary" in str(value)]
        return
    assert span.attributes["reranker.query"] == QUERY
    captured = span.attributes["reranker.input_documents.0.document.content"]
    assert captured.startswith(f"{DOCUMENT} of *** ")
    assert len(captured) == 40
    assert "reranker.input_documents.2.document.content" not in span.attributes
    assert DOCUMENT not in json.dumps(server.log)
