"""One transport of each kind for all tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from rerankd.http.transport import TransportSettings
from rerankd.http.transport_factory import open_transport
from rerankd_adapters.testing.behaviours import MAX_RESPONSE_BYTES
from tests.conformance.suite import TRANSPORTS, Deployments
from tests.support.canary import CANARY_SECRET


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
    transport = open_transport(request.param, settings)
    yield Deployments(transport)
    await transport.close()
