"""The work of a call grows no faster than its documents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.costs.counting import CountedServer, provider, settings
from tests.costs.scenarios import BM25, REMOTE, by_grpc, texts

pytestmark = pytest.mark.slow

FEW, MANY = 1000, 10_000
MOST_GROWTH = 10.5


@pytest.fixture(scope="module")
def server() -> Iterator[CountedServer]:
    with provider() as upstream, CountedServer("work", settings(upstream)) as opened:
        yield opened


@pytest.mark.parametrize("model", [BM25, REMOTE])
def test_ten_times_the_documents_is_at_most_ten_and_a_half_times_the_work(model: str, server: CountedServer) -> None:
    # Opens the connections of all chunks, which is not work that grows with every call.
    by_grpc(model, texts(MANY), is_new=True)(server.callers)()
    # No document occurs twice: a model may remember some, but not all.
    few = by_grpc(model, texts(FEW, MANY), is_new=True)(server.callers)
    many = by_grpc(model, texts(MANY, MANY + FEW), is_new=True)(server.callers)
    growth = server.count(many)["instructions"] / server.count(few)["instructions"]
    assert growth <= MOST_GROWTH
