"""Certificates of gRPC providers that are rotated while calls are made: none fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme

from rerankd.http.transport_settings import TlsSettings, TransportSettings
from rerankd.providers.grpc_certificates import FollowedChannelSettings
from rerankd_adapters.base import AdapterError, AdapterErrorKind
from rerankd_adapters.grpc_upstream.messages import find_method
from rerankd_adapters.grpc_upstream.upstream import GrpcUpstream
from rerankd_adapters.providers.tei_grpc import TEI_GRPC
from tests.unit.adapters_grpc.fake_upstream import FakeUpstream, call_of, failure, open_upstream

RERANK = find_method("tei.v1.Rerank", "Rerank")
GOOD = RERANK.response(ranks=[{"index": 0, "score": 0.5}])


class Rotation:
    """Certificate files of a client, a server that asks for them, and a clock that passes a second a look."""

    def __init__(self, folder: Path) -> None:
        self.ca_file, self.client_file = folder / "ca.pem", folder / "client.pem"
        self.authority = self.write()
        self.peers: set[str] = set()
        self.now_s = 0.0
        self.held = asyncio.Event()
        self.servers: list[FakeUpstream] = []
        self.port = 0

    def write(self) -> trustme.CA:
        """Write the certificate of a new authority, and one of its client certificates."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        issued = authority.issue_cert("client@example.org")
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.client_file))
        return authority

    def clock(self) -> float:
        self.now_s += 1
        return self.now_s

    async def serve(self, authority: trustme.CA) -> None:
        """Serve with a certificate of an authority in the place of the last server, which ends."""
        for each in self.servers:
            await each.stop()
        server = FakeUpstream()
        server.on(RERANK, self._answer)
        self.port = server.add_tls_port(authority, asks_for_client=True, port=self.port)
        await server.start()
        self.servers.append(server)

    async def _answer(self, requests: list[Any], context: Any) -> Any:
        self.peers.add(context.peer())
        if requests[0].query == "slow":
            await self.held.wait()
        return GOOD

    def open(self) -> GrpcUpstream:
        tls = TlsSettings(ca_file=str(self.ca_file), client_certificate_file=str(self.client_file))
        settings = FollowedChannelSettings(TransportSettings(uses_environment_proxy=False), tls, self.clock)
        return open_upstream(TEI_GRPC, f"grpcs://127.0.0.1:{self.port}", settings=settings)


@pytest.fixture
async def rotation(tmp_path: Path) -> AsyncIterator[Rotation]:
    made = Rotation(tmp_path)
    await made.serve(made.authority)
    yield made
    for each in made.servers:
        await each.stop()


@pytest.fixture
async def tei(rotation: Rotation) -> AsyncIterator[GrpcUpstream]:
    upstream = rotation.open()
    yield upstream
    await upstream.close()


async def scores(upstream: GrpcUpstream, query: str = "q") -> list[float]:
    return list((await upstream.rerank(call_of(["a"], query=query))).scores)


async def answered(upstream: GrpcUpstream) -> int:
    """Call until the answer comes; return how many calls failed."""
    failures = 0
    async with asyncio.timeout(20):
        while True:
            try:
                assert await scores(upstream) == [0.5]
            except AdapterError:
                failures += 1
            else:
                return failures


async def test_a_new_authority_is_taken_up_by_the_next_call(tei: GrpcUpstream, rotation: Rotation) -> None:
    for _ in range(3):
        assert await scores(tei) == [0.5]
        await rotation.serve(rotation.write())
    assert await asyncio.gather(*(scores(tei) for _ in range(20))) == [[0.5]] * 20


async def test_calls_under_way_end_where_they_began(tei: GrpcUpstream, rotation: Rotation) -> None:
    slow = asyncio.create_task(scores(tei, "slow"))
    await asyncio.wait_for(rotation.servers[-1].started.wait(), 10)
    rotation.ca_file.write_bytes(rotation.ca_file.read_bytes() + b"\n")
    assert await scores(tei) == [0.5]
    assert len(rotation.peers) == 2

    rotation.held.set()
    assert await slow == [0.5]
    assert await scores(tei) == [0.5]
    assert len(rotation.peers) == 2


async def test_files_that_do_not_fit_the_server_yet_leave_calls_where_they_are(
    tei: GrpcUpstream, rotation: Rotation
) -> None:
    assert await scores(tei) == [0.5]
    following = rotation.write()
    assert [await scores(tei) for _ in range(3)] == [[0.5]] * 3
    assert len(rotation.peers) == 1

    await rotation.serve(following)
    assert await answered(tei) <= 1


async def test_half_a_file_is_not_taken_up(tei: GrpcUpstream, rotation: Rotation) -> None:
    assert await scores(tei) == [0.5]
    with structlog.testing.capture_logs() as logged:
        rotation.ca_file.write_text("half of a")
        assert [await scores(tei) for _ in range(3)] == [[0.5]] * 3
        await rotation.serve(rotation.write())
        assert await scores(tei) == [0.5]

    assert [entry["event"] for entry in logged] == ["changed TLS file not taken up", "changed TLS files taken up"]


async def test_closing_ends_calls_on_channels_that_were_replaced(rotation: Rotation) -> None:
    upstream = rotation.open()
    slow = asyncio.create_task(failure(upstream, query="slow"))
    await asyncio.wait_for(rotation.servers[-1].started.wait(), 10)
    rotation.ca_file.write_bytes(rotation.ca_file.read_bytes() + b"\n")
    assert await scores(upstream) == [0.5]
    rotation.write()
    assert await scores(upstream) == [0.5]

    await upstream.close()
    assert (await asyncio.wait_for(slow, 10)).kind is AdapterErrorKind.UNAVAILABLE
