"""Real gRPC servers on loopback that speak the providers' protos."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rerankd_adapters.grpc_upstream.upstream import GrpcUpstream
from rerankd_adapters.providers.kserve import KSERVE
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream, Open, open_upstream


@pytest.fixture
async def server() -> AsyncIterator[FakeUpstream]:
    fake = FakeUpstream()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def kserve(server: FakeUpstream) -> AsyncIterator[Open]:
    opened = []

    def open_with(**options: Any) -> GrpcUpstream:
        opened.append(open_upstream(KSERVE, server.base_url, options))
        return opened[-1]

    yield open_with
    for upstream in opened:
        await upstream.close()
