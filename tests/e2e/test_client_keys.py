"""`client.keys` of the Python client, blocking and asynchronous, against a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rerankd.access.key_format import digest_of, new_secret
from rerankd_client import (
    AlreadyExists,
    AsyncRerankClient,
    ExistingKey,
    FailedPrecondition,
    InvalidRequest,
    KeySource,
    NotFound,
    PermissionDenied,
    RerankClient,
)
from tests.e2e.test_access_service import SECRETS, settings_file
from tests.support.server import ServerProcess

FOREVER = datetime(2999, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess("--config", settings_file(tmp_path_factory.mktemp("client_keys")))
    yield process
    assert process.stop() == 0


def test_keys_are_managed(guarded: ServerProcess) -> None:
    with RerankClient(guarded.grpc_address, api_key=SECRETS["admin"]) as client:
        made = client.keys.create("search", owner="team", tags=["a"], scopes=["rerank"], expires_at=FOREVER)
        assert (made.key.name, made.key.owner, made.key.tags, made.key.scopes) == (
            "search",
            "team",
            ("a",),
            ("rerank",),
        )
        assert (made.key.expires_at, made.key.revoked_at, made.key.source) == (FOREVER, None, KeySource.STORE)
        assert made.secret not in repr(made)
        with RerankClient(guarded.grpc_address, api_key=made.secret) as caller:
            assert caller.rerank("a", ["a"]).results
            with pytest.raises(PermissionDenied):
                caller.keys.get(made.key.id)
        assert client.keys.get(made.key.id) == made.key
        rotated = client.keys.rotate(made.key.id, overlap_s=0)
        assert rotated.secret != made.secret
        assert client.keys.revoke(made.key.id).revoked_at is not None
        with pytest.raises(FailedPrecondition, match="KEY_REVOKED"):
            client.keys.rotate(made.key.id)
        assert made.key.id not in {key.id for key in client.keys.list(page_size=1)}
        listed = {key.id: key for key in client.keys.list(page_size=1, with_revoked=True)}
        assert listed[made.key.id].revoked_at is not None
        assert listed["admin"].source is KeySource.SETTINGS
        assert listed["admin"].created_at is None


def test_existing_keys_are_added(guarded: ServerProcess) -> None:
    hashed = ExistingKey("old", hash=digest_of(new_secret()), options={"models": ["x"]})
    with RerankClient(guarded.grpc_address, api_key=SECRETS["admin"]) as client:
        (added,) = client.keys.add([hashed])
        assert (added.name, added.models, added.hint) == ("old", ("x",), "")
        with pytest.raises(AlreadyExists):
            client.keys.add([hashed])


async def test_the_asynchronous_client_has_the_same(guarded: ServerProcess) -> None:
    async with AsyncRerankClient(guarded.grpc_address, api_key=SECRETS["admin"]) as client:
        made = await client.keys.create("search")
        rotated = await client.keys.rotate(made.key.id)
        assert rotated.key.old_secret_expires_at is not None
        assert made.key.id in [key.id async for key in client.keys.list(page_size=1)]
        assert (await client.keys.revoke(made.key.id)).id == (await client.keys.get(made.key.id)).id
        (added,) = await client.keys.add([ExistingKey("old", secret=new_secret())])
        assert added.source is KeySource.STORE
        with pytest.raises(NotFound):
            await client.keys.get("none")


def test_what_cannot_be_sent_is_refused_before_it_is(tmp_path: Path) -> None:
    with RerankClient(f"unix:{tmp_path}/none") as client:
        with pytest.raises(TypeError, match="there is no option 'scope' of a key"):
            client.keys.create("a", scope=["rerank"])  # type: ignore[call-arg]  # wrong on purpose
        with pytest.raises(ValueError, match="needs a time zone"):
            client.keys.create("a", expires_at=datetime(2999, 1, 1))


def test_what_the_server_refuses_says_where(guarded: ServerProcess) -> None:
    with RerankClient(guarded.grpc_address, api_key=SECRETS["admin"]) as client:
        with pytest.raises(InvalidRequest) as refused:
            client.keys.create("a", scopes=["rernk"])
        assert [violation.field for violation in refused.value.fields] == ["scopes"]
        with pytest.raises(FailedPrecondition, match="DECLARED_IN_SETTINGS"):
            client.keys.revoke("reader")
