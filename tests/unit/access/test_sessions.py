"""Sessions of browsers: what opens, resumes and ends them, and who cannot."""

from __future__ import annotations

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from structlog.testing import capture_logs

from rerankd.access.api_key import ApiKey, KeyDetails
from rerankd.access.authentication import Authenticator
from rerankd.access.grant import Grant
from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.key_ring import KeyRing
from rerankd.access.sessions.cookie import SessionCookie
from rerankd.access.sessions.ended_sessions import EndedSessions
from rerankd.access.sessions.secret import FILE_NAME, SessionSecret
from rerankd.access.sessions.sessions import Session, Sessions
from rerankd.access.sessions.settings import SessionSettings
from rerankd.access.tokens.settings import TokenIssuer
from rerankd.access.tokens.verified import VerifiedToken
from rerankd.contract.call_context import CallContext, Caller, SessionCredentials
from rerankd.contract.errors import Reason, ServiceError
from rerankd.contract.service import Services
from rerankd.gateway.app import SERVED_ROUTES
from rerankd.gateway.client_rerankers import CLIENT_ROUTES
from rerankd.gateway.session_cookie import session_of, takes_sessions
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings
from tests.support.engines import Clock

KEY = new_secret()
ISSUER = TokenIssuer(name="idp", issuer="https://login.example", audience=("a",), models=("cohere/*",))


def key(secret: str = KEY, **more: Any) -> ApiKey:
    details = KeyDetails(name="n", owner="team", group="g", scopes=("admin",))
    return ApiKey(**{"id": "mine", "digest": digest_of(secret), "details": details, **more})


class Opened:
    """Sessions over a store in a folder, with clocks of their own."""

    def __init__(self, folder: Path, *keys: ApiKey, secret: str = "", is_secure: bool = False) -> None:
        self.wall, self.clock = Clock(), Clock()
        self.wall.now_s = float(int(time.time()))
        self.ring = KeyRing(keys or [key()], clock=self.wall)
        self.database = LazyDatabase(StoreSettings(state_dir=str(folder)))
        self.ended = EndedSessions(
            self.database, known_within_s=2.5, stale_for_s=60, clock=self.wall, monotonic=self.clock
        )
        self.issuers = {"idp": ISSUER}
        self.secret = SessionSecret(secret, folder)
        self.cookie = SessionCookie(self.secret, is_secure=is_secure)
        self.sessions = Sessions(
            SessionSettings(idle_s=600, lasts_s=3600),
            self.cookie,
            self.secret,
            ring=self.ring,
            issuers=lambda: self.issuers,
            ended=self.ended,
            clock=self.wall,
        )

    async def by_key(self, secret: str = KEY) -> Session:
        call = CallContext("r", metadata={"x-api-key": secret})
        return self.sessions.open_by_key(secret, await Authenticator(self.ring).identify(call))

    async def problem(self, given: SessionCredentials) -> str:
        with pytest.raises(ServiceError) as refused:
            await self.sessions.resume(given)
        error = refused.value
        if error.reason is Reason.SESSION_INVALID:
            assert error.response_metadata["set-cookie"].endswith("Max-Age=0")
            return error.metadata["problem"]
        return error.reason


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return Opened(tmp_path / "state")


def value_of(session: Session) -> str:
    assert session.set_cookie is not None
    return session.set_cookie.partition(";")[0].partition("=")[2]


def given(session: Session, *, is_safe: bool = True, csrf_token: str = "") -> SessionCredentials:
    return SessionCredentials(value_of(session), csrf_token, is_safe)


async def test_a_session_has_the_rights_of_its_key(opened: Opened) -> None:
    session = await opened.by_key()
    found = await opened.sessions.resume(given(session))
    assert found.grant.caller == Caller("team", "mine", ("g",))
    assert found.grant.scopes == {"admin"}
    assert found.set_cookie is None
    assert found.csrf_token == session.csrf_token
    authenticator = Authenticator(opened.ring, sessions=opened.sessions)
    assert (await authenticator.identify(CallContext("r", session=given(session)))).caller.key_id == "mine"


async def test_a_cookie_says_nothing_of_the_key(opened: Opened) -> None:
    claims = jwt.decode(value_of(await opened.by_key()), options={"verify_signature": False})
    assert claims.keys() == {"id", "seen", "end", "key", "mark"}
    assert claims["mark"] not in (KEY, digest_of(KEY))
    assert len(claims["id"]) >= 22


def test_cookies_are_kept_from_scripts_other_sites_and_plain_http(tmp_path: Path) -> None:
    plain, secure = Opened(tmp_path), Opened(tmp_path, is_secure=True)
    assert plain.cookie.clearing_header() == "rerankd_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    cleared = "__Host-rerankd_session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"
    assert secure.cookie.clearing_header() == cleared


async def test_what_changes_something_needs_the_token_of_the_session(opened: Opened) -> None:
    session, other = await opened.by_key(), await opened.by_key()
    for token in ("", "a", session.csrf_token[:-1], session.csrf_token.lower(), other.csrf_token, "\ud800é"):
        assert await opened.problem(given(session, is_safe=False, csrf_token=token)) == Reason.CSRF_TOKEN_INVALID
    await opened.sessions.resume(given(session, is_safe=False, csrf_token=session.csrf_token))


async def test_sessions_end_when_idle_and_in_any_case(opened: Opened) -> None:
    session = await opened.by_key()
    opened.wall.now_s += 599
    renewed = await opened.sessions.resume(given(session))
    assert renewed.set_cookie is not None
    assert renewed.set_cookie.endswith("Max-Age=600")
    opened.wall.now_s += 1
    assert await opened.problem(given(session)) == "expired"
    for _ in range(6):
        opened.wall.now_s += 480
        renewed = await opened.sessions.resume(given(renewed))
    assert renewed.idle_ends_at == renewed.claims.end == session.claims.end
    opened.wall.now_s += 120
    assert await opened.problem(given(renewed)) == "expired"


async def test_a_cookie_is_renewed_now_and_then(opened: Opened) -> None:
    session = await opened.by_key()
    opened.wall.now_s += 59
    assert (await opened.sessions.resume(given(session))).set_cookie is None
    opened.wall.now_s += 1
    call = CallContext("r", session=given(session))
    await Authenticator(opened.ring, sessions=opened.sessions).identify(call)
    assert call.response_metadata["set-cookie"].startswith("rerankd_session=ey")


async def test_cookies_that_are_forged_or_changed_are_refused(opened: Opened) -> None:
    session = await opened.by_key()
    value = value_of(session)
    claims = jwt.decode(value, options={"verify_signature": False})
    signing = opened.secret.key("cookie")
    forged = [
        "",
        "a",
        "a.b.c",
        value[:-2],
        value + "a",
        value.replace(".", ".a", 1),
        "x" * 100_000,
        jwt.encode(claims, b"k" * 32, "HS256"),
        jwt.encode(claims, "", "none"),
        jwt.encode(claims, signing + signing, "HS512"),
        jwt.encode(claims | {"more": 1}, signing, "HS256"),
        jwt.encode(claims | {"end": "later"}, signing, "HS256"),
        jwt.encode({"id": "a"}, signing, "HS256"),
        jwt.encode(claims, opened.secret.key("csrf"), "HS256"),
    ]
    for cookie in forged:
        assert await opened.problem(SessionCredentials(cookie, is_safe=True)) == "unreadable", cookie[:50]
    await opened.sessions.resume(given(session))


async def test_a_session_ends_with_its_key(opened: Opened) -> None:
    session = await opened.by_key()
    opened.ring.declare([])
    assert await opened.problem(given(session)) == "credential"
    opened.ring.declare([key(new_secret())])
    assert await opened.problem(given(session)) == "credential"
    opened.ring.declare([key(expires_at=opened.wall.now_s + 10)])
    await opened.sessions.resume(given(session))
    opened.wall.now_s += 10
    assert await opened.problem(given(session)) == "credential"


async def test_a_session_has_the_rights_that_its_key_has_now(opened: Opened) -> None:
    session = await opened.by_key()
    opened.ring.declare([key(details=KeyDetails(name="n", scopes=("models",)))])
    assert (await opened.sessions.resume(given(session))).grant.scopes == {"models"}


async def test_a_session_of_a_token_has_its_rights_and_ends_with_it(opened: Opened) -> None:
    grant = Grant(Caller("idp:ann", groups=("g", "h")), ("admin", "models"), ISSUER.models)
    session = opened.sessions.open_by_token(VerifiedToken(grant, ISSUER, opened.wall.now_s + 300))
    found = (await opened.sessions.resume(given(session))).grant
    assert (found.caller, found.scopes) == (grant.caller, grant.scopes)
    assert not found.allows_model("local/bm25")
    opened.issuers = {}
    assert await opened.problem(given(session)) == "credential"
    opened.issuers = {"idp": ISSUER}
    opened.wall.now_s += 300
    assert await opened.problem(given(session)) == "expired"


async def test_a_token_with_too_many_groups_for_a_cookie_opens_no_session(opened: Opened) -> None:
    grant = Grant(Caller("idp:ann", groups=tuple(f"group-{number:050}" for number in range(100))), ("admin",))
    with pytest.raises(ServiceError, match="more groups") as refused:
        opened.sessions.open_by_token(VerifiedToken(grant, ISSUER, opened.wall.now_s + 300))
    assert refused.value.reason is Reason.INVALID_REQUEST


async def test_an_ended_session_stays_ended_here_at_once_and_elsewhere_within_the_bound(tmp_path: Path) -> None:
    here, there = Opened(tmp_path), Opened(tmp_path)
    session, other = await here.by_key(), await here.by_key()
    await there.sessions.resume(given(session))
    with pytest.raises(ServiceError) as refused:
        await here.sessions.end(given(session, is_safe=False, csrf_token="wrong"))
    assert refused.value.reason is Reason.CSRF_TOKEN_INVALID
    await here.sessions.end(given(session, is_safe=False, csrf_token=session.csrf_token))
    assert await here.problem(given(session)) == "ended"
    await there.sessions.resume(given(session))
    there.clock.now_s += 2.5
    assert await there.problem(given(session)) == "ended"
    for each in (here, there):
        await each.sessions.resume(given(other))
        await each.database.close()


async def test_nothing_is_stored_before_a_session_is_ended(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "state")
    assert await opened.problem(SessionCredentials("a.b.c", is_safe=True)) == "unreadable"
    assert not (tmp_path / "state").exists()
    await opened.sessions.resume(given(await opened.by_key()))
    assert [file.name for file in (tmp_path / "state").iterdir()] == [FILE_NAME]
    with_secret = Opened(tmp_path / "other", secret=new_secret())
    await with_secret.sessions.resume(given(await with_secret.by_key()))
    assert not (tmp_path / "other").exists()


async def test_a_store_that_is_away_is_borne_for_a_while(tmp_path: Path) -> None:
    opened = Opened(tmp_path)
    session, other = await opened.by_key(), await opened.by_key()
    await opened.sessions.end(given(other, is_safe=False, csrf_token=other.csrf_token))
    await opened.sessions.resume(given(session))
    (tmp_path / "rerankd.db").write_bytes(b"no database" * 100)
    for name in ("rerankd.db-wal", "rerankd.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    away = Opened(tmp_path)
    away.clock.now_s = opened.clock.now_s
    with capture_logs() as logs:
        assert await away.problem(given(session)) == Reason.ACCESS_UNAVAILABLE
        with pytest.raises(ServiceError) as refused:
            await away.sessions.end(given(session, is_safe=False, csrf_token=session.csrf_token))
        assert refused.value.reason is Reason.ACCESS_UNAVAILABLE
    assert [entry["event"] for entry in logs] == ["ended sessions cannot be read"]
    for each in (opened, away):
        each.sessions.stop()
        await each.database.close()


def test_a_secret_is_made_once_for_all_workers_and_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: SessionSecret("", folder).key("cookie"), range(32)))
    assert len(set(made)) == 1
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SessionSecret("", folder).key("csrf") != made[0]
    assert SessionSecret(new_secret(), folder).key("cookie") != made[0]


@pytest.mark.parametrize("fault", ["open to others", "cut", "a folder"])
def test_a_secret_that_cannot_be_trusted_is_not_used(tmp_path: Path, fault: str) -> None:
    file = tmp_path / FILE_NAME
    if fault == "a folder":
        file.mkdir()
    else:
        file.write_text("ab" * (32 if fault == "open to others" else 3))
        file.chmod(0o644 if fault == "open to others" else 0o600)
    with pytest.raises(ServiceError, match="cannot be used") as refused:
        SessionSecret("", tmp_path).key("cookie")
    assert refused.value.reason is Reason.ACCESS_UNAVAILABLE


def test_a_cookie_is_found_among_others() -> None:
    def found(sent: str | None, method: str = "GET", name: str = "s") -> object:
        headers = {"x-csrf-token": "t"} if sent is None else {"x-csrf-token": "t", "cookie": sent}
        session = session_of(headers, method, name)
        return None if session is None else msgspec.structs.astuple(session)

    assert found("s=a") == ("a", "t", True)
    assert found(" a=b; s=a ;c") == ("a", "t", True)
    assert found("s=a", method="DELETE") == ("a", "t", False)
    assert found("s=a", method="PROPFIND") == ("a", "t", False)
    for sent in (None, "", ";", "s", "s=", "xs=a", "S=a", "s =", "a=s=b"):
        assert found(sent) is None, sent
    assert found("s=a", name="") is None


def test_sessions_count_on_every_route_that_manages() -> None:
    taking = {route.template for route in SERVED_ROUTES if takes_sessions(route)}
    managing = {name for name in Services._fields if not name.startswith("rerank_service")}
    assert managing == {"access_service", "evaluation_service", "reranker_service"}
    assert {route.template for route in SERVED_ROUTES if route.service in managing} | {"/api/v1/models"} == taking
    assert taking.isdisjoint(route.template for route in CLIENT_ROUTES)


async def test_a_key_in_a_header_counts_before_the_session(opened: Opened) -> None:
    other = new_secret()
    session = await opened.by_key()
    opened.ring.declare([key(), key(other, id="other")])
    authenticator = Authenticator(opened.ring, sessions=opened.sessions)
    call = CallContext("r", metadata={"x-api-key": other}, session=given(session, is_safe=False))
    assert (await authenticator.identify(call)).caller.key_id == "other"
    with pytest.raises(ServiceError) as refused:
        await authenticator.identify(CallContext("r", session=given(session, is_safe=False)))
    assert refused.value.reason is Reason.CSRF_TOKEN_INVALID
