"""A key's models bound everything that it sees and gets: models, rerankers, their runs and experiments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.scopes import ALL_SCOPES
from rerankd_client import RerankClient, RerankError
from tests.support.rpc_cases import GrpcCaller, RpcCase
from tests.support.server import ServerProcess

ADMIN, DOCS, ALIAS = new_secret(), new_secret(), new_secret()
CONFIG = {"model": "local/bm25"}
DEDICATED = {"strategy": "dedicated-model", "config": CONFIG}
RUN = {"query": "a", "documents": ["a", "b"]}
OURS, THEIRS = ("docs-declared", "docs-stored"), ("news-declared", "news-stored")


class Bounded(NamedTuple):
    """A server, and callers of it over HTTP: one with all models, two with some."""

    server: ServerProcess
    admin: httpx.Client
    docs: httpx.Client
    alias: httpx.Client
    """May send an alias alone."""
    runs: dict[str, str]
    """Id of a logged run, by the reranker."""


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bounded]:
    folder = tmp_path_factory.mktemp("bounds")
    scopes = [str(scope) for scope in ALL_SCOPES]
    keys = {
        "admin": {"hash": digest_of(ADMIN), "scopes": scopes},
        "docs": {"hash": digest_of(DOCS), "scopes": scopes, "models": ["docs-*", "local/bm25"]},
        "alias": {"hash": digest_of(ALIAS), "scopes": scopes, "models": ["quick"]},
    }
    settings = {
        "default_model": "news-declared",
        "aliases": {"quick": "news-declared"},
        "rerankers": {"docs-declared": DEDICATED, "news-declared": DEDICATED},
        "access": {"enabled": True, "keys": keys},
        "runs": {"capture": "full", "durability": "sync"},
        "store": {"state_dir": str(folder / "state")},
    }
    file = folder / "rerankd.yaml"
    file.write_text(yaml.safe_dump(settings))
    server = ServerProcess("--config", str(file))

    def client(key: str) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=server.http_url, headers=headers, trust_env=False, timeout=60)

    with client(ADMIN) as admin, client(DOCS) as docs, client(ALIAS) as alias:
        for key in ("docs-stored", "news-stored"):
            assert admin.post("/api/reranker", json={"name": key, "key": key, **DEDICATED}).status_code == 201
        for key in (*OURS, *THEIRS):
            assert admin.post(f"/api/reranker/{key}/run", json=RUN).status_code == 200
        logged = admin.get("/api/runs").json()["runs"]
        yield Bounded(server, admin, docs, alias, {run["reranker"]: run["runId"] for run in logged})
    assert server.stop() == 0


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers.get("x-error-reason", "")


def named(answer: httpx.Response, field: str, name: str) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {each[name] for each in answer.json()[field]}


def test_lists_show_what_the_key_allows(bounded: Bounded) -> None:
    for path in ("/api/reranker", "/api/client/v1/rerankers"):
        assert named(bounded.admin.get(path), "rerankers", "key") == {*OURS, *THEIRS}
        assert named(bounded.docs.get(path), "rerankers", "key") == set(OURS)
    for path in ("/v1/models", "/models", "/api/v1/models", "/inference/v1/models", "/v1/models?page_size=1"):
        assert named(bounded.docs.get(path), "models", "name") <= {*OURS, "local/bm25"}, path
    assert named(bounded.docs.get("/v1/models"), "models", "name") == {*OURS, "local/bm25"}
    assert named(bounded.admin.get("/v1/models"), "models", "name") > {*OURS, *THEIRS}
    assert named(bounded.docs.get("/api/runs"), "runs", "reranker") == set(OURS)
    with RerankClient(bounded.server.grpc_address, api_key=DOCS) as client:
        assert {model.name for model in client.list_models()} == {*OURS, "local/bm25"}


def test_pages_hold_what_the_key_allows(bounded: Bounded) -> None:
    found, token = set(), ""
    while True:
        page = bounded.docs.get("/api/reranker", params={"pageSize": 1, "pageToken": token}).json()
        assert len(page["rerankers"]) == 1
        found |= {each["key"] for each in page["rerankers"]}
        if not (token := page.get("nextPageToken", "")):
            break
    assert found == set(OURS)
    first = bounded.docs.get("/api/runs", params={"limit": 1}).json()
    second = bounded.docs.get("/api/runs", params={"limit": 1, "cursor": first["nextCursor"]}).json()
    assert {each["reranker"] for page in (first, second) for each in page["runs"]} == set(OURS)
    assert not second.get("nextCursor")


GETS = (
    "/api/reranker/{key}",
    "/api/reranker/{key}/versions",
    "/api/reranker/{key}/runs",
    "/api/client/v1/rerank/{key}",
    "/v1/models/{key}",
    "/models/{key}",
    "/api/runs/{run}",
)
POSTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/reranker/{key}/run", RUN),
    ("/api/client/v1/rerank/{key}", RUN),
    ("/v1/rerank", {**RUN, "model": "{key}"}),
    ("/v2/rerank", {**RUN, "model": "{key}"}),
    ("/v1/rerank", {**RUN, "model": "local/bm25", "fallbacks": ["{key}"]}),
    ("/api/runs/{run}:replay", {}),
    ("/api/feedback", {"runId": "{run}", "index": 0, "grade": 2}),
)
CHANGES: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("PATCH", "/api/reranker/{key}", {"description": "d"}),
    ("POST", "/api/reranker/{key}/rollback", {"version": 1}),
    ("DELETE", "/api/reranker/{key}", None),
)


def asked(bounded: Bounded, path: str, body: dict[str, Any] | None, key: str) -> tuple[str, Any]:
    """Fill a reranker's key, and the id of its run, into a request."""
    run = bounded.runs[key]
    filled = None if body is None else {name: _filled(value, key, run) for name, value in body.items()}
    return path.format(key=key, run=run), filled


def _filled(value: Any, key: str, run: str) -> Any:
    if isinstance(value, list):
        return [_filled(each, key, run) for each in value]
    return value.replace("{key}", key).replace("{run}", run) if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [*(("GET", path, None) for path in GETS), *(("POST", path, body) for path, body in POSTS)],
)
def test_what_is_outside_is_refused_and_what_is_inside_answered(
    bounded: Bounded, method: str, path: str, body: dict[str, Any] | None
) -> None:
    for key in OURS:
        url, sent = asked(bounded, path, body, key)
        answer = bounded.docs.request(method, url, json=sent)
        assert answer.status_code == 200, answer.text
    for key in THEIRS:
        url, sent = asked(bounded, path, body, key)
        assert reason(bounded.docs.request(method, url, json=sent)) == (403, "MODEL_NOT_ALLOWED"), key
        assert bounded.admin.request(method, url, json=sent).status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_changes_of_what_is_outside_are_refused(
    bounded: Bounded, method: str, path: str, body: dict[str, Any] | None
) -> None:
    for key in (*THEIRS, "news-none"):
        answer = bounded.docs.request(method, path.format(key=key), json=body)
        assert reason(answer) == (403, "MODEL_NOT_ALLOWED"), key
    assert named(bounded.admin.get("/api/reranker"), "rerankers", "key") >= {*OURS, *THEIRS}


def test_nobody_makes_a_reranker_of_models_beyond_the_key(bounded: Bounded) -> None:
    def make(key: str, **more: Any) -> tuple[int, str]:
        answer = bounded.docs.post("/api/reranker", json={"name": "News", "key": key, **DEDICATED, **more})
        return reason(answer)

    refused = (403, "MODEL_NOT_ALLOWED")
    assert make("news-mine") == refused
    assert make("") == refused  # its key would be made of the name
    assert make("docs-mine", config={"model": "news-stored"}) == refused
    assert make("docs-mine", config={**CONFIG, "fallbacks": ["news-stored"]}) == refused
    assert (
        make("docs-mine", strategy="cascade", config={"stages": [{**CONFIG, "keep": 1}, {"model": "news-stored"}]})
        == refused
    )
    assert make("docs-mine") == (201, "")
    path = "/api/reranker/docs-mine"
    assert reason(bounded.docs.patch(path, json={"config": {"model": "news-stored"}})) == refused
    assert reason(bounded.docs.patch(path, json={"description": "d"})) == (200, "")
    changed = bounded.admin.patch(path, json={"config": {"model": "news-stored"}})
    assert changed.status_code == 200, changed.text
    assert reason(bounded.docs.patch(path, json={"description": "e"})) == (200, "")  # asks nothing that is new
    rollback = {"version": 1}
    assert reason(bounded.docs.post(f"{path}/rollback", json=rollback)) == (200, "")
    assert bounded.docs.delete(path).status_code == 200


def test_errors_suggest_nothing_that_is_outside(bounded: Bounded) -> None:
    bounded.admin.post("/api/reranker", json={"name": "x", "key": "xdocs-secret", **DEDICATED})
    for method, path, body in (
        ("GET", "/api/reranker/docs-secret", None),
        ("POST", "/api/reranker/docs-secret/run", RUN),
        ("PATCH", "/api/reranker/docs-secret", {"description": "d"}),
        ("POST", "/v1/rerank", {**RUN, "model": "docs-secret"}),
        ("GET", "/v1/models/docs-secret", None),
    ):
        answer = bounded.docs.request(method, path, json=body)
        assert (answer.status_code, "xdocs" in answer.text) == (404, False), answer.text
        assert "xdocs-secret" in bounded.admin.request(method, path, json=body).text
    assert bounded.admin.delete("/api/reranker/xdocs-secret").status_code == 200


def test_experiments_take_and_show_runs_of_the_key_alone(bounded: Bounded) -> None:
    every = bounded.admin.post("/api/experiments", json={"name": "all", "candidate": "local/bm25"})
    assert every.status_code in (200, 201), every.text
    hidden = every.json()["id"]
    own = bounded.docs.post("/api/experiments", json={"name": "docs", "candidate": "docs-declared"})
    assert own.status_code in (200, 201), own.text
    assert set(own.json()["baseline"]) <= {*OURS, "local/bm25"}
    refused = (403, "MODEL_NOT_ALLOWED")
    beyond = bounded.docs.post("/api/experiments", json={"name": "news", "candidate": "news-stored"})
    assert reason(beyond) == refused
    path = f"/api/experiments/{hidden}"
    for method, url in (
        ("GET", path),
        ("GET", f"{path}/queries"),
        ("POST", f"{path}:cancel"),
        ("POST", f"{path}:resume"),
        ("DELETE", path),
    ):
        assert reason(bounded.docs.request(method, url, json={} if method == "POST" else None)) == refused, url
    listed = named(bounded.docs.get("/api/experiments"), "experiments", "id")
    assert listed == {own.json()["id"]}
    assert hidden in named(bounded.admin.get("/api/experiments"), "experiments", "id")


def test_a_key_with_an_alias_alone_sees_the_runs_that_it_made(bounded: Bounded) -> None:
    assert reason(bounded.alias.post("/v1/rerank", json={**RUN, "model": "news-declared"})) == (
        403,
        "MODEL_NOT_ALLOWED",
    )
    assert named(bounded.alias.get("/api/runs"), "runs", "runId") == set()
    assert bounded.alias.post("/v1/rerank", json={**RUN, "model": "quick"}).status_code == 200
    [own] = bounded.alias.get("/api/runs").json()["runs"]
    assert (own["keyId"], own["reranker"]) == ("alias", "news-declared")
    path = f"/api/runs/{own['runId']}"
    assert bounded.alias.get(path).status_code == 200
    assert bounded.alias.post(f"{path}:replay", json={}).status_code == 200
    assert reason(bounded.docs.get(path)) == (403, "MODEL_NOT_ALLOWED")
    assert reason(bounded.alias.get(f"/api/runs/{bounded.runs['news-declared']}")) == (403, "MODEL_NOT_ALLOWED")


def test_judgements_of_all_queries_are_for_keys_with_all_models(bounded: Bounded) -> None:
    given = {"judgements": [{"query": "of docs", "document": "a", "grade": 3}]}
    assert bounded.docs.post("/api/judgements", json=given).status_code == 200
    assert reason(bounded.docs.get("/api/judgements")) == (403, "MODEL_NOT_ALLOWED")
    [own] = bounded.docs.get("/api/judgements", params={"query": "of docs"}).json()["judgements"]
    assert own["grade"] == 3
    assert "of docs" in named(bounded.admin.get("/api/judgements"), "judgements", "query")


def test_rerankers_that_need_another_one_are_told_within_the_bounds(bounded: Bounded) -> None:
    inner = {"name": "inner", "key": "docs-inner", **DEDICATED}
    stages = {"stages": [{**CONFIG, "keep": 1}, {"model": "docs-inner"}]}
    outer = {"name": "outer", "key": "news-outer", "strategy": "cascade", "config": stages}
    for made in (inner, outer):
        assert bounded.admin.post("/api/reranker", json=made).status_code == 201
    refused = bounded.docs.delete("/api/reranker/docs-inner")
    assert reason(refused) == (409, "RERANKER_IN_USE")
    assert "news" not in refused.text
    assert "needed as it is by others" in refused.text
    assert "news-outer" in bounded.admin.delete("/api/reranker/docs-inner").text
    for key in ("news-outer", "docs-inner"):
        assert bounded.admin.delete(f"/api/reranker/{key}").status_code == 200


def test_a_default_that_is_outside_is_not_told(bounded: Bounded) -> None:
    assert bounded.docs.get("/info").json()["model_id"] == ""
    assert reason(bounded.docs.post("/v1/rerank", json=RUN)) == (403, "MODEL_NOT_ALLOWED")
    assert reason(bounded.docs.post("/v1/documents:warm", json={"documents": ["a"]})) == (403, "MODEL_NOT_ALLOWED")


def test_grpc_has_the_same_bounds(bounded: Bounded) -> None:
    caller = GrpcCaller(bounded.server.grpc_address)
    cases: dict[str, dict[str, Any]] = {
        "GetReranker": {"key": "news-stored"},
        "UpdateReranker": {"key": "news-stored", "description": "d"},
        "DeleteReranker": {"key": "news-stored"},
        "RunReranker": {"key": "news-stored", "query": "a", "documents": [{"content": "a"}]},
        "ListRerankerVersions": {"key": "news-stored"},
        "DiffRerankerVersions": {"key": "news-stored", "from_version": 1, "to_version": 1},
        "RollbackReranker": {"key": "news-stored", "version": 1},
        "ListRuns": {"key": "news-stored"},
        "GetRun": {"run_id": bounded.runs["news-stored"]},
    }
    for rpc, request in cases.items():
        outcome = caller.call(RpcCase(rpc, rpc, {}), request, DOCS)
        assert (outcome.code, outcome.reason) == ("PERMISSION_DENIED", "MODEL_NOT_ALLOWED"), rpc
    listed = caller.call(RpcCase("list", "ListRerankers", {}), {}, DOCS)
    assert {each["key"] for each in listed.response["rerankers"]} == set(OURS)
    caller.close()
    with RerankClient(bounded.server.grpc_address, api_key=DOCS) as client, pytest.raises(RerankError) as refused:
        client.rerank("a", ["a"], model="news-stored")
    assert refused.value.reason == "MODEL_NOT_ALLOWED"
