"""Tokens against an issuer on the loopback interface: what is taken, what is refused, and how its keys are followed."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from structlog.testing import capture_logs

from rerankd.access.api_key import ApiKey
from rerankd.access.authentication import Authenticator
from rerankd.access.grant import Grant
from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.key_ring import KeyRing
from rerankd.access.scopes import Scope
from rerankd.access.tokens import verification
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.access.tokens.shape import MAX_CHARS, is_token
from rerankd.access.tokens.verification import TokenVerifier
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd_adapters.testing import LoopbackServer, ScriptedResponse
from tests.support.engines import Clock
from tests.support.issuer import AUDIENCE, Issuer, private_key, public_jwk


class Checked:
    """A verifier of the tokens of one issuer, its clocks, and the issuer's server."""

    def __init__(self, issuer: Issuer, server: LoopbackServer, verifier: TokenVerifier, clocks: tuple[Clock, Clock]):
        self.issuer = issuer
        self.server = server
        self.verifier = verifier
        self.wall, self.clock = clocks

    async def grant(self, token: str) -> Grant:
        return await self.verifier.verify(token)

    async def problem(self, token: str) -> str:
        """Return why a token is refused."""
        with pytest.raises(ServiceError) as refused:
            await self.verifier.verify(token)
        error = refused.value
        assert not any(part in error.message for part in token.split(".") if len(part) > 8)
        assert error.http_status == (503 if error.reason is Reason.ACCESS_UNAVAILABLE else 401)
        return error.metadata["problem"] if error.reason is Reason.TOKEN_INVALID else error.reason

    def readings(self) -> int:
        """Return how often the keys were asked for."""
        return sum(request.path == "/keys" for request in self.server.received)


@asynccontextmanager
async def checking(*keys: dict[str, Any], **settings: Any) -> AsyncIterator[Checked]:
    issuer = Issuer(*keys)
    transport = open_transport(TransportSettings(client="loop"))
    async with LoopbackServer(issuer.respond) as server:
        issuer.url = server.url
        declared = TokenIssuer(**{"name": "idp", "issuer": issuer.url, "audience": (AUDIENCE,), **settings})
        wall, clock = Clock(), Clock()
        wall.now_s = time.time()
        verifier = TokenVerifier([declared], lambda: transport, wall, clock)
        yield Checked(issuer, server, verifier, (wall, clock))
        verifier.stop()
        await transport.close()


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.mark.parametrize("kind", ["RS256", "RS384", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
@pytest.mark.parametrize("is_named", [True, False])
async def test_every_signature_that_is_allowed_is_verified(kind: str, is_named: bool) -> None:
    key = public_jwk("first", kind, **({} if is_named else {"kid": None, "alg": None, "use": None}))
    async with checking(key, algorithms=(kind,)) as checked:
        grant = await checked.grant(checked.issuer.token(kind=kind, headers=None if is_named else {"kid": None}))
    assert grant.caller.identity == "idp:ann"
    assert grant.caller.key_id == ""
    assert grant.scopes == {Scope.RERANK, Scope.MODELS}


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"lives_s": -60}, "expired"),
        ({"lives_s": None}, "claim"),
        ({"nbf": 9_999_999_999}, "not_yet_valid"),
        ({"iat": 9_999_999_999}, "not_yet_valid"),
        ({"aud": "another"}, "audience"),
        ({"aud": ["another", "one more"]}, "audience"),
        ({"aud": None}, "audience"),
        ({"iss": "https://elsewhere.example"}, "issuer"),
        ({"iss": None}, "malformed"),
        ({"sub": None}, "claim"),
        ({"sub": ""}, "claim"),
        ({"sub": "a\nb"}, "claim"),
        ({"sub": "a" * 301}, "claim"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": [1]}, "malformed"),
        ({"key": "second"}, "key"),
        ({"key": "second", "headers": {"kid": "first"}}, "signature"),
        ({"kind": "RS512"}, "algorithm"),
    ],
)
async def test_other_tokens_are_refused_with_the_reason(claims: dict[str, Any], problem: str) -> None:
    async with checking() as checked:
        assert await checked.problem(checked.issuer.token(**claims)) == problem


async def test_clocks_may_differ_by_the_leeway() -> None:
    async with checking(leeway_s=60) as checked:
        await checked.grant(checked.issuer.token(lives_s=-50))
        await checked.grant(checked.issuer.token(nbf=int(time.time()) + 50))
        assert await checked.problem(checked.issuer.token(lives_s=-70)) == "expired"


def forged(issuer: Issuer, algorithm: str, secret: bytes | None) -> str:
    """Make a token that is signed with a shared secret, or not at all."""
    good = issuer.token().split(".")
    signed = f"{part({'alg': algorithm, 'kid': 'first', 'typ': 'JWT'})}.{good[1]}"
    return f"{signed}.{'' if secret is None else part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


async def test_no_token_chooses_how_it_is_verified() -> None:
    public = private_key("first").public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    async with checking(public_jwk("first"), public_jwk("curve", "ES256")) as checked:
        for name in ("none", "None", "NONE", "nOnE", ""):
            assert await checked.problem(forged(checked.issuer, name, None)) == "algorithm"
        for name in ("HS256", "HS384", "HS512"):
            assert await checked.problem(forged(checked.issuer, name, pem)) == "algorithm"
        assert await checked.problem(checked.issuer.token("curve", "ES256", {"kid": "first"})) == "key"
        assert await checked.problem(checked.issuer.token("first", "RS256", {"kid": "curve"})) == "key"
        for headers in (
            {"jwk": public_jwk("second")},
            {"jku": "https://elsewhere.example"},
            {"x5u": "https://x.example"},
        ):
            assert (
                await checked.problem(checked.issuer.token("second", headers={"kid": "first", **headers}))
                == "signature"
            )
        assert await checked.problem(checked.issuer.token(headers={"crit": ["exp"], "exp": 1})) == "malformed"
        assert {request.path for request in checked.server.received} == {"/.well-known/openid-configuration", "/keys"}


async def test_a_token_is_refused_when_anything_of_it_is_changed() -> None:
    async with checking() as checked:
        header, payload, signature = checked.issuer.token().split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        raised = part({**claims, "scope": "admin"})
        assert await checked.problem(f"{header}.{raised}.{signature}") == "signature"
        assert await checked.problem(f"{header}.{payload}.") in ("signature", "malformed")
        assert await checked.problem(f"{header}.{payload}.{'A' * len(signature)}") == "signature"
        assert await checked.problem(f"{header}.{payload}.{signature[:-4]}") in ("signature", "malformed")


@pytest.mark.parametrize(
    "token",
    [
        "eyJ..",
        "eyJ.a.b",
        "eyJhbGciOiJSUzI1NiJ9..",
        f"eyJhbGciOiJSUzI1NiJ9.{part([])}.a",
        f"eyJhbGciOiJSUzI1NiJ9.{part(b'{')}.a",
        f"{part({'alg': 5})}.{part({'iss': 'a'})}.a",
        f"{part({'alg': 'RS256', 'kid': ['first']})}.{part({'iss': 'a'})}.a",
        f"{part({'alg': 'RS256'})}.{part({'iss': {'a': 1}})}.a",
        f"eyJhbGciOiJSUzI1NiJ9.{part(b'[' * 10_000)}.a",
        f"{part(b'{' + b'{' * 3000)}.{part({'iss': 'a'})}.a",
        f"eyJhbGciOiJSUzI1NiJ9.{part({'iss': 'é'})}é.\ud800",
        "eyJhbGciOiJSUzI1NiJ9." + part(b'{"iss": "a", "exp": 1e999}') + ".a",
    ],
)
async def test_what_is_no_token_is_refused(token: str) -> None:
    async with checking() as checked:
        assert await checked.problem(token) in ("malformed", "issuer")
        assert checked.readings() == 0


async def test_a_huge_token_is_not_read() -> None:
    async with checking() as checked:
        token = checked.issuer.token(groups=["x" * 100] * 1000)
        assert len(token) > MAX_CHARS
        assert await checked.problem(token) == "too_long"
        large = checked.issuer.token(groups=[f"group-{number}" for number in range(800)])
        assert len((await checked.grant(large)).caller.groups) == 200


async def test_a_key_set_has_only_keys_that_can_be_trusted() -> None:
    oct_key = {"kty": "oct", "kid": "secret", "k": part(b"x" * 32), "alg": "HS256"}
    encrypting = public_jwk("encrypting", use="enc")
    private = {**public_jwk("private"), "d": "AQAB"}
    broken = {**public_jwk("broken"), "n": "!"}
    keys: tuple[dict[str, Any], ...] = (
        oct_key,
        encrypting,
        private,
        broken,
        public_jwk("short"),
        {"kty": "RSA"},
        {},
        public_jwk("first"),
    )
    async with checking(*keys) as checked:
        await checked.grant(checked.issuer.token())
        for name in ("encrypting", "private", "broken", "short"):
            assert await checked.problem(checked.issuer.token(headers={"kid": name})) == "key"


async def test_claims_become_identity_scopes_groups_and_models() -> None:
    names = {"rank-users": ("rerank",), "rank-admins": ("admin", "models")}
    settings = {
        "identity_claim": "user.mail",
        "scopes_claim": "https://example.com/roles",
        "scope_names": names,
        "groups": ("staff",),
        "groups_claim": "realm.groups",
        "models": ("cohere/*",),
    }
    claims: dict[str, Any] = {
        "user": {"mail": "ann@example.com"},
        "https://example.com/roles": ["rank-admins", "admin", "rerank", 7],
        "realm": {"groups": ["search", "", 3, "staff", "x" * 201, "a\nb"]},
    }
    async with checking(**settings) as checked:
        grant = await checked.grant(checked.issuer.token(**claims))
        assert grant.caller.identity == "idp:ann@example.com"
        assert grant.scopes == {"admin", "models"}
        assert grant.caller.groups == ("staff", "search")
        assert grant.allows_model("cohere/rerank")
        assert not grant.allows_model("local/bm25")


async def test_a_scope_that_is_none_of_ours_gives_nothing() -> None:
    async with checking(scopes=("models",)) as checked:
        grant = await checked.grant(checked.issuer.token(scope="openid profile Rerank rerank.all"))
        assert grant.scopes == {"models"}
        assert (await checked.grant(checked.issuer.token(scope={"rerank": 1}))).scopes == {"models"}


async def test_required_claims_must_have_their_text() -> None:
    async with checking(required_claims={"hd": "*.example.com", "verified": "true"}) as checked:
        await checked.grant(checked.issuer.token(hd="eu.example.com", verified=True))
        for claims in ({}, {"hd": "example.org", "verified": True}, {"hd": "eu.example.com"}, {"hd": 5}):
            assert await checked.problem(checked.issuer.token(**claims)) == "claim"


async def test_a_token_is_verified_once_and_ends_with_its_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    decode = jwt.decode

    def counted(token: str, *values: Any, **named: Any) -> Any:
        verified.append(token)
        return decode(token, *values, **named)

    monkeypatch.setattr(jwt, "decode", counted)
    async with checking() as checked:
        token = checked.issuer.token(lives_s=100)
        grant = await checked.grant(token)
        for _ in range(50):
            assert await checked.grant(token) is grant
        assert len(verified) == 1
        checked.wall.now_s += 131
        await checked.grant(token)  # the library's own clock still takes it
        assert len(verified) == 2


async def test_as_many_tokens_are_kept_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "MAX_KEPT", 3)
    async with checking() as checked:
        tokens = [checked.issuer.token(sub=f"caller-{number}") for number in range(5)]
        first = await checked.grant(tokens[0])
        assert await checked.grant(tokens[0]) is first
        for token in tokens[1:]:
            await checked.grant(token)
        assert await checked.grant(tokens[0]) is not first


async def test_a_new_key_is_found_and_one_that_is_gone_ends_its_tokens() -> None:
    async with checking() as checked:
        old = checked.issuer.token()
        await checked.grant(old)
        checked.issuer.keys = [public_jwk("second")]
        new = checked.issuer.token("second")
        assert await checked.problem(new) == "key"
        checked.clock.now_s += 30
        await checked.grant(new)
        assert await checked.problem(old) == "key"
        assert checked.readings() == 2


async def test_unknown_keys_do_not_make_the_issuer_be_asked_again_and_again() -> None:
    async with checking() as checked:
        await checked.grant(checked.issuer.token())
        tokens = [checked.issuer.token(headers={"kid": f"made-up-{number}"}) for number in range(50)]
        for _ in range(3):
            checked.clock.now_s += 30
            assert set(await asyncio.gather(*(checked.problem(token) for token in tokens))) == {"key"}
        assert checked.readings() == 4
        await checked.grant(checked.issuer.token())


@pytest.mark.parametrize(
    "fault",
    [
        ScriptedResponse.of_json({}, status=500),
        ScriptedResponse.of_json({}, status=302, headers={"location": "http://127.0.0.1/keys"}),
        ScriptedResponse.of_json({"keys": []}),
        ScriptedResponse.of_json([]),
        ScriptedResponse(body=b"<html>"),
        ScriptedResponse(body=b"[" * 100_000),
        ScriptedResponse(body=b" " * 1_100_000),
        ScriptedResponse(breaks_after_bytes=-1),
    ],
)
async def test_the_keys_of_an_issuer_that_is_away_are_taken_for_a_while(fault: ScriptedResponse) -> None:
    async with checking(stale_for_s=600) as checked:
        known = checked.issuer.token()
        await checked.grant(known)
        checked.issuer.fault = fault
        with capture_logs() as logs:
            for _ in range(3):
                checked.clock.now_s += 100
                assert await checked.problem(checked.issuer.token("second")) == "key"
                await checked.grant(known)
                await checked.grant(checked.issuer.token(sub="somebody new"))
            checked.clock.now_s += 301
            assert await checked.problem(known) == Reason.ACCESS_UNAVAILABLE
            assert await checked.problem(checked.issuer.token()) == Reason.ACCESS_UNAVAILABLE
            checked.issuer.fault = None
            checked.clock.now_s += 30
            await checked.grant(known)
        assert [entry["event"] for entry in logs] == [
            "keys of a token issuer cannot be read",
            "keys of a token issuer can be read again",
        ]


async def test_without_keys_nothing_is_believed_and_the_issuer_is_left_in_peace() -> None:
    async with checking() as checked:
        checked.issuer.fault = ScriptedResponse.of_json({}, status=503)
        problems = await asyncio.gather(*(checked.problem(checked.issuer.token(sub=str(n))) for n in range(20)))
        assert set(problems) == {Reason.ACCESS_UNAVAILABLE}
        assert len(checked.server.received) == 1
        checked.issuer.fault = None
        checked.clock.now_s += 30
        await checked.grant(checked.issuer.token())


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://elsewhere.example"},
        {"jwks_uri": "http://elsewhere.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 5},
    ],
)
async def test_a_discovery_document_must_be_that_of_the_issuer(discovery: dict[str, Any]) -> None:
    async with checking() as checked:
        checked.issuer.discovery = discovery
        assert await checked.problem(checked.issuer.token()) == Reason.ACCESS_UNAVAILABLE
        assert checked.readings() == 0


async def test_keys_are_read_where_the_settings_say() -> None:
    async with checking(issuer="urn:example:issuer") as unreachable:
        assert await unreachable.problem(unreachable.issuer.token(iss="urn:example:issuer")) == "ACCESS_UNAVAILABLE"
        named = TokenIssuer(
            name="other", issuer="urn:other", audience=(AUDIENCE,), jwks_url=f"{unreachable.server.url}/keys"
        )
        unreachable.verifier.use([named])
        grant = await unreachable.grant(unreachable.issuer.token(iss="urn:other"))
        assert grant.caller.identity == "other:ann"
        assert await unreachable.problem(unreachable.issuer.token(iss="urn:example:issuer")) == "issuer"


async def test_new_settings_end_what_the_old_ones_had_verified() -> None:
    async with checking() as checked:
        token = checked.issuer.token(scope="admin")
        await checked.grant(token)
        settings = TokenIssuer(
            name="idp", issuer=checked.issuer.url, audience=(AUDIENCE,), scope_names={"a": ("rerank",)}
        )
        checked.verifier.use([settings])
        assert (await checked.grant(token)).scopes == set()
        checked.verifier.use([])
        assert await checked.problem(token) == "issuer"


async def test_keys_are_read_at_the_start_and_again() -> None:
    async with checking(refresh_s=30) as checked:
        checked.verifier.start()
        await asyncio.wait_for(checked.server.first_request.wait(), 10)
        await checked.grant(checked.issuer.token())
        assert checked.readings() == 1


@pytest.mark.parametrize(
    ("credential", "is_one"),
    [
        ("eyJhbGciOiJSUzI1NiJ9.e30.c2ln", True),
        ("rerankd_abc", False),
        ("eyJ.a", False),
        ("a.b.c", False),
        ("eyJ.a.b.c", False),
    ],
)
def test_a_token_is_told_by_its_form(credential: str, is_one: bool) -> None:
    assert is_token(credential) is is_one


async def test_a_key_that_is_known_wins_over_a_token() -> None:
    secret = new_secret()
    async with checking() as checked:
        ring = KeyRing([ApiKey(id="mine", digest=digest_of(secret))])
        authenticator = Authenticator(ring, checked.verifier)
        token, expired = checked.issuer.token(), checked.issuer.token(lives_s=-60)

        async def caller(**metadata: str) -> str:
            sent = {name.replace("_", "-"): value for name, value in metadata.items()}
            return (await authenticator.identify(CallContext("r", metadata=sent))).caller.identity

        assert await caller(authorization=f"Bearer {token}") == "idp:ann"
        assert await caller(x_api_key=token) == "idp:ann"
        assert await caller(authorization=f"Bearer {token}", x_api_key=secret) == "mine"
        assert await caller(authorization=f"Bearer {expired}", x_api_key=secret) == "mine"
        assert await caller(authorization=f"Bearer {token}", x_api_key=new_secret()) == "idp:ann"
        assert await caller(authorization="Bearer eyJ.of.another", x_api_key=token) == "idp:ann"
        with pytest.raises(ServiceError, match="expired"):
            await caller(authorization=f"Bearer {expired}", x_api_key="eyJ.of.another")
        with pytest.raises(ServiceError) as refused:
            await caller(authorization=f"Bearer {expired}", x_api_key=new_secret())
        assert refused.value.reason is Reason.TOKEN_INVALID
        with pytest.raises(ServiceError) as refused:
            await Authenticator(ring).identify(CallContext("r", metadata={"authorization": token}))
        assert refused.value.reason is Reason.API_KEY_INVALID
