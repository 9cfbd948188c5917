"""Logins at the page of an OpenID provider on live servers, above all those that must fail."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
import yaml

from rerankd.access.sessions.login_guard import FREE_FAILURES
from rerankd_adapters.testing import ScriptedResponse
from tests.support.issuer import Issuer, public_jwk
from tests.support.login_issuer import CLIENT_ID, CLIENT_SECRET, LoginIssuer
from tests.support.ports import free_port
from tests.support.server import ServerProcess
from tests.support.upstream import Upstream

START = "/api/session/oidc/idp"
COOKIE = "rerankd_login"
SESSION = "rerankd_session"
ADDRESSES = itertools.count(1)


class Serving:
    """A server whose browsers log in at one issuer, and which takes tokens of another."""

    def __init__(self, folder: Path, issuer: LoginIssuer, other: str, **settings: Any) -> None:
        self.issuer = issuer
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        login = {"client_id": CLIENT_ID, "client_secret": "${TEST_CLIENT_SECRET}"}
        access = {
            "enabled": True,
            "revoked_within_s": 1,
            "jwt": [
                {
                    "name": "idp",
                    "issuer": issuer.url,
                    "audience": ["somebody else"],
                    "login": login,
                    "scopes_claim": "roles",
                    "scope_names": {"searcher": ["models"]},
                },
                {"name": "other", "issuer": other, "audience": [CLIENT_ID]},
            ],
            "sessions": {"public_url": self.url},
        }
        file = folder / "rerankd.yaml"
        store = {"state_dir": str(folder / "state")}
        file.write_text(yaml.safe_dump({"default_model": "local/bm25", "access": access, "store": store, **settings}))
        self.process = ServerProcess(
            "--config",
            str(file),
            program=("rerankd.cli", "serve", "--grpc-port", "0", "--http-port", str(port)),
            environment={"TEST_CLIENT_SECRET": CLIENT_SECRET},
        )

    def browser(self, address: str = "") -> httpx.Client:
        """Open a browser at an address of loopback that no other test has, since failed logins lock theirs."""
        local = address or f"127.0.1.{next(ADDRESSES)}"
        return httpx.Client(base_url=self.url, transport=httpx.HTTPTransport(local_address=local), timeout=60)


@pytest.fixture(scope="module")
def issuers() -> Iterator[tuple[LoginIssuer, Issuer]]:
    issuer, other = LoginIssuer(), Issuer(public_jwk("other"))
    with Upstream(issuer.respond) as first, Upstream(other.respond) as second:
        issuer.url, other.url = first.url, second.url
        yield issuer, other


@pytest.fixture(scope="module")
def opened(issuers: tuple[LoginIssuer, Issuer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    issuer, other = issuers
    serving = Serving(tmp_path_factory.mktemp("oidc"), issuer, other.url)
    yield serving
    assert serving.process.stop() == 0


@pytest.fixture
def serving(opened: Serving) -> Serving:
    opened.issuer.answers, opened.issuer.claims, opened.issuer.token_fault = {}, {}, None
    return opened


@pytest.fixture
def browser(serving: Serving) -> Iterator[httpx.Client]:
    with serving.browser() as client:
        yield client


def reason(answer: httpx.Response) -> tuple[int, str, str]:
    """Return status, reason and problem of a refusal."""
    return answer.status_code, answer.headers.get("x-error-reason", ""), answer.headers.get("x-error-problem", "")


def begin(browser: httpx.Client, **query: str) -> str:
    """Begin a login; return the issuer's answer: where it sends the browser."""
    sent = browser.get(START, params=query)
    assert sent.status_code == 303, sent.text
    page = browser.get(sent.headers["location"])
    assert page.status_code == 302, page.text
    return page.headers["location"]


def test_a_browser_logs_in_at_its_issuer(serving: Serving, browser: httpx.Client) -> None:
    serving.issuer.claims = {"roles": ["searcher"], "groups": ["a"]}
    sent = browser.get(START, params={"return_to": "/docs?page=2#part"})
    (cookie,) = sent.headers.get_list("set-cookie")
    assert re.fullmatch(rf"{COOKIE}=[\w.-]+; Path=/; HttpOnly; SameSite=Lax; Max-Age=600", cookie)
    assert (sent.headers["cache-control"], sent.headers["referrer-policy"]) == ("no-store", "no-referrer")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    assert asked["redirect_uri"] == f"{serving.url}{START}/callback"
    assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
    assert (asked["scope"], asked["code_challenge_method"]) == ("openid profile email", "S256")
    assert not any(asked[name] in cookie for name in ("state", "nonce", "code_challenge"))
    back = browser.get(browser.get(sent.headers["location"]).headers["location"])
    assert (back.status_code, back.headers["location"]) == (303, "/docs?page=2#part")
    session, cleared = back.headers.get_list("set-cookie")
    assert re.fullmatch(rf"{SESSION}=[\w.-]+; Path=/; HttpOnly; SameSite=Strict; Max-Age=1800", session)
    assert re.fullmatch(rf"{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0", cleared)
    told = browser.get("/api/session").json()
    assert (told["identity"], told["groups"], told["scopes"]) == ("idp:ann", ["a"], ["models"])
    assert browser.get("/api/v1/models").status_code == 200
    assert browser.delete("/api/session", headers={"x-csrf-token": told["csrfToken"]}).status_code == 204
    assert browser.get("/api/session").status_code == 401


def test_the_session_outlives_the_id_token_but_not_its_own_time(serving: Serving, browser: httpx.Client) -> None:
    serving.issuer.claims = {"lives_s": 5}
    assert browser.get(begin(browser)).headers["location"] == "/"
    claims = jwt.decode(browser.cookies[SESSION], options={"verify_signature": False})
    assert 43_190 < claims["end"] - time.time() < 43_210


def test_a_login_is_bound_to_its_browser(serving: Serving, browser: httpx.Client) -> None:
    answer = begin(browser)
    with serving.browser() as victim:
        assert reason(victim.get(answer)) == (401, "LOGIN_FAILED", "missing")
        begin(victim)
        assert reason(victim.get(answer)) == (401, "LOGIN_FAILED", "state")
        assert SESSION not in victim.cookies
    assert browser.get(answer).status_code == 303


@pytest.mark.parametrize("state", [None, "", "a", "é" * 40, "a" * 10_000])
def test_another_state_is_refused(serving: Serving, browser: httpx.Client, state: str | None) -> None:
    serving.issuer.answers = {"state": state}
    assert reason(browser.get(begin(browser))) == (401, "LOGIN_FAILED", "state")


def test_a_login_is_completed_once(serving: Serving, browser: httpx.Client) -> None:
    answer = begin(browser)
    kept = {COOKIE: browser.cookies[COOKIE]}
    asked = len(serving.issuer.codes)
    assert browser.get(answer).status_code == 303
    header = "; ".join(f"{name}={value}" for name, value in kept.items())
    again = browser.get(answer, headers={"cookie": header})
    assert reason(again) == (401, "LOGIN_FAILED", "used")
    assert asked - len(serving.issuer.codes) == 1


def test_a_replayed_code_is_refused(serving: Serving, browser: httpx.Client) -> None:
    code = parse_qs(urlsplit(begin(browser)).query)["code"][0]
    with serving.browser() as thief:  # has the code, but neither state nor verifier
        stolen = begin(thief)
        theirs = parse_qs(urlsplit(stolen).query)["code"][0]
        assert reason(thief.get(stolen.replace(theirs, code))) == (401, "LOGIN_FAILED", "code")
        assert SESSION not in thief.cookies


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"nonce": "another"}, "claim"),
        ({"nonce": None}, "claim"),
        ({"nonce": 5}, "claim"),
        ({"aud": "somebody else"}, "audience"),
        ({"aud": [CLIENT_ID, "somebody else"]}, "claim"),
        ({"aud": [CLIENT_ID, "somebody else"], "azp": "somebody else"}, "claim"),
        ({"azp": "somebody else"}, "claim"),
        ({"lives_s": -60}, "expired"),
        ({"lives_s": None}, "claim"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"sub": None}, "claim"),
        ({"key": "second", "headers": {"kid": "first"}}, "signature"),
        ({"key": "second"}, "key"),
    ],
)
def test_id_tokens_that_are_not_this_logins_are_refused(
    serving: Serving, browser: httpx.Client, claims: dict[str, Any], expected: str
) -> None:
    serving.issuer.claims = claims
    assert reason(browser.get(begin(browser))) == (401, "TOKEN_INVALID", expected)
    assert SESSION not in browser.cookies


def test_a_token_for_two_clients_counts_for_the_one_it_was_given_to(serving: Serving, browser: httpx.Client) -> None:
    serving.issuer.claims = {"aud": [CLIENT_ID, "somebody else"], "azp": CLIENT_ID}
    assert browser.get(begin(browser)).status_code == 303


def test_an_id_token_of_another_issuer_is_refused(
    serving: Serving, browser: httpx.Client, issuers: tuple[LoginIssuer, Issuer]
) -> None:
    def token(nonce: str) -> ScriptedResponse:
        made = issuers[1].token("other", aud=CLIENT_ID, nonce=nonce, scope="admin")
        return ScriptedResponse.of_json({"id_token": made})

    sent = browser.get(START).headers["location"]
    serving.issuer.token_fault = token(parse_qs(urlsplit(sent).query)["nonce"][0])
    answer = browser.get(sent).headers["location"]
    assert reason(browser.get(answer)) == (401, "TOKEN_INVALID", "issuer")


def test_an_answer_of_another_issuer_is_refused(serving: Serving, browser: httpx.Client) -> None:
    serving.issuer.answers = {"iss": "https://evil.example"}
    assert reason(browser.get(begin(browser))) == (401, "LOGIN_FAILED", "issuer")
    serving.issuer.answers = {"iss": serving.issuer.url}
    assert browser.get(begin(browser)).status_code == 303


def test_a_login_that_the_issuer_refuses_says_why(serving: Serving, browser: httpx.Client) -> None:
    serving.issuer.answers = {"code": None, "error": "access_denied", "error_description": "<script>"}
    refused = browser.get(begin(browser))
    assert reason(refused) == (401, "LOGIN_FAILED", "refused")
    assert refused.json()["message"].endswith(": access_denied")
    assert "script" not in refused.text
    for answers in ({"code": None, "error": "<script>"}, {"code": None}, {"code": "a" * 3000}):
        serving.issuer.answers = dict(answers)
        refused = browser.get(begin(browser))
        assert reason(refused) == (401, "LOGIN_FAILED", "refused")
        assert "script" not in refused.text


@pytest.mark.parametrize(
    "return_to",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/\t/evil.example",
        "/a\r\nset-cookie: a=b",
        "/a\\b",
        "/é",
        " /a",
        "/" + "a" * 2000,
    ],
)
def test_a_login_leads_to_no_other_host(browser: httpx.Client, return_to: str) -> None:
    refused = browser.get(START, params={"return_to": return_to})
    assert reason(refused)[:2] == (400, "INVALID_REQUEST")
    assert "set-cookie" not in refused.headers
    assert "location" not in refused.headers


@pytest.mark.parametrize("return_to", ["/", "/docs", "/a?b=//evil.example", "/a/../b#c", "/%5Cevil.example"])
def test_a_login_leads_to_the_page_where_it_began(browser: httpx.Client, return_to: str) -> None:
    assert browser.get(begin(browser, return_to=return_to)).headers["location"] == return_to


@pytest.mark.parametrize("cookie", ["a", "a.b.c", "a" * 5000, "é"])
def test_cookies_of_logins_that_are_none_are_refused(browser: httpx.Client, cookie: str) -> None:
    answer = begin(browser)
    browser.cookies.clear()
    refused = browser.get(answer, headers={b"cookie": f"{COOKIE}={cookie}".encode()})
    assert reason(refused) == (401, "LOGIN_FAILED", "unreadable")


def test_a_session_is_no_login_and_a_login_no_session(browser: httpx.Client) -> None:
    answer = begin(browser)
    login = browser.cookies[COOKIE]
    as_session = browser.get("/api/session", headers={"cookie": f"{SESSION}={login}"})
    assert reason(as_session) == (401, "SESSION_INVALID", "unreadable")
    assert browser.get(answer).status_code == 303
    session = browser.cookies[SESSION]
    as_login = browser.get(answer, headers={"cookie": f"{COOKIE}={session}"})
    assert reason(as_login) == (401, "LOGIN_FAILED", "unreadable")


@pytest.mark.parametrize(
    "fault",
    [
        ScriptedResponse(status=500),
        ScriptedResponse.of_json({"error": "invalid_client"}, status=401),
        ScriptedResponse.of_json({"error": "unauthorized_client"}, status=400),
        ScriptedResponse.of_json({"access_token": "a"}),
        ScriptedResponse(body=b"[" * 100_000),
        ScriptedResponse(status=302, headers={"location": "http://169.254.169.254/"}),
        ScriptedResponse(breaks_after_bytes=-1),
    ],
)
def test_an_issuer_that_fails_makes_no_session(
    serving: Serving, browser: httpx.Client, fault: ScriptedResponse
) -> None:
    answer = begin(browser)
    serving.issuer.token_fault = fault
    failed = browser.get(answer)
    assert reason(failed)[:2] == (503, "ACCESS_UNAVAILABLE")
    assert failed.headers["retry-after"]
    assert SESSION not in browser.cookies
    serving.issuer.token_fault = None
    assert browser.get(begin(browser)).status_code == 303
    assert serving.process.wait_for_log("a login cannot be completed")["issuer"] == "idp"


def test_an_issuer_that_is_away_logs_nobody_in(tmp_path: Path) -> None:
    issuer = LoginIssuer()
    with Upstream(issuer.respond) as provider:
        issuer.url = provider.url
        issuer.fault = ScriptedResponse(status=503)
        opened = Serving(tmp_path, issuer, "https://other.example")
        with opened.browser() as browser:
            refused = browser.get(START)
            assert reason(refused)[:2] == (503, "ACCESS_UNAVAILABLE")
            assert ("retry-after" in refused.headers, "location" in refused.headers) == (True, False)
        assert opened.process.stop() == 0
    assert opened.process.wait_for_log("an issuer cannot log in browsers")["issuer"] == "idp"


def test_an_issuer_that_takes_secrets_in_the_body_gets_them_there(tmp_path: Path) -> None:
    issuer = LoginIssuer(("client_secret_post",))
    with Upstream(issuer.respond) as provider:
        issuer.url = provider.url
        opened = Serving(tmp_path, issuer, "https://other.example")
        with opened.browser() as browser:
            assert browser.get(begin(browser)).status_code == 303
        assert opened.process.stop() == 0


def test_failed_logins_lock_the_address(serving: Serving) -> None:
    serving.issuer.answers = {"code": None, "error": "access_denied"}
    with serving.browser("127.0.2.1") as browser:
        answers = [browser.get(begin(browser)) for _ in range(FREE_FAILURES["address"] + 2)]
        assert [answer.status_code for answer in answers[: FREE_FAILURES["address"] + 1]] == [401] * len(answers[:-1])
        assert (reason(answers[-1])[:2], "retry-after" in answers[-1].headers) == ((429, "RATE_LIMITED"), True)
    serving.issuer.answers = {}
    with serving.browser() as elsewhere:
        assert elsewhere.get(begin(elsewhere)).status_code == 303


def test_only_issuers_with_a_login_take_browsers(browser: httpx.Client) -> None:
    for name in ("other", "none", "a" * 300):
        for path in (f"/api/session/oidc/{name}", f"/api/session/oidc/{name}/callback"):
            assert reason(browser.get(path))[:2] == (400, "SERVICE_DISABLED"), path
    assert browser.post(START).status_code == 405


def test_a_login_of_one_worker_is_completed_by_another_and_only_once(
    issuers: tuple[LoginIssuer, Issuer], tmp_path: Path
) -> None:
    opened = Serving(tmp_path, issuers[0], issuers[1].url, server={"workers": 2})
    for _ in range(4):
        with opened.browser() as browser:
            answer = begin(browser)
            cookie = {"cookie": f"{COOKIE}={browser.cookies[COOKIE]}"}
        answers = [httpx.get(answer, headers=cookie, trust_env=False, timeout=60) for _ in range(4)]
        assert sorted(each.status_code for each in answers) == [303, 401, 401, 401]
    assert opened.process.stop() == 0
