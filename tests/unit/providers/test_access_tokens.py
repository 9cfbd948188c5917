"""Tokens that expire: one fetch for all, renewal in time, typed failures."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

import pytest

from rerankd.http.transport_settings import TransportSettings
from rerankd.providers.access_tokens import RENEW_BEFORE_S, AccessToken, AccessTokenCache, exchange_token
from rerankd_adapters.base import AdapterError, AdapterErrorKind, HttpRequest, HttpResponse
from tests.support.canary import CANARY_SECRET


class Issuer:
    """Hands out numbered tokens that live for an hour of a clock that tests turn."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.issued = 0
        self.is_broken = False

    def clock(self) -> float:
        return self.now_s

    async def fetch(self) -> AccessToken:
        await asyncio.sleep(0)
        if self.is_broken:
            raise AdapterError(AdapterErrorKind.UNAVAILABLE, "broken")
        self.issued += 1
        return AccessToken(f"token-{self.issued}", self.now_s + 3600)


async def test_one_fetch_for_all() -> None:
    issuer = Issuer()
    cache = AccessTokenCache(issuer.fetch, issuer.clock)
    assert await asyncio.gather(*(cache.value() for _ in range(50))) == ["token-1"] * 50


async def test_renewed_before_it_expires() -> None:
    issuer = Issuer()
    cache = AccessTokenCache(issuer.fetch, issuer.clock)
    await cache.value()
    issuer.now_s += 3600 - RENEW_BEFORE_S - 1
    assert await cache.value() == "token-1"
    issuer.now_s += 2
    assert await cache.value() == "token-2"


async def test_used_to_its_end_when_it_cannot_be_renewed() -> None:
    issuer = Issuer()
    cache = AccessTokenCache(issuer.fetch, issuer.clock)
    await cache.value()
    issuer.is_broken = True
    issuer.now_s += 3599
    assert await cache.value() == "token-1"
    issuer.now_s += 2
    with pytest.raises(AdapterError):
        await cache.value()


async def test_cancelled_fetch_does_not_stop_the_next() -> None:
    issuer = Issuer()
    cache = AccessTokenCache(issuer.fetch, issuer.clock)
    first = asyncio.create_task(cache.value())
    await asyncio.sleep(0)
    first.cancel()
    assert await cache.value() == "token-1"


def test_repr_hides_the_token() -> None:
    assert "hush" not in repr(AccessToken("hush", 1.0))


class Answers:
    """A transport that always gives the same answer."""

    name = "answers"
    settings = TransportSettings()

    def __init__(self, response: HttpResponse) -> None:
        self._response = response
        self.requests: list[HttpRequest] = []

    async def send(self, request: HttpRequest, timeout_s: float) -> HttpResponse:
        self.requests.append(request)
        return self._response

    async def close(self) -> None:
        pass


FORM = {"grant_type": "client_credentials", "client_secret": CANARY_SECRET}


async def test_exchange() -> None:
    transport = Answers(HttpResponse(status=200, body=b'{"access_token": "t", "expires_in": "60"}'))
    token = await exchange_token(transport, "https://issuer/token", FORM, lambda: 5.0)
    assert (token.value, token.expires_s) == ("t", 65.0)
    assert parse_qs(transport.requests[0].body.decode())["client_secret"] == [FORM["client_secret"]]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, f'{{"error_description": "bad {CANARY_SECRET}"}}'.encode(), AdapterErrorKind.CREDENTIALS),
        (400, b'{"error": "invalid_client"}', AdapterErrorKind.CREDENTIALS),
        (503, b"", AdapterErrorKind.UNAVAILABLE),
        (429, b"", AdapterErrorKind.UNAVAILABLE),
        (200, b"{}", AdapterErrorKind.BAD_RESPONSE),
        (200, b"[]", AdapterErrorKind.BAD_RESPONSE),
        (200, b'{"access_token": "t", "expires_in": {}}', AdapterErrorKind.BAD_RESPONSE),
        (200, b"<html>", AdapterErrorKind.BAD_RESPONSE),
    ],
)
async def test_failed_exchange(status: int, body: bytes, kind: AdapterErrorKind) -> None:
    with pytest.raises(AdapterError) as failed:
        await exchange_token(Answers(HttpResponse(status=status, body=body)), "https://issuer/token", FORM)
    assert failed.value.kind is kind
    assert FORM["client_secret"] not in failed.value.message
