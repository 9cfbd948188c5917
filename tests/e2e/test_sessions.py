"""Sessions of browsers on live servers: log in, use, log out, and everything a browser or an attacker does wrong."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.scopes import ALL_SCOPES
from rerankd.access.sessions.login_guard import FREE_FAILURES
from rerankd.gateway.app import SERVED_ROUTES
from rerankd.gateway.session_cookie import takes_sessions
from tests.e2e.test_access import asked_of
from tests.support.certificates import HOST, authority, write_authority
from tests.support.issuer import Issuer
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream

ADMIN, SEARCH = new_secret(), new_secret()
EVERY = [str(scope) for scope in ALL_SCOPES]
NAME = "rerankd_session"
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Serving:
    """A server with two keys and one token issuer."""

    def __init__(self, folder: Path, issuer: Issuer | None = None, **settings: Any) -> None:
        self.folder = folder
        self.issuer = issuer
        access: dict[str, Any] = {
            "enabled": True,
            "revoked_within_s": 1,
            "keys": {
                "admin": {"hash": digest_of(ADMIN), "scopes": EVERY, "owner": "ann", "group": "ops"},
                "search": {"hash": digest_of(SEARCH)},
            },
        }
        if issuer is not None:
            access["jwt"] = [{"name": "idp", "issuer": issuer.url, "audience": ["rerankd"], "scopes": ["models"]}]
        access |= settings.pop("access", {})
        file = folder / "rerankd.yaml"
        store = {"state_dir": str(folder / "state")}
        file.write_text(yaml.safe_dump({"default_model": "local/bm25", "access": access, "store": store, **settings}))
        self.process = ServerProcess("--config", str(file))

    def browser(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.process.http_url, trust_env=False, **more)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    issuer = Issuer()
    with Upstream(issuer.respond) as provider:
        issuer.url = provider.url
        opened = Serving(tmp_path_factory.mktemp("sessions"), issuer)
        yield opened
        assert opened.process.stop() == 0


@pytest.fixture
def browser(serving: Serving) -> Iterator[httpx.Client]:
    with serving.browser() as client:
        yield client


def log_in(browser: httpx.Client, key: str = ADMIN) -> dict[str, str]:
    """Log in; return the header that calls which change something need."""
    opened = browser.post("/api/session", json={"api_key": key})
    assert opened.status_code == 200, opened.text
    return {"x-csrf-token": opened.json()["csrfToken"]}


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.headers.get("x-error-reason", "")


def test_a_login_gives_a_cookie_that_calls_under_api_may_use(browser: httpx.Client) -> None:
    opened = browser.post("/api/session", json={"apiKey": SEARCH})
    (cookie,) = opened.headers.get_list("set-cookie")
    assert re.fullmatch(rf"{NAME}=[\w.-]+; Path=/; HttpOnly; SameSite=Strict; Max-Age=1800", cookie)
    assert opened.headers["cache-control"] == "no-store"
    assert SEARCH not in opened.text + cookie
    told = opened.json()
    assert (told["identity"], told["keyId"], told["groups"]) == ("search", "search", [])
    assert told["scopes"] == ["models", "rerank"]
    assert TIME.fullmatch(told["expiresAt"])
    assert TIME.fullmatch(told["idleExpiresAt"])
    assert browser.get("/api/session").json() == told
    assert browser.get("/api/v1/models").status_code == 200
    assert browser.get("/v1/models").headers["x-error-reason"] == "API_KEY_MISSING"
    body = {"query": "a", "documents": ["a"]}
    assert reason(browser.post("/v1/rerank", json=body)) == (401, "API_KEY_MISSING")


def test_the_rights_of_a_session_are_those_of_its_key(serving: Serving, browser: httpx.Client) -> None:
    with serving.browser(headers={"x-api-key": ADMIN}) as admin:
        created = admin.post("/v1/keys", json={"name": "only", "scopes": ["rerank"]})
    log_in(browser, created.json()["secret"])
    assert reason(browser.get("/api/v1/models")) == (403, "INSUFFICIENT_SCOPE")


def test_a_key_says_who_calls_without_a_session(browser: httpx.Client) -> None:
    told = browser.get("/api/session", headers={"authorization": f"Bearer {ADMIN}"})
    assert told.status_code == 200
    assert told.json() == {"identity": "ann", "keyId": "admin", "groups": ["ops"], "scopes": sorted(EVERY)}
    assert "set-cookie" not in told.headers
    assert reason(browser.get("/api/session")) == (401, "API_KEY_MISSING")
    assert reason(browser.get("/api/session", headers={"x-api-key": new_secret()})) == (401, "API_KEY_INVALID")


def test_a_logout_needs_the_csrf_token_and_is_for_good(browser: httpx.Client) -> None:
    assert reason(browser.delete("/api/session")) == (401, "SESSION_INVALID")
    token = log_in(browser)
    kept = browser.cookies[NAME]
    for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": "a"}, {"x-csrf-token": token["x-csrf-token"] + "a"}):
        assert reason(browser.delete("/api/session", headers=headers)) == (403, "CSRF_TOKEN_INVALID")
    assert browser.get("/api/session").status_code == 200
    closed = browser.delete("/api/session", headers=token)
    assert (closed.status_code, closed.content) == (204, b"")
    assert NAME not in browser.cookies
    again = browser.get("/api/session", headers={"cookie": f"{NAME}={kept}"})
    assert reason(again) == (401, "SESSION_INVALID")
    assert "the session has ended" in again.json()["message"]
    assert again.headers["set-cookie"].endswith("Max-Age=0")
    twice = browser.delete("/api/session", headers={"cookie": f"{NAME}={kept}", **token})
    assert reason(twice) == (401, "SESSION_INVALID")


def test_every_change_of_a_reranker_needs_the_csrf_token(browser: httpx.Client) -> None:
    token = log_in(browser)
    made = {"name": "Answers", "strategy": "heuristic", "config": {}}
    run = {"query": "a", "documents": ["a", "b"]}
    assert browser.get("/api/reranker").status_code == 200
    changes: list[tuple[str, str, Any]] = [
        ("POST", "/api/reranker", made),
        ("PATCH", "/api/reranker/answers", {"description": "d"}),
        ("POST", "/api/reranker/answers/run", run),
        ("DELETE", "/api/reranker/answers", None),
    ]
    for method, path, body in changes:
        for headers in ({}, {"x-csrf-token": "a"}):
            refused = browser.request(method, path, json=body, headers=headers)
            assert reason(refused) == (403, "CSRF_TOKEN_INVALID"), (method, path)
        done = browser.request(method, path, json=body, headers=token)
        assert done.status_code in (200, 201, 204), (method, path, done.text)
    assert browser.get("/api/reranker/answers").status_code == 404


def test_the_rights_that_a_change_needs_are_those_of_the_key(browser: httpx.Client) -> None:
    token = log_in(browser, SEARCH)
    made = {"name": "Answers", "strategy": "heuristic", "config": {}}
    assert reason(browser.post("/api/reranker", json=made, headers=token)) == (403, "INSUFFICIENT_SCOPE")


def test_keys_and_spend_are_managed_with_a_session(browser: httpx.Client) -> None:
    token = log_in(browser)
    listed = browser.get("/v1/keys")
    assert (listed.status_code, listed.headers["cache-control"]) == (200, "no-store")
    for accept in ("application/json", "text/csv"):
        assert browser.get("/v1/spend", headers={"accept": accept}).status_code == 200
    changes: list[tuple[str, Any]] = [("", {"name": "made"}), (":import", {"keys": []}), ("/none:rotate", {})]
    for path, body in changes:
        for headers in ({}, {"x-csrf-token": "a"}):
            refused = browser.post(f"/v1/keys{path}", json=body, headers=headers)
            assert reason(refused) == (403, "CSRF_TOKEN_INVALID"), path
    made = browser.post("/v1/keys", json={"name": "made", "scopes": ["models"]}, headers=token)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    path = f"/v1/keys/{made.json()['key']['id']}"
    rotated = browser.post(f"{path}:rotate", json={}, headers=token)
    assert rotated.json()["secret"] != made.json()["secret"]
    assert reason(browser.delete(path)) == (403, "CSRF_TOKEN_INVALID")
    assert browser.delete(path, headers=token).status_code == 200
    assert browser.get(path).json()["revoked_at"]
    assert browser.get("/cohere/v1/keys").status_code == 200


def test_managing_keys_needs_the_scope_of_the_session(browser: httpx.Client) -> None:
    token = log_in(browser, SEARCH)
    for answer in (
        browser.get("/v1/keys"),
        browser.get("/v1/spend"),
        browser.post("/v1/keys", json={"name": "a"}, headers=token),
    ):
        assert reason(answer) == (403, "INSUFFICIENT_SCOPE")


def test_every_route_takes_sessions_with_their_csrf_token_or_none(browser: httpx.Client) -> None:
    """Ask each with a session of all scopes, but without its CSRF token, so that nothing is changed."""
    log_in(browser)
    for route in SERVED_ROUTES:
        if route.method == "cluster_auth":
            continue  # answers everybody
        asked = asked_of(route)
        content_type = "application/x-ndjson" if route.is_streaming else "application/json"
        answer = browser.request(
            asked.method, asked.path, content=asked.content or None, headers={"content-type": content_type}
        )
        where = f"{route.http_method} {route.template}: {answer.text}"
        if not takes_sessions(route):
            assert reason(answer) == (401, "API_KEY_MISSING"), where
        elif asked.method == "GET":
            assert answer.status_code in (200, 400, 404), where
        else:
            assert reason(answer) == (403, "CSRF_TOKEN_INVALID"), where


def test_reranking_takes_keys_only(browser: httpx.Client) -> None:
    token = log_in(browser)
    run = {"query": "a", "documents": ["a"]}
    for path in ("/api/v1/rerank", "/v1/rerank", "/rerank"):
        assert reason(browser.post(path, json=run, headers=token)) == (401, "API_KEY_MISSING"), path


def test_a_token_opens_a_session(serving: Serving, browser: httpx.Client) -> None:
    assert serving.issuer is not None
    opened = browser.post("/api/session", json={"id_token": serving.issuer.token(groups=["a"], lives_s=300)})
    assert opened.status_code == 200, opened.text
    assert opened.json()["identity"] == "idp:ann"
    assert browser.get("/api/session").json()["groups"] == ["a"]
    assert browser.get("/api/v1/models").status_code == 200
    for token in (serving.issuer.token(lives_s=-60), serving.issuer.token(aud="another"), "eyJ..", ADMIN):
        assert reason(browser.post("/api/session", json={"id_token": token})) == (401, "TOKEN_INVALID")
    assert reason(browser.post("/api/session", json={"api_key": serving.issuer.token()})) == (401, "API_KEY_INVALID")


def test_wrong_tokens_lock_no_right_one_though_all_begin_alike(serving: Serving) -> None:
    assert serving.issuer is not None
    made = [serving.issuer.token(lives_s=-60, sub=f"a{number}") for number in range(2 * FREE_FAILURES["key"])]
    tokens = [*made, serving.issuer.token()]
    assert len({token[:16] for token in tokens}) == 1
    told = []
    for number, token in enumerate(tokens):
        transport = httpx.HTTPTransport(local_address=f"127.0.3.{number + 1}")  # whose own failures are few
        with httpx.Client(base_url=serving.process.http_url, transport=transport, timeout=60) as browser:
            told.append(browser.post("/api/session", json={"id_token": token}).status_code)
    assert told == [401] * len(made) + [200]


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, b"", (400, "INVALID_REQUEST")),
        ({}, b"{", (400, "INVALID_REQUEST")),
        ({}, b"[]", (400, "INVALID_REQUEST")),
        ({}, b"{}", (400, "INVALID_REQUEST")),
        ({}, b'{"api_key": 5}', (400, "INVALID_REQUEST")),
        ({}, b'{"api_key": ""}', (400, "INVALID_REQUEST")),
        ({}, b'{"api_key": "a", "id_token": "b"}', (400, "INVALID_REQUEST")),
        ({}, b'{"api_key": "a", "password": "b"}', (400, "INVALID_REQUEST")),
        ({}, b"[" * 30_000, (400, "INVALID_REQUEST")),
        ({}, b'{"api_key": "\xff"}', (400, "INVALID_REQUEST")),
        ({}, b" " * 40_000, (413, "INVALID_REQUEST")),
        ({"content-type": "text/plain"}, b'{"api_key": "a"}', (415, "INVALID_REQUEST")),
        ({"content-type": "application/x-www-form-urlencoded"}, b"api_key=a", (415, "INVALID_REQUEST")),
        ({"content-type": ""}, b'{"api_key": "a"}', (400, "INVALID_REQUEST")),
        ({"content-encoding": "gzip"}, b"no gzip", (400, "INVALID_REQUEST")),
        ({"origin": "https://evil.example"}, b'{"api_key": "a"}', (403, "CSRF_TOKEN_INVALID")),
        ({"origin": "null"}, b'{"api_key": "a"}', (403, "CSRF_TOKEN_INVALID")),
        ({"origin": "http://[::1"}, b'{"api_key": "a"}', (403, "CSRF_TOKEN_INVALID")),
        ({}, b'{"api_key": " "}', (401, "API_KEY_MISSING")),
    ],
)
def test_logins_that_are_none_are_refused(
    browser: httpx.Client, headers: Mapping[str, str], body: bytes, expected: tuple[int, str]
) -> None:
    answer = browser.post("/api/session", content=body, headers={"content-type": "application/json", **headers})
    assert reason(answer) == expected, answer.text
    assert "set-cookie" not in answer.headers


def test_a_page_of_this_server_may_log_in(browser: httpx.Client) -> None:
    origin = str(browser.base_url).rstrip("/")
    assert browser.post("/api/session", json={"api_key": ADMIN}, headers={"origin": origin}).status_code == 200


@pytest.mark.parametrize(
    "cookie",
    [f"{NAME}=", f"{NAME}=a", f"{NAME}=a.b.c", f"{NAME}=" + "a" * 8000, f"{NAME}=é", f"x=1; {NAME}=eyJ..; y=2"],
)
def test_cookies_that_are_none_are_refused(browser: httpx.Client, cookie: str) -> None:
    answer = browser.get("/api/session", headers={b"cookie": cookie.encode()})
    assert reason(answer) in ((401, "SESSION_INVALID"), (401, "API_KEY_MISSING"))
    assert browser.get("/api/v1/models", headers={b"cookie": cookie.encode()}).status_code == 401


def test_other_methods_are_answered_as_everywhere(browser: httpx.Client) -> None:
    assert browser.put("/api/session", json={}).status_code == 405
    asked = browser.options("/api/session")
    assert (asked.status_code, asked.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, POST")
    log_in(browser)
    told = browser.head("/api/session/")
    assert (told.status_code, told.content) == (200, b"")


def test_a_revoked_key_ends_its_sessions(serving: Serving, browser: httpx.Client) -> None:
    with serving.browser(headers={"x-api-key": ADMIN}) as admin:
        created = admin.post("/v1/keys", json={"name": "short-lived", "scopes": ["models"]}).json()
        log_in(browser, created["secret"])
        assert browser.get("/api/v1/models").status_code == 200
        admin.post(f"/v1/keys/{created['key']['id']}:revoke", json={})
    until_s = time.monotonic() + 15  # of 1 s, and what a busy machine adds
    while (answer := browser.get("/api/v1/models")).status_code == 200 and time.monotonic() < until_s:
        time.sleep(0.05)
    assert reason(answer) == (401, "SESSION_INVALID")


def test_failed_logins_lock_the_address(tmp_path: Path) -> None:
    opened = Serving(tmp_path)
    with opened.browser() as browser:
        answers = [
            browser.post("/api/session", json={"api_key": new_secret()}) for _ in range(FREE_FAILURES["address"] + 3)
        ]
        assert [answer.status_code for answer in answers] == [401] * (FREE_FAILURES["address"] + 1) + [429] * 2
        assert answers[-1].headers["retry-after"] == "1"
        assert reason(browser.post("/api/session", json={"api_key": ADMIN})) == (429, "RATE_LIMITED")
        assert browser.get("/api/session", headers={"x-api-key": ADMIN}).status_code == 200
        time.sleep(1.1)
        log_in(browser)
    assert opened.process.stop() == 0
    events = [entry for entry in opened.process.log if entry.get("event") == "logins are locked after failures"]
    assert len(events) == 1


def test_sessions_are_shared_by_workers_and_outlive_a_restart(tmp_path: Path) -> None:
    opened = Serving(tmp_path, server={"workers": 2})

    def answers(cookie: str, process: Serving) -> set[int]:
        found = set()
        for _ in range(12):  # each on a connection of its own, which the kernel gives to either worker
            with process.browser() as client:
                found.add(client.get("/api/session", headers={"cookie": f"{NAME}={cookie}"}).status_code)
        return found

    with opened.browser() as browser:
        token, kept = log_in(browser), ""
        ended = browser.cookies[NAME]
        with opened.browser() as other:
            log_in(other)
            kept = other.cookies[NAME]
        assert answers(ended, opened) == answers(kept, opened) == {200}
        assert browser.delete("/api/session", headers=token).status_code == 204
    until_s = time.monotonic() + 15  # of half a second
    while answers(ended, opened) != {401}:
        assert time.monotonic() < until_s
    assert answers(kept, opened) == {200}
    assert opened.process.stop() == 0
    again = Serving(tmp_path)
    assert answers(kept, again) == {200}
    assert answers(ended, again) == {401}
    assert again.process.stop() == 0


def test_cookies_are_for_https_only_where_the_listener_speaks_it(tmp_path: Path) -> None:
    issued = authority().issue_cert(HOST, "localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    opened = Serving(tmp_path, server={"tls": {"certificate_file": str(tmp_path / "server.pem")}})
    context = ssl.create_default_context(cafile=str(write_authority(tmp_path)))
    url = opened.process.http_url.replace("http:", "https:")
    with httpx.Client(base_url=url, verify=context, trust_env=False) as browser:
        cookie = browser.post("/api/session", json={"api_key": ADMIN}).headers["set-cookie"]
        assert cookie.startswith(f"__Host-{NAME}=")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=1800")
        assert browser.get("/api/session").status_code == 200
        value = cookie.partition("=")[2].partition(";")[0]
        browser.cookies.clear()
        tossed = browser.get("/api/session", headers={"cookie": f"{NAME}={value}"})
        assert reason(tossed) == (401, "API_KEY_MISSING")
    assert opened.process.stop() == 0


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({}, "access.enabled"),
        ({"access": {"enabled": True, "sessions": {"enabled": False}}}, "access.sessions.enabled"),
    ],
)
def test_sessions_that_are_off_say_what_turns_them_on(tmp_path: Path, settings: dict[str, Any], setting: str) -> None:
    file = tmp_path / "rerankd.yaml"
    file.write_text(yaml.safe_dump({**settings, "store": {"state_dir": str(tmp_path / "state")}}))
    with ExitStack() as stack:
        process = ServerProcess("--config", str(file))
        stack.callback(process.stop)
        for method in ("POST", "GET", "DELETE"):
            answer = httpx.request(method, f"{process.http_url}/api/session", trust_env=False)
            assert reason(answer) == (400, "SERVICE_DISABLED")
            assert setting in json.dumps(answer.json())
