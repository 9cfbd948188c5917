"""One transport of each kind for all tests of a module, and an empty store of each kind for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace
from sqlalchemy import text

from rerankd.http.transport_factory import open_transport
from rerankd.http.transport_settings import TransportSettings
from rerankd.store.database import Database
from rerankd.store.migrating import migrate
from rerankd.store.settings import StoreSettings
from rerankd_adapters.testing.behaviours import MAX_RESPONSE_BYTES
from tests.conformance.suite import TRANSPORTS, Deployments
from tests.support.canary import CANARY_SECRET
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="module", autouse=True)
def aws_credentials() -> Iterator[None]:
    """Credentials for what is signed; nothing asks the machine for its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test-access-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", CANARY_SECRET)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.delenv("AWS_PROFILE", raising=False)
        yield


@pytest_asyncio.fixture(params=TRANSPORTS, scope="module", loop_scope="module")
async def deployments(request: pytest.FixtureRequest) -> AsyncIterator[Deployments]:
    """Deployments over each transport."""
    settings = TransportSettings(max_response_bytes=MAX_RESPONSE_BYTES, uses_environment_proxy=False)
    transport = open_transport(replace(settings, client=request.param))
    yield Deployments(transport)
    await transport.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSettings:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return StoreSettings(state_dir=str(tmp_path / "state"))
    server: PostgresServer = request.getfixturevalue("postgres")
    made = StoreSettings(url=server.url)
    database = Database(made)
    async with database.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await database.close()
    return made


@pytest_asyncio.fixture
async def empty(settings: StoreSettings) -> AsyncIterator[Database]:
    """A store without migrations."""
    database = Database(settings)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def database(empty: Database) -> Database:
    """A migrated store."""
    await migrate(empty)
    return empty
