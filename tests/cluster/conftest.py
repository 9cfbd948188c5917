"""Marks what starts whole clusters, for `make test-cluster`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.replicas import answer_slowly
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer
from tests.support.upstream import Upstream


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "cluster" in item.path.parts:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture
def provider() -> Iterator[Upstream]:
    """A provider that all replicas call; it answers after `LATENCY_S`."""
    with Upstream(answer_slowly) as upstream:
        yield upstream


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis that all replicas share."""
    server = RedisServer()
    yield server
    server.kill()


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that all replicas share."""
    server = PostgresServer()
    yield server
    server.close()
