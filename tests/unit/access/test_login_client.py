"""An issuer that browsers are sent to, on the loopback interface: what it says of itself, and how long that counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from structlog.testing import capture_logs

from rerankd.access.sessions.cookie import CookieError
from rerankd.access.sessions.login_state import LASTS_S, LoginStates
from rerankd.access.sessions.secret import SessionSecret
from rerankd.access.tokens.login_client import Challenge, CodeRefusedError, LoginClient
from rerankd.access.tokens.login_settings import LoginSettings
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.contract.errors import Reason, ServiceError
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd_adapters.testing import LoopbackServer, ScriptedResponse
from tests.support.engines import Clock
from tests.support.login_issuer import CLIENT_ID, CLIENT_SECRET, LoginIssuer

CHALLENGE = Challenge("state", "nonce", "challenge")
CALLBACK = "https://rerank.example/api/session/oidc/idp/callback"


class Asked:
    """A client of an issuer, its clock, and the issuer's server."""

    def __init__(self, issuer: LoginIssuer, server: LoopbackServer, client: LoginClient, clock: Clock) -> None:
        self.issuer = issuer
        self.server = server
        self.client = client
        self.clock = clock

    async def reason(self) -> Reason:
        with pytest.raises(ServiceError) as refused:
            await self.client.address(CHALLENGE)
        return refused.value.reason


@asynccontextmanager
async def asking(**discovery: Any) -> AsyncIterator[Asked]:
    issuer = LoginIssuer()
    issuer.discovery = discovery
    transport = open_transport(TransportSettings(client="loop"))
    async with LoopbackServer(issuer.respond) as server:
        issuer.url = server.url
        login = LoginSettings(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        declared = TokenIssuer(name="idp", issuer=server.url, audience=("a",), login=login)
        clock = Clock()
        yield Asked(issuer, server, LoginClient(declared, login, lambda: transport, CALLBACK, clock), clock)
        await transport.close()


async def test_the_address_has_all_that_binds_a_login() -> None:
    async with asking() as asked:
        parts = urlsplit(await asked.client.address(CHALLENGE))
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{asked.issuer.url}/authorize"
        assert {name: values[0] for name, values in parse_qs(parts.query).items()} == {
            "tenant": "a",
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": CALLBACK,
            "scope": "openid profile email",
            "state": "state",
            "nonce": "nonce",
            "code_challenge": "challenge",
            "code_challenge_method": "S256",
        }


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "//evil.example"},
        {"authorization_endpoint": None},
        {"token_endpoint": 5},
        {"token_endpoint_auth_methods_supported": "all"},
    ],
)
async def test_an_issuer_that_says_something_else_is_not_used(discovery: dict[str, Any]) -> None:
    async with asking(**discovery) as asked:
        with capture_logs() as logs:
            assert await asked.reason() is Reason.ACCESS_UNAVAILABLE
        assert [entry["event"] for entry in logs] == ["an issuer cannot log in browsers"]
        assert "evil" not in str(logs)


async def test_an_issuer_that_is_away_is_asked_seldom_and_counts_on() -> None:
    async with asking() as asked:
        asked.issuer.fault = ScriptedResponse(status=503)
        reasons = await asyncio.gather(*(asked.reason() for _ in range(20)))
        assert set(reasons) == {Reason.ACCESS_UNAVAILABLE}
        assert len(asked.server.received) == 1
        asked.issuer.fault = None
        assert await asked.reason() is Reason.ACCESS_UNAVAILABLE
        asked.clock.now_s += 5
        assert await asked.client.address(CHALLENGE)
        asked.issuer.fault = ScriptedResponse(status=503)
        asked.clock.now_s += 299
        assert await asked.client.address(CHALLENGE)
        assert len(asked.server.received) == 2
        asked.clock.now_s += 1
        assert await asked.client.address(CHALLENGE)
        assert len(asked.server.received) == 3


async def test_an_issuer_that_names_itself_in_its_answers_must() -> None:
    async with asking() as asked:
        assert await asked.client.is_answer_of(None)
        assert await asked.client.is_answer_of(asked.issuer.url)
        assert not await asked.client.is_answer_of("https://evil.example")
    async with asking(authorization_response_iss_parameter_supported=True) as asked:
        assert not await asked.client.is_answer_of(None)
        assert await asked.client.is_answer_of(asked.issuer.url)


async def test_a_code_without_a_login_is_refused() -> None:
    async with asking() as asked:
        for code in ("none", "a&client_id=b", "é"):
            with pytest.raises(CodeRefusedError):
                await asked.client.redeem(code, "verifier")


def test_a_login_lasts_some_minutes_and_its_cookie_is_for_it_alone(tmp_path: Path) -> None:
    clock = Clock()
    states = LoginStates(SessionSecret("a" * 40, tmp_path), is_secure=True, clock=clock)
    state = states.begin("idp", "/docs")
    header = states.header(state)
    assert header.startswith("__Host-rerankd_login=")
    assert header.endswith(f"; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age={LASTS_S}")
    value = header.partition("=")[2].partition(";")[0]
    assert states.read(value) == state
    other = states.begin("idp", "/docs")
    sent = {
        *states.challenge(state),
        *states.challenge(other),
        states.code_verifier(state),
        states.code_verifier(other),
    }
    assert len(sent) == 8
    assert all(43 <= len(text) <= 128 for text in sent)  # of a code verifier (RFC 7636, section 4.1)
    assert not any(text in value for text in sent)
    clock.now_s += LASTS_S - 1
    assert not states.is_over(state)
    clock.now_s += 1
    assert states.is_over(state)
    with pytest.raises(CookieError):
        LoginStates(SessionSecret("b" * 40, tmp_path), is_secure=True).read(value)
