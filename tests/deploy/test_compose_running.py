"""The containers of deploy/compose as their commands start them, with real PostgreSQL and Redis, and no engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from rerankd_client import RerankClient
from tests.deploy.test_compose import FOLDER, OURS, SERVICES
from tests.image.dockerfile import last, lineage, read_stages
from tests.support.canary import CANARY_SECRET
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.server import ServerProcess

IMAGE = lineage(read_stages(), "full")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    """The settings of the containers, with the addresses of servers on this machine."""
    with ExitStack() as stack:
        postgres, redis = PostgresServer(), RedisServer()
        stack.callback(postgres.close)
        stack.callback(redis.kill)
        text = (FOLDER / "rerankd.yaml").read_text(encoding="utf-8")
        for there, here in (
            ("@postgres:5432/rerankd", f"@127.0.0.1:{postgres.port}/postgres"),
            ("redis-ledger:6379", f"127.0.0.1:{redis.port}"),
            ("redis:6379", f"127.0.0.1:{redis.port}"),
            ("host: 0.0.0.0", "host: 127.0.0.1"),
            ("drain_delay_s: 10", "drain_delay_s: 0"),
        ):
            assert there in text
            text = text.replace(there, here)
        file = tmp_path / "rerankd.yaml"
        file.write_text(text)
        yield file


def command_of(name: str, settings: Path) -> list[str]:
    """Return the arguments of a container's program."""
    (mounted,) = [volume.split(":")[1] for volume in SERVICES[name]["volumes"]]
    return [word.replace(mounted, str(settings)) for word in SERVICES[name]["command"]]


def test_the_database_is_migrated_and_the_service_serves(settings: Path) -> None:
    assert last(IMAGE, "ENTRYPOINT").words == ["rerankd"]
    variables = {"POSTGRES_PASSWORD": CANARY_SECRET, "RERANKD_LOCAL__THREADS": "1", "NO_PROXY": "127.0.0.1"}
    migrate = [sys.executable, "-m", "rerankd.cli", *command_of("migrate", settings)]
    for _ in range(2):  # `restart: on-failure`, and the next `up`
        done = subprocess.run(migrate, env={**os.environ, **variables}, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    ports = ("--grpc-port", str(free_port()), "--http-port", str(free_port()))
    server = ServerProcess(
        program=("rerankd.cli", *command_of(OURS, settings), *ports), environment=variables, preloads=True
    )
    with RerankClient(server.grpc_address) as client:
        assert client.rerank("bees", ["honey", "bees"], model="local/bm25").results[0].index == 1
    reranker = {"name": "Search", "strategy": "dedicated-model", "config": {"model": "local/bm25"}}
    with httpx.Client(base_url=server.http_url, trust_env=False, timeout=30) as http:
        assert http.post("/api/reranker", json=reranker).status_code == 201
    health = last(IMAGE, "HEALTHCHECK").arguments.partition("CMD ")[2]
    assert health == '["rerankd", "health"]'
    check = [sys.executable, "-m", "rerankd.cli", "health", "--address", server.grpc_address]
    assert subprocess.run(check, capture_output=True, timeout=60, check=False).returncode == 0
    assert server.stop() == 0
