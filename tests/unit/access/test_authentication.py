"""Who calls, told from headers and metadata, and by a ring of keys that follows the store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from rerankd.access.api_key import ApiKey, KeyDetails, new_id
from rerankd.access.authentication import KEY_HEADERS, Authenticator, credentials_of
from rerankd.access.key_format import digest_of, new_secret
from rerankd.access.key_ring import KeyRing
from rerankd.access.stored_keys import LazyStoredKeys
from rerankd.contract.call_context import CallContext
from rerankd.contract.errors import Reason, ServiceError
from rerankd.store.errors import StoreError
from rerankd.store.opening import LazyDatabase
from rerankd.store.settings import StoreSettings
from tests.support.engines import Clock
from tests.support.virtual_time import loop_time, virtual_time

SECRET = new_secret()
OTHER = new_secret()


def key(secret: str = SECRET, **more: Any) -> ApiKey:
    return ApiKey(id=more.pop("id", new_id()), digest=digest_of(secret), **more)


class Shelf:
    """Stored keys in memory, which can fail and hang."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, ApiKey]] = {}
        self.change = 0
        self.reads = 0
        self.error: Exception | None = None
        self.is_hanging = False
        self.delay_s = 0.0

    def put(self, changed: ApiKey) -> None:
        self.change += 1
        self.rows[changed.id] = self.change, changed

    async def changed_since(self, change: int) -> tuple[int, list[ApiKey]]:
        self.reads += 1
        await asyncio.sleep(self.delay_s)
        if self.is_hanging:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.change, [row for at, row in self.rows.values() if at > change]


def call(secret: str | None = SECRET, header: str = "x-api-key") -> CallContext:
    return CallContext("r", metadata={} if secret is None else {header: secret})


async def reason_of(authenticator: Authenticator, context: CallContext) -> Reason:
    with pytest.raises(ServiceError) as refused:
        await authenticator.identify(context)
    assert SECRET not in refused.value.message
    return refused.value.reason


@pytest.mark.parametrize("name", KEY_HEADERS)
@pytest.mark.parametrize("form", ["{}", "Bearer {}", "bearer {}", "BEARER  {}", " {} ", "bEaReR {} "])
def test_a_key_is_taken_from_every_header_in_every_form(name: str, form: str) -> None:
    assert list(credentials_of({name: form.format(SECRET)})) == [SECRET]


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({}, []),
        ({"authorization": ""}, []),
        ({"authorization": "   "}, []),
        ({"authorization": "Bearer"}, []),
        ({"authorization": "Bearer "}, []),
        ({"cookie": SECRET, "proxy-authorization": SECRET}, []),
        ({"authorization": "Basic abc", "x-goog-api-key": "k"}, ["Basic abc", "k"]),
        ({"x-goog-api-key": "4", "api-key": "3", "x-api-key": "2", "authorization": "1"}, ["1", "2", "3", "4"]),
    ],
)
def test_what_is_no_key_is_left_out(metadata: Mapping[str, str], found: list[str]) -> None:
    assert list(credentials_of(metadata)) == found


async def test_callers_without_a_valid_key_are_refused() -> None:
    authenticator = Authenticator(KeyRing([key()]))
    assert await reason_of(authenticator, call(None)) is Reason.API_KEY_MISSING
    assert await reason_of(authenticator, call(OTHER)) is Reason.API_KEY_INVALID
    assert await reason_of(authenticator, call(SECRET[:-1])) is Reason.API_KEY_INVALID
    assert await reason_of(authenticator, call(digest_of(SECRET))) is Reason.API_KEY_INVALID
    assert (await authenticator.identify(call())).caller.key_id


async def test_any_valid_one_of_several_keys_counts() -> None:
    authenticator = Authenticator(KeyRing([key(id="mine")]))
    context = CallContext("r", metadata={"authorization": "Basic dXNlcjpwYXNz", "x-api-key": SECRET})
    assert (await authenticator.identify(context)).caller.key_id == "mine"


async def test_keys_expire() -> None:
    clock = Clock()
    authenticator = Authenticator(KeyRing([key(expires_at=clock.now_s + 10)], clock=clock))
    await authenticator.identify(call())
    clock.now_s += 10
    with pytest.raises(ServiceError, match="has expired"):
        await authenticator.identify(call())


async def test_new_settings_replace_the_declared_keys() -> None:
    ring = KeyRing([key()])
    ring.declare([key(OTHER)])
    assert await reason_of(Authenticator(ring), call()) is Reason.API_KEY_INVALID
    await Authenticator(ring).identify(call(OTHER))


@virtual_time
async def test_a_revoked_key_stops_within_the_bound_and_a_new_one_works_at_once() -> None:
    shelf = Shelf()
    ring = KeyRing([], shelf, revoked_within_s=5)
    await ring.start()
    authenticator = Authenticator(ring)
    stored = key()
    shelf.put(stored)
    await authenticator.identify(call())
    shelf.put(replace(stored, revoked_at=1.0))
    await asyncio.sleep(5)
    assert await reason_of(authenticator, call()) is Reason.API_KEY_INVALID
    await ring.close()


@virtual_time
async def test_a_rotated_key_works_until_its_overlap_ends() -> None:
    clock, shelf = Clock(), Shelf()
    ring = KeyRing([], shelf, clock=clock)
    authenticator = Authenticator(ring)
    shelf.put(key(OTHER, old_digest=digest_of(SECRET), old_expires_at=clock.now_s + 60))
    await authenticator.identify(call())
    await authenticator.identify(call(OTHER))
    clock.now_s += 60
    assert await reason_of(authenticator, call()) is Reason.API_KEY_INVALID
    await authenticator.identify(call(OTHER))
    await ring.close()


@virtual_time
async def test_unknown_keys_ask_the_store_at_most_four_times_a_second() -> None:
    shelf = Shelf()
    ring = KeyRing([], shelf)
    authenticator = Authenticator(ring)
    began_s = loop_time()
    for _ in range(5):
        await asyncio.gather(*(reason_of(authenticator, call(new_secret())) for _ in range(200)))
    assert shelf.reads <= 5
    assert loop_time() - began_s < 5 * 0.26
    await ring.close()


@virtual_time
async def test_a_store_that_takes_a_while_is_waited_for() -> None:
    shelf = Shelf()
    ring = KeyRing([], shelf, revoked_within_s=0.5)
    await ring.start()
    made = key()
    shelf.put(made)
    shelf.delay_s = 2.0
    assert (await Authenticator(ring).identify(call())).caller.key_id == made.id
    await ring.close()


@pytest.mark.parametrize("is_hanging", [False, True])
@virtual_time
async def test_keys_of_a_store_that_is_away_are_taken_for_a_while(is_hanging: bool) -> None:
    shelf = Shelf()
    shelf.put(key())
    ring = KeyRing([key(OTHER)], shelf, revoked_within_s=2, stale_for_s=60)
    await ring.start()
    authenticator = Authenticator(ring)
    with capture_logs() as logs:
        shelf.is_hanging, shelf.error = is_hanging, StoreError("away")
        await asyncio.sleep(50)
        await authenticator.identify(call())
        await asyncio.sleep(20)
        assert await reason_of(authenticator, call()) is Reason.ACCESS_UNAVAILABLE
        await authenticator.identify(call(OTHER))
        shelf.is_hanging, shelf.error = False, None
        await asyncio.sleep(3)
        await authenticator.identify(call())
    await ring.close()
    assert [entry["event"] for entry in logs] == ["API keys cannot be read", "API keys can be read again"]


@pytest.mark.parametrize("is_hanging", [False, True])
@virtual_time
async def test_a_key_that_may_be_in_a_store_that_cannot_be_read_is_not_called_unknown(is_hanging: bool) -> None:
    shelf = Shelf()
    ring = KeyRing([key(OTHER)], shelf)
    await ring.start()
    authenticator = Authenticator(ring)
    shelf.put(key())
    shelf.is_hanging, shelf.error = is_hanging, StoreError("away")
    with pytest.raises(ServiceError) as refused:
        await authenticator.identify(call())
    assert (refused.value.reason, refused.value.http_status) == (Reason.ACCESS_UNAVAILABLE, 503)
    assert refused.value.retry_after_s == 1
    await authenticator.identify(call(OTHER))
    shelf.is_hanging, shelf.error = False, None
    await authenticator.identify(call())
    assert await reason_of(authenticator, call(new_secret())) is Reason.API_KEY_INVALID
    await ring.close()


@virtual_time
async def test_another_store_in_the_same_place_is_read_from_its_beginning() -> None:
    shelf = Shelf()
    for _ in range(5):
        shelf.put(key())
    ring = KeyRing([], shelf)
    await ring.start()
    shelf.rows.clear()
    shelf.change = 0
    shelf.put(key(OTHER))
    await asyncio.sleep(3)
    authenticator = Authenticator(ring)
    assert await reason_of(authenticator, call()) is Reason.API_KEY_INVALID
    await authenticator.identify(call(OTHER))
    await ring.close()


async def test_reading_creates_no_file_and_finds_one_that_comes_later(tmp_path: Path) -> None:
    settings = StoreSettings(state_dir=str(tmp_path / "state"))
    databases = [LazyDatabase(settings), LazyDatabase(settings)]
    reader, writer = map(LazyStoredKeys, databases)
    assert await reader.changed_since(0) == (0, [])
    assert not (tmp_path / "state").exists()
    stored = key(details=KeyDetails(name="n"))
    assert await (await writer.table()).add([stored]) == []
    assert await reader.changed_since(0) == (1, [stored])
    for each in databases:
        await each.close()
