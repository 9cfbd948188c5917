"""Who may call what: every route, rpc and dialect against every scope, on a live server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import grpc
import httpx
import pytest
import yaml
from google.protobuf import descriptor_pool, empty_pb2
from google.rpc import error_details_pb2, status_pb2

from rerank.v1 import rerank_service_pb2 as pb
from rerankd.access.authentication import KEY_HEADERS
from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.rights import (
    IDENTIFIED,
    OPEN,
    SCOPES_OF_COMPATIBILITY,
    SCOPES_OF_METRICS,
    SCOPES_OF_RPC,
    SCOPES_OF_TEI,
)
from rerankd.access.scopes import ALL_SCOPES, Scope
from rerankd.console.commands.program import run
from rerankd.contract.errors import Reason, ServiceError
from rerankd.gateway.app import SERVED_ROUTES
from rerankd.gateway.dialects.registry import DIALECTS
from rerankd.gateway.route_table import Route
from rerankd.rpc.reflection import REFLECTION_SERVICES
from rerankd.rpc.server import SERVED
from rerankd.rpc.servicers import SERVICE_NAMES
from rerankd.rpc.tei_messages import INFO, RERANK, STREAM
from rerankd.web.app import create_web_app
from rerankd.web.health import HEALTH_PATHS
from rerankd_client import RerankClient
from rerankd_client.requests import BatchItem
from tests.support.dialect_bodies import request_of
from tests.support.server import ServerProcess

MODEL: Final = "local/bm25"
FORBIDDEN: Final = "local/minilm-l6"
OTHER: Final = "local/ms-marco-minilm-l12-v2"
KEYS: Final = {scope: new_secret() for scope in ALL_SCOPES}
LIMITED: Final = new_secret()
"""May use `MODEL` and the alias `allowed` only."""
EVERY: Final = frozenset(ALL_SCOPES)
SCOPES: Final = {rpc.partition(".")[2]: frozenset(scopes) for rpc, scopes in SCOPES_OF_RPC.items()}
"""Scopes of which a caller needs one, by rpc. An rpc without a row fails the tests."""
BODIES: Final[dict[str, dict[str, Any]]] = {
    "BatchRerank": {"item": {"request": {"query": "a", "documents": ["a"]}}},
    "WarmDocuments": {"model": "local/default", "documents": ["a"]},
}
"""Requests of rpcs that are answered. The others, of services that change something, are refused for what they name:
after the caller was admitted."""
OF_REQUESTS: Final = {
    "INVALID_REQUEST",
    "KEY_NOT_FOUND",
    "RUN_NOT_FOUND",
    "EXPERIMENT_NOT_FOUND",
    "RERANKER_NOT_FOUND",
}
"""Refusals of requests that name nothing there is, by services that have admitted their caller."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("access")
    keys: dict[str, Any] = {
        f"only-{scope}": {"hash": digest_of(secret), "scopes": [str(scope)]} for scope, secret in KEYS.items()
    }
    keys["limited"] = {
        "hash": digest_of(LIMITED),
        "models": [MODEL, "allowed"],
        "scopes": ["rerank", "models"],
    }
    settings = {
        "default_model": MODEL,
        "aliases": {"allowed": OTHER, "denied": OTHER},
        "access": {"enabled": True, "keys": keys, "spend": {"enabled": False}},
        "store": {"state_dir": str(folder / "state")},
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    process = ServerProcess("--config", str(file))
    yield process
    assert process.stop() == 0
    assert not (folder / "state").exists(), "nothing needed the store"


class Asked(NamedTuple):
    """A request of a route."""

    method: str
    path: str
    content: bytes
    scopes: frozenset[Scope] | set[Scope] | None
    dialect: str


def asked_of(route: Route) -> Asked:
    """Make a valid request of a route, with the scopes that it needs."""
    path = route.template.replace("=**", "").replace("{model}", MODEL).replace("{parent}", "p/locations/g/x/r")
    path = re.sub(r"{\w+}", "none", path)
    if not route.service:
        scopes = None if path in OPEN else frozenset(SCOPES_OF_COMPATIBILITY[route.method]) or EVERY
        return Asked(route.http_method, path, b"{}" if route.has_body else b"", scopes, "")
    scopes = SCOPES[route.rpc]
    if route.rpc in BODIES or route.service != "rerank_service":
        content = json.dumps(BODIES.get(route.rpc, {})).encode() + b"\n" if route.has_body else b""
        return Asked(route.http_method, path, content, scopes, "")
    dialect = route.dialect or "own"
    content = json.dumps(request_of(dialect, MODEL, {})[1]).encode() if route.has_body else b""
    return Asked(route.http_method, path, content, scopes, dialect)


def send(server: ServerProcess, asked: Asked, headers: dict[str, str]) -> httpx.Response:
    content_type = "application/x-ndjson" if asked.path.endswith(":batch") else "application/json"
    return httpx.request(
        asked.method,
        server.http_url + asked.path,
        content=asked.content or None,
        headers={**headers, "content-type": content_type},
        trust_env=False,
    )


def name_of(route: Route) -> str:
    return f"{route.http_method} {route.template}"


@pytest.mark.parametrize("route", SERVED_ROUTES, ids=name_of)
def test_a_route_answers_only_callers_with_its_scope(server: ServerProcess, route: Route) -> None:
    asked = asked_of(route)
    if asked.scopes is None:
        assert send(server, asked, {}).status_code == 200
        return
    missing = send(server, asked, {})
    assert (missing.status_code, missing.headers["x-error-reason"]) == (401, "API_KEY_MISSING")
    assert missing.headers["www-authenticate"] == 'Bearer realm="rerankd"'
    invalid = send(server, asked, {"authorization": f"Bearer {new_secret()}"})
    assert (invalid.status_code, invalid.headers["x-error-reason"]) == (401, "API_KEY_INVALID")
    assert invalid.headers["www-authenticate"] == 'Bearer realm="rerankd", error="invalid_token"'
    for scope, secret in KEYS.items():
        answer = send(server, asked, {"authorization": f"Bearer {secret}"})
        assert json.loads(answer.text.splitlines()[0]) is not None
        if scope in asked.scopes:
            is_answered = answer.status_code == 200 or answer.headers["x-error-reason"] in OF_REQUESTS
            assert is_answered, (scope, answer.text)
        else:
            assert (answer.status_code, answer.headers["x-error-reason"]) == (403, "INSUFFICIENT_SCOPE"), scope
            assert answer.headers["www-authenticate"] == 'Bearer realm="rerankd", error="insufficient_scope"'


@pytest.mark.parametrize("name", DIALECTS)
def test_refusals_have_the_shape_of_their_dialect(server: ServerProcess, name: str) -> None:
    for key, model, reason in (
        (None, MODEL, Reason.API_KEY_MISSING),
        (new_secret(), MODEL, Reason.API_KEY_INVALID),
        (KEYS[Scope.ADMIN], MODEL, Reason.INSUFFICIENT_SCOPE),
        (LIMITED, FORBIDDEN, Reason.MODEL_NOT_ALLOWED),
    ):
        path, body = request_of(name, model, {})
        asked = Asked("POST", path, json.dumps(body).encode(), set(), name)
        answer = send(server, asked, {"x-rerank-dialect": name, **({"x-api-key": key} if key else {})})
        assert answer.headers["x-error-reason"] == reason, (name, answer.text)
        error = ServiceError(reason, "text")
        assert answer.status_code == error.http_status
        expected = DIALECTS[name].refusal(error, "id")
        assert shape_of(answer.json()) == shape_of(json.loads(json.dumps(expected))), name


@pytest.fixture(scope="module")
def exhausted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose metrics need a key, and on which no caller may call any more."""
    keys = {f"only-{scope}": {"hash": digest_of(secret), "scopes": [str(scope)]} for scope, secret in KEYS.items()}
    limits = [{"name": "all", "calls_per_minute": 1}]
    access = {"enabled": True, "keys": keys, "limits": limits, "metrics": "key", "spend": {"enabled": False}}
    state = {"state_dir": str(tmp_path_factory.mktemp("exhausted"))}
    process = ServerProcess(
        environment={
            "RERANKD_DEFAULT_MODEL": MODEL,
            "RERANKD_ACCESS": json.dumps(access),
            "RERANKD_STORE": json.dumps(state),
        }
    )
    asked = Asked("POST", "/v1/rerank", b'{"query": "a", "documents": ["a"]}', set(), "")
    while send(process, asked, {"authorization": KEYS[Scope.RERANK]}).status_code != 429:
        pass
    yield process
    assert process.stop() == 0


@pytest.mark.parametrize("name", DIALECTS)
def test_limits_have_the_shape_of_their_dialect(exhausted: ServerProcess, name: str) -> None:
    path, body = request_of(name, MODEL, {})
    asked = Asked("POST", path, json.dumps(body).encode(), set(), name)
    answer = send(exhausted, asked, {"x-rerank-dialect": name, "x-api-key": KEYS[Scope.RERANK]})
    assert (answer.status_code, answer.headers["x-error-reason"]) == (429, "RATE_LIMITED"), (name, answer.text)
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["ratelimit-remaining"] == "0"
    expected = DIALECTS[name].refusal(ServiceError(Reason.RATE_LIMITED, "text"), "id")
    assert shape_of(answer.json()) == shape_of(json.loads(json.dumps(expected))), name


def test_metrics_need_a_key_where_the_settings_say_so(exhausted: ServerProcess) -> None:
    asked = Asked("GET", "/metrics", b"", set(SCOPES_OF_METRICS), "")
    assert send(exhausted, asked, {}).headers["x-error-reason"] == "API_KEY_MISSING"
    unknown = send(exhausted, asked, {"authorization": f"Bearer {new_secret()}"})
    assert (unknown.status_code, unknown.headers["www-authenticate"]) == (
        401,
        'Bearer realm="rerankd", error="invalid_token"',
    )
    for scope, secret in KEYS.items():
        answer = send(exhausted, asked, {"authorization": f"Bearer {secret}"})
        if scope in SCOPES_OF_METRICS:
            assert (answer.status_code, "rerankd_" in answer.text) == (200, True)
        else:
            assert (answer.status_code, answer.headers["x-error-reason"]) == (403, "INSUFFICIENT_SCOPE"), scope
    for path in OPEN:
        if path.startswith("/") and path != "/metrics":
            assert httpx.get(exhausted.http_url + path, trust_env=False).status_code == 200


def test_a_scrape_of_the_console_sends_the_key(exhausted: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    look = ["top", "--once", "--interval", "0.1", "--url", exhausted.http_url]
    assert run(look) == 1
    assert "with the scope metrics" in capsys.readouterr().err
    assert run([*look, "--api-key", KEYS[Scope.METRICS]]) == 0


def shape_of(value: object) -> object:
    """Return the keys and types of a JSON value."""
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in value.items() if key != "metadata"}
    return [shape_of(item) for item in value] if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("name", KEY_HEADERS)
@pytest.mark.parametrize("form", ["{}", "Bearer {}", "bearer {}"])
def test_a_key_is_taken_from_every_header(server: ServerProcess, name: str, form: str) -> None:
    value = form.format(KEYS[Scope.RERANK])
    asked = Asked("POST", "/v1/rerank", b'{"query": "a", "documents": ["a"]}', set(), "")
    assert send(server, asked, {name: value}).status_code == 200
    with grpc.insecure_channel(server.grpc_address) as channel:
        rerank = channel.unary_unary(
            "/rerank.v1.RerankService/Rerank", pb.RerankRequest.SerializeToString, pb.RerankResponse.FromString
        )
        rerank(pb.RerankRequest(query="a", documents=[pb.Document(text="a")]), metadata=((name, value),))


def test_pages_are_open_and_no_other_route_is(server: ServerProcess) -> None:
    def unused(_accept: str) -> tuple[bytes, str]:
        raise AssertionError

    endpoints = create_web_app(health=str, version="", metrics=unused).endpoints()
    is_open = {("GET", path) for path in OPEN if path.startswith("/")}
    assert endpoints == {*is_open - {("GET", "/v1/cluster/auth")}, *IDENTIFIED}
    assert set(HEALTH_PATHS) < OPEN.keys()
    with httpx.Client(base_url=server.http_url, trust_env=False) as client:
        for method, path in is_open:
            assert client.request(method, path).status_code == 200
        for method, path in IDENTIFIED:
            content = b'{"api_key": "%s"}' % new_secret().encode() if method == "POST" else None
            headers = {"content-type": "application/json"}
            answer = client.request(method, path, content=content, headers=headers)
            expected = 400 if "{issuer}" in path else 401  # there is no issuer of this name
            assert answer.status_code == expected, (method, path, answer.text)


def rpcs() -> list[tuple[str, str]]:
    """List every rpc that the server's services declare, as service and method."""
    found = [
        (name, method.name)
        for name in SERVICE_NAMES
        for method in descriptor_pool.Default().FindServiceByName(name).methods
    ]
    return [*found, ("tei.v1.Rerank", "Rerank"), ("tei.v1.Rerank", "RerankStream"), ("tei.v1.Info", "Info")]


def test_every_service_of_the_server_is_in_the_table() -> None:
    is_open = {name for name in OPEN if not name.startswith("/")}
    assert {service for service, _ in rpcs()} | is_open == {*SERVED, *REFLECTION_SERVICES}


def refusal(server: ServerProcess, service: str, method: str, metadata: list[tuple[str, str]]) -> str | None:
    """Call an rpc; return the reason of its refusal, None if it was answered."""
    documents = [pb.Document(text="a")]
    requests: dict[str, Any] = {
        "Rerank": pb.RerankRequest(query="a", documents=documents),
        "BatchRerank": pb.BatchRerankRequest(
            item=pb.BatchItem(item_id="1", request=pb.RerankRequest(query="a", documents=documents))
        ),
        "ListModels": pb.ListModelsRequest(),
        "WarmDocuments": pb.WarmDocumentsRequest(model="local/default", documents=documents),
        "GetModel": pb.GetModelRequest(model=MODEL),
        "tei.v1.Rerank/Rerank": RERANK.request(query="a", texts=["a"]),
        "tei.v1.Rerank/RerankStream": STREAM.request(query="a", text="a"),
        "tei.v1.Info/Info": INFO.request(),
    }
    name = f"{service}/{method}"
    request = requests.get(name) or requests.get(method, empty_pb2.Empty())
    is_stream = method in ("BatchRerank", "RerankStream")
    with grpc.insecure_channel(server.grpc_address) as channel:
        kinds: dict[str, Any] = {"BatchRerank": channel.stream_stream, "RerankStream": channel.stream_unary}
        call = kinds.get(method, channel.unary_unary)(f"/{name}", type(request).SerializeToString, bytes)
        sent = iter([request]) if is_stream else request
        try:
            answer = call(sent, metadata=metadata)
            if method == "BatchRerank":
                list(answer)
        except grpc.RpcError as error:
            return reason_of(error)
    return None


def reason_of(error: Any) -> str:
    trailing = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert error.code().value[0] == status.code
    return str(info.reason)


@pytest.mark.parametrize(("service", "method"), rpcs(), ids=lambda part: part)
def test_an_rpc_answers_only_callers_with_its_scope(server: ServerProcess, service: str, method: str) -> None:
    scopes = SCOPES_OF_TEI.get(f"{service}/{method}") if service.startswith("tei.") else SCOPES.get(method)
    assert scopes, "add its scopes to access/rights.py"
    assert refusal(server, service, method, []) == "API_KEY_MISSING"
    assert refusal(server, service, method, [("x-api-key", new_secret())]) == "API_KEY_INVALID"
    for scope, secret in KEYS.items():
        expected = {None, *OF_REQUESTS} if scope in scopes else {"INSUFFICIENT_SCOPE"}
        assert refusal(server, service, method, [("authorization", f"Bearer {secret}")]) in expected, scope


def test_a_key_is_held_to_its_models_in_every_place_that_names_one(server: ServerProcess) -> None:
    def post(path: str, **body: Any) -> tuple[int, str]:
        asked = Asked("POST", path, json.dumps({"query": "a", "documents": ["a"], **body}).encode(), set(), "")
        answer = send(server, asked, {"authorization": LIMITED})
        return answer.status_code, answer.headers.get("x-error-reason", "")

    refused = (403, "MODEL_NOT_ALLOWED")
    assert post("/v1/rerank") == (200, "")
    assert post("/v1/rerank", model=MODEL) == (200, "")
    assert post("/v1/rerank", model="allowed") == (200, "")
    for name in (FORBIDDEN, "denied", OTHER, "no/such", MODEL.upper(), f"{MODEL} ", f" {MODEL}", "*"):
        assert post("/v1/rerank", model=name) == refused, name
        assert post("/v1/rerank", model=MODEL, fallbacks=[MODEL, name]) == refused, name
    assert post(f"/v1/retrieval/{FORBIDDEN}/reranking", passages=[{"text": "a"}], documents=None)[0] in (400, 403)


def test_each_item_of_a_batch_is_held_to_its_models(server: ServerProcess) -> None:
    items = [BatchItem(item_id=name, query="a", documents=["a"], model=name) for name in (MODEL, FORBIDDEN, "allowed")]
    with RerankClient(server.grpc_address, api_key=LIMITED) as client:
        found = {result.item_id: result.error for result in client.batch_rerank(items)}
    assert found[MODEL] is None
    assert found["allowed"] is None
    assert found[FORBIDDEN] is not None
    assert found[FORBIDDEN].reason == "MODEL_NOT_ALLOWED"


def test_lists_show_only_the_models_of_the_key(server: ServerProcess) -> None:
    def get(path: str) -> httpx.Response:
        return send(server, Asked("GET", path, b"", set(), ""), {"authorization": LIMITED})

    models = get("/v1/models").json()["models"]
    assert models
    assert {model["name"]: model["aliases"] for model in models} == {MODEL: [], OTHER: ["allowed"]}
    assert {entry["id"] for entry in get("/models").json()["data"]} >= {MODEL, "allowed"}
    assert "denied" not in get("/models").text
    assert get(f"/v1/models/{MODEL}").status_code == 200
    assert get("/v1/models/allowed").json()["aliases"] == ["allowed"]
    for name in (FORBIDDEN, "denied", "no/such"):
        assert get(f"/v1/models/{name}").status_code == 403
    assert [model["name"] for model in get("/v1/models?page_size=1").json()["models"]] in ([MODEL], [OTHER])
